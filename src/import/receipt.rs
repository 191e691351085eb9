//! The import receipt: what was judged, what was written where, what was not and
//! why (`docs/import.md`, "Receipt").

use std::{fs, path::Path};

use carnet_bundle::{Digest, json};
use jiff::Timestamp;
use serde::Serialize;

use crate::{error::ImportError, shipment::Shipment, verdict::Judged};

/// The receipt of one import.
#[derive(Clone, Debug, Serialize)]
pub struct Receipt {
    schema: Schema,
    tool: &'static str,
    time: Timestamp,
    dry_run: bool,
    complete: bool,
    verdict: &'static str,
    bundle_id: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_id: Option<Digest>,
    /// Digest of the JSON report that the import rests on.
    report: Option<Digest>,
    images: Vec<ImageLine>,
    written: Vec<Written>,
    left_behind: Vec<LeftBehind>,
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
}

#[derive(Clone, Debug, Serialize)]
struct Schema {
    name: &'static str,
    major: u32,
    minor: u32,
}

#[derive(Clone, Debug, Serialize)]
struct ImageLine {
    reference: String,
    digest: Digest,
    passed: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
}

#[derive(Clone, Debug, Serialize)]
struct Written {
    what: What,
    place: String,
    digest: Digest,
    how: How,
}

#[derive(Clone, Debug, Serialize)]
struct LeftBehind {
    what: String,
    reason: String,
}

/// What was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum What {
    Blob,
    Evidence,
    FallbackTag,
    LegacyTag,
    Manifest,
    Summary,
    Tag,
}

/// How it came to be there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum How {
    /// The registry had it in another repository.
    Mounted,
    /// It would be sent: a dry run.
    Planned,
    /// It was there.
    Present,
    /// It was sent.
    Sent,
}

impl Receipt {
    /// A receipt of an import that begins at `time`.
    pub fn new(time: Timestamp) -> Self {
        Self {
            schema: Schema { name: "carnet-import-receipt", major: 0, minor: 1 },
            tool: concat!("carnet ", env!("CARGO_PKG_VERSION")),
            time,
            dry_run: false,
            complete: false,
            verdict: "none",
            bundle_id: None,
            content_id: None,
            report: None,
            images: Vec::new(),
            written: Vec::new(),
            left_behind: Vec::new(),
            error: String::new(),
        }
    }

    pub(crate) fn judged(&mut self, judged: &Judged) {
        self.verdict = if judged.passes() { "pass" } else { "fail" };
        self.bundle_id = Some(judged.bundle_id());
        self.content_id = judged.report.carnet.bundle.content_id;
        self.report = Some(judged.report_digest);
    }

    pub(crate) fn begin(&mut self, shipment: &Shipment, dry_run: bool) {
        self.judged(&shipment.judged);
        self.dry_run = dry_run;
        for image in &shipment.images {
            self.images.push(ImageLine {
                reference: image.subject.reference.clone(),
                digest: image.subject.digest,
                passed: image.refusal.is_none(),
                reason: image.refusal.clone().unwrap_or_default(),
            });
            if image.refusal.is_none() {
                for (digest, reason) in &image.belongings.left_behind {
                    self.leave_behind(digest.to_string(), *reason);
                }
            }
        }
    }

    pub(crate) fn write(&mut self, what: What, place: impl Into<String>, digest: Digest, how: How) {
        self.written.push(Written { what, place: place.into(), digest, how });
    }

    pub(crate) fn leave_behind(&mut self, what: impl Into<String>, reason: impl Into<String>) {
        self.left_behind.push(LeftBehind { what: what.into(), reason: reason.into() });
    }

    pub(crate) fn complete(&mut self) {
        self.complete = true;
    }

    pub(crate) fn fail(&mut self, error: &ImportError) {
        self.error = error.to_string();
    }

    /// The receipt as RFC 8785 bytes.
    ///
    /// # Errors
    ///
    /// Returns [`ImportError::Json`] when it cannot be serialised.
    pub fn to_json(&self) -> Result<Vec<u8>, ImportError> {
        Ok(json::canonical(self)?)
    }

    pub(crate) fn save(&self, path: &Path) -> Result<(), ImportError> {
        fs::write(path, self.to_json()?).map_err(|source| ImportError::WriteFile { path: path.to_owned(), source })
    }

    /// What people want to know of it, a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let count = |how: &[How]| self.written.iter().filter(|written| how.contains(&written.how)).count();
        let mut lines: Vec<String> = Vec::new();
        for image in &self.images {
            lines.push(match image.passed {
                true => format!("passed   {} {}", image.reference, image.digest),
                false => format!("refused  {} {}: {}", image.reference, image.digest, image.reason),
            });
        }
        lines.extend(self.left_behind.iter().map(|left| format!("left     {}: {}", left.what, left.reason)));
        let tags = self.written.iter().filter(|written| written.what == What::Tag);
        lines.extend(
            tags.map(|tag| format!("{:8} {} {}", if self.dry_run { "would be" } else { "tagged" }, tag.place, tag.digest)),
        );
        let (sent, present) = (count(&[How::Sent, How::Mounted, How::Planned]), count(&[How::Present]));
        let verb = if self.dry_run { "to be written" } else { "written" };
        lines.push(format!("{sent} {verb}, {present} there already"));
        lines
    }
}
