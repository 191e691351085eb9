//! A source group: its rules and data, ready to be evaluated against images.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
};

use carnet_bundle::{Finding, Reference, Severity};
use jiff::Timestamp;
use regorus::Value;
use serde_json::Value as Json;

use super::{
    builtins::bounds::weigh,
    codes,
    criteria::Selection,
    data::Data,
    engine::{Prepared, QueryError, on_large_stack},
    error::{EvaluationError, LoadError, Location},
    inspect::RuleInfo,
    normalise::Passes,
    program::{self, Entry, File, Purpose, is_failure},
    registry::Registry,
    results::{self, Judge, Lists, Reported},
    selection::{self, Chosen, Filter},
    session::{Fatal, Limits, Lookup, Session, Undefined},
};
use crate::{
    document::{Configuration, SourceGroup},
    outcome::RuleResult,
    yaml::Reading,
};

/// How a group is to be read and evaluated.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// The group as policy.yaml has it.
    pub source: &'a SourceGroup,
    /// The deprecated selection of the whole policy.
    pub configuration: Option<&'a Configuration>,
    /// As of when the rules are applied.
    pub effective_time: Timestamp,
    /// The clock that rules see.
    pub now: Timestamp,
    /// carnet's reading, or Conforma's with its traps (`--compat ec`).
    pub reading: Reading,
    /// `--filter-type`.
    pub filter: Filter,
    /// Bounds of one evaluation.
    pub limits: Limits,
}

/// Largest element of `deny` or `warn`, as text, in bytes.
const MAX_RESULT: u64 = 64 * 1024 * 1024;

/// A source group, loaded and checked. It may be shared between threads.
#[derive(Clone)]
pub struct Group {
    prepared: Prepared,
    selection: Arc<Selection>,
    intentions: Arc<[String]>,
    effective_time: Timestamp,
    now: Timestamp,
    reading: Reading,
    filter: Filter,
    limits: Limits,
}

/// The image that is judged.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The image, pinned.
    pub image: &'a Reference,
    /// Name of the component.
    pub component: &'a str,
}

/// What the rules of a group have to say about an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupOutcome {
    /// What fails the component.
    pub violations: Vec<RuleResult>,
    /// What deserves a look.
    pub warnings: Vec<RuleResult>,
    /// What passed.
    pub successes: Vec<RuleResult>,
    /// What carnet has to say about the rules themselves.
    pub findings: Vec<Finding>,
    /// Functions that had no value, once per call site.
    pub undefined: Vec<Undefined>,
    /// What the rules asked the registry.
    pub lookups: Vec<Lookup>,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("rules", &self.rules().len()).finish_non_exhaustive()
    }
}

