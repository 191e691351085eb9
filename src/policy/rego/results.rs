//! From what the rules reported to violations, warnings and successes.

use std::collections::{BTreeMap, BTreeSet};

use carnet_bundle::{Finding, Reference};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;

use super::{
    codes,
    criteria::{self, Selection},
    inspect::RuleInfo,
    selection::{Chosen, Filter},
};
use crate::outcome::RuleResult;

/// How long an effective date is worth showing.
const RECENT: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What one package reported.
#[derive(Clone, Debug, Default)]
pub(super) struct Reported {
    pub(super) package: String,
    pub(super) warnings: Vec<RuleResult>,
    pub(super) failures: Vec<RuleResult>,
}

/// Everything that decides what becomes of a result.
pub(super) struct Judge<'a> {
    pub(super) rules: &'a BTreeMap<&'a str, &'a RuleInfo>,
    pub(super) selection: &'a Selection,
    pub(super) chosen: &'a Chosen,
    pub(super) filter: Filter,
    pub(super) image: &'a Reference,
    pub(super) component: &'a str,
    pub(super) effective_time: Timestamp,
}

/// The three lists of one package, before dependencies are looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    pub(super) violations: Vec<RuleResult>,
    pub(super) warnings: Vec<RuleResult>,
    pub(super) successes: Vec<RuleResult>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Origin {
    Warning,
    Failure,
}

