//! The status for people.

use carnet_verify::report::escape_line;
use comfy_table::{ContentArrangement, Table, presets};

use crate::coverage::{By, Row, State, Status};

/// Hex digits of a digest that are shown where space is short.
const SHORT: usize = 12;

/// Renders the table, and below it what has to be known beside it.
pub(crate) fn render(status: &Status, is_wide: bool) -> String {
    let mut table = Table::new();
    // Columns as kubectl has them: programs cut them at blanks.
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let mut header = vec!["STATUS", "IMAGE", "DIGEST", "PODS", "BY"];
    if is_wide {
        header.extend(["DIGEST OF", "OWNERS", "REASON"]);
    }
    table.set_header(header);
    for row in &status.rows {
        table.add_row(cells(status, row, is_wide));
    }
    let mut text: String = table.lines().map(|line| format!("{}\n", line.trim())).collect();
    let mut line = |said: String| {
        text.push_str(&escape_line(&said));
        text.push('\n');
    };
    line(String::new());
    let counts = [State::Covered, State::Failed, State::Stale, State::Unknown]
        .map(|state| format!("{} {}", status.count(state), word(state)));
    line(format!("{} images: {}", status.rows.len(), counts.join(", ")));
    if !is_wide {
        for row in status.rows.iter().filter(|row| row.state != State::Covered) {
            line(format!("{}: {}: {}", word(row.state), row.running.named(), row.reason));
        }
    }
    status.relaxations().into_iter().for_each(|relaxed| line(format!("relaxed: {}: {}", relaxed.flag, relaxed.effect)));
    let assumed: usize =
        status.bundles.iter().filter_map(|judged| judged.verdict.as_ref()).map(|verdict| verdict.assumptions).sum();
    if assumed > 0 {
        line(format!(
            "assumed: {assumed} things were taken on the exporters' word; carnet-verify lists them, --no-assumptions refuses them"
        ));
    }
    text
}

/// Each image with its state, one on a line, as kubectl writes names.
pub(crate) fn names(status: &Status) -> String {
    status.rows.iter().map(|row| format!("{}/{}\n", word(row.state), escape_line(&row.running.named()))).collect()
}

fn cells(status: &Status, row: &Row, is_wide: bool) -> Vec<String> {
    let hex = row.running.digest().map(carnet_bundle::Digest::to_hex);
    let digest = match hex {
        Some(hex) if is_wide => format!("sha256:{hex}"),
        Some(hex) => hex.chars().take(SHORT).collect(),
        None => "-".to_owned(),
    };
    let by = match &row.by {
        Some(By::Bundle(at)) => status.bundles.get(*at).map(|judged| file_name(&judged.bundle.path)).unwrap_or_default(),
        Some(By::Summary(summary)) => file_name(&summary.path),
        None => "-".to_owned(),
    };
    let mut cells = vec![word(row.state).to_owned(), row.running.image.clone(), digest, row.running.pods(None).to_string(), by];
    if is_wide {
        let owners: Vec<_> = row.running.owners().into_keys().map(ToString::to_string).collect();
        let part = row.part.map_or("-", |part| match part {
            crate::shelf::Part::Config => "config",
            crate::shelf::Part::Index => "index",
            crate::shelf::Part::Manifest => "manifest",
        });
        cells.extend([part.to_owned(), owners.join(", "), row.reason.clone()]);
    }
    cells.iter().map(|cell| escape_line(cell)).collect()
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn word(state: State) -> &'static str {
    match state {
        State::Covered => "covered",
        State::Failed => "failed",
        State::Stale => "stale",
        State::Unknown => "unknown",
    }
}
