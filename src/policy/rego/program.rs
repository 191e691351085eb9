//! A group of policy files, checked and in the form that the engine evaluates.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use regorus::Value;

use super::{
    annotations::{self, Chains},
    check::{self, FileInfo},
    error::{LoadError, Location},
    graph::{Graph, Node},
    inspect::{self, RuleInfo},
    ir::*,
    lower::{self, Globals},
    normalise::{self, Passes},
    print::{self, Item, Origin, Site, StandIn},
    session::Memos,
    syntax::{self, Parsed},
    tester::TestRule,
};

/// A policy file.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Its name in messages; a name that ends in `_test.rego` marks a test.
    pub path: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What the program is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    /// `deny`, `warn` and what they need.
    Verdict,
    /// `test_…` rules, which may replace anything.
    Tests,
}

/// A module as the engine has it.
pub(super) struct Module {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) lines: Vec<Origin>,
}

/// A rule whose set becomes violations or warnings.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Entry {
    /// Name, such as `deny` or `warn_x`.
    pub(super) name: String,
    /// Path as the engine finds it.
    pub(super) query: String,
    /// Path of the `exception` rule of its package, if there is one.
    pub(super) exception: Option<String>,
}

pub(super) struct Program {
    pub(super) files: Vec<FileInfo>,
    pub(super) modules: Vec<Module>,
    pub(super) sites: Vec<Site>,
    /// What `rego.metadata.chain()` and `.rule()` return, by number.
    pub(super) metadata: Vec<Value>,
    /// Path of each rule that is evaluated once per run.
    pub(super) memos: Vec<String>,
    pub(super) memo_values: Memos,
    pub(super) rules: Vec<RuleInfo>,
    /// Entry points of each package.
    pub(super) namespaces: BTreeMap<String, Vec<Entry>>,
    /// `test_…` rules.
    pub(super) tests: Vec<TestRule>,
}

/// Loads the files.
pub(super) fn load(files: &[File<'_>], purpose: Purpose, passes: Passes) -> Result<Program, LoadError> {
    let parsed = on_two_threads(files, |file| syntax::parse(file.path, file.bytes))?;
    if parsed.is_empty() {
        return Err(LoadError::NoRules);
    }
    let found = on_two_threads(&parsed, annotations::read)?;
    let infos: Vec<FileInfo> = parsed.iter().map(|p| FileInfo { name: p.file.clone(), is_test: is_test(&p.file) }).collect();
    let chains = Chains::of(&parsed, &found);
    let globals = Globals::of(&parsed);
    let mut metadata = Metadata { chains: &chains, parsed: &parsed, known: BTreeMap::new(), values: Vec::new() };
    let mut errors = Vec::new();
    let mut rules = Vec::new();
    let mut positions = Vec::new();
    for (number, file) in parsed.iter().enumerate() {
        let mut number_of = |rule: usize, chain: bool| metadata.number(number, rule, chain);
        let lowered = lower::lower(number, file, &globals, passes, &mut number_of, &mut errors);
        positions.extend((0..lowered.len()).map(|rule| (number, rule)));
        rules.extend(lowered);
    }
    let values = std::mem::take(&mut metadata.values);
    let graph = Graph::of(&rules);
    check::check(&mut rules, &infos, &globals.functions, &graph, &mut errors);
    if !errors.is_empty() {
        errors.sort_by(|a, b| a.at.cmp(&b.at));
        errors.dedup();
        return Err(LoadError::Check(errors));
    }
    let described = inspect::rules(&parsed, &found, &rules, &positions)?;
    let namespaces = entries(&rules);
    let roots = match purpose {
        Purpose::Tests => (0..graph.nodes.len()).collect(),
        Purpose::Verdict => roots(&rules, &graph),
    };
    let tests = tests(&rules, &infos);
    let reached = graph.reachable(roots);
    rules.iter_mut().for_each(|rule| normalise::normalise(rule, &globals.functions, passes));
    let mut printed = Printed { sites: Vec::new(), modules: Vec::new(), memos: Vec::new() };
    printed.all(&rules, &graph, &reached, purpose, passes);
    Ok(Program {
        files: infos,
        modules: printed.modules,
        sites: printed.sites,
        metadata: values,
        memos: printed.memos,
        memo_values: Memos::default(),
        rules: described,
        namespaces,
        tests,
    })
}

/// Stack of the second thread: as much as a first one has.
const STACK: usize = 8 * 1024 * 1024;
/// So few files are not worth a thread.
const FEW: usize = 8;

/// Runs `work` over all items, every other one on a second thread; the first error is
/// that of the first item that has one.
fn on_two_threads<T: Sync, R: Send, E: Send>(items: &[T], work: impl Fn(&T) -> Result<R, E> + Sync) -> Result<Vec<R>, E> {
    if items.len() < FEW {
        return items.iter().map(work).collect();
    }
    let every_other = |first: usize| items.iter().skip(first).step_by(2).map(&work).collect::<Vec<_>>();
    let (even, odd) = std::thread::scope(|scope| {
        let second = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || every_other(1));
        let even = every_other(0);
        let odd = second.ok().and_then(|second| second.join().ok());
        (even, odd.unwrap_or_else(|| every_other(1)))
    });
    let mut odd = odd.into_iter();
    even.into_iter().flat_map(|result| std::iter::once(result).chain(odd.next())).collect()
}

