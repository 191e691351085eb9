//! Attachments: evidence about the bundle itself that is added later
//! (`bundle-spec/bundle.md` §7).
//!
//! An attachment is an OCI referrer of the bundle index. It is read strictly and
//! judged by the verifier; here it is only a shape with the right digests.

use std::{fmt, sync::Arc};

use serde_json::{Value, json};

use crate::{
    codes,
    container::{BLOCK, Container, ContainerError, INDEX_MEMBER, Keep, LAYOUT_MEMBER, Names, blob_name, header, padding},
    derive::{self, OCI_LAYOUT},
    digest::Digest,
    finding::{Code, Finding},
    json::{self as strict, JsonError},
    manifest::{Descriptor, Manifest, ManifestError},
    media,
    tree::{Part, Visitor, Walk, count},
};

/// Attachments that a bundle may have.
pub const MAX_ATTACHMENTS: usize = 64;
/// Bytes of the payload of one attachment.
pub const MAX_ATTACHMENT_SIZE: u64 = 16 * 1024 * 1024;
/// Bytes of its manifest: what registries guarantee.
const MAX_MANIFEST_SIZE: u64 = 4 * 1024 * 1024;
/// `artifactType` of an attached timestamp over the bundle index.
pub const TIMESTAMP: &str = "application/vnd.carnet.timestamp.v0";

const SIGSTORE_BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The other spelling of the same media type, inside of bundles only.
const SIGSTORE_BUNDLE_OLD: &str = "application/vnd.dev.sigstore.bundle+json;version=0.3";
/// Layer of an attached timestamp: a TimeStampResp (RFC 3161 §3.4).
const TIMESTAMP_REPLY: &str = "application/timestamp-reply";
/// DER of a sequence.
const SEQUENCE: u8 = 0x30;

/// The closed list of what can be attached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AttachmentKind {
    /// A DSSE envelope around an in-toto statement, such as a verification summary.
    Dsse,
    /// A Sigstore bundle of version 0.3.
    SigstoreBundle,
    /// An RFC 3161 response over the bundle index.
    Timestamp,
}

/// One attachment, whose bytes have the digests that name them.
#[derive(Clone, Debug)]
pub struct Attachment {
    kind: AttachmentKind,
    entry: Descriptor,
    subject: Descriptor,
    manifest: Arc<[u8]>,
    layer: Descriptor,
    payload: Arc<[u8]>,
}

/// Why something is no attachment of a bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachmentError {
    /// A detached attachment whose container cannot be read.
    #[error("not a detached attachment: {0}")]
    Container(#[from] ContainerError),
    /// A manifest that could not be written.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// More or larger than a bundle may have.
    #[error("{what} exceeds the limit of {bound}")]
    Limit {
        /// What was counted.
        what: &'static str,
        /// The bound.
        bound: u64,
    },
    /// Not of the one form.
    #[error("{0}")]
    Malformed(String),
    /// A manifest that cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Evidence about something else.
    #[error("subject mismatch: got {got}, want the bundle {want}")]
    Subject {
        /// What it is about.
        got: String,
        /// The bundle id.
        want: Digest,
    },
    /// Not on the closed list.
    #[error("artifactType {0:?} is not one that can be attached")]
    Unlisted(String),
}

impl AttachmentKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Dsse, Self::SigstoreBundle, Self::Timestamp];

    /// `artifactType` of the attachment's manifest.
    pub fn artifact_type(self) -> &'static str {
        match self {
            Self::Dsse => media::IN_TOTO,
            Self::SigstoreBundle => SIGSTORE_BUNDLE,
            Self::Timestamp => TIMESTAMP,
        }
    }

    /// Says what a file is that somebody wants to attach.
    ///
    /// # Errors
    ///
    /// Returns [`AttachmentError::Malformed`] for a file of no kind of the list.
    pub fn of_file(bytes: &[u8]) -> Result<Self, AttachmentError> {
        if is_timestamp_reply(bytes) {
            return Ok(Self::Timestamp);
        }
        let malformed = |reason: &str| Err(AttachmentError::Malformed(reason.to_owned()));
        let Ok(value) = strict::parse(bytes) else {
            return malformed("neither a Sigstore bundle, a DSSE envelope nor an RFC 3161 response");
        };
        let has = |key: &str| value.get(key).is_some();
        match value.get("mediaType").and_then(Value::as_str) {
            Some(SIGSTORE_BUNDLE | SIGSTORE_BUNDLE_OLD) => Ok(Self::SigstoreBundle),
            Some(other) if other.starts_with(media::SIGSTORE_BUNDLE_PREFIX) => {
                Err(AttachmentError::Malformed(format!("a Sigstore bundle of another version than 0.3: {other:?}")))
            }
            _ if has("payload") && has("payloadType") && has("signatures") => Ok(Self::Dsse),
            _ if has("base64Signature") => malformed("a bundle of cosign's old form: sign with --new-bundle-format"),
            _ => malformed("JSON that is neither a Sigstore bundle nor a DSSE envelope"),
        }
    }

    fn listed(artifact_type: Option<&str>) -> Result<Self, AttachmentError> {
        let name = artifact_type.unwrap_or_default();
        let found = Self::ALL.into_iter().find(|kind| kind.artifact_type() == name);
        found.ok_or_else(|| AttachmentError::Unlisted(name.to_owned()))
    }

    fn layer_type(self) -> &'static str {
        match self {
            Self::Dsse => media::DSSE_ENVELOPE,
            Self::SigstoreBundle => SIGSTORE_BUNDLE,
            Self::Timestamp => TIMESTAMP_REPLY,
        }
    }
}

