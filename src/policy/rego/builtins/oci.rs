//! `ec.oci.*`: what a registry says about images, and what follows from the
//! bytes it hands out.

mod files;
mod manifest;
mod packed;

use std::{collections::BTreeMap, rc::Rc};

use carnet_bundle::{Digest, Reference};
use regorus::Value;

use super::{Answer, Failure, Session, bounds, json, undefined};
use crate::rego::registry::{Answer as Registered, LookupError, Question};

/// Makes an object.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::from(fields.into_iter().map(|(key, value)| (Value::from(key), value)).collect::<BTreeMap<_, _>>())
}

fn reference(value: Option<&Value>) -> Result<Reference, Failure> {
    let Some(Value::String(text)) = value else { return Err(Failure::Undefined("reference must be a string".to_owned())) };
    text.parse().map_err(|e| Failure::Undefined(format!("{e}")))
}

/// A reference with a digest.
fn pinned(value: Option<&Value>) -> Result<(Reference, Digest), Failure> {
    let reference = reference(value)?;
    match reference.digest().copied() {
        Some(digest) => Ok((reference.pinned(digest), digest)),
        None => Err(Failure::Undefined(format!("{reference} has no digest"))),
    }
}

/// What was found; 404 and refusals are undefined, as in Conforma.
fn found<T>(answer: Result<Registered<T>, LookupError>, question: Question) -> Result<T, Failure> {
    match answer.map_err(Failure::Lookup)? {
        Registered::Found(value) => Ok(value),
        Registered::NotFound => Err(Failure::Undefined(format!("{question}: not found"))),
        Registered::Refused(reason) => Err(Failure::Undefined(format!("{question}: {reason}"))),
    }
}

/// The bytes of a blob as the repository serves them.
fn raw(session: &Session, reference: &Reference) -> Result<Rc<Vec<u8>>, Failure> {
    let key = reference.to_string();
    if let Some(bytes) = session.blobs.borrow().get(&key) {
        return Ok(bytes.clone());
    }
    let question = Question::Blob(reference.clone());
    let bytes = Rc::new(found(session.blob(reference), question)?);
    session.blobs.borrow_mut().insert(key, bytes.clone());
    Ok(bytes)
}

/// The content of a layer, unpacked if it is packed.
fn content(session: &Session, reference: &Reference) -> Result<Vec<u8>, Failure> {
    let content = packed::unpacked(&raw(session, reference)?, reference)?;
    if session.take(bounds::size(content.len())) { Ok(content) } else { Err(bounds::memory()) }
}

/// The content, which must have the digest of the reference itself: of a packed
/// layer nothing is returned.
fn checked(args: &[Value], session: &Session) -> Result<Vec<u8>, Failure> {
    let (reference, digest) = pinned(args.first())?;
    let bytes = content(session, &reference)?;
    let got = Digest::of(&bytes);
    if got != digest {
        return Err(Failure::Undefined(format!("{reference}: digest of the content is {got}")));
    }
    Ok(bytes)
}

pub(super) fn blob(args: &[Value], session: &Session) -> Answer {
    Ok(Value::from(String::from_utf8_lossy(&checked(args, session)?).into_owned()))
}

pub(super) fn parsed_blob(args: &[Value], session: &Session) -> Answer {
    json::parse(&checked(args, session)?).map_or_else(undefined, Ok)
}

pub(super) fn blob_files(args: &[Value], session: &Session) -> Answer {
    let (reference, _) = pinned(args.first())?;
    let wanted = files::wanted(args.get(1))?;
    if wanted.is_empty() {
        return Ok(Value::new_object());
    }
    files::of_layer(&content(session, &reference)?, &wanted)
}

pub(super) fn image_files(args: &[Value], session: &Session) -> Answer {
    let (reference, _) = pinned(args.first())?;
    let directories = files::wanted(args.get(1))?;
    if directories.is_empty() {
        return Ok(Value::Null);
    }
    let (reference, manifest) = manifest::image(session, &reference)?;
    let layers = manifest.layers()?.into_iter().map(|digest| content(session, &reference.pinned(digest)));
    files::of_image(layers, &directories)
}

