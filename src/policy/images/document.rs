//! One document: a snapshot spec, bare or under `spec`.

use carnet_bundle::Finding;

use super::{Component, Document, Git, Images, ImagesError, Source};
use crate::{
    codes, spelling,
    yaml::{self, Key, Node, Reading, YamlError},
};

const WRAPPER: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
const SPEC: [&str; 5] = ["application", "displayName", "displayDescription", "components", "artifacts"];
const COMPONENT: [&str; 3] = ["name", "containerImage", "source"];
const SOURCE: [&str; 1] = ["git"];
const GIT: [&str; 5] = ["url", "revision", "context", "devfileUrl", "dockerfileUrl"];

/// Reads `document` into `images`.
pub(super) fn read(document: &Document<'_>, reading: Reading, images: &mut Images) -> Result<(), ImagesError> {
    let root = yaml::parse(document.bytes, document.file, reading)?;
    let mut reader = Reader { reading, images };
    let wrapped = match reading {
        Reading::Strict => reader.wrapper(&root)?,
        Reading::Conforma => {
            let entries = root.entries("the list of images")?;
            entries.iter().find(|(key, node)| key.text.eq_ignore_ascii_case("spec") && !node.is_null()).map(|(_, node)| node)
        }
    };
    reader.spec(wrapped.unwrap_or(&root), wrapped.is_none())
}

struct Reader<'a> {
    reading: Reading,
    images: &'a mut Images,
}

impl Reader<'_> {
    /// The value of `spec`, if the document has one.
    fn wrapper<'n>(&mut self, root: &'n Node) -> Result<Option<&'n Node>, ImagesError> {
        let entries = root.entries("the list of images")?;
        let Some((_, spec)) = entries.iter().find(|(key, node)| key.text == "spec" && !node.is_null()) else {
            return Ok(None);
        };
        for (key, _) in entries {
            if SPEC.contains(&key.text.as_str()) {
                return Err(ImagesError::BothShapes { place: key.place.clone(), key: key.text.clone() });
            }
            if !WRAPPER.contains(&key.text.as_str()) {
                self.unknown(key, "the document", &[&WRAPPER[..], &SPEC[..]].concat())?;
            }
        }
        Ok(Some(spec))
    }

    fn spec(&mut self, node: &Node, bare: bool) -> Result<(), ImagesError> {
        let known = if bare { [&SPEC[..], &WRAPPER[..]].concat() } else { SPEC.to_vec() };
        for (key, value) in self.fields(node, "the list of images", &known)? {
            match key {
                "application" => first(&mut self.images.application, text(value, "application")?),
                "displayName" => first(&mut self.images.display_name, text(value, "displayName")?),
                "displayDescription" => first(&mut self.images.display_description, text(value, "displayDescription")?),
                "components" if !value.is_null() => {
                    for (i, item) in value.items("components")?.iter().enumerate() {
                        let component = self.component(item, i)?;
                        self.images.add(component);
                    }
                }
                "artifacts" if !value.is_null() => {
                    value.entries("artifacts")?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn component(&mut self, node: &Node, index: usize) -> Result<Component, ImagesError> {
        let path = format!("components[{index}]");
        let (mut name, mut image, mut source) = (String::new(), None, Source::default());
        for (key, value) in self.fields(node, &path, &COMPONENT)? {
            match key {
                // A name is only shown and compared with names, so Conforma's is kept.
                "name" => name = value.verbatim(&format!("{path}.name"))?.as_conforma_text(),
                "containerImage" if !value.is_null() => image = Some((text(value, &format!("{path}.containerImage"))?, value)),
                "source" if !value.is_null() => source = self.source(value, &format!("{path}.source"))?,
                _ => {}
            }
        }
        let Some((image, at)) = image.filter(|(image, _)| !image.is_empty()) else {
            return Err(ImagesError::NoContainerImage { place: node.place.clone(), name });
        };
        match image.parse() {
            Ok(reference) => Ok(Component { name, container_image: image, reference, source }),
            Err(e) => Err(ImagesError::Reference { place: at.place.to_string(), image, name, source: Box::new(e) }),
        }
    }

    fn source(&mut self, node: &Node, path: &str) -> Result<Source, ImagesError> {
        let mut source = Source::default();
        for (_, value) in self.fields(node, path, &SOURCE)? {
            if !value.is_null() {
                source.git = Some(self.git(value, &format!("{path}.git"))?);
            }
        }
        Ok(source)
    }

    fn git(&mut self, node: &Node, path: &str) -> Result<Git, ImagesError> {
        let mut git = Git::default();
        for (key, value) in self.fields(node, path, &GIT)? {
            let field = format!("{path}.{key}");
            let value = match self.reading {
                Reading::Strict => text(value, &field)?,
                // Conforma fails on an unquoted number here.
                Reading::Conforma if value.is_null() => String::new(),
                Reading::Conforma => value.text(&field)?,
            };
            match key {
                "url" => git.url = value,
                "revision" => git.revision = value,
                "context" => git.context = value,
                "devfileUrl" => git.devfile_url = value,
                _ => git.dockerfile_url = value,
            }
        }
        Ok(git)
    }

    /// The known fields of a mapping, under their known names.
    fn fields<'n>(
        &mut self,
        node: &'n Node,
        path: &str,
        known: &[&'static str],
    ) -> Result<Vec<(&'static str, &'n Node)>, YamlError> {
        let mut fields = Vec::new();
        for (key, value) in self.ordered(node.entries(path)?) {
            let same = |name: &&&str| match self.reading {
                Reading::Strict => **name == key.text,
                Reading::Conforma => name.eq_ignore_ascii_case(&key.text),
            };
            match known.iter().find(same) {
                Some(name) => fields.push((*name, value)),
                None => self.unknown(key, path, known)?,
            }
        }
        Ok(fields)
    }

    /// Go decodes the members of an object in sorted order, so of `NAME` and
    /// `name` the later one wins.
    fn ordered<'n>(&self, entries: &'n [(Key, Node)]) -> Vec<(&'n Key, &'n Node)> {
        let mut entries: Vec<_> = entries.iter().map(|(key, node)| (key, node)).collect();
        if self.reading == Reading::Conforma {
            entries.sort_by(|(a, _), (b, _)| a.text.cmp(&b.text));
        }
        entries
    }

    /// A typo is an error; any other unknown key is worth a warning, for real
    /// files carry keys of other tools.
    fn unknown(&mut self, key: &Key, within: &str, known: &[&'static str]) -> Result<(), YamlError> {
        let meant = spelling::meant(&key.text, known);
        if let Some(meant) = meant.filter(|_| self.reading == Reading::Strict) {
            return Err(YamlError::MisspeltKey {
                place: key.place.clone(),
                key: key.text.clone(),
                within: within.to_owned(),
                meant,
            });
        }
        let message = format!("{}: key {:?} in {within} is not read", key.place, key.text);
        self.images.findings.push(Finding::new(&codes::UNKNOWN_IMAGES_KEY, "", message));
        Ok(())
    }
}

/// The text of a scalar as written; nothing is the empty text.
fn text(node: &Node, field: &str) -> Result<String, YamlError> {
    let scalar = node.verbatim(field)?;
    Ok(if node.is_null() { String::new() } else { scalar.text.clone() })
}

/// Of several documents the first that says something wins.
fn first(field: &mut String, value: String) {
    if field.is_empty() {
        *field = value;
    }
}
