//! Checkpoints: signed tree heads (c2sp.org/tlog-checkpoint, c2sp.org/signed-note).

use std::collections::BTreeSet;

use crate::{
    budget, codes,
    encoding::base64_standard,
    fields::decimal,
    signature::{self, Hash, Scheme},
    signed::Refusal,
    trust_root::Log,
};

/// A witness: its name and its Ed25519 key (c2sp.org/tlog-cosignature).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Witness {
    name: String,
    id: [u8; 4],
    key: [u8; 32],
}

/// A parsed note: nothing in it is believed before [`Checkpoint::verify`].
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    origin: String,
    pub(crate) size: u64,
    pub(crate) root: [u8; 32],
    /// What is signed: everything up to and with the newline before the blank line.
    body: String,
    signatures: Vec<NoteSignature>,
}

#[derive(Clone, Debug)]
struct NoteSignature {
    name: String,
    /// Four bytes of the key id, then the signature.
    key_hint: [u8; 4],
    signature: Vec<u8>,
}

impl Checkpoint {
    /// Parses the text of a note.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        if text.len() > budget::CHECKPOINT {
            return Err(too_much(format!("{} bytes, at most {}", text.len(), budget::CHECKPOINT)));
        }
        let (body, signatures) = text.split_once("\n\n").ok_or_else(|| invalid("no blank line before signatures"))?;
        let mut lines = body.split('\n');
        let origin = lines.next().filter(|origin| !origin.is_empty()).ok_or_else(|| invalid("no origin"))?;
        let size = lines.next().and_then(decimal).ok_or_else(|| invalid("the second line is not a tree size"))?;
        let root = lines.next().and_then(base64_standard).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let root = root.ok_or_else(|| invalid("the third line is not a root hash"))?;
        let lines: Vec<_> = signatures.split_terminator('\n').collect();
        if lines.is_empty() {
            return Err(invalid("no signature lines"));
        }
        if lines.len() > budget::CHECKPOINT_SIGNATURES {
            return Err(too_much(format!("{} signature lines, at most {}", lines.len(), budget::CHECKPOINT_SIGNATURES)));
        }
        let signatures = lines.into_iter().map(NoteSignature::parse).collect::<Option<_>>();
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
            body: format!("{body}\n"),
            signatures: signatures.ok_or_else(|| invalid("a signature line is not of its shape"))?,
        })
    }

    /// Verifies that `log` signed this tree head, wherever its line stands.
    ///
    /// The key is the one that the trust root lists for the log; name and key hint
    /// in the note only say which line to look at. Lines of others, witnesses for
    /// instance, are passed over; a line in the log's name with the log's hint that
    /// does not verify refuses the whole note unless another one does.
    pub(crate) fn verify(&self, log: &Log) -> Result<(), Refusal> {
        let name = self.log_name();
        if let Some(host) = log.host() {
            let bare = host.split(':').next().unwrap_or_default();
            if name != host && name != bare {
                return Err(invalid(format!("origin mismatch: the note is of {name:?}, the log is {host:?}")));
            }
        }
        let own = |line: &&NoteSignature| line.name == name && log.id.starts_with(&line.key_hint);
        let lines: Vec<_> = self.signatures.iter().filter(own).collect();
        if lines.is_empty() {
            return Err(invalid(format!("no signature line of log {}", log.name())));
        }
        if !lines.iter().any(|line| signature::verify(&log.key, self.body.as_bytes(), &line.signature)) {
            return Err(invalid(format!("the signature of log {} does not verify", log.name())));
        }
        Ok(())
    }

    /// How many of `witnesses` cosigned this tree head.
    pub(crate) fn witnessed_by(&self, witnesses: &[Witness]) -> usize {
        let cosigned = |witness: &&Witness| {
            let own = |line: &&NoteSignature| line.name == witness.name && line.key_hint == witness.id;
            self.signatures.iter().filter(own).any(|line| witness.verify(&self.body, &line.signature))
        };
        witnesses.iter().filter(cosigned).map(|witness| witness.key).collect::<BTreeSet<_>>().len()
    }

    /// Rekor version 1 adds its tree id to the origin: `rekor.sigstore.dev - 1193050959916656506`.
    fn log_name(&self) -> &str {
        match self.origin.split_once(" - ") {
            Some((name, tree)) if !tree.is_empty() && tree.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => &self.origin,
        }
    }
}

