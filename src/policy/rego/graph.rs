//! Which rule depends on which: for recursion, for leaving out what no verdict
//! needs, and for evaluating once per run what depends on data alone.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{functions::By, ir::*};

/// All rules with one path.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) path: Vec<String>,
    /// Numbers of its rules.
    pub(super) rules: Vec<usize>,
    /// Nodes it depends on.
    pub(super) needs: Vec<usize>,
    /// Its value depends on nothing but data.
    pub(super) data_only: bool,
}

pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    /// Node of each rule.
    pub(super) of_rule: Vec<usize>,
}

/// A reference into `data`; `None` stands for any key.
type Path = Vec<Option<String>>;

impl Graph {
    pub(super) fn of(rules: &[Rule]) -> Self {
        let mut by_path: BTreeMap<&[String], Vec<usize>> = BTreeMap::new();
        for (number, rule) in rules.iter().enumerate() {
            by_path.entry(&rule.path).or_default().push(number);
        }
        let numbers: BTreeMap<&[String], usize> = by_path.keys().enumerate().map(|(at, path)| (*path, at)).collect();
        let mut of_rule = vec![0; rules.len()];
        let mut nodes = Vec::with_capacity(by_path.len());
        for (at, (path, members)) in by_path.iter().enumerate() {
            let mut uses = Uses { paths: HashSet::new(), pure: true };
            for number in members {
                of_rule[*number] = at;
                rules[*number].visit(&mut uses);
            }
            let needs: HashSet<usize> = uses.paths.iter().flat_map(|path| matches(path, &numbers)).collect();
            let mut needs: Vec<usize> = needs.into_iter().collect();
            needs.sort_unstable();
            nodes.push(Node { path: path.to_vec(), rules: members.clone(), needs, data_only: uses.pure });
        }
        let mut graph = Self { nodes, of_rule };
        graph.spread_impurity();
        graph
    }

    fn spread_impurity(&mut self) {
        loop {
            let impure: Vec<usize> = (0..self.nodes.len())
                .filter(|at| {
                    self.nodes[*at].data_only && self.nodes[*at].needs.iter().any(|needed| !self.nodes[*needed].data_only)
                })
                .collect();
            if impure.is_empty() {
                return;
            }
            impure.into_iter().for_each(|at| self.nodes[at].data_only = false);
        }
    }

    /// How many rules need each other in a row, at most; without cycles.
    pub(super) fn depth(&self) -> usize {
        let mut depths: Vec<Option<usize>> = vec![None; self.nodes.len()];
        for start in 0..self.nodes.len() {
            let mut path = vec![start];
            while let Some(at) = path.last().copied() {
                match self.nodes[at].needs.iter().find(|needed| depths[**needed].is_none()) {
                    Some(needed) if depths[at].is_none() => path.push(*needed),
                    _ => {
                        let below = self.nodes[at].needs.iter().filter_map(|needed| depths[*needed]).max();
                        depths[at] = Some(below.unwrap_or(0) + 1);
                        path.pop();
                    }
                }
            }
        }
        depths.into_iter().flatten().max().unwrap_or(0)
    }

    /// The nodes that can be reached from `roots`, themselves included.
    pub(super) fn reachable(&self, roots: impl IntoIterator<Item = usize>) -> Vec<bool> {
        let mut seen = vec![false; self.nodes.len()];
        let mut open: Vec<usize> = roots.into_iter().collect();
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut seen[at], true) {
                open.extend(&self.nodes[at].needs);
            }
        }
        seen
    }

    /// A chain of nodes that ends where it began, for each node that is the
    /// first of one.
    pub(super) fn cycles(&self) -> Vec<Vec<usize>> {
        let mut state: HashMap<usize, bool> = HashMap::new();
        let mut found = Vec::new();
        for start in 0..self.nodes.len() {
            if state.contains_key(&start) {
                continue;
            }
            // Depth first without recursion: the node, and which need is next.
            let mut path: Vec<(usize, usize)> = vec![(start, 0)];
            state.insert(start, true);
            while let Some((at, next)) = path.last_mut() {
                let Some(needed) = self.nodes[*at].needs.get(*next).copied() else {
                    state.insert(*at, false);
                    path.pop();
                    continue;
                };
                *next += 1;
                match state.get(&needed) {
                    None => {
                        state.insert(needed, true);
                        path.push((needed, 0));
                    }
                    Some(true) => {
                        let mut cycle: Vec<usize> =
                            path.iter().map(|(node, _)| *node).skip_while(|node| *node != needed).collect();
                        cycle.push(needed);
                        found.push(cycle);
                    }
                    Some(false) => {}
                }
            }
        }
        found
    }
}

/// The nodes that a reference may mean: above it, at it or below it.
fn matches(path: &Path, nodes: &BTreeMap<&[String], usize>) -> Vec<usize> {
    let constant: Vec<String> = path.iter().map_while(Clone::clone).collect();
    let mut found: Vec<usize> = (1..constant.len()).filter_map(|length| nodes.get(&constant[..length]).copied()).collect();
    let below = nodes.range(constant.as_slice()..).take_while(|(node, _)| node.starts_with(&constant));
    found.extend(below.filter(|(node, _)| fits(path, node)).map(|(_, number)| *number));
    found
}

fn fits(path: &Path, node: &[String]) -> bool {
    path.iter().zip(node).all(|(key, name)| key.as_ref().is_none_or(|key| key == name))
}

/// Collects what a rule refers to.
struct Uses {
    paths: HashSet<Path>,
    pure: bool,
}

impl<'a> Visitor<'a> for Uses {
    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::Ref { root: Root::Data, steps } => {
                let key = |step: &Step| match step {
                    Step::Field(name) => Some(name.clone()),
                    Step::Index(_) => None,
                };
                self.paths.insert(steps.iter().map(key).collect());
            }
            ExprKind::Ref { root: Root::Input, .. } => self.pure = false,
            ExprKind::Call(call) => match &call.target {
                Target::Rule(path) => {
                    self.paths.insert(path.iter().cloned().map(Some).collect());
                }
                Target::Builtin(function) => self.pure &= is_pure(function.name) && function.by != By::Nobody,
                Target::Metadata(_) | Target::Unknown(_) => {}
            },
            _ => {}
        }
        walk_expr(self, expr);
    }

    fn stmt(&mut self, stmt: &'a Stmt) {
        self.pure &= stmt.with.is_empty();
        walk_stmt(self, stmt);
    }
}

/// Whether a function gives the same for the same arguments, for every image. The
/// clock of a group stands still.
fn is_pure(name: &str) -> bool {
    !name.starts_with("ec.oci.") && !name.starts_with("ec.sigstore.") && name != "trace"
}
