//! What the verdict does not speak of. A page that is read in ten years must say
//! so itself: nobody is left to ask.

use carnet_bundle::{Digest, inventory::LookResult};
use serde::Serialize;

use super::super::Report;

/// One thing that the verdict says nothing about.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Uncovered {
    /// Stable kebab-case name of the kind.
    pub code: &'static str,
    /// What it is about; empty for the verdict as a whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// What is not known, and why.
    pub message: String,
}

/// Holds for every verdict.
const ALWAYS: [(&str, &str); 3] = [
    ("beyond-the-rules", "Checks and rules say what they ask; that the software is free of defects is not among it."),
    ("build-level", "No SLSA build level was evaluated."),
    (
        "later-events",
        "Keys that leaked, logs that forked and defects that were published after the time of verification are not known here.",
    ),
];

pub(super) fn of(report: &Report) -> Vec<Uncovered> {
    let ledger = &report.carnet.ledger;
    let absent = ledger.absent.iter().map(|absence| {
        let message = format!("This {} of {} bytes is not in the bundle ({}).", absence.role, absence.size, absence.reason);
        about("not-carried", &absence.digest, message)
    });
    let omitted = ledger.omitted.iter().map(|omitted| {
        let platform = if omitted.platform.is_empty() { "no named platform" } else { &omitted.platform };
        about(
            "platform-left-out",
            &omitted.child,
            format!("The image for {platform} of index {} was left out at export.", omitted.index),
        )
    });
    let unseen = ledger.receipts.iter().filter(|receipt| receipt.result == LookResult::CouldNotLook).map(|receipt| {
        let message =
            format!("Whether {} has evidence by {} is unknown: the exporter could not look.", receipt.repository, receipt.method);
        about("could-not-look", &receipt.subject, message)
    });
    let unjudged = report
        .carnet
        .images
        .iter()
        .filter(|image| image.components.is_empty())
        .map(|image| about("not-judged", &image.digest, format!("{} is in the bundle and was not judged.", image.reference)));
    let always = ALWAYS.map(|(code, message)| Uncovered { code, subject: String::new(), message: message.to_owned() });
    absent.chain(omitted).chain(unseen).chain(unjudged).chain(always).collect()
}

fn about(code: &'static str, subject: &Digest, message: String) -> Uncovered {
    Uncovered { code, subject: subject.to_string(), message }
}
