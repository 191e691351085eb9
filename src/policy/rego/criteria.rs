//! Which rules apply: criteria, what they match, how much they weigh.

use std::{collections::BTreeMap, sync::LazyLock};

use carnet_bundle::{Finding, Reference};
use jiff::Timestamp;
use regex::Regex;

use super::codes;
use crate::{
    document::{Configuration, SourceGroup, VolatileCriterion},
    time,
};

/// Criteria of one sort (include or exclude), by what they are limited to.
#[derive(Clone, Debug, Default)]
pub(super) struct Criteria {
    /// By repository name or digest.
    images: BTreeMap<String, Vec<String>>,
    components: BTreeMap<String, Vec<String>>,
    all: Vec<String>,
}

/// Include and exclude criteria of a source group.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    pub(super) include: Criteria,
    pub(super) exclude: Criteria,
    /// Criteria whose window cannot be read.
    pub(super) findings: Vec<Finding>,
}

impl Selection {
    /// Criteria as of `at`: those of the group, else the deprecated ones of the
    /// whole policy, else `*`.
    pub(super) fn of(group: &SourceGroup, policy: Option<&Configuration>, at: Timestamp) -> Self {
        let mut selection = Self::default();
        if let Some(config) = &group.config {
            selection.include.all.extend(config.include.iter().cloned());
            selection.exclude.all.extend(config.exclude.iter().cloned());
        }
        if let Some(volatile) = &group.volatile_config {
            selection.include.add(&volatile.include, at, &codes::VOLATILE_INCLUDE_UNREADABLE, &mut selection.findings);
            selection.exclude.add(&volatile.exclude, at, &codes::VOLATILE_EXCLUDE_UNREADABLE, &mut selection.findings);
        }
        if let Some(policy) = policy
            && selection.include.is_empty()
            && selection.exclude.is_empty()
        {
            selection.include.all.extend(policy.include.iter().cloned());
            selection.include.all.extend(policy.collections.iter().map(|name| format!("@{name}")));
            selection.exclude.all.extend(policy.exclude.iter().cloned());
        }
        if selection.include.is_empty() {
            selection.include.all.push("*".to_owned());
        }
        selection
    }
}

impl Criteria {
    fn is_empty(&self) -> bool {
        self.all.is_empty() && self.images.is_empty() && self.components.is_empty()
    }

    fn add(
        &mut self,
        criteria: &[VolatileCriterion],
        at: Timestamp,
        code: &'static carnet_bundle::Code,
        findings: &mut Vec<Finding>,
    ) {
        for criterion in criteria {
            match holds(criterion, at) {
                Some(true) => self.scoped(criterion),
                Some(false) => {}
                None => findings.push(Finding::new(
                    code,
                    &criterion.value,
                    format!(
                        "neither {:?} nor {:?} may be anything but an RFC 3339 time or a date: the criterion is left out",
                        criterion.effective_on, criterion.effective_until
                    ),
                )),
            }
        }
    }

    /// Puts a criterion to the images that it is limited to: the first scope
    /// that is given counts.
    fn scoped(&mut self, criterion: &VolatileCriterion) {
        let value = || criterion.value.clone();
        let images = [&criterion.image_ref, &criterion.image_url, &criterion.image_digest];
        if let Some(image) = images.into_iter().find(|text| !text.is_empty()) {
            self.images.entry(image.clone()).or_default().push(value());
        } else if criterion.component_names.is_empty() {
            self.all.push(value());
        } else {
            for name in &criterion.component_names {
                self.components.entry(name.clone()).or_default().push(value());
            }
        }
    }

    /// The criteria for an image and, if given, a component.
    pub(super) fn of(&self, image: &Reference, component: Option<&str>) -> Vec<&str> {
        let repository = repository_of(image);
        let digest = image.digest().map(ToString::to_string);
        let mut found: Vec<&String> = Vec::new();
        for key in [Some(repository), digest].into_iter().flatten() {
            found.extend(self.images.get(&key).into_iter().flatten());
        }
        if let Some(component) = component.filter(|name| !name.is_empty()) {
            found.extend(self.components.get(component).into_iter().flatten());
            let original = original_name(component);
            if original != component {
                found.extend(self.components.get(&*original).into_iter().flatten());
            }
        }
        found.extend(&self.all);
        found.into_iter().map(String::as_str).collect()
    }

    /// All criteria but those limited to components: those whose match is
    /// missed.
    pub(super) fn expected(&self) -> impl Iterator<Item = &str> {
        self.all.iter().chain(self.images.values().flatten()).map(String::as_str)
    }
}

