//! The report as Konflux' TEST_OUTPUT: one line of counts.

use serde_json::{Map, Value};

use super::{
    Report,
    escape::escape_line,
    totals::{Totals, unsaid},
};

/// The document. `note` is its own member for remarks; Conforma leaves it empty.
pub(super) fn document(report: &Report) -> Value {
    let totals = Totals::of(report);
    let failing: Vec<_> = unsaid(report).into_iter().filter(|finding| finding.is_failure()).collect();
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    put("timestamp", report.time.as_second().to_string().into());
    put("namespace", "".into());
    put("successes", totals.successes.into());
    put("failures", (totals.violations + failing.len()).into());
    put("warnings", totals.warnings.into());
    put("result", totals.result(report).into());
    let relaxed = report.carnet.relaxations.iter().map(|relaxation| format!("relaxed by {}", escape_line(&relaxation.flag)));
    let failed = failing.iter().map(|finding| format!("{}: {}", finding.code, escape_line(&finding.message)));
    let vouched = report.vouchers().into_iter().map(|by| format!("assumptions vouched for by {}", escape_line(by)));
    let stamped = report.carnet.timestamps.iter().map(|stamp| escape_line(&stamp.sentence()));
    let note = relaxed.chain(vouched).chain(stamped).chain(failed).collect::<Vec<_>>().join("; ");
    if !note.is_empty() {
        put("note", note.into());
    }
    Value::Object(members)
}
