//! The overview for people.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use carnet_bundle::inventory::LookResult;

use super::{Attached, Document, Overview};
use crate::report::escape_line;

pub(super) fn render(overview: &Overview) -> String {
    let mut page = Page(String::new());
    page.line(format_args!("bundle id:  {}", overview.id));
    if let Some(id) = overview.content_id {
        page.line(format_args!("content id: {id}"));
    }
    integrity(&mut page, overview);
    images(&mut page, overview);
    evidence(&mut page, overview);
    receipts(&mut page, overview);
    absences(&mut page, overview);
    documents(&mut page, "documents", &overview.documents);
    documents(&mut page, "trust material (no authority by being here)", &overview.trust_material);
    documents(&mut page, "policy sources", &overview.policy_sources);
    if !overview.attachments.is_empty() {
        page.line(format_args!("attachments: {}, unverified here", overview.attachments.len()));
    }
    for attached in &overview.attachments {
        page.line(format_args!("  {}", described(attached)));
    }
    page.0
}

/// An attachment that travels by itself, for people.
pub(super) fn attached(attached: &Attached) -> String {
    let mut page = Page(String::new());
    page.line(format_args!("attachment: {}, unverified here", described(attached)));
    page.line(format_args!("bundle id:  {}", attached.subject));
    page.0
}

/// One line about an attachment.
pub(super) fn described(attached: &Attached) -> String {
    let size = human_size(u64::try_from(attached.size).unwrap_or(u64::MAX));
    format!("{} ({size}) {}", attached.kind, attached.digest)
}

/// Text in lines, each escaped.
pub(super) struct Page(pub(super) String);

impl Page {
    pub(super) fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{}", escape_line(&line.to_string()));
    }
}

fn integrity(page: &mut Page, overview: &Overview) {
    if overview.findings.is_empty() {
        page.line(format_args!("integrity:  every byte is the one that was exported"));
        return;
    }
    page.line(format_args!("integrity:  {} findings", overview.findings.len()));
    for finding in &overview.findings {
        page.line(format_args!("  {}: {}: {}", finding.code, finding.subject, finding.message));
    }
}

fn images(page: &mut Page, overview: &Overview) {
    for image in &overview.images {
        page.line(format_args!("image {}", image.reference));
        page.line(format_args!("  {} ({})", image.digest, image.media_type));
        let held = match image.layers_held {
            all if all == image.layers => String::new(),
            held => format!(", {held} of them here"),
        };
        page.line(format_args!("  layers: {} ({}){held}", image.layers, human_size(image.layer_bytes)));
        for child in &image.platforms {
            let platform = child.platform.as_ref().map_or_else(|| "no platform".to_owned(), ToString::to_string);
            let state = if child.held { "" } else { ", left out" };
            page.line(format_args!("  {platform}: {}{state}", child.digest));
        }
    }
}

fn evidence(page: &mut Page, overview: &Overview) {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for entry in &overview.evidence {
        *counts.entry((entry.kind.to_string(), entry.predicate_type.clone())).or_default() += 1;
    }
    page.line(format_args!("evidence: {} pieces, unverified here", overview.evidence.len()));
    for ((kind, predicate_type), count) in counts {
        let predicate_type = if predicate_type.is_empty() { String::new() } else { format!(" {predicate_type}") };
        page.line(format_args!("  {count} {kind}{predicate_type}"));
    }
    if !overview.proofs.is_empty() {
        page.line(format_args!("  {} log proofs fetched at export", overview.proofs.len()));
    }
}

fn receipts(page: &mut Page, overview: &Overview) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for receipt in &overview.receipts {
        *counts.entry(receipt.result.to_string()).or_default() += 1;
    }
    let counts: Vec<_> = counts.iter().map(|(result, count)| format!("{count} {result}")).collect();
    page.line(format_args!("looked at {} places: {}", overview.receipts.len(), counts.join(", ")));
    for receipt in &overview.receipts {
        if receipt.result == LookResult::CouldNotLook || !receipt.note.is_empty() {
            let status = receipt.status.map_or_else(String::new, |status| format!(", HTTP status {status}"));
            let place = format!("{} of {} in {}", receipt.method, receipt.subject, receipt.repository);
            page.line(format_args!("  {place}: {}{status} {}", receipt.result, receipt.note));
        }
    }
}

fn absences(page: &mut Page, overview: &Overview) {
    let kinds: std::collections::BTreeSet<_> = overview.absent.iter().map(|absence| (absence.role, absence.reason)).collect();
    for (role, reason) in kinds {
        let (count, bytes) = overview.held(|absence| (absence.role, absence.reason) == (role, reason));
        page.line(format_args!("absent: {count} {role} ({}), {reason}", human_size(bytes)));
    }
}

fn documents(page: &mut Page, name: &str, documents: &[Document]) {
    if documents.is_empty() {
        return;
    }
    page.line(format_args!("{name}:"));
    for document in documents {
        let size = human_size(u64::try_from(document.size).unwrap_or(u64::MAX));
        page.line(format_args!("  {} ({size}) {} {}", document.title, document.digest, document.media_type));
    }
}

/// Bytes in the unit that people read.
pub(super) fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let (mut whole, mut rest, mut unit) = (bytes, 0, None);
    for name in UNITS {
        if whole < 1024 {
            break;
        }
        rest = whole % 1024;
        whole /= 1024;
        unit = Some(name);
    }
    match unit {
        Some(unit) => format!("{whole}.{} {unit}", rest * 10 / 1024),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_digit_behind_the_point() {
        for (bytes, want) in [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (u64::MAX, "16777215.9 TiB")] {
            assert_eq!(human_size(bytes), want);
        }
    }
}
