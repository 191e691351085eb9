//! The verdict on a bundle: `carnet-verify` is started and its report read.
//!
//! Two forms of the report are used. The verification summaries say which digest
//! passed, by the rule of that form: no violation, and nothing about the bundle as a
//! whole failed. The JSON report says the bundle id, why something failed, and what a
//! flag relaxed.

use std::{collections::BTreeMap, ffi::OsString, fs, path::Path};

use carnet_bundle::{Digest, Reference, json};
use carnet_import::verifier::{StartError, Verifier};
use carnet_policy::Images;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    error::ClusterError,
    flags::VerifyFlags,
    shelf::{Carried, Shelved},
    summary::Statement,
};

/// What `carnet-verify` found out about a bundle.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// The verdict on the whole.
    pub(crate) word: Word,
    /// Which checks a flag relaxed.
    pub(crate) relaxations: Vec<Relaxation>,
    /// How many things were taken on the exporter's word.
    pub(crate) assumptions: usize,
    /// Whether each judged manifest passed.
    results: BTreeMap<Digest, bool>,
    failures: Vec<Said>,
}

/// What a verdict says of one digest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// Its image failed, and why.
    Failed(String),
    /// No component expected it.
    NotExpected,
    /// It passed.
    Passed,
}

/// The verdict in one word.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Word {
    /// Something failed.
    Fail,
    /// Nothing failed.
    Pass,
}

/// A check that a flag relaxed.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct Relaxation {
    /// The flag.
    pub(crate) flag: String,
    /// What is not asked any more.
    pub(crate) effect: String,
}

#[derive(Deserialize)]
struct Report {
    carnet: Members,
}

#[derive(Deserialize)]
struct Members {
    verdict: Word,
    bundle: BundleId,
    #[serde(default)]
    findings: Vec<Said>,
    #[serde(default)]
    relaxations: Vec<Relaxation>,
    #[serde(default)]
    assumptions: Vec<Value>,
}

#[derive(Deserialize)]
struct BundleId {
    id: Digest,
}

#[derive(Clone, Debug, Deserialize)]
struct Said {
    code: String,
    severity: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    message: String,
}

/// Runs `carnet-verify` on a bundle. The images that are expected are the components
/// of `images` that are about this bundle; without a list, all that it carries.
///
/// # Errors
///
/// Returns a [`ClusterError`] when there is no verdict; it has said why. Also when the
/// file is not any more the bundle that was opened.
pub(crate) fn judge(
    verifier: &Verifier,
    flags: &VerifyFlags,
    bundle: &Shelved,
    images: Option<&Images>,
) -> Result<Verdict, ClusterError> {
    let dir = tempfile::tempdir().map_err(|source| StartError::Start { path: std::env::temp_dir(), source })?;
    let (list, report, summaries) =
        (dir.path().join("images.json"), dir.path().join("report.json"), dir.path().join("vsa.jsonl"));
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| ClusterError::Read { path, source }
    };
    fs::write(&list, expected(bundle, images).to_string()).map_err(unreadable(&list))?;
    let word = |flag: &str, path: &Path| {
        let mut word = OsString::from(flag);
        word.push(path);
        word
    };
    let mut words = flags.as_words().to_vec();
    words.extend([word("--images=", &list), word("--output=json=", &report), word("--output=slsa-vsa=", &summaries)]);
    words.extend(["--quiet=true".into(), "--".into(), bundle.path.clone().into()]);
    let status = verifier.run(&words)?;
    let ended_with = match status.code() {
        Some(0) => Word::Pass,
        Some(1) => Word::Fail,
        _ => return Err(ClusterError::NoVerdict(bundle.path.clone())),
    };
    let read = |path: &Path| fs::read(path).map_err(unreadable(path));
    let wrong = |reason: String| ClusterError::Report { path: bundle.path.clone(), reason };
    let (id, verdict) = Verdict::read(&read(&report)?, &read(&summaries)?).map_err(wrong)?;
    if verdict.word != ended_with {
        return Err(wrong(format!("its verdict is {:?}, and it ended with {status}", verdict.word)));
    }
    if id != bundle.id {
        return Err(ClusterError::Changed { path: bundle.path.clone(), opened: bundle.id, judged: id });
    }
    Ok(verdict)
}

/// The list of images that `carnet-verify` is given.
fn expected(bundle: &Shelved, images: Option<&Images>) -> Value {
    let components: Vec<Value> = match images {
        Some(images) => {
            let own = images.components.iter().filter(|component| bundle.is_meant_by(component));
            own.map(|one| json!({ "name": one.name, "containerImage": one.container_image, "source": one.source })).collect()
        }
        None => bundle.images.iter().filter_map(own_component).collect(),
    };
    json!({ "components": components })
}