pub(super) fn is_test(path: &str) -> bool {
    path.to_ascii_lowercase().ends_with("_test.rego")
}

/// Numbers the values of `rego.metadata.chain()` and `rego.metadata.rule()`.
struct Metadata<'a> {
    chains: &'a Chains<'a>,
    parsed: &'a [Parsed<'a>],
    known: BTreeMap<(usize, usize, bool), usize>,
    values: Vec<Value>,
}

impl Metadata<'_> {
    fn number(&mut self, file: usize, rule: usize, chain: bool) -> usize {
        if let Some(number) = self.known.get(&(file, rule, chain)) {
            return *number;
        }
        let value = if chain {
            let path = annotations::rule_path(&self.parsed[file], rule);
            self.chains.chain(file, rule, &path)
        } else {
            self.chains.rule(file, rule)
        };
        self.values.push(Value::from(value));
        self.known.insert((file, rule, chain), self.values.len() - 1);
        self.values.len() - 1
    }
}

/// Whether conftest takes a rule of this name for a failure.
pub(super) fn is_failure(name: &str) -> bool {
    suffixed(name, "deny") || suffixed(name, "violation")
}

/// Whether conftest takes a rule of this name for a warning.
pub(super) fn is_warning(name: &str) -> bool {
    suffixed(name, "warn")
}

/// `^stem(_[a-zA-Z0-9]+)*$`
fn suffixed(name: &str, stem: &str) -> bool {
    let Some(rest) = name.strip_prefix(stem) else { return false };
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    rest.is_empty() || rest.strip_prefix('_').is_some_and(|rest| rest.split('_').all(part))
}

fn is_entry(name: &str) -> bool {
    is_failure(name) || is_warning(name)
}

fn roots(rules: &[Rule], graph: &Graph) -> Vec<usize> {
    let wanted = |rule: &Rule| matches!(&rule.path[rule.package..], [name, ..] if is_entry(name) || name == "exception");
    rules.iter().enumerate().filter(|(_, rule)| wanted(rule)).map(|(at, _)| graph.of_rule[at]).collect()
}

fn entries(rules: &[Rule]) -> BTreeMap<String, Vec<Entry>> {
    let mut found: BTreeMap<String, BTreeSet<Entry>> = BTreeMap::new();
    let excepting: BTreeSet<&[String]> = rules
        .iter()
        .filter(|rule| rule.path.get(rule.package).is_some_and(|name| name == "exception"))
        .map(|rule| &rule.path[..rule.package])
        .collect();
    for rule in rules {
        let package = rule.path[..rule.package].join(".");
        let entries = found.entry(package).or_default();
        if let [name] = &rule.path[rule.package..]
            && is_entry(name)
            && !matches!(rule.kind, RuleKind::Function { .. })
        {
            let own = &rule.path[..rule.package];
            let exception = excepting.contains(own).then(|| query(&[own, &["exception".to_owned()]].concat()));
            entries.insert(Entry { name: name.clone(), query: query(&rule.path), exception });
        }
    }
    found.into_iter().map(|(package, entries)| (package, entries.into_iter().collect())).collect()
}