impl fmt::Display for AttachmentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dsse => "DSSE envelope",
            Self::SigstoreBundle => "Sigstore bundle",
            Self::Timestamp => "RFC 3161 timestamp",
        })
    }
}

impl AttachmentError {
    /// The code under which the error is reported.
    pub fn code(&self) -> &'static Code {
        match self {
            Self::Container(ContainerError::Limit { .. }) | Self::Limit { .. } => &codes::ATTACHMENT_LIMIT_EXCEEDED,
            Self::Subject { .. } => &codes::ATTACHMENT_SUBJECT_MISMATCH,
            Self::Container(_) | Self::Json(_) | Self::Malformed(_) | Self::Manifest(_) | Self::Unlisted(_) => {
                &codes::ATTACHMENT_MALFORMED
            }
        }
    }

    /// The error as a finding about `subject`, a digest or a file.
    pub fn finding(&self, subject: impl ToString) -> Finding {
        Finding::new(self.code(), subject, self.to_string())
    }
}

impl Attachment {
    /// Makes an attachment of a file, about the bundle whose index is `bundle`.
    ///
    /// # Errors
    ///
    /// Returns an [`AttachmentError`] for a file of no kind of the closed list, or
    /// one that is too large.
    pub fn new(bundle: &Descriptor, payload: Vec<u8>) -> Result<Self, AttachmentError> {
        bound("bytes of an attachment", count(payload.len()), MAX_ATTACHMENT_SIZE)?;
        let kind = AttachmentKind::of_file(&payload)?;
        let layer = Descriptor::of(kind.layer_type(), &payload);
        let manifest = strict::canonical(&json!({
            "schemaVersion": 2,
            "mediaType": media::OCI_MANIFEST,
            "artifactType": kind.artifact_type(),
            "config": derive::plain(&derive::empty_config()),
            "layers": [derive::plain(&layer)],
            "subject": derive::plain(bundle),
        }))?;
        let entry =
            Descriptor { artifact_type: Some(kind.artifact_type().to_owned()), ..Descriptor::of(media::OCI_MANIFEST, &manifest) };
        Ok(Self { kind, entry, subject: bundle.clone(), manifest: manifest.into(), layer, payload: payload.into() })
    }

    /// Reads the detached form: a canonical tar of the attachment's own closure.
    /// With `bundle`, it has to be about that bundle.
    ///
    /// # Errors
    ///
    /// Returns an [`AttachmentError`] for anything but the one form.
    pub fn from_detached(container: &mut dyn Container, bundle: Option<&Descriptor>) -> Result<Self, AttachmentError> {
        let layout = member(container, LAYOUT_MEMBER)?;
        let index_json = member(container, INDEX_MEMBER)?;
        let index = Manifest::parse(&index_json, media::OCI_INDEX)?;
        let [entry] = index.children() else {
            return Err(AttachmentError::Malformed(format!("{INDEX_MEMBER} has {} entries, want one", index.children().len())));
        };
        let entry = Descriptor { annotations: Default::default(), ..entry.clone() };
        AttachmentKind::listed(entry.artifact_type.as_deref())?;
        if layout != OCI_LAYOUT || index_json != derive::detached_index(&entry)? {
            return Err(AttachmentError::Malformed("oci-layout and index.json are not of the one form".to_owned()));
        }
        let manifest = blob(container, &entry)?;
        let shape = Shape::of(&entry, &manifest, bundle)?;
        blob(container, &shape.config)?;
        let payload = blob(container, &shape.layer)?;
        let attachment = shape.filled(entry, manifest.into(), payload.into());
        let want: Vec<String> = attachment.detached_members().into_iter().map(|(name, _)| name).collect();
        let (Names::Ordered(got) | Names::Unordered(got)) = container.finish()?;
        if got != want {
            return Err(AttachmentError::Malformed("other members than the attachment's own, or in another order".to_owned()));
        }
        Ok(attachment)
    }

