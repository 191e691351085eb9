//! The client of Sigstore's conformance suite: one Sigstore bundle against one
//! artifact, by the same verifier that judges images.
//!
//! `carnet-verify conformance verify-bundle …` speaks the protocol of the suite
//! (<https://github.com/sigstore/sigstore-conformance/blob/main/docs/cli_protocol.md>):
//! status 0 for a good bundle, another one else. It is a test interface and hidden.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use carnet_bundle::{Digest, Finding};
use carnet_evidence::{Identity, PublicKey, Rules, Signer, Subject, TrustRoot, TrustSource, Verifier, from_loose_file};
use clap::Parser;
use jiff::Timestamp;

use crate::error::VerifyError;

/// The words of the protocol.
#[derive(Clone, Debug, Parser)]
#[command(name = "carnet-verify conformance verify-bundle", disable_version_flag = true)]
pub struct ConformanceArgs {
    /// Sigstore bundle
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
    /// Subject of the signing certificate
    #[arg(long, value_name = "NAME", requires = "certificate_oidc_issuer", required_unless_present = "key")]
    certificate_identity: Option<String>,
    /// Issuer of the token behind the signing certificate
    #[arg(long, value_name = "URL", requires = "certificate_identity")]
    certificate_oidc_issuer: Option<String>,
    /// Public key in PEM
    #[arg(long, value_name = "FILE", conflicts_with = "certificate_identity")]
    key: Option<PathBuf>,
    /// Trusted root in place of the built-in public one
    #[arg(long, value_name = "FILE")]
    trusted_root: Option<PathBuf>,
    /// Asks for the trusted root of the staging instance, which is not built in
    #[arg(long, requires = "trusted_root")]
    staging: bool,
    /// Artifact, or its digest
    #[arg(value_name = "FILE|sha256:DIGEST")]
    artifact: OsString,
}

/// The answer of the client.
#[derive(Debug)]
pub enum Answer {
    /// The bundle is good.
    Good,
    /// It is not, and why.
    Refused(Vec<Finding>),
    /// It is no evidence at all.
    Unreadable(String),
}

impl ConformanceArgs {
    /// The command line when it is one of this protocol, `None` for any other.
    ///
    /// # Errors
    ///
    /// Returns what clap says for a command line of the protocol that is wrong.
    pub fn read(words: &[OsString]) -> Option<Result<Self, clap::Error>> {
        let [program, conformance, verb, rest @ ..] = words else { return None };
        (conformance == "conformance" && verb == "verify-bundle")
            .then(|| Self::try_parse_from(std::iter::once(program).chain(rest)))
    }

    /// Judges the bundle; `read` reads a file, `now` is the time of the run.
    ///
    /// # Errors
    ///
    /// Returns a [`VerifyError`] when a file cannot be read, or key, identity or
    /// trusted root cannot be used.
    pub fn answer(&self, read: &dyn Fn(&Path) -> io::Result<Vec<u8>>, now: Timestamp) -> Result<Answer, VerifyError> {
        let read = |path: &Path| read(path).map_err(|source| VerifyError::Read { path: path.display().to_string(), source });
        let root = match &self.trusted_root {
            Some(path) => TrustRoot::parse(&read(path)?, TrustSource::File(path.display().to_string()))?,
            None => TrustRoot::public_good()?,
        };
        let signer = match &self.key {
            Some(path) => {
                let key = PublicKey::from_pem(&read(path)?);
                Signer::Key(key.map_err(|source| VerifyError::Key { name: path.display().to_string(), source })?)
            }
            None => Signer::Identities(vec![Identity::new(
                self.certificate_identity.as_deref(),
                None,
                self.certificate_oidc_issuer.as_deref(),
                None,
            )?]),
        };
        let verifier = Verifier::new(root, Rules::new(signer), now)?;
        let bundle = read(&self.bundle)?;
        let answer = match self.artifact.to_str().and_then(|text| text.parse::<Digest>().ok()) {
            Some(digest) => judge(&verifier, &bundle, Subject::from(digest)),
            None => judge(&verifier, &bundle, Subject::of_bytes(&read(Path::new(&self.artifact))?)),
        };
        Ok(answer)
    }
}

fn judge(verifier: &Verifier, bundle: &[u8], subject: Subject<'_>) -> Answer {
    match from_loose_file(subject.digest(), bundle) {
        Err(error) => Answer::Unreadable(error.to_string()),
        Ok(evidence) => match verifier.verify(&evidence, subject) {
            Ok(_) => Answer::Good,
            Err(findings) => Answer::Refused(findings),
        },
    }
}