impl Judge<'_> {
    /// Filters and sorts out what a package reported.
    pub(super) fn judge(&self, mut reported: Reported, missing: &mut BTreeSet<String>, findings: &mut Vec<Finding>) -> Lists {
        for result in reported.warnings.iter_mut().chain(&mut reported.failures) {
            self.describe(result, findings);
        }
        let mut kept = Vec::new();
        let mut dropped = BTreeSet::new();
        for (origin, result) in reported.each() {
            if self.is_included(result, missing) {
                kept.push((origin, result.clone()));
            } else {
                dropped.extend(result.code().map(str::to_owned));
            }
        }
        let mut lists = Lists::default();
        for (origin, result) in kept {
            self.categorise(origin, result, &reported, &mut lists, findings);
        }
        self.succeed(&reported.package, &dropped, missing, &mut lists, findings);
        lists
    }

    /// Adds what the annotations say about a rule; they override the result.
    fn describe(&self, result: &mut RuleResult, findings: &mut Vec<Finding>) {
        let Some(code) = result.code().map(str::to_owned) else { return };
        if let Some(collections) = result.metadata.get("collections") {
            match collections {
                Json::Array(items) => {
                    let names: Json = items.iter().map(printed).collect();
                    result.metadata.insert("collections".to_owned(), names);
                }
                _ => drop(result.metadata.remove("collections")),
            }
        }
        if let Some(rule) = self.rules.get(code.as_str()) {
            let mut set = |name: &str, value: Json| drop(result.metadata.insert(name.to_owned(), value));
            let texts = [
                ("title", &rule.title),
                ("effective_on", &rule.effective_on),
                ("description", &rule.description),
                ("solution", &rule.solution),
            ];
            texts.into_iter().filter(|(_, text)| !text.is_empty()).for_each(|(name, text)| set(name, text.as_str().into()));
            let lists = [("collections", &rule.collections), ("depends_on", &rule.depends_on)];
            lists
                .into_iter()
                .filter(|(_, list)| !list.is_empty())
                .for_each(|(name, list)| set(name, list.iter().map(String::as_str).collect()));
        }
        let Some(Json::String(text)) = result.metadata.get("effective_on") else { return };
        match effective_on(text) {
            Some(date) if self.effective_time.checked_sub(RECENT).is_ok_and(|recent| date < recent) => {
                result.metadata.remove("effective_on");
            }
            Some(_) => {}
            None => findings.push(Finding::new(&codes::EFFECTIVE_ON_UNREADABLE, &code, format!("effective_on is {text:?}"))),
        }
    }

    /// Results without a code are always kept.
    fn is_included(&self, result: &RuleResult, missing: &mut BTreeSet<String>) -> bool {
        let Some(code) = result.metadata.get("code").and_then(first_text) else { return true };
        if self.filter == Filter::EcPolicy {
            missing.retain(|criterion| self.chosen.missing.contains(criterion));
            return self.chosen.rules.contains(code);
        }
        let terms = result.metadata.get("term").map(texts).unwrap_or_default();
        let matchers = criteria::matchers(code, &terms, &collections(result));
        let include = self.selection.include.of(self.image, Some(self.component));
        let exclude = self.selection.exclude.of(self.image, Some(self.component));
        let included = criteria::score(&matchers, &include, &mut |criterion| {
            missing.remove(criterion);
        });
        let excluded = criteria::score(&matchers, &exclude, &mut |_| {});
        let is_included = included > excluded;
        if is_included {
            missing.retain(|criterion| !matchers.contains(criterion));
        }
        is_included
    }

    fn categorise(
        &self,
        origin: Origin,
        mut result: RuleResult,
        reported: &Reported,
        lists: &mut Lists,
        findings: &mut Vec<Finding>,
    ) {
        let conforma = original(&result, reported);
        if origin == Origin::Failure && conforma == Origin::Warning {
            let code = result.code().unwrap_or(&result.msg).to_owned();
            findings.push(Finding::new(&codes::CODE_IN_DENY_AND_WARN, code, format!("denied: {}", result.msg)));
        }
        let severity = self.severity(&result, findings);
        match (conforma, severity) {
            (Origin::Warning, Some("failure")) => lists.violations.push(result),
            (Origin::Warning, _) | (Origin::Failure, Some("warning")) => lists.warnings.push(result),
            (Origin::Failure, _) => match not_yet(&result, self.effective_time) {
                Some(date) => {
                    let msg = result.msg.strip_suffix('.').unwrap_or(&result.msg);
                    result.msg = format!("{msg}. This will become a failure starting on {date}");
                    lists.warnings.push(result);
                }
                None => lists.violations.push(result),
            },
        }
    }

    fn severity<'r>(&self, result: &'r RuleResult, findings: &mut Vec<Finding>) -> Option<&'r str> {
        let severity = result.metadata.get("severity")?;
        match severity.as_str() {
            Some(known @ ("failure" | "warning")) => Some(known),
            _ => {
                let code = result.code().unwrap_or(&result.msg);
                findings.push(Finding::new(&codes::SEVERITY_UNKNOWN, code, format!("severity is {severity}")));
                None
            }
        }
    }

    /// Annotated rules of the package of which nothing is left are successes.
    fn succeed(
        &self,
        package: &str,
        dropped: &BTreeSet<String>,
        missing: &mut BTreeSet<String>,
        lists: &mut Lists,
        findings: &mut Vec<Finding>,
    ) {
        let seen: BTreeSet<&str> = lists.violations.iter().chain(&lists.warnings).filter_map(RuleResult::code).collect();
        let mut successes = Vec::new();
        for rule in self.rules.values().filter(|rule| rule.package == package && !seen.contains(rule.code.as_str())) {
            let mut success = RuleResult { msg: "Pass".to_owned(), ..RuleResult::default() };
            let mut set = |name: &str, value: Json| drop(success.metadata.insert(name.to_owned(), value));
            set("code", rule.code.as_str().into());
            for (name, text) in [("title", &rule.title), ("description", &rule.description)] {
                if !text.is_empty() {
                    set(name, text.as_str().into());
                }
            }
            for (name, list) in [("collections", &rule.collections), ("depends_on", &rule.depends_on)] {
                if !list.is_empty() {
                    set(name, list.iter().map(String::as_str).collect());
                }
            }
            if !self.is_included(&success, missing) {
                continue;
            }
            if !rule.effective_on.is_empty() {
                success.metadata.insert("effective_on".to_owned(), rule.effective_on.as_str().into());
            }
            if dropped.contains(&rule.code) {
                findings.push(Finding::new(&codes::PASS_BY_EXCLUSION, &rule.code, "all that the rule reported was excluded"));
            }
            successes.push(success);
        }
        lists.successes = successes;
    }
}

impl Reported {
    fn each(&self) -> impl Iterator<Item = (Origin, &RuleResult)> {
        let warnings = self.warnings.iter().map(|result| (Origin::Warning, result));
        warnings.chain(self.failures.iter().map(|result| (Origin::Failure, result)))
    }
}

