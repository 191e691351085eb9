//! Who must have signed: the policy and the flags together.

use super::{Identity, Policy, PolicyError};

/// What the command line says about the signer. Empty texts are absent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Overrides {
    /// `--public-key`.
    pub public_key: String,
    /// `--rekor-url`.
    pub rekor_url: String,
    /// The four `--certificate-…` flags.
    pub identity: Identity,
}

/// The policy that applies, as the report shows it, and who must have signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Effective {
    /// The policy with the overrides in it.
    pub policy: Policy,
    /// Who must have signed.
    pub authority: Authority,
}

/// Who must have signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Authority {
    /// The holder of a certificate with this identity.
    Identity(Identity),
    /// The holder of this key.
    Key(KeySource),
}

/// Where a public key is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeySource {
    /// A file of the operator, relative to the working directory.
    File(String),
    /// The PEM text itself.
    Inline(String),
}

impl Policy {
    /// Settles key, identity and Rekor URL between policy and flags (step
    /// V13.2), by Conforma's precedence: a key beats an identity; identity flags
    /// without a key flag clear the key of the policy and replace its identity
    /// as a whole.
    ///
    /// # Errors
    ///
    /// Returns a [`PolicyError`] when nothing says who must have signed, when
    /// the key is not at hand offline, and for a broken regular expression.
    pub fn settle(mut self, overrides: &Overrides) -> Result<Effective, PolicyError> {
        let by_flags = overrides.identity != Identity::default();
        if by_flags && overrides.public_key.is_empty() {
            self.public_key.clear();
        }
        take_over(&mut self.public_key, &overrides.public_key);
        take_over(&mut self.rekor_url, &overrides.rekor_url);
        if !self.public_key.is_empty() {
            let key = KeySource::parse(&self.public_key)?;
            return Ok(Effective { policy: self, authority: Authority::Key(key) });
        }
        let identity = if by_flags { overrides.identity.clone() } else { self.identity.clone().unwrap_or_default() };
        identity.rule()?;
        Ok(Effective { policy: self, authority: Authority::Identity(identity) })
    }
}

fn take_over(field: &mut String, flag: &str) {
    if !flag.is_empty() {
        flag.clone_into(field);
    }
}

impl KeySource {
    fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.contains("-----BEGIN ") {
            return Ok(Self::Inline(text.to_owned()));
        }
        // cosign's references: k8s://, awskms://, hashivault://, env://, https://
        // and pkcs11: need a cluster, a service, a device or the environment.
        if text.contains("://") || text.starts_with("pkcs11:") {
            return Err(PolicyError::KeyNotAtHand { reference: text.to_owned() });
        }
        Ok(Self::File(text.to_owned()))
    }
}

impl Identity {
    /// The identity as the evidence room asks for it.
    ///
    /// # Errors
    ///
    /// Returns a [`PolicyError`] when subject or issuer is missing, and for a
    /// broken regular expression.
    pub fn rule(&self) -> Result<carnet_evidence::Identity, PolicyError> {
        let mut missing = Vec::new();
        if self.issuer.is_empty() && self.issuer_reg_exp.is_empty() {
            missing.push("certificate OIDC issuer must be provided for keyless workflow");
        }
        if self.subject.is_empty() && self.subject_reg_exp.is_empty() {
            missing.push("certificate identity must be provided for keyless workflow");
        }
        if !missing.is_empty() {
            return Err(PolicyError::IdentityIncomplete { missing });
        }
        let given = |text: &'_ String| (!text.is_empty()).then(|| text.clone());
        let (subject, subject_pattern) = (given(&self.subject), given(&self.subject_reg_exp));
        let (issuer, issuer_pattern) = (given(&self.issuer), given(&self.issuer_reg_exp));
        Ok(carnet_evidence::Identity::new(
            subject.as_deref(),
            subject_pattern.as_deref(),
            issuer.as_deref(),
            issuer_pattern.as_deref(),
        )?)
    }
}
