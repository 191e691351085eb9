//! Gate 3, the rules: sources, engine and answers put together (V13.4, V15).

mod extra;
mod facts;

use std::{ops::Deref, sync::Arc};

use carnet_bundle::{Bundle, Finding, Severity};
use carnet_evidence::{Rules as EvidenceRules, TrustRoot};
use carnet_policy::{
    ComponentOutcome, EffectiveTime, Policy, Reading, RuleResult,
    document::{Authority, SourceGroup},
    input::{Gap, ImageFacts},
    rego::{
        Configuration, Data, EvaluationError, File, Filter, Group, GroupOutcome, Limits, LookupError, Registry, Settings,
        SignerOptions, Target, codes as rego_codes,
    },
    sources::{self, Anchor, Location, Resolved, ResolvedGroup, ResolvedSource, SourceUrl, SourcesError},
    time::rfc3339,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    cli::{FilterType, VerifyArgs},
    codes,
    error::VerifyError,
    inputs::{Inputs, Question},
    matching::Matched,
    replay::{Answers, Transport},
    report::Assumption,
};

use extra::{extra_rule_data, written_anew};
pub(crate) use facts::{answers, facts, gaps};

/// The finding that tells of packages that Conforma does not evaluate.
const SKIPPED: &str = rego_codes::PACKAGE_SKIPPED_BY_CONFORMA.name;

/// The rules of a policy, loaded, and what answers their questions.
pub(crate) struct Rules<'a, T> {
    groups: Vec<Group>,
    resolved: Resolved,
    answers: Arc<Answers<T>>,
    effective: EffectiveTime,
    common: Common<'a>,
}

/// What every group is loaded with.
struct Common<'a> {
    args: &'a VerifyArgs,
    policy: &'a Policy,
    signer: SignerOptions,
    /// What `--extra-rule-data` adds to the data of every group.
    extra: Vec<(String, String)>,
    now: Timestamp,
}

/// Groups of the run, or loaded for one component.
enum Groups<'a> {
    Own(Vec<Group>),
    Shared(&'a [Group]),
}

impl Deref for Groups<'_> {
    type Target = [Group];

    fn deref(&self) -> &[Group] {
        match self {
            Self::Own(groups) => groups,
            Self::Shared(groups) => groups,
        }
    }
}

/// Why rules cannot be used: a verdict, or none.
pub(crate) enum Unusable {
    /// The archive holds other content than the operator named: fail.
    Failed(Vec<Finding>),
    /// No verdict.
    NoVerdict(VerifyError),
}