impl Group {
    /// Loads a group: parses and checks every file (step V15.1), and prepares the
    /// engine with `data`.
    ///
    /// # Errors
    ///
    /// Returns a [`LoadError`] when a file cannot be read or a rule must not be
    /// evaluated.
    pub fn load(files: &[File<'_>], data: &Data, settings: &Settings<'_>) -> Result<Self, LoadError> {
        let program = program::load(files, Purpose::Verdict, Passes::ALL)?;
        let prepared = Prepared::new(program, data.value.clone())?;
        Ok(Self {
            prepared,
            selection: Arc::new(Selection::of(settings.source, settings.configuration, settings.effective_time)),
            intentions: intentions(settings.source).into(),
            effective_time: settings.effective_time,
            now: settings.now,
            reading: settings.reading,
            filter: settings.filter,
            limits: settings.limits.clone(),
        })
    }

    /// The same group in another reading. Rules, data and what was evaluated once are
    /// shared, so it costs next to nothing.
    #[must_use]
    pub fn read_as(&self, reading: Reading) -> Self {
        Self { reading, ..self.clone() }
    }

    /// Every annotated rule, and every `deny` and `warn` without annotations.
    pub fn rules(&self) -> &[RuleInfo] {
        &self.prepared.program.rules
    }

    /// Evaluates the rules that are selected for an image (steps V15.2 to V15.4)
    /// with `input` as Conforma's policy input; `registry` answers their
    /// questions.
    ///
    /// # Errors
    ///
    /// Returns an [`EvaluationError`] when there is no outcome to be trusted.
    pub fn evaluate(
        &self,
        target: Target<'_>,
        input: &Json,
        registry: Arc<dyn Registry>,
    ) -> Result<GroupOutcome, EvaluationError> {
        let (group, image, component) = (self.clone(), target.image.clone(), target.component.to_owned());
        let input = Value::from(input.clone());
        let outcome = on_large_stack(self.limits.time, move |abandoned| {
            group.evaluate_here(Target { image: &image, component: &component }, input, registry, abandoned)
        });
        outcome.unwrap_or_else(|lost| Err(self.failed(lost.into(), "the rules")))
    }

    fn evaluate_here(
        &self,
        target: Target<'_>,
        input: Value,
        registry: Arc<dyn Registry>,
        abandoned: Arc<AtomicBool>,
    ) -> Result<GroupOutcome, EvaluationError> {
        let mut findings = self.selection.findings.clone();
        let chosen = self.choose(target, &mut findings);
        let namespaces = self.namespaces(&chosen);
        let session = Rc::new(Session::new(registry, self.now, self.prepared.clone(), &self.limits, abandoned));
        let values = self.query_all(&session, &namespaces, &input)?;
        let mut reported = Vec::new();
        for ((package, entries), values) in namespaces.iter().zip(values) {
            reported.push(self.reported(package, entries, values, &mut findings)?);
        }
        let mut outcome = self.judge(target, &chosen, reported, findings)?;
        outcome.undefined = self.undefined(&session);
        outcome.lookups = self.lookups(&session);
        outcome.findings.extend(outcome.undefined.iter().map(finding));
        if self.reading == Reading::Conforma {
            let note = |finding: Finding| finding.with_severity(Severity::Note);
            outcome.findings = outcome.findings.into_iter().map(note).collect();
        }
        Ok(outcome)
    }

    fn choose(&self, target: Target<'_>, findings: &mut Vec<Finding>) -> Chosen {
        let intentions = (self.filter == Filter::EcPolicy).then_some(&*self.intentions);
        let mut chosen = selection::choose(self.rules(), &self.selection, target.image, intentions);
        if self.reading == Reading::Strict {
            let conforma = chosen.packages.clone();
            selection::widen(&mut chosen, self.rules(), &self.selection, target.image, target.component, self.filter);
            let known =
                |package: &String| self.prepared.program.namespaces.get(package).is_some_and(|entries| !entries.is_empty());
            for package in chosen.more.iter().filter(|package| known(package)) {
                if !conforma.is_empty() {
                    findings.push(Finding::new(
                        &codes::PACKAGE_SKIPPED_BY_CONFORMA,
                        package,
                        format!("package {package} was evaluated"),
                    ));
                }
            }
        }
        chosen
    }

    /// The packages to evaluate with their entry points.
    fn namespaces(&self, chosen: &Chosen) -> Vec<(&String, &Vec<Entry>)> {
        let all = &self.prepared.program.namespaces;
        all.iter().filter(|(package, _)| chosen.packages.is_empty() || chosen.packages.contains(*package)).collect()
    }

    /// The values of all entry points: in one query, so that what they share is
    /// evaluated once; package by package when that fails, to name the guilty.
    fn query_all(
        &self,
        session: &Rc<Session>,
        namespaces: &[(&String, &Vec<Entry>)],
        input: &Value,
    ) -> Result<Vec<Value>, EvaluationError> {
        let lists: Vec<String> = namespaces.iter().map(|(_, entries)| list(entries)).collect();
        let all = format!("[{}]", lists.join(", "));
        let first = match self.prepared.query(session, &all, Some(input.clone()), self.limits.time) {
            Ok(Value::Array(values)) if values.len() == namespaces.len() => return Ok(values.to_vec()),
            Ok(_) => QueryError::Failed { at: nowhere(), reason: "the query has no value".to_owned() },
            Err(error @ (QueryError::Failed { .. } | QueryError::Fatal(Fatal::Rule { .. }))) => error,
            Err(error) => return Err(self.failed(error, "the rules")),
        };
        for ((package, _), list) in namespaces.iter().zip(&lists) {
            let again = Rc::new(session.again(&self.limits));
            if let Err(error) = self.prepared.query(&again, list, Some(input.clone()), self.limits.time) {
                return Err(self.failed(error, package));
            }
        }
        Err(self.failed(first, "the rules"))
    }

    fn failed(&self, error: QueryError, namespace: &str) -> EvaluationError {
        match error {
            QueryError::Failed { at, reason } | QueryError::Fatal(Fatal::Rule { at, reason }) => {
                EvaluationError::Failed { namespace: namespace.to_owned(), at, reason }
            }
            QueryError::Fatal(Fatal::Limit(what)) => EvaluationError::LimitExceeded { what, namespace: namespace.to_owned() },
            QueryError::Fatal(Fatal::Lookup { site, source }) => {
                let site = self.prepared.program.sites.get(site);
                EvaluationError::Lookup {
                    rule: site.map_or_else(String::new, |site| site.rule.clone()),
                    builtin: site.map_or_else(String::new, |site| site.function.to_owned()),
                    source,
                }
            }
        }
    }

    /// Turns the values of a package's entry points into results.
    fn reported(
        &self,
        package: &str,
        entries: &[Entry],
        values: Value,
        findings: &mut Vec<Finding>,
    ) -> Result<Reported, EvaluationError> {
        let mut reported = Reported { package: package.to_owned(), ..Reported::default() };
        let Value::Array(values) = values else { return Ok(reported) };
        for (entry, pair) in entries.iter().zip(values.iter()) {
            let Value::Array(pair) = pair else { continue };
            let (value, exceptions) = (pair.get(0), pair.get(1));
            let rule = format!("{package}.{}", entry.name);
            let excepted = matches!(exceptions, Some(Value::Array(found)) if !found.is_empty());
            let into = if is_failure(&entry.name) { &mut reported.failures } else { &mut reported.warnings };
            let Some(Value::Array(value)) = value else { continue };
            let Some(value) = value.first() else { continue };
            let items: Vec<&Value> = match value {
                Value::Set(items) => items.iter_sorted().collect(),
                Value::Array(items) => items.iter().collect(),
                Value::Bool(false) => continue,
                other => {
                    let message = format!("the value is {}", super::builtins::text::rego(other));
                    findings.push(Finding::new(&codes::DENY_IS_NOT_A_SET, &rule, message));
                    continue;
                }
            };
            if excepted && !items.is_empty() {
                findings.push(Finding::new(&codes::RULE_EXCEPTED, &rule, format!("{} result(s) suppressed", items.len())));
                continue;
            }
            for item in items {
                if let Some(result) = self.result(item, &rule, findings)? {
                    into.push(result);
                }
            }
        }
        Ok(reported)
    }

    /// One element of `deny` or `warn`.
    fn result(&self, item: &Value, rule: &str, findings: &mut Vec<Finding>) -> Result<Option<RuleResult>, EvaluationError> {
        if weigh(item, MAX_RESULT) > MAX_RESULT {
            let what = format!("a result of more than {MAX_RESULT} bytes");
            return Err(EvaluationError::LimitExceeded { what, namespace: rule.to_owned() });
        }
        let unexpected = || EvaluationError::UnexpectedResult { rule: rule.to_owned(), value: super::builtins::text::rego(item) };
        let result = match item {
            Value::String(msg) => RuleResult { msg: msg.to_string(), ..RuleResult::default() },
            Value::Object(_) => {
                let Json::Object(mut members) = json(item).ok_or_else(unexpected)? else { return Err(unexpected()) };
                let Some(Json::String(msg)) = members.remove("msg") else { return Err(unexpected()) };
                // Conftest's own members.
                members.remove("_loc");
                members.remove("query");
                RuleResult { msg, metadata: members.into_iter().collect() }
            }
            // Conforma's first evaluator drops these, its second one reports them.
            _ if self.reading == Reading::Conforma => return Ok(None),
            other => RuleResult { msg: format!("unexpected policy result type {}", go_type(other)), ..RuleResult::default() },
        };
        if result.msg.is_empty() {
            let subject = result.code().unwrap_or(rule).to_owned();
            findings.push(Finding::new(&codes::EMPTY_MESSAGE, subject, format!("{rule} fired without a message")));
            return Ok(None);
        }
        Ok(Some(result))
    }

    fn judge(
        &self,
        target: Target<'_>,
        chosen: &Chosen,
        reported: Vec<Reported>,
        findings: Vec<Finding>,
    ) -> Result<GroupOutcome, EvaluationError> {
        let rules = selection::annotated(self.rules());
        let judge = Judge {
            rules: &rules,
            selection: &self.selection,
            chosen,
            filter: self.filter,
            image: target.image,
            component: target.component,
            effective_time: self.effective_time,
        };
        let mut outcome = GroupOutcome { findings, ..GroupOutcome::default() };
        let mut missing: BTreeSet<String> = self.selection.include.expected().map(str::to_owned).collect();
        let mut lists: Vec<Lists> =
            reported.into_iter().map(|reported| judge.judge(reported, &mut missing, &mut outcome.findings)).collect();
        if lists.iter().all(|lists| lists.violations.is_empty() && lists.warnings.is_empty() && lists.successes.is_empty()) {
            return Err(EvaluationError::NothingEvaluated);
        }
        results::trim(&mut lists, &rules, &mut outcome.findings);
        for lists in lists {
            outcome.violations.extend(lists.violations);
            outcome.warnings.extend(lists.warnings);
            outcome.successes.extend(lists.successes);
        }
        for criterion in missing {
            let msg = format!("Include criterion '{criterion}' doesn't match any policy rule");
            // Results without a code match nothing, and are kept all the same.
            if criterion != "*" {
                outcome.findings.push(Finding::new(&codes::INCLUDE_MATCHES_NOTHING, &criterion, msg.clone()));
            }
            outcome.warnings.push(RuleResult { msg, metadata: BTreeMap::new() });
        }
        Ok(outcome)
    }

    fn lookups(&self, session: &Session) -> Vec<Lookup> {
        let asked = session.asked().into_iter().map(|(question, site)| {
            let site = self.prepared.program.sites.get(site);
            let rule = site.map(|site| site.rule.clone()).unwrap_or_default();
            Lookup { question, rule, function: site.map(|site| site.function.to_owned()).unwrap_or_default() }
        });
        let asked: BTreeSet<Lookup> = asked.collect();
        asked.into_iter().collect()
    }

    fn undefined(&self, session: &Session) -> Vec<Undefined> {
        let program = &self.prepared.program;
        let found = session.records().into_iter().filter_map(|(site, reason)| {
            let site = program.sites.get(site)?;
            Some(Undefined { rule: site.rule.clone(), function: site.function.to_owned(), at: program.location(site), reason })
        });
        let found: BTreeSet<Undefined> = found.collect();
        found.into_iter().collect()
    }
}

fn finding(undefined: &Undefined) -> Finding {
    let Undefined { rule, function, at, reason } = undefined;
    Finding::new(&codes::FUNCTION_UNDEFINED, rule, format!("{function} at {at} is undefined: {reason}"))
}

fn nowhere() -> Location {
    Location { file: Arc::from(""), line: 0, column: 0 }
}

/// For each entry point its value in a list (empty when undefined) and a list
/// that is not empty when an `exception` rule suppresses it.
fn list(entries: &[Entry]) -> String {
    let mut text = String::from("[");
    for (at, entry) in entries.iter().enumerate() {
        let comma = if at > 0 { ", " } else { "" };
        let _ = write!(text, "{comma}[[v | v := {}], ", entry.query);
        match &entry.exception {
            Some(exception) => {
                let suffix = Json::from(suffix(&entry.name));
                let _ = write!(text, "[1 | {exception}[_][_] == {suffix}]]");
            }
            None => text.push_str("[]]"),
        }
    }
    text.push(']');
    text
}

/// The name without `deny_`, `warn_` or `violation_`.
fn suffix(name: &str) -> &str {
    ["violation", "deny", "warn"]
        .iter()
        .find_map(|stem| name.strip_prefix(stem))
        .map_or(name, |rest| rest.trim_start_matches('_'))
}

/// `ruleData.pipeline_intention`: a text or a list of texts.
fn intentions(source: &SourceGroup) -> Vec<String> {
    match source.rule_data.as_ref().and_then(|data| data.get("pipeline_intention")) {
        Some(Json::String(text)) => vec![text.clone()],
        Some(Json::Array(items)) => items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

fn json(value: &Value) -> Option<Json> {
    serde_json::from_str(&value.to_json_str().ok()?).ok()
}

/// Type and value as Go prints them.
fn go_type(value: &Value) -> String {
    let text = go_value(value);
    match value {
        Value::Bool(_) => format!("bool: {text}"),
        Value::Number(_) => format!("json.Number: {text}"),
        Value::Array(_) | Value::Set(_) => format!("[]interface {{}}: {text}"),
        Value::Null | Value::Undefined => "<nil>: <nil>".to_owned(),
        Value::String(_) => format!("string: {text}"),
        Value::Object(_) => format!("map[string]interface {{}}: {text}"),
    }
}

fn go_value(value: &Value) -> String {
    let list = |items: Vec<String>| format!("[{}]", items.join(" "));
    match value {
        Value::Null | Value::Undefined => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.format_decimal(),
        Value::String(text) => text.to_string(),
        Value::Array(items) => list(items.iter().map(go_value).collect()),
        Value::Set(items) => list(items.iter_sorted().map(go_value).collect()),
        Value::Object(fields) => {
            let fields: Vec<_> =
                fields.iter_sorted().map(|(key, value)| format!("{}:{}", go_value(key), go_value(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
    }
}