/// The repository as Conforma's registry client writes it.
fn repository_of(image: &Reference) -> String {
    match image.registry() {
        "docker.io" => format!("index.docker.io/{}", image.repository()),
        _ => image.name(),
    }
}

/// Whether `at` lies in the window; nothing when the window cannot be read.
fn holds(criterion: &VolatileCriterion, at: Timestamp) -> Option<bool> {
    let bound = |text: &str| if text.is_empty() { Some(at) } else { time::rfc3339(text).or_else(|| midnight(text)) };
    Some(bound(&criterion.effective_on)? <= at && at <= bound(&criterion.effective_until)?)
}

fn midnight(text: &str) -> Option<Timestamp> {
    (text.len() == 10).then(|| time::rfc3339(&format!("{text}T00:00:00Z"))).flatten()
}

/// The name of a component before its index was expanded.
fn original_name(component: &str) -> std::borrow::Cow<'_, str> {
    static SUFFIX: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"-sha256:[0-9a-f]{64}-\S+$").ok());
    match SUFFIX.as_ref() {
        Some(suffix) => suffix.replace(component, ""),
        None => component.into(),
    }
}

/// Everything that a criterion may be equal to for it to match a result.
pub(super) fn matchers(code: &str, terms: &[&str], collections: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    if let Some((package, rule)) = code.rsplit_once('.') {
        let package = package.rsplit('.').next().unwrap_or(package);
        if !package.is_empty() {
            found.extend([package.to_owned(), format!("{package}.*"), format!("{package}.{rule}")]);
        }
    }
    let plain = found.clone();
    for term in terms.iter().filter(|term| !term.is_empty()) {
        found.extend(plain.iter().map(|matcher| format!("{matcher}:{term}")));
    }
    found.push("*".to_owned());
    found.extend(collections.iter().map(|name| format!("@{name}")));
    found
}

/// The weight of all criteria that match; `matched` hears of each.
pub(super) fn score(matchers: &[String], criteria: &[&str], matched: &mut dyn FnMut(&str)) -> u32 {
    let mut total = 0;
    for matcher in matchers {
        for criterion in criteria.iter().filter(|criterion| **criterion == matcher) {
            total += weight(criterion);
            matched(criterion);
        }
    }
    total
}

/// How specific a criterion is.
pub(super) fn weight(criterion: &str) -> u32 {
    if criterion.starts_with('@') {
        return 10;
    }
    let (name, term) = criterion.split_once(':').unwrap_or((criterion, ""));
    let term = if term.is_empty() { 0 } else { 100 };
    let Some((package, rule)) = name.rsplit_once('.') else {
        return term + if name == "*" { 1 } else { 10 };
    };
    let depth = u32::try_from(package.split('.').count()).unwrap_or(u32::MAX / 1000);
    let package = if package == "*" { 1 } else { 10 * depth };
    let rule = if matches!(rule, "" | "*") { 0 } else { 100 };
    term + package + rule
}

/// Whether a criterion could match a result of this rule with some term.
pub(super) fn may_match(criterion: &str, matchers: &[String]) -> bool {
    let without_term = criterion.split_once(':').filter(|(_, term)| !term.is_empty()).map_or(criterion, |(name, _)| name);
    let plain = without_term == criterion;
    matchers.iter().any(|matcher| matcher == without_term && (plain || (matcher != "*" && !matcher.starts_with('@'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of Conforma's scores.
    #[test]
    fn criteria_weigh_what_they_weigh_in_conforma() {
        for (criterion, want) in [
            ("@anything", 10),
            ("*", 1),
            ("pkg", 10),
            ("pkg.*", 10),
            ("pkg.rule", 110),
            ("pkg:term", 110),
            ("pkg.*:term", 110),
            ("pkg.rule:term", 210),
            ("a.pkg.rule", 120),
            ("*.rule", 101),
            ("*:term", 101),
            ("pkg.", 10),
            ("pkg:", 10),
        ] {
            assert_eq!(weight(criterion), want, "{criterion}");
        }
    }

    #[test]
    fn a_result_is_matched_by_its_last_package() {
        let collections = ["c".to_owned()];
        let got = matchers("a.b.pkg.rule", &["t", ""], &collections);
        assert_eq!(got, ["pkg", "pkg.*", "pkg.rule", "pkg:t", "pkg.*:t", "pkg.rule:t", "*", "@c"]);
        assert_eq!(matchers("rule", &["t"], &[]), ["*"]);
    }

    #[test]
    fn children_of_an_index_go_by_the_name_of_their_component() {
        let name = format!("app-sha256:{}-arm64", "a".repeat(64));
        assert_eq!(original_name(&name), "app");
        assert_eq!(original_name("app-sha256:abc-arm64"), "app-sha256:abc-arm64");
    }
}