/// The YAML and JSON files directly below `directory` in the image that packed
/// `layers` make, lowest first, as JSON; `None` where a layer cannot be read.
pub(crate) fn files_below(directory: &str, image: &Reference, layers: &[Vec<u8>]) -> Option<BTreeMap<String, serde_json::Value>> {
    let layers = layers.iter().map(|bytes| packed::unpacked(bytes, image));
    let files = files::of_image(layers, &[directory.to_owned()]).ok()?;
    serde_json::from_str(&files.to_json_str().ok()?).ok()
}

pub(super) fn descriptor(args: &[Value], session: &Session) -> Answer {
    let reference = reference(args.first())?;
    let head = found(session.head(&reference), Question::Head(reference))?;
    Ok(manifest::descriptor(&head.media_type, head.size, &head.digest.to_string()))
}

pub(super) fn image_manifest(args: &[Value], session: &Session) -> Answer {
    let reference = reference(args.first())?;
    manifest::image(session, &reference)?.1.value()
}

pub(super) fn image_manifests(args: &[Value], session: &Session) -> Answer {
    let references: Vec<&Value> = match args {
        [Value::Set(items)] => items.iter_sorted().collect(),
        [Value::Array(items)] => items.iter().collect(),
        _ => return undefined("operand must be a set of references"),
    };
    let mut manifests = BTreeMap::new();
    for value in references {
        let manifest = reference(Some(value)).and_then(|reference| manifest::image(session, &reference)?.1.value());
        match manifest {
            Ok(manifest) => drop(manifests.insert(value.clone(), manifest)),
            Err(Failure::Undefined(_)) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(Value::from(manifests))
}

pub(super) fn image_index(args: &[Value], session: &Session) -> Answer {
    let reference = reference(args.first())?;
    manifest::fetch(session, &reference)?.index_value()
}

pub(super) fn image_tag_refs(args: &[Value], session: &Session) -> Answer {
    let reference = reference(args.first())?;
    let digest = match reference.digest().copied() {
        Some(digest) => digest,
        None => found(session.head(&reference), Question::Head(reference.clone()))?.digest,
    };
    let mut existing = Vec::new();
    for suffix in ["sig", "att", "sbom"] {
        let tagged = reference.tagged(format!("sha256-{}.{suffix}", digest.to_hex()));
        if let Registered::Found(_) = session.head(&tagged).map_err(Failure::Lookup)? {
            existing.push(Value::from(tagged.to_string()));
        }
    }
    Ok(Value::from(existing))
}

pub(super) fn image_referrers(args: &[Value], session: &Session) -> Answer {
    let reference = reference(args.first())?;
    let digest = match reference.digest().copied() {
        Some(digest) => digest,
        None => found(session.head(&reference), Question::Head(reference.clone()))?.digest,
    };
    let subject = reference.pinned(digest);
    let referrers = match session.referrers(&subject).map_err(Failure::Lookup)? {
        Registered::Found(referrers) => referrers,
        Registered::NotFound => Vec::new(),
        Registered::Refused(reason) => return undefined(format!("{}: {reason}", Question::Referrers(subject))),
    };
    let values: Vec<Value> = referrers
        .into_iter()
        .map(|referrer| {
            let annotations: BTreeMap<Value, Value> =
                referrer.annotations.into_iter().map(|(key, value)| (Value::from(key), Value::from(value))).collect();
            object([
                ("mediaType", Value::from(referrer.media_type)),
                ("size", Value::from(referrer.size)),
                ("ref", Value::from(format!("{}@{}", subject.name(), referrer.digest))),
                ("digest", Value::from(referrer.digest)),
                ("artifactType", Value::from(referrer.artifact_type)),
                ("annotations", Value::from(annotations)),
            ])
        })
        .collect();
    Ok(Value::from(values))
}