    /// Writes the detached form.
    ///
    /// # Errors
    ///
    /// None in practice; serialisation is fallible.
    pub fn to_detached(&self) -> Result<Vec<u8>, AttachmentError> {
        let index_json = derive::detached_index(&self.entry)?;
        let mut archive = Vec::new();
        for (name, content) in self.detached_members() {
            let data = content.unwrap_or(&index_json);
            archive.extend_from_slice(&header(&name, count(data.len())));
            archive.extend_from_slice(data);
            let fill = usize::try_from(padding(count(data.len()))).unwrap_or_default();
            archive.resize(archive.len() + fill, 0);
        }
        archive.resize(archive.len() + 2 * BLOCK, 0);
        Ok(archive)
    }

    /// Names in their order; `None` stands for `index.json`.
    fn detached_members(&self) -> Vec<(String, Option<&[u8]>)> {
        let mut members: Vec<(String, Option<&[u8]>)> =
            vec![(LAYOUT_MEMBER.to_owned(), Some(OCI_LAYOUT)), (INDEX_MEMBER.to_owned(), None)];
        for (digest, bytes) in self.blobs() {
            members.push((blob_name(&digest), Some(bytes)));
        }
        members
    }

    /// Digest of its manifest: how it is named.
    pub fn digest(&self) -> Digest {
        self.entry.digest
    }

    /// What it is.
    pub fn kind(&self) -> AttachmentKind {
        self.kind
    }

    /// The bundle that its manifest names.
    pub fn subject(&self) -> Digest {
        self.subject.digest
    }

    /// The evidence itself.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The entry of `index.json`.
    pub(crate) fn entry(&self) -> &Descriptor {
        &self.entry
    }

    /// The payload's descriptor.
    pub(crate) fn layer(&self) -> &Descriptor {
        &self.layer
    }

    /// Manifest, config, payload: in the order of the walk.
    pub(crate) fn blobs(&self) -> [(Digest, &[u8]); 3] {
        let config = derive::empty_config().digest;
        [(self.entry.digest, &self.manifest), (config, media::EMPTY_JSON), (self.layer.digest, &self.payload)]
    }
}

/// Entries of `index.json` that stand for attachments: those with an artifactType,
/// which nothing but the bundle index has.
pub(crate) fn entries(index: &Manifest, bundle: &Descriptor) -> Vec<Descriptor> {
    let others = index.children().iter().filter(|entry| entry.artifact_type.is_some() && entry.digest != bundle.digest);
    others.cloned().collect()
}

/// Visits the attachments that `entries` list. What is wrong with one is said
/// beside those that are in order, and nothing that it names is followed.
pub(crate) fn visit<V: Visitor>(
    walk: &mut Walk<'_, V>,
    bundle: &Descriptor,
    entries: &[Descriptor],
) -> Result<(Vec<Attachment>, Vec<Finding>), V::Error> {
    let (mut attachments, mut findings) = (Vec::new(), Vec::new());
    for (at, entry) in entries.iter().enumerate() {
        let first = match check_entry(at, entry) {
            Ok(()) => held(walk, entry, Part::Manifest)?,
            Err(error) => {
                findings.push(error.finding(entry.digest));
                continue;
            }
        };
        // What is not there or has another digest was said by the visitor.
        let Some(manifest) = first else { continue };
        match Shape::of(entry, &manifest, Some(bundle)) {
            Err(error) => findings.push(error.finding(entry.digest)),
            Ok(shape) => {
                held(walk, &shape.config, Part::Payload)?;
                if let Some(payload) = held(walk, &shape.layer, Part::Payload)? {
                    attachments.push(shape.filled(entry.clone(), manifest, payload));
                }
            }
        }
    }
    Ok((attachments, findings))
}

fn held<V: Visitor>(walk: &mut Walk<'_, V>, descriptor: &Descriptor, part: Part) -> Result<Option<Arc<[u8]>>, V::Error> {
    let first = walk.once(descriptor, part)?;
    Ok(first.or_else(|| walk.visitor.held(&descriptor.digest)))
}

fn check_entry(at: usize, entry: &Descriptor) -> Result<(), AttachmentError> {
    if at >= MAX_ATTACHMENTS {
        return Err(AttachmentError::Limit { what: "attachments", bound: count(MAX_ATTACHMENTS) });
    }
    AttachmentKind::listed(entry.artifact_type.as_deref())?;
    bound("bytes of the manifest of an attachment", entry.size, MAX_MANIFEST_SIZE)
}

/// What the manifest of an attachment says.
struct Shape {
    kind: AttachmentKind,
    subject: Descriptor,
    config: Descriptor,
    layer: Descriptor,
}