impl<'a, T: Transport + 'static> Rules<'a, T> {
    /// Settles which content stands for each source, and loads every group, whose
    /// questions `transport` answers. `None` for a policy without sources.
    #[expect(clippy::too_many_arguments, reason = "everything that a verdict depends on")]
    pub(crate) fn load(
        args: &'a VerifyArgs,
        inputs: &Inputs<'_>,
        question: &'a Question,
        bundle: &Arc<Bundle>,
        trust: (&TrustRoot, EvidenceRules),
        effective: EffectiveTime,
        now: Timestamp,
        transport: T,
    ) -> Result<Option<Self>, Unusable> {
        let policy = &question.effective.policy;
        if policy.sources.is_empty() {
            return Ok(None);
        }
        let mut resolved = resolve(args, inputs, question, bundle)?;
        let extra = extra_rule_data(args, inputs).map_err(Unusable::NoVerdict)?;
        let common = Common { args, policy, signer: signer(args, question), extra, now };
        for source in &mut resolved.policy.sources {
            source.rule_data = common.rule_data(source.rule_data.take());
        }
        let groups = common.load_all(&resolved, effective.instant()).map_err(Unusable::NoVerdict)?;
        let answers = answers(args, trust, now, transport);
        Ok(Some(Self { groups, resolved, answers, effective, common }))
    }

    /// The policy as the report shows it: every URL in its pinned form.
    pub(crate) fn policy(&self) -> &Policy {
        &self.resolved.policy
    }

    /// What was used for each source.
    pub(crate) fn used(&self) -> &[sources::UsedSource] {
        &self.resolved.used
    }

    /// What rules see of the image itself, with what answers say of it.
    pub(crate) fn facts(&self, matched: &Matched, bundle: &Bundle) -> Result<ImageFacts, Finding> {
        facts(&self.answers, matched, bundle)
    }

    /// The parent of an image, when no rule speaks of parents.
    pub(crate) fn unasked_parent(&self, matched: &Matched, bundle: &Bundle) -> Option<String> {
        let facts = ImageFacts::read(bundle, matched.digest.as_ref()?);
        let parents = facts.gaps.into_iter().filter(|gap| matches!(gap, Gap::ParentNotCarried { .. }) && !self.speaks_of(gap));
        parents.filter_map(|_| facts.parent.as_ref().map(|parent| parent.reference.clone())).next()
    }

    fn speaks_of(&self, gap: &Gap) -> bool {
        let word: &[u8] = match gap {
            Gap::ParentNotCarried { .. } => b"parent",
            Gap::FilesNotRead { .. } => b"files",
            _ => return true,
        };
        let sources = self.resolved.groups.iter().flat_map(|group| &group.policy);
        let mut files = sources.flat_map(|source| source.files.iter());
        files.any(|file| is_rego(&file.path) && file.bytes.windows(word.len()).any(|window| window == word))
    }

    /// Applies every group to one component, whose outcome takes the results.
    pub(crate) fn evaluate(
        &self,
        matched: &Matched,
        input: &Value,
        outcome: &mut ComponentOutcome,
        findings: &mut Vec<Finding>,
    ) -> Result<(), VerifyError> {
        let Some(digest) = &matched.digest else { return Ok(()) };
        let image = matched.component.reference.pinned(*digest);
        let target = Target { image: &image, component: &matched.component.name };
        let groups = self.groups_for(input)?;
        for (at, group) in groups.iter().enumerate() {
            let registry = self.answers.for_asker(format!("component {}, source group {at}", matched.component.name));
            let evaluated = match group.evaluate(target, input, Arc::clone(&registry)) {
                Ok(wide) if wide.findings.iter().any(|finding| finding.code == SKIPPED) => {
                    as_conforma_reports(group, target, input, registry, wide)
                }
                evaluated => evaluated,
            };
            match evaluated {
                Ok(result) => {
                    for lookup in &result.lookups {
                        self.answers.used_by(&lookup.question, &format!("rule {}", lookup.rule));
                    }
                    outcome.violations.extend(result.violations);
                    outcome.warnings.extend(result.warnings);
                    outcome.successes.extend(result.successes);
                    findings.extend(result.findings);
                }
                Err(error) => findings.push(self.refused(matched, error)?),
            }
        }
        outcome.sort();
        Ok(())
    }

    /// The groups as of the time that holds for one component: with
    /// `--effective-time attestation` that is when its build ended.
    fn groups_for(&self, input: &Value) -> Result<Groups<'_>, VerifyError> {
        let ended = match self.effective {
            EffectiveTime::Attestation { .. } => build_ended(input),
            EffectiveTime::Instant(_) => None,
        };
        match ended {
            Some(time) => Ok(Groups::Own(self.common.load_all(&self.resolved, time)?)),
            None => Ok(Groups::Shared(&self.groups)),
        }
    }

    /// A recorded answer that the bytes belie fails; anything else is no verdict.
    fn refused(&self, matched: &Matched, error: EvaluationError) -> Result<Finding, VerifyError> {
        match &error {
            EvaluationError::Lookup { source: LookupError::Tampered { .. }, .. } => {
                Ok(Finding::new(&codes::LOOKUP_TAMPERED, &matched.component.container_image, error.to_string()))
            }
            _ => Err(VerifyError::Rules {
                image: matched.component.container_image.clone(),
                component: matched.component.name.clone(),
                source: Box::new(error),
            }),
        }
    }

    /// What rules took on the exporter's word: answers, and sources that nothing
    /// pins.
    pub(crate) fn assumptions(&self) -> Vec<Assumption> {
        let open = self.resolved.used.iter().filter(|used| used.anchor == Anchor::Accepted);
        let sources = open.map(|used| Assumption {
            code: "policy-source".to_owned(),
            subject: used.url.clone(),
            message: format!("the source stood for {} when the bundle was made", used.pinned),
            used_by: vec!["every rule of the source".to_owned()],
            vouched_by: String::new(),
        });
        sources.chain(self.answers.assumptions()).collect()
    }
}

