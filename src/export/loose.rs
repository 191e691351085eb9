//! Evidence that came as files (`--evidence`): a Sigstore bundle, a DSSE envelope,
//! one of them on each line, as `gh attestation download` writes them, or what older
//! cosign writes, with the payload that it signed.
//!
//! A file is bound to an image by its content alone. Nobody vouches for that
//! here; the verifier reads it again (`bundle-spec/evidence.md` §4).

mod cosign;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use carnet_bundle::{
    Assembly, Descriptor, Digest, Document, Limits, Reference,
    inventory::{EvidenceEntry, EvidenceKind, LookResult, Method, Place, Receipt},
    json, media,
};
use serde_json::Value;

use crate::{claims, documents, error::ExportError};

/// One file of the operator, taken apart.
pub(crate) struct LooseFile {
    path: PathBuf,
    pieces: Vec<Piece>,
}

enum Piece {
    /// Carried as it is.
    Document(Document),
    /// Carried as the manifest that cosign would have stored.
    Signed(Box<cosign::Signed>),
    /// What a signature in another file is over.
    Payload(Vec<u8>),
}

/// Reads the files, before anything is asked of a registry.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<LooseFile>, ExportError> {
    let mut files = Vec::new();
    for path in paths {
        let bytes = documents::read_up_to(path, Limits::default().evidence_size)?;
        let error = |reason: String| ExportError::Loose { path: path.clone(), reason };
        let pieces = take_apart(path, bytes).map_err(error)?;
        files.push(LooseFile { path: path.clone(), pieces });
    }
    Ok(files)
}

/// Files every piece under what it is about, if that was collected.
///
/// # Errors
///
/// A file of which nothing is about any of the images: the operator meant another
/// file or another image.
pub(crate) fn bind(files: Vec<LooseFile>, assembly: &mut Assembly) -> Result<(), ExportError> {
    let mut given = BTreeMap::new();
    for (path, piece) in files.iter().flat_map(|file| file.pieces.iter().map(move |piece| (&file.path, piece))) {
        if let Piece::Payload(bytes) = piece {
            given.insert(Digest::of(bytes), Given { path: path.clone(), bytes: bytes.clone(), is_used: false });
        }
    }
    let mut binder =
        Binder { repositories: repositories(assembly), given, assembly, found: BTreeMap::new(), carried: BTreeSet::new() };
    for file in files {
        let error = |reason: String| ExportError::Loose { path: file.path.clone(), reason };
        binder.file(file.pieces).map_err(error)?;
    }
    binder.finish()
}

/// Files what is known by what it names.
struct Binder<'a> {
    assembly: &'a mut Assembly,
    /// Everything that evidence may be about, with its repository.
    repositories: BTreeMap<Digest, String>,
    /// Payloads of signatures that came as files.
    given: BTreeMap<Digest, Given>,
    found: BTreeMap<(Digest, String), u64>,
    carried: BTreeSet<Digest>,
}

struct Given {
    path: PathBuf,
    bytes: Vec<u8>,
    is_used: bool,
}

