//! Findings that say the same of several subjects: people read them once.

use std::collections::BTreeMap;

use carnet_bundle::Finding;

/// Findings that are equal but for their subject.
pub(super) struct Alike<'f> {
    pub(super) first: &'f Finding,
    /// Whether something else in the report gives the reason already.
    pub(super) said: bool,
    /// Subjects, none of them empty.
    pub(super) subjects: Vec<&'f str>,
}

/// Groups `findings`, each group where its first one stands. The reason of those that
/// are said already is not compared.
pub(super) fn alike<'f>(findings: impl IntoIterator<Item = &'f Finding>, is_said: impl Fn(&Finding) -> bool) -> Vec<Alike<'f>> {
    let mut groups: Vec<Alike<'f>> = Vec::new();
    let mut places = BTreeMap::new();
    for finding in findings {
        let said = is_said(finding);
        let message = if said { "" } else { finding.message.as_str() };
        let key = (finding.severity, finding.code, finding.step, said, message, finding.hint.as_str());
        let place = *places.entry(key).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.subjects.push(&finding.subject),
            None => groups.push(Alike { first: finding, said, subjects: vec![&finding.subject] }),
        }
    }
    groups.iter_mut().for_each(|group| group.subjects.retain(|subject| !subject.is_empty()));
    groups
}
