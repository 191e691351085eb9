//! Evidence that came as files (`--evidence`): a Sigstore bundle, a DSSE envelope,
//! or one of them on each line, as `gh attestation download` writes them.
//!
//! A file is bound to an image by its content alone. Nobody vouches for that
//! here; the verifier reads it again (`bundle-spec/evidence.md` §4).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use carnet_bundle::{
    Assembly, Digest, Document, Limits, Reference,
    inventory::{EvidenceEntry, LookResult, Method, Place, Receipt},
    json, media,
};

use crate::{claims, documents, error::ExportError};

/// One file of the operator, taken apart.
pub(crate) struct LooseFile {
    path: PathBuf,
    documents: Vec<Document>,
}

/// Reads the files, before anything is asked of a registry.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<LooseFile>, ExportError> {
    let mut files = Vec::new();
    for path in paths {
        let bytes = documents::read_up_to(path, Limits::default().evidence_size)?;
        let error = |reason: String| ExportError::Loose { path: path.clone(), reason };
        let documents = take_apart(path, bytes).map_err(error)?;
        files.push(LooseFile { path: path.clone(), documents });
    }
    Ok(files)
}

/// Files every document under what it is about, if that was collected.
///
/// # Errors
///
/// A file of which nothing is about any of the images: the operator meant another
/// file or another image.
pub(crate) fn bind(files: Vec<LooseFile>, assembly: &mut Assembly) -> Result<(), ExportError> {
    let repositories = repositories(assembly);
    let mut found: BTreeMap<(Digest, String), u64> = BTreeMap::new();
    let mut carried = BTreeSet::new();
    for file in files {
        let mut about = BTreeSet::new();
        let mut bound = false;
        for document in file.documents {
            let digest = Digest::of(&document.bytes);
            let claimed = claims::subjects(&document.bytes);
            about.extend(claimed.iter().copied());
            let known: Vec<_> = claimed.into_iter().filter_map(|subject| Some((subject, repositories.get(&subject)?))).collect();
            bound |= !known.is_empty();
            if known.is_empty() || !carried.insert(digest) {
                continue;
            }
            for (subject, repository) in known {
                let error = |error: carnet_evidence::LooseError| ExportError::Loose {
                    path: file.path.clone(),
                    reason: error.to_string(),
                };
                let kind = carnet_evidence::from_loose_file(&subject, &document.bytes).map_err(error)?.kind();
                *found.entry((subject, repository.clone())).or_default() += 1;
                assembly.evidence.push(EvidenceEntry {
                    digest,
                    subject,
                    kind,
                    predicate_type: claims::predicate_type(&document.bytes).unwrap_or_default(),
                    found_in: vec![Place { repository: repository.clone(), method: Method::LooseFile, tag: String::new() }],
                });
            }
            assembly.documents.push(document);
        }
        if !bound {
            let about: Vec<_> = about.iter().map(ToString::to_string).collect();
            let about = if about.is_empty() { "nothing that it names".to_owned() } else { about.join(", ") };
            let reason = format!("it is about {about}, and about none of the images that are exported");
            return Err(ExportError::Loose { path: file.path, reason });
        }
    }
    assembly.receipts.extend(found.into_iter().map(|((subject, repository), found)| Receipt {
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

fn take_apart(path: &Path, bytes: Vec<u8>) -> Result<Vec<Document>, String> {
    let name = path.file_name().map_or_else(|| "evidence".to_owned(), |name| name.to_string_lossy().into_owned());
    let document = |title: String, bytes: Vec<u8>| Document { media_type: media::LOOSE_EVIDENCE.to_owned(), title, bytes };
    let Err(error) = json::parse(&bytes) else {
        refuse_others(&bytes)?;
        return Ok(vec![document(name, bytes)]);
    };
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect();
    if lines.len() < 2 {
        return Err(format!("neither a Sigstore bundle nor a DSSE envelope: {error}"));
    }
    let stem = name.strip_suffix(".jsonl").unwrap_or(&name);
    let mut documents = Vec::new();
    for (n, line) in lines.into_iter().enumerate() {
        refuse_others(line).map_err(|reason| format!("line {}: {reason}", n + 1))?;
        documents.push(document(format!("{stem}-{}.json", n + 1), line.to_vec()));
    }
    Ok(documents)
}

/// Says what a document is that is neither of the two.
fn refuse_others(bytes: &[u8]) -> Result<(), String> {
    let document = json::parse(bytes).map_err(|error| error.to_string())?;
    if document.get("base64Signature").is_some() {
        return Err("a bundle of cosign 1 or 2, which names no image; sign again with --new-bundle-format".to_owned());
    }
    // The subject is asked for later; here any will do.
    carnet_evidence::from_loose_file(&Digest::of(b""), bytes).map(|_| ()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_taken_apart_by_their_lines() {
        let envelope = r#"{"payload":"e30=","payloadType":"t","signatures":[]}"#;
        let titles = |text: &str| -> Result<Vec<String>, String> {
            let documents = take_apart(Path::new("a/b.jsonl"), text.as_bytes().to_vec())?;
            Ok(documents.into_iter().map(|document| document.title).collect())
        };
        assert_eq!(titles(envelope).unwrap(), ["b.jsonl"]);
        assert_eq!(titles(&format!("{envelope}\n{envelope}\n\n")).unwrap(), ["b-1.json", "b-2.json"]);
        for (text, reason) in [
            ("", "neither"),
            ("not json", "neither"),
            ("{}", "neither"),
            (r#"{"base64Signature":"x","cert":"y"}"#, "cosign 1 or 2"),
            (&format!("{envelope}\nnot json"), "line 2"),
        ] {
            assert!(titles(text).unwrap_err().contains(reason), "{text}");
        }
    }
}