impl Binder<'_> {
    fn file(&mut self, pieces: Vec<Piece>) -> Result<(), String> {
        let mut about = BTreeSet::new();
        let mut bound = false;
        for piece in pieces {
            let claimed = match piece {
                Piece::Document(document) => self.document(document)?,
                Piece::Signed(signed) => match signed.envelope() {
                    Some(envelope) => self.stored(&signed, envelope, claims::subjects(envelope))?,
                    None => {
                        let (subject, payload) = self.payload(&signed)?;
                        self.stored(&signed, &payload, vec![subject])?
                    }
                },
                // Whether it was of use is seen at the end.
                Piece::Payload(_) => return Ok(()),
            };
            bound |= claimed.iter().any(|subject| self.repositories.contains_key(subject));
            about.extend(claimed);
        }
        if bound {
            return Ok(());
        }
        let about: Vec<_> = about.iter().map(ToString::to_string).collect();
        let about = if about.is_empty() { "nothing that it names".to_owned() } else { about.join(", ") };
        Err(format!("it is about {about}, and about none of the images that are exported"))
    }

    /// Carries a document under each known image that it names. Returns all it names.
    fn document(&mut self, document: Document) -> Result<Vec<Digest>, String> {
        let digest = Digest::of(&document.bytes);
        let claimed = claims::subjects(&document.bytes);
        let known = self.known(&claimed);
        if known.is_empty() || !self.carried.insert(digest) {
            return Ok(claimed);
        }
        let predicate_type = claims::predicate_type(&document.bytes).unwrap_or_default();
        for subject in known {
            let kind = carnet_evidence::from_loose_file(&subject, &document.bytes).map_err(|error| error.to_string())?.kind();
            self.note(digest, subject, kind, &predicate_type);
        }
        self.assembly.documents.push(document);
        Ok(claimed)
    }

    /// Carries a manifest for each known image. Returns all that were named.
    fn stored(&mut self, signed: &cosign::Signed, layer: &[u8], claimed: Vec<Digest>) -> Result<Vec<Digest>, String> {
        let predicate_type = claims::predicate_type(layer).unwrap_or_default();
        for subject in self.known(&claimed) {
            let descriptor = self.descriptor(subject).ok_or_else(|| format!("the manifest of {subject} is not collected"))?;
            let stored = signed.store(&descriptor, layer, &predicate_type).map_err(|error| error.to_string())?;
            let manifest = Descriptor::of(media::OCI_MANIFEST, &stored.manifest);
            if !self.carried.insert(manifest.digest) {
                continue;
            }
            self.note(manifest.digest, subject, stored.kind, &predicate_type);
            for bytes in [media::EMPTY_JSON, layer, &stored.manifest] {
                self.assembly.blobs.entry(Digest::of(bytes)).or_insert_with(|| bytes.to_vec());
            }
            if self.assembly.evidence_manifests.iter().all(|known| known.digest != manifest.digest) {
                self.assembly.evidence_manifests.push(manifest);
            }
        }
        Ok(claimed)
    }

    /// What a signature is over, and the image that it names: a payload that was given,
    /// else one that cosign writes. The log entry says which; without one there must be
    /// no choice, and the verifier finds out whether it was the right one.
    fn payload(&mut self, signed: &cosign::Signed) -> Result<(Digest, Vec<u8>), String> {
        let payload = match signed.logged() {
            Some(digest) => self.logged_payload(digest),
            None => self.only_payload(),
        }?;
        if let Some(given) = self.given.get_mut(&Digest::of(&payload)) {
            given.is_used = true;
        }
        let subject = json::parse(&payload).ok().and_then(|document| cosign::payload_subject(&document));
        Ok((subject.ok_or("what it signs names no image")?, payload))
    }

    fn logged_payload(&self, digest: &Digest) -> Result<Vec<u8>, String> {
        if let Some(given) = self.given.get(digest) {
            return Ok(given.bytes.clone());
        }
        let references = self.assembly.subjects.iter().map(|subject| (&subject.digest, &subject.reference));
        let candidates = references.chain(&self.repositories).flat_map(|(image, reference)| cosign::payloads(image, reference));
        candidates.into_iter().find(|payload| Digest::of(payload) == *digest).ok_or_else(|| {
            format!("it signs bytes with the digest {digest}, which are no payload for these images; give them as a file too")
        })
    }

    fn only_payload(&self) -> Result<Vec<u8>, String> {
        let given: Vec<_> = self.given.values().collect();
        match (given.as_slice(), self.assembly.subjects.as_slice()) {
            ([given], _) => Ok(given.bytes.clone()),
            ([], [image]) => Ok(cosign::usual_payload(&image.digest, &image.reference)),
            _ => Err("nothing in it says which of several payloads it signs: no log entry".to_owned()),
        }
    }

    fn known(&self, claimed: &[Digest]) -> Vec<Digest> {
        claimed.iter().filter(|subject| self.repositories.contains_key(subject)).copied().collect()
    }

    fn descriptor(&self, subject: Digest) -> Option<Descriptor> {
        let bytes = self.assembly.blobs.get(&subject)?;
        let document = json::parse(bytes).ok()?;
        let guess = if document.get("manifests").is_some() { media::OCI_INDEX } else { media::OCI_MANIFEST };
        Some(Descriptor::of(document.get("mediaType").and_then(Value::as_str).unwrap_or(guess), bytes))
    }

    fn note(&mut self, digest: Digest, subject: Digest, kind: EvidenceKind, predicate_type: &str) {
        let repository = self.repositories.get(&subject).cloned().unwrap_or_default();
        *self.found.entry((subject, repository.clone())).or_default() += 1;
        self.assembly.evidence.push(EvidenceEntry {
            digest,
            subject,
            kind,
            predicate_type: predicate_type.to_owned(),
            found_in: vec![Place { repository, method: Method::LooseFile, tag: String::new() }],
        });
    }

    fn finish(self) -> Result<(), ExportError> {
        if let Some(given) = self.given.into_values().find(|given| !given.is_used) {
            let reason = "a payload, which none of the signatures that were given is over".to_owned();
            return Err(ExportError::Loose { path: given.path, reason });
        }
        self.assembly.receipts.extend(self.found.into_iter().map(|((subject, repository), found)| Receipt {
            subject,
            repository,
            method: Method::LooseFile,
            result: LookResult::Found,
            found,
            status: None,
            answer: None,
            note: String::new(),
        }));
        Ok(())
    }
}

