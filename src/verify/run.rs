//! The run: gate 1, gate 2, gate 3, one report.

use std::sync::Arc;

use carnet_bundle::{Bundle, Digest, Finding, Limits, Severity, codes as bundle_codes, container::Container, open};
use carnet_evidence::{Verifier, trust_policy::Scope};
use carnet_policy::{
    EffectiveTime,
    checks::{Judged, Options},
    input::{self, ImageFacts},
};
use jiff::Timestamp;

use crate::{
    attachment::{Exporters, Vouched},
    cli::VerifyArgs,
    codes,
    error::VerifyError,
    inputs::{Inputs, Question},
    judge::{Judgement, in_parallel},
    matching::{Matched, Matching},
    replay::{Answers, Carried},
    report::{self, Assumption, Carnet, Material, Need, Report},
    rules::{Rules, Unusable, answers, facts, gaps},
    trust::{clock, proofs, set_back, shown, trust_root},
    weigh,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Judges the bundle in `container` by what the operator gives.
///
/// `now` is the time of the run; it takes no part in the validity of a signature.
/// Evidence is verified on up to `threads` threads.
///
/// # Errors
///
/// Returns a [`VerifyError`] when there is no verdict. A wrong bundle is not an
/// error: the report says what is wrong, and its verdict is fail.
pub fn run(
    args: &VerifyArgs,
    inputs: &Inputs<'_>,
    container: &mut dyn Container,
    now: Timestamp,
    threads: usize,
) -> Result<Report, VerifyError> {
    args.validate()?;
    let effective = args.effective_time(now)?;
    // Mistakes in the operator's own documents are said before gigabytes are read.
    let early = if args.accept_bundled_policy.0 { None } else { Some(Question::read(args, inputs, None)?) };
    let exporters = Exporters::read(args, inputs)?;
    let opened = open(container, &Limits::default())?;
    let shared = opened.bundle.map(Arc::new);
    let bundle = shared.as_deref();
    let question = match early {
        Some(question) => question,
        None => Question::read(args, inputs, bundle)?,
    };
    let at = args.at.unwrap_or(now);
    let verifier = Verifier::new(trust_root(args, inputs, &question, bundle)?, question.rules(args), at)?;
    let (proofs, unreadable) = proofs(bundle);
    let verifier = verifier.with_proofs(proofs);

    let mut findings = weigh::integrity(opened.findings, bundle, args, verifier.rules());
    findings.extend(pinned_id(args, &opened.id));
    findings.extend(question.findings().cloned());
    findings.extend(unreadable);
    findings.extend(question.trust.findings(&verifier, at));
    let mut report = Report {
        snapshot: String::new(),
        components: Vec::new(),
        materials: Vec::new(),
        key: question.key.as_ref().map(carnet_evidence::PublicKey::to_pem).unwrap_or_default(),
        policy: serde_json::to_value(&question.effective.policy).unwrap_or_default(),
        ec_version: format!("carnet-verify v{VERSION}"),
        effective_time: effective.instant(),
        time: at,
        carnet: Carnet {
            version: VERSION.to_owned(),
            arguments: args.words.clone(),
            bundle: report::Bundle { id: Some(opened.id), content_id: bundle.map(Bundle::content_id) },
            trust: shown(verifier.trust_root(), &question, at),
            relaxations: args.relaxations().into_iter().chain(set_back(args, now)).chain(question.trust.relaxations()).collect(),
            ..Carnet::default()
        },
    };
    if let Some(bundle) = &shared {
        let rules = match rules(args, inputs, &question, bundle, &verifier, effective, now) {
            Ok(rules) => rules,
            // Another bundle fails, whatever else is to be said of it.
            Err(Unusable::NoVerdict(_)) if pinned_id(args, &opened.id).is_some() => None,
            Err(Unusable::NoVerdict(error)) => return Err(error),
            Err(Unusable::Failed(failed)) => {
                findings.extend(failed);
                None
            }
        };
        if let Some(rules) = &rules {
            report.policy = serde_json::to_value(rules.policy()).unwrap_or_default();
            report.carnet.sources = rules.used().to_vec();
        }
        let beside = match rules.is_none() && args.needs().contains(&Need::PolicyInput) {
            true => Some(answers(args, (verifier.trust_root(), question.trust.rules.clone()), now, carried_lookups(bundle)?)),
            false => None,
        };
        let asked = Asked { rules: rules.as_ref(), beside };
        judge(args, &question, bundle, &verifier, &asked, threads, &mut report, &mut findings)?;
    }
    let vouched = match bundle {
        Some(bundle) => exporters.judge(args, inputs, &question, verifier.trust_root(), bundle, at)?,
        None => Vouched::default(),
    };
    findings.extend(vouched.findings);
    report.carnet.timestamps = vouched.timestamps;
    findings.extend(weigh::assumptions(&mut report.carnet.assumptions, bundle, &vouched.by, args));
    report.carnet.findings = unique(findings);
    Ok(report)
}

/// The rules of the policy. A rule brings its own signer, and whether a log is
/// asked for: what the run ignores is not ignored for other images.
fn rules<'a>(
    args: &'a VerifyArgs,
    inputs: &Inputs<'_>,
    question: &'a Question,
    bundle: &Arc<Bundle>,
    verifier: &Verifier,
    effective: EffectiveTime,
    now: Timestamp,
) -> Result<Option<Rules<'a, Carried>>, Unusable> {
    let carried = carried_lookups(bundle).map_err(Unusable::NoVerdict)?;
    let evidence = question.trust.rules.clone();
    Rules::load(args, inputs, question, bundle, (verifier.trust_root(), evidence), effective, now, carried)
}

