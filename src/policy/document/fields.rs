//! The fields of policy.yaml, each with its type.

use super::{Configuration, Identity, Policy, Selection, SourceGroup, VolatileCriterion, VolatileSelection};
use crate::{
    spelling,
    yaml::{Key, Node, YamlError},
};

type Fields<'n> = Vec<(&'static str, String, &'n Node)>;

/// Checks the keys of the custom resource around `spec`.
pub(super) fn wrapper(entries: &[(Key, Node)]) -> Result<(), YamlError> {
    const KNOWN: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
    entries.iter().try_for_each(|(key, _)| known(key, "the policy", &KNOWN).map(|_| ()))
}

/// Reads the policy spec.
pub(super) fn policy(node: &Node, path: &str) -> Result<Policy, YamlError> {
    const KNOWN: [&str; 7] = ["name", "description", "sources", "configuration", "rekorUrl", "publicKey", "identity"];
    let mut policy = Policy::default();
    for (key, path, value) in fields(node, path, &KNOWN)? {
        match key {
            "name" => policy.name = value.text(&path)?,
            "description" => policy.description = value.text(&path)?,
            "sources" => policy.sources = list(value, &path, source_group)?,
            "configuration" => policy.configuration = Some(configuration(value, &path)?),
            "rekorUrl" => policy.rekor_url = value.text(&path)?,
            "publicKey" => policy.public_key = value.text(&path)?,
            _ => policy.identity = Some(identity(value, &path)?),
        }
    }
    Ok(policy)
}

fn identity(node: &Node, path: &str) -> Result<Identity, YamlError> {
    const KNOWN: [&str; 4] = ["issuer", "issuerRegExp", "subject", "subjectRegExp"];
    let mut identity = Identity::default();
    for (key, path, value) in fields(node, path, &KNOWN)? {
        let text = value.text(&path)?;
        match key {
            "issuer" => identity.issuer = text,
            "issuerRegExp" => identity.issuer_reg_exp = text,
            "subject" => identity.subject = text,
            _ => identity.subject_reg_exp = text,
        }
    }
    Ok(identity)
}

fn source_group(node: &Node, path: &str) -> Result<SourceGroup, YamlError> {
    const KNOWN: [&str; 6] = ["name", "policy", "data", "ruleData", "config", "volatileConfig"];
    let mut group = SourceGroup::default();
    for (key, path, value) in fields(node, path, &KNOWN)? {
        match key {
            "name" => group.name = value.text(&path)?,
            "policy" => group.policy = list(value, &path, Node::text)?,
            "data" => group.data = list(value, &path, Node::text)?,
            "ruleData" => {
                value.entries(&path)?;
                group.rule_data = Some(value.to_json(&path)?);
            }
            "config" => group.config = Some(selection(value, &path)?),
            _ => group.volatile_config = Some(volatile(value, &path)?),
        }
    }
    Ok(group)
}

fn selection(node: &Node, path: &str) -> Result<Selection, YamlError> {
    let mut selection = Selection::default();
    for (key, path, value) in fields(node, path, &["include", "exclude"])? {
        let criteria = list(value, &path, Node::text)?;
        match key {
            "include" => selection.include = criteria,
            _ => selection.exclude = criteria,
        }
    }
    Ok(selection)
}

fn configuration(node: &Node, path: &str) -> Result<Configuration, YamlError> {
    let mut configuration = Configuration::default();
    for (key, path, value) in fields(node, path, &["include", "exclude", "collections"])? {
        let texts = list(value, &path, Node::text)?;
        match key {
            "include" => configuration.include = texts,
            "exclude" => configuration.exclude = texts,
            _ => configuration.collections = texts,
        }
    }
    Ok(configuration)
}

fn volatile(node: &Node, path: &str) -> Result<VolatileSelection, YamlError> {
    let mut selection = VolatileSelection::default();
    for (key, path, value) in fields(node, path, &["include", "exclude"])? {
        let criteria = list(value, &path, criterion)?;
        match key {
            "include" => selection.include = criteria,
            _ => selection.exclude = criteria,
        }
    }
    Ok(selection)
}

fn criterion(node: &Node, path: &str) -> Result<VolatileCriterion, YamlError> {
    const KNOWN: [&str; 8] =
        ["value", "effectiveOn", "effectiveUntil", "imageRef", "imageUrl", "imageDigest", "componentNames", "reference"];
    let mut criterion = VolatileCriterion::default();
    let mut named = false;
    for (key, path, value) in fields(node, path, &KNOWN)? {
        match key {
            "value" => (criterion.value, named) = (value.text(&path)?, true),
            "effectiveOn" => criterion.effective_on = value.text(&path)?,
            "effectiveUntil" => criterion.effective_until = value.text(&path)?,
            "imageRef" => criterion.image_ref = value.text(&path)?,
            "imageUrl" => criterion.image_url = value.text(&path)?,
            "imageDigest" => criterion.image_digest = value.text(&path)?,
            "componentNames" => criterion.component_names = list(value, &path, Node::text)?,
            _ => criterion.reference = value.text(&path)?,
        }
    }
    if named { Ok(criterion) } else { Err(node.wrong_type(path, "a mapping with `value`")) }
}

fn list<T>(node: &Node, path: &str, read: impl Fn(&Node, &str) -> Result<T, YamlError>) -> Result<Vec<T>, YamlError> {
    node.items(path)?.iter().enumerate().map(|(i, item)| read(item, &format!("{path}[{i}]"))).collect()
}

/// The entries of a mapping with the path of each; any other key is fatal.
fn fields<'n>(node: &'n Node, path: &str, keys: &[&'static str]) -> Result<Fields<'n>, YamlError> {
    let prefix = if path.contains(' ') { String::new() } else { format!("{path}.") };
    let field = |(key, value): &'n (Key, Node)| {
        let name = known(key, path, keys)?;
        Ok((name, format!("{prefix}{name}"), value))
    };
    node.entries(path)?.iter().map(field).collect()
}

fn known(key: &Key, within: &str, keys: &[&'static str]) -> Result<&'static str, YamlError> {
    if let Some(name) = keys.iter().find(|name| **name == key.text) {
        return Ok(name);
    }
    let (place, key, within) = (key.place.clone(), key.text.clone(), within.to_owned());
    Err(match spelling::meant(&key, keys) {
        Some(meant) => YamlError::MisspeltKey { place, key, within, meant },
        None => YamlError::UnknownKey { place, key, within, known: keys.join(", ") },
    })
}