/// Everything that evidence was looked for, with the repository of the image that
/// it belongs to.
fn repositories(assembly: &Assembly) -> BTreeMap<Digest, String> {
    let mut repositories = BTreeMap::new();
    for subject in &assembly.subjects {
        let repository = subject.reference.parse::<Reference>().map_or_else(|_| subject.reference.clone(), |r| r.name());
        let children = subject.children.iter().map(|child| child.digest);
        for digest in [subject.digest].into_iter().chain(children) {
            repositories.entry(digest).or_insert_with(|| repository.clone());
        }
    }
    for receipt in &assembly.receipts {
        repositories.entry(receipt.subject).or_insert_with(|| receipt.repository.clone());
    }
    // A child that was left out is not in the bundle.
    let absent: BTreeSet<_> = assembly.absent.iter().map(|absence| absence.digest).collect();
    repositories.retain(|digest, _| !absent.contains(digest));
    repositories
}

fn take_apart(path: &Path, bytes: Vec<u8>) -> Result<Vec<Piece>, String> {
    let name = path.file_name().map_or_else(|| "evidence".to_owned(), |name| name.to_string_lossy().into_owned());
    let error = match json::parse(&bytes) {
        Ok(document) => return piece(name, bytes, &document).map(|piece| vec![piece]),
        Err(error) => error,
    };
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect();
    if lines.len() < 2 {
        return Err(format!("neither a Sigstore bundle nor a DSSE envelope: {error}"));
    }
    let stem = name.strip_suffix(".jsonl").unwrap_or(&name);
    let mut pieces = Vec::new();
    for (n, line) in lines.into_iter().enumerate() {
        let document = json::parse(line).map_err(|error| error.to_string());
        let piece = document.and_then(|document| piece(format!("{stem}-{}.json", n + 1), line.to_vec(), &document));
        pieces.push(piece.map_err(|reason| format!("line {}: {reason}", n + 1))?);
    }
    Ok(pieces)
}

/// Says what a document is.
fn piece(title: String, bytes: Vec<u8>, document: &Value) -> Result<Piece, String> {
    if cosign::is_signed(document) {
        return cosign::Signed::parse(document).map(|signed| Piece::Signed(Box::new(signed)));
    }
    if cosign::payload_subject(document).is_some() {
        return Ok(Piece::Payload(bytes));
    }
    // The subject is asked for later; here any will do.
    carnet_evidence::from_loose_file(&Digest::of(b""), &bytes).map_err(|error| error.to_string())?;
    Ok(Piece::Document(Document { media_type: media::LOOSE_EVIDENCE.to_owned(), title, bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_taken_apart_by_their_lines() {
        let envelope = r#"{"payload":"e30=","payloadType":"t","signatures":[]}"#;
        let titles = |text: &str| -> Result<Vec<String>, String> {
            let pieces = take_apart(Path::new("a/b.jsonl"), text.as_bytes().to_vec())?;
            let title = |piece| match piece {
                Piece::Document(document) => document.title,
                Piece::Signed(_) => "signed".to_owned(),
                Piece::Payload(_) => "payload".to_owned(),
            };
            Ok(pieces.into_iter().map(title).collect())
        };
        assert_eq!(titles(envelope).unwrap(), ["b.jsonl"]);
        assert_eq!(titles(&format!("{envelope}\n{envelope}\n\n")).unwrap(), ["b-1.json", "b-2.json"]);
        assert_eq!(titles(r#"{"base64Signature":"eA=="}"#).unwrap(), ["signed"]);
        let payload = cosign::usual_payload(&Digest::of(b""), "r.example/app");
        assert_eq!(titles(&String::from_utf8(payload).unwrap()).unwrap(), ["payload"]);
        for (text, reason) in [
            ("", "neither"),
            ("not json", "neither"),
            ("{}", "neither"),
            (r#"{"base64Signature":"x","cert":"y"}"#, "base64"),
            (&format!("{envelope}\nnot json"), "line 2"),
        ] {
            assert!(titles(text).unwrap_err().contains(reason), "{text}");
        }
    }
}
