//! The run: gate 1, gate 2, gate 3, one report.

use std::sync::Arc;

use carnet_bundle::{Bundle, Digest, Finding, Limits, codes as bundle_codes, container::Container, open};
use carnet_evidence::{TrustRoot, Verifier};
use carnet_policy::{
    EffectiveTime,
    checks::{Judged, Options},
    input,
};
use jiff::Timestamp;

use crate::{
    cli::VerifyArgs,
    codes,
    error::VerifyError,
    inputs::{Inputs, Question},
    judge::{Judgement, in_parallel},
    matching::{Matched, Matching},
    replay::Carried,
    report::{self, Assumption, Carnet, Material, Need, Report},
    rules::{Rules, Unusable},
    trust::{forecast, proofs, trust_root},
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
    let opened = open(container, &Limits::default())?;
    let shared = opened.bundle.map(Arc::new);
    let bundle = shared.as_deref();
    let question = match early {
        Some(question) => question,
        None => Question::read(args, inputs, bundle)?,
    };
    let verifier = Verifier::new(trust_root(args, inputs, &question, bundle)?, question.rules(args), args.at.unwrap_or(now))?;
    let (proofs, unreadable) = proofs(bundle);
    let verifier = verifier.with_proofs(proofs);

    let mut findings = weigh::integrity(opened.findings, bundle, args);
    findings.extend(pinned_id(args, &opened.id));
    findings.extend(question.findings().cloned());
    findings.extend(unreadable);
    findings.extend(question.trust.findings(&verifier));
    let mut report = Report {
        snapshot: String::new(),
        components: Vec::new(),
        materials: Vec::new(),
        key: question.key.as_ref().map(carnet_evidence::PublicKey::to_pem).unwrap_or_default(),
        policy: serde_json::to_value(&question.effective.policy).unwrap_or_default(),
        ec_version: format!("carnet-verify v{VERSION}"),
        effective_time: effective.instant(),
        time: args.at.unwrap_or(now),
        carnet: Carnet {
            version: VERSION.to_owned(),
            bundle: report::Bundle { id: Some(opened.id), content_id: bundle.map(Bundle::content_id) },
            trust: trust(verifier.trust_root(), &question, args.at.unwrap_or(now)),
            relaxations: args.relaxations().into_iter().chain(question.trust.relaxations()).collect(),
            ..Carnet::default()
        },
    };
    if let Some(bundle) = &shared {
        let rules = match rules(args, inputs, &question, bundle, &verifier, effective, now) {
            Ok(rules) => rules,
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
        judge(args, &question, bundle, &verifier, rules.as_ref(), threads, &mut report, &mut findings)?;
    }
    findings.extend(weigh::assumptions(&mut report.carnet.assumptions, args));
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
    let carried = Carried::new(Arc::clone(bundle)).map_err(|error| Unusable::NoVerdict(VerifyError::Lookups(error)))?;
    let evidence = question.trust.rules.clone();
    Rules::load(args, inputs, question, bundle, (verifier.trust_root(), evidence), effective, now, carried)
}

/// Gates 2 and 3 over a bundle that could be opened.
#[expect(clippy::too_many_arguments, reason = "the two halves of one function")]
fn judge(
    args: &VerifyArgs,
    question: &Question,
    bundle: &Bundle,
    verifier: &Verifier,
    rules: Option<&Rules<'_, Carried>>,
    threads: usize,
    report: &mut Report,
    findings: &mut Vec<Finding>,
) -> Result<(), VerifyError> {
    let matching = Matching::new(&question.images.components, bundle, args.reading());
    let judgement = Judgement::new(bundle, &matching.matched, verifier, threads);
    let options = Options {
        reading: args.reading(),
        key_mode: question.key.is_some(),
        skip_image_signature: args.skip_image_sig_check.0,
        info: args.info.0,
    };
    let needs = args.needs();
    let snapshot = input::snapshot(&question.images, matching.matched.iter().map(|matched| &matched.component));
    let judge_one = |matched: &Matched| -> Result<(Judged, Material), VerifyError> {
        let mut judged = judgement.check(matched, &options);
        let wanted = rules.is_some() || needs.contains(&Need::PolicyInput);
        let facts = match (judged.goes_on && wanted, rules) {
            (false, _) => None,
            (true, Some(rules)) => rules.facts(matched, bundle).map_err(|tampered| judged.findings.push(tampered)).ok(),
            (true, None) => matched.digest.as_ref().map(|digest| input::ImageFacts::read(bundle, digest)),
        };
        let policy_input =
            facts.as_ref().and_then(|facts| judgement.policy_input(facts, matched, &options, &snapshot, &report.policy));
        match (rules, &facts, &policy_input) {
            (Some(rules), Some(facts), Some(input)) => {
                judged.findings.extend(rules.gaps(matched, facts));
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
    findings.extend(judgement.findings());
    findings.extend(weigh::unexpected(matching.unexpected(bundle), question.has_list, args));
    report.carnet.images = carried(bundle, &matching);
    report.carnet.assumptions = matching.assumptions;
    report.carnet.assumptions.push(evidence_complete(bundle));
    report.carnet.assumptions.extend(rules.into_iter().flat_map(Rules::assumptions));
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

fn trust(root: &TrustRoot, question: &Question, now: Timestamp) -> report::Trust {
    let key = question.key.as_ref().map(|key| format!("public key {}", key.fingerprint()));
    let source = match (root.source(), key) {
        (carnet_evidence::TrustSource::None, Some(key)) => key,
        (source, Some(key)) => format!("{key}; logs and timestamps: {source}"),
        (source, None) => source.to_string(),
    };
    let has_root = *root.source() != carnet_evidence::TrustSource::None;
    let date = root.newest_entry().filter(|_| has_root);
    report::Trust {
        source,
        digest: has_root.then(|| *root.digest()),
        date,
        age_days: date.map(|date| now.duration_since(date).as_hours() / 24),
        forecast: forecast(root, now),
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