impl Shape {
    fn of(entry: &Descriptor, manifest: &[u8], bundle: Option<&Descriptor>) -> Result<Self, AttachmentError> {
        let malformed = |reason: &str| Err(AttachmentError::Malformed(reason.to_owned()));
        if entry.media_type != media::OCI_MANIFEST {
            return malformed("its manifest is not an OCI image manifest");
        }
        let manifest = Manifest::parse(manifest, &entry.media_type)?;
        let kind = AttachmentKind::listed(manifest.artifact_type.as_deref())?;
        if entry.artifact_type != manifest.artifact_type {
            return malformed("index.json gives it another artifactType than its manifest has");
        }
        let Some(subject) = manifest.subject.clone() else { return malformed("its manifest has no subject") };
        if let Some(bundle) = bundle {
            if subject.digest != bundle.digest {
                return Err(AttachmentError::Subject { got: subject.digest.to_string(), want: bundle.digest });
            }
            if (subject.size, &subject.media_type) != (bundle.size, &bundle.media_type) {
                return malformed("its subject has not the size and media type of the bundle index");
            }
        }
        let empty = derive::empty_config();
        let config = match manifest.config() {
            Some(config) if (config.digest, config.size) == (empty.digest, empty.size) => config.clone(),
            _ => return malformed("its config is not the empty one"),
        };
        let [layer] = manifest.layers() else { return malformed("its manifest has not exactly one layer") };
        if layer.media_type != kind.layer_type() {
            return malformed(&format!("its layer is {:?}, want {:?}", layer.media_type, kind.layer_type()));
        }
        bound("bytes of an attachment", layer.size, MAX_ATTACHMENT_SIZE)?;
        Ok(Self { kind, subject, config, layer: layer.clone() })
    }

    fn filled(self, entry: Descriptor, manifest: Arc<[u8]>, payload: Arc<[u8]>) -> Attachment {
        let Self { kind, subject, layer, .. } = self;
        Attachment { kind, entry, subject, manifest, layer, payload }
    }
}

fn bound(what: &'static str, size: u64, bound: u64) -> Result<(), AttachmentError> {
    match size > bound {
        true => Err(AttachmentError::Limit { what, bound }),
        false => Ok(()),
    }
}

fn member(container: &mut dyn Container, name: &str) -> Result<Vec<u8>, AttachmentError> {
    let member = container.member(name, Keep::Bytes(MAX_ATTACHMENT_SIZE))?;
    let bytes = member.and_then(|member| member.bytes);
    bytes.ok_or_else(|| AttachmentError::Malformed(format!("there is no {name} in its place")))
}

fn blob(container: &mut dyn Container, descriptor: &Descriptor) -> Result<Vec<u8>, AttachmentError> {
    let bytes = member(container, &blob_name(&descriptor.digest))?;
    let got = Digest::of(&bytes);
    if got != descriptor.digest || count(bytes.len()) != descriptor.size {
        let (length, want, size) = (bytes.len(), descriptor.digest, descriptor.size);
        let message = format!("digest mismatch: got {got} ({length} bytes), want {want} ({size} bytes)");
        return Err(AttachmentError::Malformed(message));
    }
    Ok(bytes)
}

/// A sequence over all bytes that begins with a sequence, as a TimeStampResp does.
/// Whether it is one, the verifier finds out.
fn is_timestamp_reply(bytes: &[u8]) -> bool {
    let [SEQUENCE, first, rest @ ..] = bytes else { return false };
    let (length, content) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let Some((length, content)) = rest.split_at_checked(usize::from(long - 0x80)) else { return false };
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), content)
        }
        _ => return false,
    };
    length == content.len() && content.first() == Some(&SEQUENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_content_says() {
        let bundle = br#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}"#.as_slice();
        let envelope = br#"{"payload":"","payloadType":"","signatures":[]}"#.as_slice();
        for (bytes, kind) in [
            (bundle, AttachmentKind::SigstoreBundle),
            (envelope, AttachmentKind::Dsse),
            (&[0x30, 2, 0x30, 0], AttachmentKind::Timestamp),
            (&[0x30, 0x81, 2, 0x30, 0], AttachmentKind::Timestamp),
        ] {
            assert_eq!(AttachmentKind::of_file(bytes).unwrap(), kind);
        }
        for bytes in [
            b"".as_slice(),
            b"{}",
            b"[]",
            b"text",
            &[0x30],
            &[0x30, 3, 0x30, 0],
            &[0x30, 2, 2, 0],
            &[0x30, 0x85, 0, 0, 0, 0, 2, 0x30, 0],
            br#"{"base64Signature":""}"#,
            br#"{"mediaType":"application/vnd.dev.sigstore.bundle+json;version=0.1"}"#,
            br#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","mediaType":""}"#,
        ] {
            let error = AttachmentKind::of_file(bytes).unwrap_err();
            assert_eq!(error.code().name, "attachment-malformed", "{bytes:?}");
        }
    }
}