/// Path of a rule as the engine finds it.
pub(super) fn query(path: &[String]) -> String {
    let keys: String = path.iter().map(|name| format!("[{}]", serde_json::Value::from(name.as_str()))).collect();
    format!("data{keys}")
}

fn tests(rules: &[Rule], files: &[FileInfo]) -> Vec<TestRule> {
    let mut found: BTreeMap<&[String], TestRule> = BTreeMap::new();
    for rule in rules {
        if let [name, below @ ..] = &rule.path[rule.package..]
            && (name.starts_with("test_") || name.starts_with("todo_test_"))
        {
            let path = &rule.path[..=rule.package];
            let known = found.entry(path).or_insert_with(|| TestRule {
                package: rule.path[..rule.package].join("."),
                name: name.clone(),
                at: Location { file: files[rule.file].name.clone(), line: rule.line, column: rule.column },
                has_cases: false,
                path: path.to_vec(),
            });
            known.has_cases |= !below.is_empty() || !rule.tail.is_empty() || matches!(rule.kind, RuleKind::Set { .. });
        }
    }
    found.into_values().collect()
}

/// What is printed, by package and, without pass M, file.
type Packages = BTreeMap<(Vec<String>, usize), Vec<Item>>;

struct Printed {
    sites: Vec<Site>,
    modules: Vec<Module>,
    memos: Vec<String>,
}

impl Printed {
    fn all(&mut self, rules: &[Rule], graph: &Graph, reached: &[bool], purpose: Purpose, passes: Passes) {
        let mocked = match purpose {
            Purpose::Tests => mocked(rules),
            Purpose::Verdict => BTreeSet::new(),
        };
        for text in print::mocks(&mocked, &mut self.sites) {
            self.modules.push(Module { name: "mocks".to_owned(), text, lines: Vec::new() });
        }
        // A `with` anywhere could change what a kept value depends on.
        let keeps = purpose == Purpose::Verdict
            && !rules.iter().enumerate().any(|(at, rule)| reached[graph.of_rule[at]] && replaces(rule));
        // What is printed: rules as they are, and stand-ins for those that are
        // evaluated once.
        let mut packages: Packages = BTreeMap::new();
        for (at, rule) in rules.iter().enumerate().filter(|(at, _)| reached[graph.of_rule[*at]]) {
            let node = graph.of_rule[at];
            let Node { rules: members, data_only, .. } = &graph.nodes[node];
            let file = if passes.merge { 0 } else { rule.file };
            let items = packages.entry((rule.path[..rule.package].to_vec(), file)).or_default();
            let name = rule.dotted();
            let memoised = keeps && passes.keep && *data_only && is_worth_keeping(members, rules);
            let operands = recalled(members, rules).filter(|_| keeps && passes.recall);
            if !memoised && operands.is_none() {
                items.push(Item { rule: rule.clone(), name, stand_in: None });
                continue;
            }
            let mut raw = rule.clone();
            if let Some(last) = raw.path.last_mut() {
                *last = format!("{}raw{node}", lower::OWN_PREFIX);
            }
            if members.first() == Some(&at) {
                let stand_in = match operands {
                    Some(operands) => StandIn::Function { number: node, operands, raw: raw.path.clone() },
                    None => StandIn::Value(self.memos.len()),
                };
                if let StandIn::Value(_) = stand_in {
                    self.memos.push(query(&raw.path));
                }
                items.push(Item { rule: rule.clone(), name: name.clone(), stand_in: Some(stand_in) });
            }
            items.push(Item { rule: raw, name, stand_in: None });
        }
        for ((package, _), items) in packages {
            let name = format!("package {}", package.join("."));
            let printed = print::module(&package, &items, &mocked, &mut self.sites);
            self.modules.push(Module { name, text: printed.text, lines: printed.lines });
        }
    }
}

