//! What an export ends with: subject × kind × count, and what is not there.

use std::{collections::BTreeMap, fmt::Write as _};

use carnet_bundle::{
    Digest, Inventory, Plan,
    inventory::{AbsenceReason, EvidenceKind, LookResult, Role},
};
use comfy_table::{Table, presets};

use crate::{
    collect::Gap,
    terminal::{Printable, human_size},
};

/// Renders the table, and a line for everything that is not as one would wish.
pub(crate) fn render(inventory: &Inventory, gaps: &[Gap]) -> String {
    let mut text = evidence_table(inventory);
    for gap in gaps {
        line(&mut text, format_args!("could not look: {}: {}", gap.question, gap.obstacle));
    }
    for receipt in inventory.looked_for.iter().filter(|receipt| is_odd(receipt.result, &receipt.note)) {
        let place = format!("{} of {} in {}", receipt.method, short(&receipt.subject), receipt.repository);
        line(&mut text, format_args!("note: {place}: {}", receipt.note));
    }
    let mut absent: BTreeMap<(Role, AbsenceReason), (u64, u64)> = BTreeMap::new();
    for absence in &inventory.absent {
        let (count, bytes) = absent.entry((absence.role, absence.reason)).or_default();
        *count += 1;
        *bytes = bytes.saturating_add(absence.size);
    }
    for ((role, reason), (count, bytes)) in absent {
        line(&mut text, format_args!("absent: {role}: {count} ({}), {reason}", human_size(bytes)));
    }
    text
}

/// Renders what names the finished file.
pub(crate) fn render_names(plan: &Plan, output: &std::path::Path) -> String {
    let mut text = String::new();
    line(&mut text, format_args!("bundle id:  {}", plan.id()));
    line(&mut text, format_args!("content id: {}", plan.content_id()));
    line(&mut text, format_args!("file:       {} ({})", output.display(), human_size(plan.total_size())));
    text
}

fn is_odd(result: LookResult, note: &str) -> bool {
    !note.is_empty() && result != LookResult::CouldNotLook
}

fn evidence_table(inventory: &Inventory) -> String {
    let mut counts: BTreeMap<Digest, BTreeMap<(EvidenceKind, &str), u64>> = BTreeMap::new();
    for entry in &inventory.evidence {
        *counts.entry(entry.subject).or_default().entry((entry.kind, &entry.predicate_type)).or_default() += 1;
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(["subject", "kind", "predicate type", "count"]);
    for (digest, label) in labels(inventory) {
        match counts.remove(&digest) {
            // An attestation beside the platforms is counted where it belongs.
            None if inventory.evidence.iter().any(|entry| entry.digest == digest) => {}
            None => {
                table.add_row([label.as_str(), "none", "", "0"]);
            }
            Some(kinds) => rows(&mut table, &label, kinds),
        }
    }
    for (digest, kinds) in counts {
        rows(&mut table, &format!("  evidence {}", short(&digest)), kinds);
    }
    format!("{table}\n")
}

fn rows(table: &mut Table, label: &str, kinds: BTreeMap<(EvidenceKind, &str), u64>) {
    let mut label = label;
    for ((kind, predicate_type), count) in kinds {
        table.add_row([label, &kind.to_string(), &Printable(predicate_type).to_string(), &count.to_string()]);
        label = "";
    }
}

/// Images and their children in the order asked, each digest once.
fn labels(inventory: &Inventory) -> Vec<(Digest, String)> {
    let mut labels: Vec<(Digest, String)> = Vec::new();
    for subject in &inventory.subjects {
        let children = subject.children.iter().map(|child| {
            let platform = child.platform.as_ref().map_or_else(|| "child".to_owned(), ToString::to_string);
            (child.digest, format!("  {} {}", Printable(platform), short(&child.digest)))
        });
        for (digest, label) in [(subject.digest, subject.reference.clone())].into_iter().chain(children) {
            if !labels.iter().any(|(known, _)| *known == digest) {
                labels.push((digest, label));
            }
        }
    }
    labels
}

fn short(digest: &Digest) -> String {
    format!("sha256:{:.12}", digest.to_hex())
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}", Printable(line));
}