/// What runs is known by its digest, so nothing is assumed about tags.
fn own_component(image: &Carried) -> Option<Value> {
    let reference = image.reference.as_ref()?;
    Some(json!({ "name": image.name, "containerImage": reference.pinned(image.digest).to_string() }))
}

impl Verdict {
    /// Reads the JSON report and the verification summaries, one on each line.
    fn read(report: &[u8], summaries: &[u8]) -> Result<(Digest, Self), String> {
        let report: Report = json::parse_as(report).map_err(|error| error.to_string())?;
        let text = std::str::from_utf8(summaries).map_err(|error| error.to_string())?;
        let mut results = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let statement = json::parse(line.as_bytes()).map_err(|error| error.to_string())?;
            let summary = Statement::read(&statement).ok_or("a line of the summaries is no verification summary")?;
            // A digest that two components name passed when it passed for both.
            let result = results.entry(summary.subject).or_insert(true);
            *result &= summary.passed;
        }
        let Members { verdict: word, bundle, findings, relaxations, assumptions } = report.carnet;
        let failures = findings.into_iter().filter(|said| said.severity == "failure").collect();
        Ok((bundle.id, Self { word, relaxations, assumptions: assumptions.len(), results, failures }))
    }

    /// What it says of a digest that is a part of `image`: that passed when the image
    /// or a part of it that holds the digest passed, and no part of the image failed.
    pub(crate) fn outcome(&self, image: &Carried, digest: &Digest) -> Outcome {
        let of_image = |digest: &&Digest| image.part(digest).is_some();
        if let Some(failed) = self.results.iter().filter(|(_, passed)| !**passed).map(|(digest, _)| digest).find(of_image) {
            return Outcome::Failed(self.reason(image, failed));
        }
        match image.within(digest).any(|digest| self.results.get(digest) == Some(&true)) {
            true => Outcome::Passed,
            false => Outcome::NotExpected,
        }
    }

    /// The first failure that is about the image, else the first that there is, and how
    /// many more there are.
    fn reason(&self, image: &Carried, failed: &Digest) -> String {
        let about = |said: &&Said| digest_in(&said.subject).is_some_and(|digest| image.part(&digest).is_some());
        let mut failures: Vec<_> = self.failures.iter().filter(about).collect();
        if failures.is_empty() {
            failures.extend(&self.failures);
        }
        let Some(first) = failures.first() else { return format!("a rule denies {failed}") };
        let message = first.message.lines().next().unwrap_or_default().trim_end_matches([':', ' ']);
        match failures.len() - 1 {
            0 => format!("{}: {message}", first.code),
            more => format!("{}: {message} (and {more} more)", first.code),
        }
    }
}

fn digest_in(subject: &str) -> Option<Digest> {
    let text = subject.split(' ').next().unwrap_or_default();
    text.parse().ok().or_else(|| text.parse::<Reference>().ok().and_then(|reference| reference.digest().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(digest: &Digest, result: &str) -> String {
        format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"name":"n","digest":{{"sha256":"{}"}}}}],"predicateType":"https://slsa.dev/verification_summary/v1","predicate":{{"verifier":{{"id":"v"}},"timeVerified":"2026-11-25T00:00:00Z","verificationResult":"{result}"}}}}"#,
            digest.to_hex()
        )
    }

    fn report(verdict: &str) -> String {
        format!(r#"{{"carnet":{{"verdict":{verdict},"bundle":{{"id":"{}"}}}}}}"#, Digest::of(b"id"))
    }

    #[test]
    fn only_a_report_with_a_verdict_and_an_id_is_one() {
        let digest = Digest::of(b"");
        let lines = format!("{}\n{}\n", summary(&digest, "PASSED"), summary(&digest, "FAILED"));
        let (id, verdict) = Verdict::read(report("\"pass\"").as_bytes(), lines.as_bytes()).unwrap();
        assert_eq!((id, verdict.word, verdict.results.get(&digest)), (Digest::of(b"id"), Word::Pass, Some(&false)));
        for text in [report("\"PASS\""), report("true"), "{}".to_owned(), String::new()] {
            assert!(Verdict::read(text.as_bytes(), b"").is_err(), "{text}");
        }
        for line in ["{}", "x", &summary(&digest, "passed").replace("sha256", "sha512")] {
            assert!(Verdict::read(report("\"pass\"").as_bytes(), line.as_bytes()).is_err(), "{line}");
        }
        let (_, verdict) = Verdict::read(report("\"pass\"").as_bytes(), summary(&digest, "passed").as_bytes()).unwrap();
        assert_eq!(verdict.results.get(&digest), Some(&false), "only the one word is a pass");
    }
}