/// Whether the rules of a node have something to compute: one value, or all members
/// of one object.
fn is_worth_keeping(members: &[usize], rules: &[Rule]) -> bool {
    let has_members = members.first().is_some_and(|at| !rules[*at].tail.is_empty());
    let plain = |rule: &Rule| {
        let kind = match has_members {
            true => matches!(rule.kind, RuleKind::Value),
            false => !matches!(rule.kind, RuleKind::Function { .. } | RuleKind::Default { args: Some(_), .. }),
        };
        kind && rule.tail.is_empty() != has_members && rule.path.len() == rule.package + 1
    };
    let works = |rule: &Rule| {
        let value = |value: &Expr| value.is_call() || matches!(value.kind, ExprKind::Comprehension(_));
        rule.clauses.iter().any(|clause| !clause.body.is_empty() || clause.value.as_ref().is_some_and(value))
    };
    members.iter().all(|at| plain(&rules[*at])) && members.iter().any(|at| works(&rules[*at]))
}

/// How many operands a function takes whose results are worth remembering: one that
/// iterates, or calls another.
fn recalled(members: &[usize], rules: &[Rule]) -> Option<usize> {
    struct Works(bool);
    impl<'a> Visitor<'a> for Works {
        fn expr(&mut self, expr: &'a Expr) {
            let calls = |call: &Call| matches!(call.target, Target::Rule(_));
            self.0 |=
                matches!(&expr.kind, ExprKind::Comprehension(_)) || matches!(&expr.kind, ExprKind::Call(call) if calls(call));
            walk_expr(self, expr);
        }

        fn stmt(&mut self, stmt: &'a Stmt) {
            self.0 |= matches!(stmt.kind, StmtKind::SomeIn { .. } | StmtKind::Every { .. });
            walk_stmt(self, stmt);
        }
    }
    let operands = |at: &usize| match &rules[*at] {
        Rule { kind: RuleKind::Function { args }, tail, path, package, .. } if tail.is_empty() && path.len() == package + 1 => {
            Some(args.len()).filter(|operands| *operands > 0)
        }
        _ => None,
    };
    let first = operands(members.first()?)?;
    let mut works = Works(false);
    members.iter().for_each(|at| rules[*at].visit(&mut works));
    (works.0 && members.iter().all(|at| operands(at) == Some(first))).then_some(first)
}

/// Whether a rule outside tests evaluates something with replaced data.
fn replaces(rule: &Rule) -> bool {
    struct Found(bool);
    impl<'a> Visitor<'a> for Found {
        fn stmt(&mut self, stmt: &'a Stmt) {
            self.0 |= !stmt.with.is_empty();
            walk_stmt(self, stmt);
        }
    }
    let mut found = Found(false);
    rule.visit(&mut found);
    found.0
}

/// The functions that a test replaces.
fn mocked(rules: &[Rule]) -> BTreeSet<&'static str> {
    struct Targets(BTreeSet<&'static str>);
    impl<'a> Visitor<'a> for Targets {
        fn stmt(&mut self, stmt: &'a Stmt) {
            for with in &stmt.with {
                if let WithTarget::Builtin(function) = &with.target
                    && function.is_replaced()
                {
                    self.0.insert(function.name);
                }
            }
            walk_stmt(self, stmt);
        }
    }
    let mut targets = Targets(BTreeSet::new());
    rules.iter().for_each(|rule| rule.visit(&mut targets));
    targets.0
}

impl Program {
    /// Where a line of a module came from.
    pub(super) fn origin(&self, module: &str, line: u32) -> Option<Location> {
        let module = self.modules.iter().find(|known| known.name == module)?;
        let (file, line) = *module.lines.get(usize::try_from(line).ok()?.checked_sub(1)?)?;
        Some(Location { file: self.files.get(file)?.name.clone(), line, column: 0 })
    }

    /// Where a call site stands.
    pub(super) fn location(&self, site: &Site) -> Location {
        let file = self.files.get(site.file).map_or_else(|| Arc::from(""), |file| file.name.clone());
        Location { file, line: site.line, column: 0 }
    }
}