/// Where Conforma believes a result to come from: by code, else by message.
fn original(result: &RuleResult, reported: &Reported) -> Origin {
    let same_code = |other: &&RuleResult| {
        other
            .metadata
            .get("code")
            .and_then(first_text)
            .is_some_and(|code| Some(code) == result.metadata.get("code").and_then(first_text))
    };
    let same_msg = |other: &&RuleResult| other.msg == result.msg;
    let find = |same: &dyn Fn(&&RuleResult) -> bool| {
        let warning = reported.warnings.iter().find(|other| same(other)).map(|_| Origin::Warning);
        warning.or_else(|| reported.failures.iter().find(|other| same(other)).map(|_| Origin::Failure))
    };
    find(&same_code).or_else(|| find(&same_msg)).unwrap_or(Origin::Failure)
}

/// The date on which a result will count, if that is not in the past.
fn not_yet(result: &RuleResult, now: Timestamp) -> Option<&str> {
    let text = result.metadata.get("effective_on")?.as_str()?;
    effective_on(text).filter(|date| *date >= now).map(|_| text)
}

/// `2006-01-02T15:04:05Z` and nothing else.
fn effective_on(text: &str) -> Option<Timestamp> {
    let whole = text.len() == 20 || text.get(19..20) == Some(".");
    (whole && text.ends_with('Z')).then(|| crate::time::rfc3339(text)).flatten()
}

fn collections(result: &RuleResult) -> Vec<String> {
    let items = result.metadata.get("collections").and_then(Json::as_array).into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The texts of a text or a list of texts.
fn texts(value: &Json) -> Vec<&str> {
    match value {
        Json::String(text) if !text.is_empty() => vec![text],
        Json::Array(items) => items.iter().filter_map(Json::as_str).filter(|text| !text.is_empty()).collect(),
        _ => Vec::new(),
    }
}

fn first_text(value: &Json) -> Option<&str> {
    texts(value).first().copied()
}

fn printed(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Leaves out what depends on a rule that is reported already, and tells how a
/// violation could be excluded.
///
/// That is to say a defect once. Where it leaves no violation at all, a warning, or a
/// rule that depends on itself, has hidden what was denied; each such violation is a
/// finding.
pub(super) fn trim(lists: &mut [Lists], rules: &BTreeMap<&str, &RuleInfo>, findings: &mut Vec<Finding>) {
    let denied: Vec<RuleResult> = lists.iter().flat_map(|lists| lists.violations.clone()).collect();
    let results = lists.iter().flat_map(|lists| lists.violations.iter().chain(&lists.warnings));
    let reported: BTreeSet<String> = results.filter_map(RuleResult::code).map(str::to_owned).collect();
    for lists in &mut *lists {
        for list in [&mut lists.violations, &mut lists.warnings, &mut lists.successes] {
            *list = std::mem::take(list).into_iter().flat_map(|result| copies(result, &reported, rules)).collect();
        }
        lists.violations.iter_mut().for_each(note);
    }
    if lists.iter().all(|lists| lists.violations.is_empty()) {
        findings.extend(denied.into_iter().map(|result| {
            let code = result.code().unwrap_or_default().to_owned();
            Finding::new(&codes::VIOLATION_TRIMMED, code, format!("denied: {}", result.msg))
        }));
    }
}

/// One copy for each dependency that is not reported, as in Conforma. Annotations
/// alone give dependencies: a result that names its own must not vanish by them.
fn copies(result: RuleResult, reported: &BTreeSet<String>, rules: &BTreeMap<&str, &RuleInfo>) -> Vec<RuleResult> {
    let rule = result.code().and_then(|code| rules.get(code)).filter(|rule| !rule.depends_on.is_empty());
    let Some(rule) = rule else { return vec![result] };
    let open = rule.depends_on.iter().filter(|code| !reported.contains(*code)).count();
    vec![result; open]
}

fn note(result: &mut RuleResult) {
    let (Some(code), Some(Json::String(description))) = (result.code(), result.metadata.get("description")) else { return };
    let terms: Vec<&str> = result.metadata.get("term").map(texts).unwrap_or_default();
    let directives = match terms.as_slice() {
        [] => format!("\"{code}\""),
        [one] => format!("\"{code}:{one}\""),
        many => {
            let each: Vec<_> = many.iter().map(|term| format!("\"{code}:{term}\"")).collect();
            format!("one or more of {}", each.join(", "))
        }
    };
    let description = description.strip_suffix('.').unwrap_or(description);
    let text =
        format!("{description}. To exclude this rule add {directives} to the `exclude` section of the policy configuration.");
    result.metadata.insert("description".to_owned(), text.into());
}
