//! The run: gate 1, gate 2, gate 3, one report.

use std::collections::BTreeSet;

use carnet_bundle::{Bundle, Digest, Finding, Limits, codes as bundle_codes, container::Container, open};
use carnet_evidence::{TrustRoot, Verifier};
use carnet_policy::checks::Options;
use jiff::Timestamp;

use crate::{
    cli::VerifyArgs,
    error::VerifyError,
    inputs::{Inputs, Question, trust_root},
    judge::Judgement,
    matching::Matching,
    report::{self, Assumption, Carnet, Report},
    weigh,
};

/// Days after which the newest entry of a trust root is pointed out.
const TRUST_ROOT_MAX_AGE: i64 = 180;
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
    let effective_time = args.effective_time(now)?.instant();
    // Mistakes in the operator's own documents are said before gigabytes are read.
    let early = if args.accept_bundled_policy.0 { None } else { Some(Question::read(args, inputs, None)?) };
    let opened = open(container, &Limits::default())?;
    let bundle = opened.bundle.as_ref();
    let question = match early {
        Some(question) => question,
        None => Question::read(args, inputs, bundle)?,
    };
    let verifier = Verifier::new(trust_root(args, inputs, &question, bundle)?, question.rules(args), args.at.unwrap_or(now))?;

    let mut findings = weigh::integrity(opened.findings, bundle, args);
    findings.extend(pinned_id(args, &opened.id));
    findings.extend(question.findings().cloned());
    findings.extend(verifier.findings(TRUST_ROOT_MAX_AGE));
    let mut report = Report {
        snapshot: String::new(),
        components: Vec::new(),
        key: question.key.as_ref().map(carnet_evidence::PublicKey::to_pem).unwrap_or_default(),
        policy: serde_json::to_value(&question.effective.policy).unwrap_or_default(),
        ec_version: format!("carnet-verify v{VERSION}"),
        effective_time,
        carnet: Carnet {
            version: VERSION.to_owned(),
            bundle: report::Bundle { id: Some(opened.id), content_id: bundle.map(Bundle::content_id) },
            trust: trust(verifier.trust_root(), &question, args.at.unwrap_or(now)),
            relaxations: args.relaxations(),
            ..Carnet::default()
        },
    };
    if let Some(bundle) = bundle {
        judge(args, &question, bundle, &verifier, threads, &mut report, &mut findings);
    }
    findings.extend(weigh::assumptions(&mut report.carnet.assumptions, args));
    report.carnet.findings = unique(findings);
    Ok(report)
}

/// Gates 2 and 3 over a bundle that could be opened.
fn judge(
    args: &VerifyArgs,
    question: &Question,
    bundle: &Bundle,
    verifier: &Verifier,
    threads: usize,
    report: &mut Report,
    findings: &mut Vec<Finding>,
) {
    let matching = Matching::new(&question.images.components, bundle, args.reading());
    let images: BTreeSet<Digest> = matching.matched.iter().filter_map(|matched| matched.digest).collect();
    let judgement = Judgement::new(bundle, &images, verifier, threads);
    let options = Options {
        reading: args.reading(),
        key_mode: question.key.is_some(),
        skip_image_signature: args.skip_image_sig_check.0,
        info: args.info.0,
    };
    for matched in &matching.matched {
        let judged = judgement.check(matched, &options);
        report.components.push(judged.outcome);
        findings.extend(judged.findings);
    }
    findings.extend(judgement.findings());
    findings.extend(weigh::unexpected(matching.unexpected(bundle), question.has_list, args));
    report.carnet.images = carried(bundle, &matching);
    report.carnet.assumptions = matching.assumptions;
    report.carnet.assumptions.push(evidence_complete(bundle));
    findings.extend(matching.findings);
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