/// The outcome of a group from which Conforma evaluates fewer packages: the
/// results are Conforma's, and what more there is to say is a finding each. A
/// violation in it fails.
fn as_conforma_reports(
    group: &Group,
    target: Target<'_>,
    input: &Value,
    registry: Arc<dyn Registry>,
    wide: GroupOutcome,
) -> Result<GroupOutcome, EvaluationError> {
    let mut narrow = group.read_as(Reading::Conforma).evaluate(target, input, registry)?;
    let unseen = |result: RuleResult, severity| {
        let subject = result.code().unwrap_or_default().to_owned();
        Finding::new(&codes::UNSEEN_BY_CONFORMA, subject, result.msg).with_severity(severity)
    };
    let violations = without(wide.violations, &narrow.violations);
    // Warnings without a code are about criteria, not from rules.
    let mut warnings = without(wide.warnings, &narrow.warnings);
    warnings.retain(|result| result.code().is_some());
    narrow.findings = wide.findings;
    narrow.findings.extend(violations.into_iter().map(|result| unseen(result, Severity::Failure)));
    narrow.findings.extend(warnings.into_iter().map(|result| unseen(result, Severity::Warning)));
    narrow.lookups.extend(wide.lookups);
    Ok(narrow)
}

/// The results that are not among `seen`, each as often as it is more often there.
fn without(all: Vec<RuleResult>, seen: &[RuleResult]) -> Vec<RuleResult> {
    let mut seen: Vec<&RuleResult> = seen.iter().collect();
    let mut more = Vec::new();
    for result in all {
        match seen.iter().position(|other| **other == result) {
            Some(at) => drop(seen.swap_remove(at)),
            None => more.push(result),
        }
    }
    more
}

fn resolve(args: &VerifyArgs, inputs: &Inputs<'_>, question: &Question, bundle: &Arc<Bundle>) -> Result<Resolved, Unusable> {
    let overrides = args.policy_source.iter().map(|value| directory_for(value)).collect::<Result<Vec<_>, _>>();
    let overrides = overrides.map_err(Unusable::NoVerdict)?;
    if inputs.policy.is_none() {
        refuse_paths(&question.effective.policy, &overrides).map_err(Unusable::NoVerdict)?;
    }
    let lock = inputs.policy_lock.as_ref().map(|document| sources::Lock::parse(&document.bytes));
    let lock = lock.transpose().map_err(|e| Unusable::NoVerdict(VerifyError::PolicyLock(e.to_string())))?;
    let operator = sources::Operator {
        lock: lock.as_ref(),
        overrides: &overrides,
        bundle_pinned: args.bundle_id == Some(bundle.id()),
        accept: args.accept_bundled_sources.0 || (args.accept_bundled_policy.0 && inputs.policy.is_none()),
        local: inputs.sources,
    };
    sources::resolve(&question.effective.policy, bundle.as_ref(), &operator).map_err(|error| match error {
        SourcesError::Failed(findings) => Unusable::Failed(findings),
        error => Unusable::NoVerdict(VerifyError::Sources(error.findings().to_vec())),
    })
}

/// A policy that the archive brought must not have the disk of this host read into a
/// report.
fn refuse_paths(policy: &Policy, overrides: &[(String, String)]) -> Result<(), VerifyError> {
    let named = policy.sources.iter().flat_map(|group| group.policy.iter().chain(&group.data));
    let is_path = |text: &&String| {
        let url = SourceUrl::parse(text).is_ok_and(|url| matches!(url.location(), Location::Local { .. }));
        url && !overrides.iter().any(|(url, _)| url == *text)
    };
    named.into_iter().find(is_path).map_or(Ok(()), |text| Err(VerifyError::CarriedPath(text.clone())))
}

/// `URL=DIR`: the last `=` parts them, for URLs have queries.
fn directory_for(value: &str) -> Result<(String, String), VerifyError> {
    let parts = value.rsplit_once('=').filter(|(url, directory)| !url.is_empty() && !directory.is_empty());
    let (url, directory) = parts.ok_or_else(|| VerifyError::PolicySource(value.to_owned()))?;
    Ok((url.to_owned(), directory.to_owned()))
}

/// The latest end of a build that an attestation of SLSA provenance v0.2 gives.
fn build_ended(input: &Value) -> Option<Timestamp> {
    let attestations = input.get("attestations")?.as_array()?.iter();
    let ends = attestations.filter_map(|a| a.pointer("/statement/predicate/metadata/buildFinishedOn")?.as_str());
    ends.filter_map(rfc3339).max()
}

