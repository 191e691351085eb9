//! What `carnet-verify` found out: the bundle id, the verdict, and which images
//! passed.

use std::{collections::BTreeSet, fs, io, path::Path};

use carnet_bundle::{Digest, Reference, json};
use serde::Deserialize;

use crate::{
    arguments::VerifyWords,
    belongings::Belongings,
    cli::ImportArgs,
    error::ImportError,
    verifier::{StartError, Verifier},
};

/// A verdict that was given on an archive.
#[derive(Clone, Debug)]
pub struct Judged {
    pub(crate) report: Report,
    /// Digest of the report's bytes.
    pub(crate) report_digest: Digest,
    /// Verification summaries, one statement each, if they were asked for.
    pub(crate) summaries: Vec<String>,
}

/// The members of the JSON report that an import rests on.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Report {
    #[serde(default)]
    components: Option<Vec<Component>>,
    pub(crate) carnet: Carnet,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    name: String,
    container_image: String,
    success: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Carnet {
    pub(crate) verdict: Word,
    pub(crate) bundle: BundleIds,
    #[serde(default)]
    images: Vec<Image>,
    #[serde(default)]
    findings: Vec<Said>,
}

/// The verdict in one word.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Word {
    Fail,
    Pass,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BundleIds {
    pub(crate) id: Digest,
    #[serde(default)]
    pub(crate) content_id: Option<Digest>,
}

#[derive(Clone, Debug, Deserialize)]
struct Image {
    digest: Digest,
    components: Vec<String>,
}

/// A finding of the report.
#[derive(Clone, Debug, Deserialize)]
struct Said {
    code: String,
    severity: Weight,
    #[serde(default)]
    subject: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Weight {
    Note,
    Warning,
    Failure,
}

/// Runs `carnet-verify` on the archive, which prints its report. `None` when there
/// is no verdict; it has said why.
///
/// # Errors
///
/// Returns an [`ImportError`] when it cannot be started or its report not be used.
pub fn judge(args: &ImportArgs, verifier: &Verifier) -> Result<Option<Judged>, ImportError> {
    judge_words(&args.verify, args.attach_vsa, verifier)
}

/// As [`judge`], with verification summaries if they are wanted.
pub(crate) fn judge_words(words: &VerifyWords, summaries_too: bool, verifier: &Verifier) -> Result<Option<Judged>, ImportError> {
    let dir = tempfile::tempdir().map_err(|source| StartError::Start { path: std::env::temp_dir(), source })?;
    let (report, summaries) = (dir.path().join("report.json"), dir.path().join("vsa.jsonl"));
    let target = |form: &str, path: &Path| {
        let mut word = std::ffi::OsString::from(form);
        word.push(path);
        word
    };
    let mut targets = vec![target("json=", &report)];
    targets.extend(summaries_too.then(|| target("slsa-vsa=", &summaries)));
    let status = verifier.run(&words.with_outputs(&targets))?;
    if !matches!(status.code(), Some(0 | 1)) {
        return Ok(None);
    }
    let read = |path: &Path| fs::read(path).map_err(|error: io::Error| ImportError::Report(error.to_string()));
    let summaries = if summaries_too { read(&summaries)? } else { Vec::new() };
    let judged = Judged::from_report(&read(&report)?, &summaries)?;
    if status.code() == Some(1) && judged.passes() {
        return Err(ImportError::Report("it ended with status 1, and the verdict is pass".to_owned()));
    }
    Ok(Some(judged))
}

impl Judged {
    /// Reads the JSON report of `carnet-verify`, and the verification summaries it
    /// wrote beside it, one on each line.
    ///
    /// # Errors
    ///
    /// Returns [`ImportError::Report`] when it is not such a report.
    pub fn from_report(report: &[u8], summaries: &[u8]) -> Result<Self, ImportError> {
        let parsed: Report = json::parse_as(report).map_err(|error| ImportError::Report(error.to_string()))?;
        let lines = std::str::from_utf8(summaries).map_err(|error| ImportError::Report(error.to_string()))?;
        let summaries = lines.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        Ok(Self { report: parsed, report_digest: Digest::of(report), summaries })
    }

    /// Whether the verdict is pass.
    pub fn passes(&self) -> bool {
        self.report.carnet.verdict == Word::Pass
    }

