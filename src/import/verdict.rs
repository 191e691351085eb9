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

/// The code of a component whose image the archive does not carry.
const NOT_CARRIED: &str = "image-not-carried";
/// The code of an image that no component expects.
const NOT_EXPECTED: &str = "image-not-expected";
/// What is said of a component whose image is not there: all of it follows from that.
const OF_ABSENT: [&str; 2] = [NOT_CARRIED, "image-not-accessible"];

/// Steps about container, policy, trust root and lookups. What they say is about every
/// image, even where its subject is a blob that some image happens to hold.
const OF_ALL: [&str; 5] = ["V1.", "V2.", "V5.", "V13.", "V15.2"];

/// A verdict that was given on an archive.
#[derive(Clone, Debug)]
pub struct Judged {
    pub(crate) report: Report,
    /// Digest of the report's bytes.
    pub(crate) report_digest: Digest,
    /// Verification summaries, one statement each, if they were asked for.
    pub(crate) summaries: Vec<String>,
    /// Components (their `containerImage`) that are another archive's to answer for.
    elsewhere: BTreeSet<String>,
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
    #[serde(default)]
    step: String,
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
        Ok(Self { report: parsed, report_digest: Digest::of(report), summaries, elsewhere: BTreeSet::new() })
    }

    /// Whether the verdict is pass.
    pub fn passes(&self) -> bool {
        self.report.carnet.verdict == Word::Pass
    }

    /// Components whose image the archive does not carry, by their `containerImage`,
    /// which no two of one list share. They have failed for that reason and no other.
    pub(crate) fn not_carried(&self) -> BTreeSet<&str> {
        let carnet = &self.report.carnet;
        let said = carnet.findings.iter().filter(|said| said.code == NOT_CARRIED).map(|said| said.subject.as_str());
        said.filter(|subject| self.components().any(|c| c.container_image == *subject && !c.success)).collect()
    }

    /// Leaves components that this archive does not carry to another one, which does.
    pub(crate) fn leave(&mut self, components: impl IntoIterator<Item = String>) {
        let own: BTreeSet<String> = self.not_carried().into_iter().map(str::to_owned).collect();
        self.elsewhere = components.into_iter().filter(|component| own.contains(component)).collect();
    }

    /// Whether the verdict is pass, or is fail for nothing but components that were
    /// left to other archives.
    pub(crate) fn passes_beside_others(&self) -> bool {
        let excused = |component: &Component| component.success || self.elsewhere.contains(&component.container_image);
        let nothing_else = || self.components().all(excused) && self.failures().next().is_none();
        self.passes() || (!self.elsewhere.is_empty() && nothing_else())
    }

    fn components(&self) -> impl Iterator<Item = &Component> + Clone {
        self.report.components.iter().flatten()
    }

    /// Failures, but for those that another archive answers for.
    fn failures(&self) -> impl Iterator<Item = &Said> {
        let left = |said: &&Said| OF_ABSENT.contains(&said.code.as_str()) && self.elsewhere.contains(&said.subject);
        self.report.carnet.findings.iter().filter(|said| said.severity == Weight::Failure).filter(move |said| !left(said))
    }

    /// Components that stand for the image `root`.
    ///
    /// They are those that it was judged for. Where the trust policy lets the platforms
    /// of an index speak for it (`every-platform`), the verifier judges them in place of
    /// it, and says of no such index that nobody expects it: then they are those of its
    /// platforms, if each that came along was judged.
    fn standing_for(&self, root: &Digest, own: &Belongings) -> Vec<&Component> {
        let carnet = &self.report.carnet;
        let images = carnet.images.iter().filter(|image| image.digest == *root);
        let names: BTreeSet<&String> = images.clone().flat_map(|image| &image.components).collect();
        if !names.is_empty() {
            // Names are not unique: two components may have none at all.
            let is_own = |c: &&Component| digest_in(&c.container_image).is_none_or(|digest| own.holds(&digest));
            return self.components().filter(|component| names.contains(&component.name)).filter(is_own).collect();
        }
        let is_expected = images.clone().next().is_some()
            && !carnet.findings.iter().any(|said| said.code == NOT_EXPECTED && digest_in(&said.subject) == Some(*root));
        let of = |platform: &Digest| {
            let platform = *platform;
            self.components().filter(move |component| digest_in(&component.container_image) == Some(platform))
        };
        if !is_expected || own.platforms.iter().any(|platform| of(platform).next().is_none()) {
            return Vec::new();
        }
        own.platforms.iter().flat_map(of).collect()
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
    pub(crate) fn repositories(&self, root: &Digest, own: &Belongings) -> BTreeSet<String> {
        let components = self.standing_for(root, own).into_iter();
        components.filter_map(|component| Some(component.container_image.parse::<Reference>().ok()?.name())).collect()
    }

    /// Why the image `root` did not pass, if it did not. `others` are all images of
    /// the archive, this one included.
    ///
    /// A failure that is about another image alone does not count; one that is about
    /// nothing in particular counts for every image.
    pub(crate) fn refusal(&self, root: &Digest, own: &Belongings, others: &[Belongings]) -> Option<String> {
        let standing = self.standing_for(root, own);
        if standing.is_empty() {
            return Some("no component expects it, so it was not judged".to_owned());
        }
        let about = self.components().filter(|c| digest_in(&c.container_image).is_some_and(|digest| own.holds(&digest)));
        if let Some(failed) = standing.into_iter().chain(about).find(|component| !component.success) {
            return Some(format!("component {} failed", failed.name));
        }
        let component_of = |text: &str| self.components().any(|component| component.container_image == text);
        self.failures().find_map(|said| {
            // A component that passed is not failed by what is said of it: that
            // would have been found above. One whose image did not come is of another.
            let elsewhere = match digest_in(&said.subject) {
                _ if OF_ALL.iter().any(|step| said.step.starts_with(step)) => false,
                Some(digest) if own.holds(&digest) => false,
                Some(digest) => others.iter().any(|other| other.holds(&digest)) || component_of(&said.subject),
                None => component_of(&said.subject),
            };
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
