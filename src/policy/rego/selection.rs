//! Which packages are evaluated for an image, and which rules are included.

use std::collections::{BTreeMap, BTreeSet};

use carnet_bundle::Reference;

use super::{
    criteria::{self, Selection},
    inspect::RuleInfo,
};

/// How results are filtered (`--filter-type`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Filter {
    /// By the criteria alone.
    #[default]
    IncludeExclude,
    /// By rule: the criteria and `custom.pipeline_intention`; terms have no effect.
    EcPolicy,
}

/// What was chosen before anything is evaluated.
#[derive(Clone, Debug, Default)]
pub(super) struct Chosen {
    /// Packages to evaluate; all when empty.
    pub(super) packages: BTreeSet<String>,
    /// Codes of rules that are included.
    pub(super) rules: BTreeSet<String>,
    /// Include criteria that matched none of the rules.
    pub(super) missing: BTreeSet<String>,
    /// Packages that only carnet's reading chooses.
    pub(super) more: BTreeSet<String>,
}

/// Chooses as Conforma does: by rule, without terms and components; packages go
/// by their first name.
pub(super) fn choose(rules: &[RuleInfo], selection: &Selection, image: &Reference, intentions: Option<&[String]>) -> Chosen {
    let include = selection.include.of(image, None);
    let exclude = selection.exclude.of(image, None);
    let mut chosen = Chosen { missing: include.iter().map(|name| (*name).to_owned()).collect(), ..Chosen::default() };
    for rule in rules {
        if intentions.is_some_and(|wanted| !intended(rule, wanted)) {
            continue;
        }
        let matchers = criteria::matchers(&rule.code, &[], &rule.collections);
        let missing = &mut chosen.missing;
        let included = criteria::score(&matchers, &include, &mut |criterion| {
            missing.remove(criterion);
        });
        let excluded = criteria::score(&matchers, &exclude, &mut |_| {});
        let by_default = excluded == 0 && matches!(include.as_slice(), [] | ["*"]);
        if included > excluded || by_default {
            chosen.rules.insert(rule.code.clone());
            let first = rule.code.split('.').next().unwrap_or(&rule.code);
            chosen.packages.insert(if first.is_empty() { rule.code.clone() } else { first.to_owned() });
        }
    }
    chosen
}

/// Adds every package that has a rule of which some result could be included,
/// whatever its terms, for this very component.
pub(super) fn widen(
    chosen: &mut Chosen,
    rules: &[RuleInfo],
    selection: &Selection,
    image: &Reference,
    component: &str,
    filter: Filter,
) {
    let include = selection.include.of(image, Some(component));
    let exclude = selection.exclude.of(image, Some(component));
    for rule in rules {
        let matchers = criteria::matchers(&rule.code, &[], &rule.collections);
        let included = criteria::score(&matchers, &include, &mut |_| {});
        let excluded = criteria::score(&matchers, &exclude, &mut |_| {});
        let with_term = include.iter().any(|criterion| criterion.contains(':') && criteria::may_match(criterion, &matchers));
        let wanted = match filter {
            Filter::IncludeExclude => included > excluded || with_term,
            Filter::EcPolicy => chosen.rules.contains(&rule.code),
        };
        if wanted && chosen.packages.insert(rule.package.clone()) {
            chosen.more.insert(rule.package.clone());
        }
    }
}

fn intended(rule: &RuleInfo, wanted: &[String]) -> bool {
    if wanted.is_empty() {
        return rule.pipeline_intention.is_empty();
    }
    rule.pipeline_intention.iter().any(|intention| wanted.contains(intention))
}

/// Rules by code.
pub(super) fn annotated(rules: &[RuleInfo]) -> BTreeMap<&str, &RuleInfo> {
    rules.iter().filter(|rule| rule.is_annotated()).map(|rule| (rule.code.as_str(), rule)).collect()
}
