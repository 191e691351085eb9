//! V7.3, V7.4, V9.5, V10, V11: who signed, and whether that counts.

use jiff::Timestamp;

use super::Judgement;
use crate::{
    certificate::{Certificate, CertificateError},
    chain::{self, NoPath},
    codes,
    identity::Identity,
    public_key::{KeyError, PublicKey},
    rules::Signer,
    sct,
    signed::{Material, Refusal},
    trust_root::Window,
};

impl Judgement<'_> {
    /// The key that the signature has to verify under: from the operator, or from
    /// a certificate that is judged later.
    pub(super) fn signing_key(&mut self) -> Option<PublicKey> {
        match (&self.verifier.rules.signer, &self.signed.material) {
            (Signer::Key(key), Material::Key { .. }) => Some(key.clone()),
            (Signer::Key(_), Material::Certificate { .. }) => {
                self.refuse(Refusal::new(&codes::SIGNER_KIND_MISMATCH, "signed with a certificate, the rules ask for a key"));
                None
            }
            (Signer::Identities(_), Material::Key { .. }) => {
                self.refuse(Refusal::new(
                    &codes::SIGNER_KIND_MISMATCH,
                    "no certificate: signed with a key, the rules ask for an identity",
                ));
                None
            }
            (Signer::Identities(_), Material::Certificate { leaf, chain }) => {
                let (leaf, chain) = (leaf.clone(), chain.clone());
                self.read_certificates(&leaf, chain)
            }
        }
    }

    fn read_certificates(&mut self, leaf: &[u8], chain: Vec<Vec<u8>>) -> Option<PublicKey> {
        for der in chain {
            match Certificate::parse(&der) {
                Ok(cert) if cert.is_self_issued() => {
                    let message = format!("self-signed certificate {:?} left out of the path", cert.subject());
                    self.notes.push(Refusal::new(&codes::ROOT_CERTIFICATE_DROPPED, message));
                }
                Ok(_) => self.chain.push(der),
                Err(e) => self.refuse(certificate_refusal(&e)),
            }
        }
        match Certificate::parse(leaf) {
            Ok(leaf) => {
                let key = leaf.key().clone();
                self.leaf = Some(leaf);
                Some(key)
            }
            Err(e) => {
                self.refuse(certificate_refusal(&e));
                None
            }
        }
    }

    /// V7.3: the operator's key, at every verified time.
    pub(super) fn check_key_window(&mut self) {
        let window = self.verifier.rules.key_window;
        if self.leaf.is_some() || window == Window::OPEN || !matches!(self.verifier.rules.signer, Signer::Key(_)) {
            return;
        }
        let outside = self.times.iter().find(|time| !window.contains(time.time));
        let message = match outside {
            Some(time) => format!("signed at {}, the key is trusted {window}", time.time),
            None if self.times.is_empty() => format!("no verified time, and the key is trusted only {window}"),
            None => return,
        };
        self.refuse(Refusal::new(&codes::KEY_NOT_VALID_AT_SIGNING, message));
    }

    /// V9.5, V10: the path and the SCT, at every verified time.
    pub(super) fn check_certificate(&mut self) {
        let Some(leaf) = self.leaf.clone() else { return };
        let have = self.time_keys.len();
        let wanted = self.verifier.rules.time_threshold;
        // A log entry or timestamp that was refused has said why there is no time.
        let explained =
            self.refusals.iter().any(|refusal| refusal.code.step.starts_with("V8") || refusal.code.step.starts_with("V9"));
        if have < wanted && !explained {
            let message = format!("{have} sources say when it was signed, {wanted} wanted");
            self.refuse(Refusal::new(&codes::NO_VERIFIED_TIME, message));
        }
        let times: Vec<Timestamp> = self.times.iter().map(|time| time.time).collect();
        for time in times {
            match chain::find_path(&leaf, &self.chain, self.verifier.root.authorities(), chain::CODE_SIGNING, time) {
                Ok(path) => self.path = Some(path),
                Err(reason) => {
                    self.refuse(path_refusal(reason));
                    return;
                }
            }
        }
        self.check_sct(&leaf);
    }

    fn check_sct(&mut self, leaf: &Certificate) {
        let threshold = self.verifier.rules.sct_threshold;
        let Some(path) = self.path.clone() else { return };
        match sct::verify(leaf, &path.issuer_spki, self.verifier.root.ct_logs(), threshold) {
            Ok((found, scts)) => {
                self.certificate_logs = found;
                self.scts = scts;
            }
            // Not asked for: an SCT that is there and wrong is only said.
            Err(refusal) if threshold == 0 => self.notes.push(refusal),
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// V11: the certificate is that of a signer the operator asked for.
    pub(super) fn check_identity(&mut self) {
        let (Some(leaf), Signer::Identities(identities)) = (&self.leaf, &self.verifier.rules.signer) else { return };
        let (subject, issuer) = match (leaf.subject_name(), leaf.oidc_issuer()) {
            (Ok(subject), Ok(issuer)) => {
                let issuer = issuer.or_else(|| self.verifier.rules.issuer_where_absent.clone());
                (subject.value, issuer.unwrap_or_default())
            }
            (Err(e), _) | (_, Err(e)) => return self.refuse(certificate_refusal(&e)),
        };
        if identities.iter().any(|identity| identity.accepts_subject(&subject) && identity.accepts_issuer(&issuer)) {
            return self.check_extensions();
        }
        let by_subject: Vec<_> = identities.iter().filter(|identity| identity.accepts_subject(&subject)).collect();
        let (code, wanted): (_, Vec<_>) = if by_subject.is_empty() {
            (&codes::IDENTITY_MISMATCH, identities.iter().map(Identity::wanted_subject).collect())
        } else {
            (&codes::ISSUER_MISMATCH, by_subject.iter().map(|identity| identity.wanted_issuer()).collect())
        };
        // The words up to the semicolon are cosign's, which reports are searched for.
        let found = format!("got subjects [{subject}] with issuer {issuer}");
        let field = if by_subject.is_empty() { "subject" } else { "issuer" };
        let message = format!(
            "none of the expected identities matched what was in the certificate, {found}; want {field} {}",
            wanted.join(" or ")
        );
        let refusal = Refusal::new(code, message);
        self.refuse(refusal);
    }

    /// V11.5: what else the trust policy asks of the certificate.
    fn check_extensions(&mut self) {
        let Some(leaf) = &self.leaf else { return };
        let found = match leaf.fulcio_extensions() {
            Ok(found) => found,
            Err(e) => return self.refuse(certificate_refusal(&e)),
        };
        let differs = |(number, want): &(&u32, &String)| found.get(number) != Some(want);
        if let Some((number, want)) = self.verifier.rules.extensions.iter().find(differs) {
            let have = found.get(number).map_or("absent".to_owned(), |have| format!("{have:?}"));
            let message = format!("certificate extension mismatch: extension {number} is {have}, want {want:?}");
            self.refuse(Refusal::new(&codes::CERTIFICATE_EXTENSION_MISMATCH, message));
        }
    }
}

fn certificate_refusal(error: &CertificateError) -> Refusal {
    let code = match error {
        CertificateError::Key(KeyError::Unsupported(_)) => &codes::UNSUPPORTED_ALGORITHM,
        _ => &codes::CERTIFICATE_MALFORMED,
    };
    Refusal::new(code, error.to_string())
}

fn path_refusal(reason: NoPath) -> Refusal {
    match reason {
        NoPath::AuthorityTime(reason) => Refusal::new(&codes::CERTIFICATE_AUTHORITY_NOT_VALID_AT_SIGNING, reason),
        NoPath::LeafTime(reason) => Refusal::new(&codes::CERTIFICATE_EXPIRED_AT_SIGNING, reason),
        NoPath::Unsupported(reason) => Refusal::new(&codes::UNSUPPORTED_ALGORITHM, reason),
        NoPath::Untrusted(reason) => Refusal::new(&codes::CERTIFICATE_CHAIN_UNTRUSTED, reason),
    }
}
