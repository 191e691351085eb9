//! How much passed, and how much did not.

use std::collections::BTreeSet;

use carnet_bundle::Finding;

use super::{Report, Verdict};

/// Counts over all components.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Totals {
    pub(super) violations: usize,
    pub(super) warnings: usize,
    pub(super) successes: usize,
}

impl Totals {
    pub(super) fn of(report: &Report) -> Self {
        let add = |sum: Self, component: &carnet_policy::ComponentOutcome| Self {
            violations: sum.violations + component.violations.len(),
            warnings: sum.warnings + component.warnings.len(),
            successes: sum.successes + component.successes.len(),
        };
        report.components.iter().fold(Self::default(), add)
    }

    /// The one word of the text and appstudio reports.
    pub(super) fn result(self, report: &Report) -> &'static str {
        match (report.verdict(), self.warnings, self.successes) {
            (Verdict::Fail, _, _) => "FAILURE",
            (Verdict::Pass, 1.., _) => "WARNING",
            (Verdict::Pass, 0, 0) => "SKIPPED",
            (Verdict::Pass, 0, _) => "SUCCESS",
        }
    }
}

/// The findings that no violation says already, in the order of the report:
/// formats that list violations list these beside them.
pub(super) fn unsaid(report: &Report) -> Vec<&Finding> {
    // Of another image the same words say nothing of this one.
    let said: BTreeSet<(&str, &str)> = report
        .components
        .iter()
        .flat_map(|component| component.violations.iter().map(|violation| (&*component.container_image, &*violation.msg)))
        .collect();
    let is_said = |finding: &&Finding| finding.is_failure() && said.contains(&(&*finding.subject, &*finding.message));
    report.carnet.findings.iter().filter(|finding| !is_said(finding)).collect()
}

/// How many of them fail the verdict.
pub(super) fn unsaid_failures(report: &Report) -> usize {
    unsaid(report).into_iter().filter(|finding| finding.is_failure()).count()
}