    /// Digest of the bundle index that was judged.
    pub fn bundle_id(&self) -> Digest {
        self.report.carnet.bundle.id
    }

    /// Whether the report says this of that, whatever its weight there.
    pub(crate) fn says(&self, code: &str, subject: &str) -> bool {
        self.report.carnet.findings.iter().any(|said| said.code == code && said.subject == subject)
    }

    /// Repositories by which components name the image `root`.
    pub(crate) fn repositories(&self, root: &Digest) -> BTreeSet<String> {
        let images = self.report.carnet.images.iter().filter(|image| image.digest == *root);
        let names: BTreeSet<&String> = images.flat_map(|image| &image.components).collect();
        let components = self.report.components.iter().flatten().filter(|component| names.contains(&component.name));
        components.filter_map(|component| Some(component.container_image.parse::<Reference>().ok()?.name())).collect()
    }

    /// Why the image `root` did not pass, if it did not. `others` are all images of
    /// the archive, this one included.
    ///
    /// A failure that is about another image alone does not count; one that is about
    /// nothing in particular counts for every image.
    pub(crate) fn refusal(&self, root: &Digest, own: &Belongings, others: &[Belongings]) -> Option<String> {
        let carnet = &self.report.carnet;
        let names: BTreeSet<&String> = carnet.images.iter().filter(|i| i.digest == *root).flat_map(|i| &i.components).collect();
        if names.is_empty() {
            return Some("no component expects it, so it was not judged".to_owned());
        }
        let components = self.report.components.iter().flatten();
        let is_own = |component: &&Component| {
            names.contains(&component.name) || digest_in(&component.container_image).is_some_and(|digest| own.holds(&digest))
        };
        if let Some(failed) = components.clone().filter(is_own).find(|component| !component.success) {
            return Some(format!("component {} failed", failed.name));
        }
        let mut failures = carnet.findings.iter().filter(|said| said.severity == Weight::Failure);
        let component_of = |text: &str| components.clone().any(|component| component.container_image == text);
        failures.find_map(|said| {
            let elsewhere = match digest_in(&said.subject) {
                Some(digest) => !own.holds(&digest) && others.iter().any(|other| other.holds(&digest)),
                None => component_of(&said.subject),
            };
            // A component that passed is not failed by what is said of it: that
            // would have been found above.
            (!elsewhere).then(|| format!("{}: {}", said.code, said.subject))
        })
    }
}

/// The digest that a reference, a member's name or a digest speaks of.
fn digest_in(text: &str) -> Option<Digest> {
    // Behind the digest of evidence may stand which of its layers.
    let text = text.split(' ').next().unwrap_or_default();
    let hex = text.strip_prefix("blobs/sha256/").and_then(|hex| Digest::from_hex(hex).ok());
    hex.or_else(|| text.parse().ok()).or_else(|| text.parse::<Reference>().ok().and_then(|r| r.digest().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn report(verdict: &str) -> String {
        format!(r#"{{"success":true,"components":null,"carnet":{{"verdict":{verdict},"bundle":{{"id":"{ID}"}}}}}}"#)
    }

    #[test]
    fn only_a_report_with_a_verdict_and_an_id_is_one() {
        let judged = Judged::from_report(report(r#""pass""#).as_bytes(), b"").unwrap();
        assert!(judged.passes() && judged.bundle_id().to_string() == ID);
        assert!(!Judged::from_report(report(r#""fail""#).as_bytes(), b"").unwrap().passes());
        for text in [report(r#""PASS""#), report("true"), "{}".to_owned(), String::new(), r#"{"success":true}"#.to_owned()] {
            assert!(matches!(Judged::from_report(text.as_bytes(), b""), Err(ImportError::Report(_))), "{text}");
        }
    }

    #[test]
    fn the_digest_is_found_in_what_findings_are_about() {
        let want = Some(Digest::of(b""));
        for text in
            [ID.to_owned(), ID.replace("sha256:", "blobs/sha256/"), format!("r.example/a:v1@{ID}"), format!("{ID} layer 0")]
        {
            assert_eq!(digest_in(&text), want, "{text}");
        }
        for text in ["", "index.json", "r.example/a:v1"] {
            assert_eq!(digest_in(text), None, "{text}");
        }
    }
}