fn carried_lookups(bundle: &Arc<Bundle>) -> Result<Carried, VerifyError> {
    Carried::new(Arc::clone(bundle)).map_err(VerifyError::Lookups)
}

/// What the input of rules is made for.
struct Asked<'a> {
    /// The rules.
    rules: Option<&'a Rules<'a, Carried>>,
    /// What answers for an input that only a report shows.
    beside: Option<Arc<Answers<Carried>>>,
}

impl Asked<'_> {
    /// What there is to say of the image itself; `None` where nobody asks.
    fn facts(&self, matched: &Matched, bundle: &Bundle, scope: Scope, findings: &mut Vec<Finding>) -> Option<ImageFacts> {
        let facts = match (self.rules, &self.beside) {
            (Some(rules), _) => rules.facts(matched, bundle),
            (None, Some(answers)) => facts(answers, matched, bundle),
            (None, None) => return None,
        };
        let facts = facts.map_err(|tampered| findings.push(tampered)).ok()?;
        // Without rules nothing hangs on what is missing.
        let severity = if self.rules.is_some() { Severity::Failure } else { Severity::Warning };
        findings.extend(gaps(matched, &facts, scope).into_iter().map(|gap| gap.with_severity(severity)));
        Some(facts)
    }

    fn assumptions(&self) -> Vec<Assumption> {
        let rules = self.rules.into_iter().flat_map(Rules::assumptions);
        rules.chain(self.beside.iter().flat_map(|answers| answers.assumptions())).collect()
    }
}