impl Common<'_> {
    fn load_all(&self, resolved: &Resolved, when: Timestamp) -> Result<Vec<Group>, VerifyError> {
        let pairs = self.policy.sources.iter().zip(&resolved.groups);
        pairs.map(|(source, group)| self.load(source.clone(), group, when, self.args.reading())).collect()
    }

    fn load(
        &self,
        mut source: SourceGroup,
        group: &ResolvedGroup,
        when: Timestamp,
        reading: Reading,
    ) -> Result<Group, VerifyError> {
        source.rule_data = self.rule_data(source.rule_data);
        let configuration = Configuration { when, signer: self.signer.clone(), rule_data: source.rule_data.clone() };
        let (rules, data) = (named(&group.policy, is_rego), named(&group.data, is_data));
        let data = Data::merge(&files(&data), Some(&configuration)).map_err(|e| VerifyError::RuleData(Box::new(e)))?;
        let settings = Settings {
            source: &source,
            configuration: self.policy.configuration.as_ref(),
            effective_time: when,
            now: self.now,
            reading,
            filter: match self.args.filter_type {
                FilterType::IncludeExclude => Filter::IncludeExclude,
                FilterType::EcPolicy => Filter::EcPolicy,
            },
            limits: Limits::default(),
        };
        Group::load(&files(&rules), &data, &settings).map_err(|e| VerifyError::RuleSet(Box::new(e)))
    }

    /// `ruleData` of the group with `--extra-rule-data` over it; a value is text.
    fn rule_data(&self, own: Option<Value>) -> Option<Value> {
        if self.extra.is_empty() {
            return own;
        }
        let mut members = match own {
            Some(Value::Object(members)) => members,
            _ => serde_json::Map::new(),
        };
        members.extend(self.extra.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))));
        Some(written_anew(Value::Object(members)))
    }
}

/// Files of all sources of a list, under names that tell one source from another.
fn named(sources: &[ResolvedSource], wanted: fn(&str) -> bool) -> Vec<(String, Arc<[u8]>)> {
    let mut all = Vec::new();
    for source in sources {
        let files = source.files.iter().filter(|file| wanted(&file.path));
        all.extend(files.map(|file| (format!("{}/{}", source.pinned, file.path), Arc::clone(&file.bytes))));
    }
    all
}

fn files(named: &[(String, Arc<[u8]>)]) -> Vec<File<'_>> {
    named.iter().map(|(path, bytes)| File { path, bytes }).collect()
}

fn is_rego(path: &str) -> bool {
    path.ends_with(".rego")
}

fn is_data(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    [".json", ".yaml", ".yml"].iter().any(|end| path.ends_with(end))
}

/// What `data.config.default_sigstore_opts` says.
fn signer(args: &VerifyArgs, question: &Question) -> SignerOptions {
    let mut options = SignerOptions {
        ignore_rekor: args.ignore_rekor.0,
        rekor_url: question.effective.policy.rekor_url.clone(),
        ..SignerOptions::default()
    };
    match (&question.key, &question.effective.authority) {
        (Some(key), _) => options.public_key = key.to_pem(),
        (None, Authority::Identity(identity)) => {
            options.certificate_identity.clone_from(&identity.subject);
            options.certificate_identity_regexp = question.trust.pattern(&identity.subject_reg_exp);
            options.certificate_oidc_issuer.clone_from(&identity.issuer);
            options.certificate_oidc_issuer_regexp = question.trust.pattern(&identity.issuer_reg_exp);
        }
        (None, Authority::Key(_)) => {}
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        disk::sources::Disk,
        inputs::{Document, TrustInputs},
    };

    #[test]
    fn rules_get_the_patterns_of_policy_yaml_as_the_trust_policy_reads_them() {
        let document = |text: &str| Document { name: "a.yaml".to_owned(), bytes: text.as_bytes().to_vec() };
        let args = VerifyArgs::read(["carnet-verify".into(), "a.tar".into()]).unwrap();
        for (reading, want) in [("as-conforma", ["a|b", "i"]), ("anchored", ["^(?:a|b)$", "^(?:i)$"])] {
            let trust = format!("apiVersion: carnet/v0\nkind: TrustPolicy\ncertificates: {{regExp: {reading}}}\n");
            let inputs = Inputs {
                images: vec![document("components: [{name: a, containerImage: r.example/a:v1}]")],
                policy: Some(document("identity: {subjectRegExp: a|b, issuerRegExp: i}")),
                trusted_root: None,
                trust: TrustInputs { policy: Some(document(&trust)), ..TrustInputs::default() },
                policy_lock: None,
                sources: &Disk,
                read: &|_| Err(std::io::ErrorKind::NotFound.into()),
            };
            let question = Question::read(&args, &inputs, None).unwrap();
            let options = signer(&args, &question);
            assert_eq!([options.certificate_identity_regexp, options.certificate_oidc_issuer_regexp], want);
        }
    }
}