impl Witness {
    /// Algorithm byte of Ed25519 cosignatures.
    const COSIGNATURE: u8 = 4;

    /// Reads a verifier key: `name+hex of the key id+base64 of algorithm and key`.
    ///
    /// Returns `None` for another form, another algorithm, and an id that is not the
    /// one of name and key.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('+');
        let (name, id) = (parts.next()?, parts.next()?);
        // Base64 may hold a plus sign itself.
        let key = base64_standard(text.get(name.len() + id.len() + 2..)?)?;
        let (&algorithm, key) = key.split_first()?;
        let key: [u8; 32] = key.try_into().ok()?;
        let digest = Hash::Sha256.of(&[name.as_bytes(), &[b'\n', algorithm], &key].concat());
        let computed: [u8; 4] = digest.get(..4)?.try_into().ok()?;
        let good = !name.is_empty() && algorithm == Self::COSIGNATURE && id == hex::encode(computed);
        good.then(|| Self { name: name.to_owned(), id: computed, key })
    }

    /// A cosignature is a time and a signature over that time and the note.
    fn verify(&self, body: &str, signature: &[u8]) -> bool {
        let Some((time, signature)) = signature.split_first_chunk::<8>() else { return false };
        let message = format!("cosignature/v1\ntime {}\n{body}", u64::from_be_bytes(*time));
        signature::verify_raw(Scheme::Ed25519, &self.key, message.as_bytes(), signature)
    }
}

impl NoteSignature {
    /// `— <name> <base64 of hint and signature>`.
    fn parse(line: &str) -> Option<Self> {
        let (name, text) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let bytes = base64_standard(text)?;
        let (hint, signature) = bytes.split_at_checked(4)?;
        let valid = !name.is_empty() && !name.contains('+') && !signature.is_empty();
        valid.then(|| Self {
            name: name.to_owned(),
            key_hint: hint.try_into().unwrap_or_default(),
            signature: signature.to_vec(),
        })
    }
}

fn too_much(reason: String) -> Refusal {
    Refusal::new(&codes::EVIDENCE_LIMIT_EXCEEDED, format!("checkpoint: {reason}"))
}

fn invalid(reason: impl Into<String>) -> Refusal {
    Refusal::new(&codes::CHECKPOINT_INVALID, format!("checkpoint: {}", reason.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    #[test]
    fn notes_of_another_shape_are_refused() {
        let good = format!("log.example\n7\n{ROOT}\n\n\u{2014} log.example AAAAAAA=\n");
        assert_eq!(Checkpoint::parse(&good).unwrap().size, 7);
        for (from, to) in [
            ("log.example\n7", "\n7"),
            ("\n7\n", "\n07\n"),
            ("\n7\n", "\n-7\n"),
            (ROOT, "AAAA"),
            ("\n\n", "\n"),
            ("\u{2014} ", "- "),
            ("AAAAAAA=", "AAAA"),
        ] {
            let text = good.replacen(from, to, 1);
            assert_ne!(text, good);
            assert!(Checkpoint::parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_tree_id_of_rekor_is_no_part_of_the_name() {
        let note = |origin: &str| Checkpoint::parse(&format!("{origin}\n7\n{ROOT}\n\n\u{2014} a AAAAAAA=\n")).unwrap();
        assert_eq!(note("rekor.sigstore.dev - 42").log_name(), "rekor.sigstore.dev");
        assert_eq!(note("rekor.sigstore.dev - x").log_name(), "rekor.sigstore.dev - x");
        assert_eq!(note("log.example").log_name(), "log.example");
    }
}