/// Gates 2 and 3 over a bundle that could be opened.
#[expect(clippy::too_many_arguments, reason = "the two halves of one function")]
fn judge(
    args: &VerifyArgs,
    question: &Question,
    bundle: &Bundle,
    verifier: &Verifier,
    asked: &Asked<'_>,
    threads: usize,
    report: &mut Report,
    findings: &mut Vec<Finding>,
) -> Result<(), VerifyError> {
    let requirements = verifier.rules().requirements;
    let matching = Matching::within(requirements.scope, &args.platform, &question.images.components, bundle, args.reading());
    let judgement = Judgement::new(bundle, &matching.matched, verifier, threads);
    let options = Options {
        reading: args.reading(),
        key_mode: question.key.is_some(),
        skip_image_signature: args.skip_image_sig_check.0,
        info: args.info.0,
        requirements,
    };
    let needs = args.needs();
    let snapshot = input::snapshot(&question.images, matching.matched.iter().map(|matched| &matched.component));
    let judge_one = |matched: &Matched| -> Result<(Judged, Material), VerifyError> {
        let mut judged = judgement.check(matched, &options);
        let facts = match judged.goes_on {
            true => asked.facts(matched, bundle, requirements.scope, &mut judged.findings),
            false => None,
        };
        let policy_input =
            facts.as_ref().and_then(|facts| judgement.policy_input(facts, matched, &options, &snapshot, &report.policy));
        match (asked.rules, &facts, &policy_input) {
            (Some(rules), Some(_), Some(input)) => {
                rules.evaluate(matched, input, &mut judged.outcome, &mut judged.findings)?;
                if !args.info.0 {
                    judged.outcome.reduce();
                }
            }
            (Some(_), Some(_), None) => {
                let image = &matched.component.container_image;
                let message = "no input could be made for this image, so no rule was applied";
                judged.findings.push(Finding::new(&codes::POLICY_INPUT_INCOMPLETE, image, message));
            }
            _ => {}
        }
        let statements = match needs.contains(&Need::Statements) {
            true => judgement.statements(matched, &judged, &options),
            false => Vec::new(),
        };
        let policy_input = policy_input.filter(|_| needs.contains(&Need::PolicyInput));
        Ok((judged, Material { policy_input, statements }))
    };
    for result in in_parallel(threads, &matching.matched, judge_one) {
        let (judged, material) = result?;
        report.materials.push(material);
        report.components.push(judged.outcome);
        findings.extend(judged.findings);
    }
    if needs.contains(&Need::Ledger) {
        let evidence = matching.matched.iter().map(|matched| judgement.evidence(matched));
        report.carnet.ledger = report::proof::Ledger::new(bundle, &question.effective.authority, evidence);
    }
    findings.extend(judgement.findings());
    findings.extend(clock(judgement.last_signed(), report.time));
    findings.extend(weigh::unexpected(matching.unexpected(bundle), question.has_list, args));
    report.carnet.images = carried(bundle, &matching);
    report.carnet.assumptions = matching.assumptions;
    report.carnet.assumptions.push(evidence_complete(bundle));
    report.carnet.assumptions.extend(asked.assumptions());
    findings.extend(matching.findings);
    Ok(())
}

/// V2.2: the bundle is the one that was asked for.
fn pinned_id(args: &VerifyArgs, id: &Digest) -> Option<Finding> {
    let pin = args.bundle_id.as_ref().filter(|pin| *pin != id)?;
    Some(Finding::new(&bundle_codes::BUNDLE_ID_MISMATCH, id, format!("bundle id mismatch: got {id}, want {pin}")))
}

fn carried(bundle: &Bundle, matching: &Matching) -> Vec<report::Image> {
    let subjects = bundle.inventory().subjects.iter();
    subjects
        .map(|subject| report::Image {
            reference: subject.reference.clone(),
            digest: subject.digest,
            components: matching
                .matched
                .iter()
                .filter(|matched| matched.digest == Some(subject.digest))
                .map(|matched| matched.component.name.clone())
                .collect(),
        })
        .collect()
}

/// No archive can prove that nothing was left out of it.
fn evidence_complete(bundle: &Bundle) -> Assumption {
    Assumption {
        code: "evidence-complete".to_owned(),
        subject: bundle.id().to_string(),
        message: "the exporter carried all evidence that there was".to_owned(),
        used_by: vec!["every check".to_owned()],
        vouched_by: String::new(),
    }
}

/// One finding stands once, the weightiest first, then by step and subject.
fn unique(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| {
        let key = |f: &Finding| (std::cmp::Reverse(f.severity), f.code, f.subject.clone(), f.message.clone());
        key(a).cmp(&key(b))
    });
    findings.dedup();
    findings
}
