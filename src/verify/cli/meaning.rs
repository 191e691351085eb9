//! What the flags mean for the other rooms.

use carnet_bundle::Platform;
use carnet_policy::{
    EffectiveTime, Reading, TimeError,
    document::{Identity, Overrides},
    time::rfc3339,
};
use jiff::Timestamp;

use super::{Compat, Layers, VerifyArgs};
use crate::report::{Need, Relaxation, Target, TargetError, TextOptions, parse_targets, split_csv};

/// Why a flag cannot be honoured; there is no verdict then.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FlagError {
    /// Not `key=value`.
    #[error("incorrect syntax for --extra-rule-data {index}: want key=value, got {value:?}")]
    ExtraRuleData {
        /// Position, from 0.
        index: usize,
        /// The value.
        value: String,
    },
    /// The work behind the flag comes later.
    #[error("{flag} is not part of this release")]
    Later {
        /// The flag.
        flag: &'static str,
    },
    /// The flag asks for something that an offline verifier never does.
    #[error("{flag} is refused: {reason}")]
    Refused {
        /// The flag.
        flag: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// A value of `--output` that is no target.
    #[error(transparent)]
    Target(#[from] TargetError),
}

impl VerifyArgs {
    /// Checks everything about the flags that can be checked before the run.
    ///
    /// # Errors
    ///
    /// Returns a [`FlagError`] for a flag that is refused, whose work comes later,
    /// or whose value is malformed: a flag is never silently without effect.
    pub fn validate(&self) -> Result<(), FlagError> {
        self.refused()?;
        if let Some(flag) = self.later() {
            return Err(FlagError::Later { flag });
        }
        self.extra_rule_data()?;
        self.targets()?;
        Ok(())
    }

    fn refused(&self) -> Result<(), FlagError> {
        let remote = self.policy_is_remote() && !self.accept_bundled_policy.0;
        let refused = [
            (self.skip_att_sig_check.0, "--skip-att-sig-check", "unverified claims never reach a check or a rule"),
            (self.snapshot.is_some(), "--snapshot", "nothing is asked of a cluster: give the list itself with --images"),
            (
                remote,
                "--policy with an URL",
                "nothing is fetched here: give a file, or accept the copy of the bundle with --accept-bundled-policy",
            ),
        ];
        match refused.into_iter().find(|(used, _, _)| *used) {
            Some((_, flag, reason)) => Err(FlagError::Refused { flag, reason }),
            None => Ok(()),
        }
    }

    /// Whether `--policy` names a place elsewhere, whose copy travels in the bundle.
    pub fn policy_is_remote(&self) -> bool {
        let policy = self.policy.as_deref().unwrap_or_default();
        ["git::", "http://", "https://", "oci::", "oci://", "k8s://"].iter().any(|start| policy.starts_with(start))
    }

    fn later(&self) -> Option<&'static str> {
        let other = &self.other;
        let later = [
            (other.vsa.0, "--vsa"),
            (other.attestation_format.is_some(), "--attestation-format"),
            (other.attestation_output_dir.is_some(), "--attestation-output-dir"),
            (other.vsa_expiration.is_some(), "--vsa-expiration"),
            (other.vsa_public_key.is_some(), "--vsa-public-key"),
            (other.vsa_signing_key.is_some(), "--vsa-signing-key"),
            (!other.vsa_upload.is_empty(), "--vsa-upload"),
        ];
        later.into_iter().find(|(used, _)| *used).map(|(_, flag)| flag)
    }

    /// The values of `--extra-rule-data`, split at commas and at the first `=`.
    ///
    /// # Errors
    ///
    /// Returns [`FlagError::ExtraRuleData`] for a value without `=`.
    pub fn extra_rule_data(&self) -> Result<Vec<(String, String)>, FlagError> {
        let mut values = Vec::new();
        for value in &self.extra_rule_data {
            values.extend(split_csv(value)?);
        }
        let pair = |(index, value): (usize, String)| match value.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(FlagError::ExtraRuleData { index, value }),
        };
        values.into_iter().enumerate().map(pair).collect()
    }

    /// Where reports go.
    ///
    /// # Errors
    ///
    /// Returns a [`TargetError`] for a malformed value of `--output`.
    pub fn targets(&self) -> Result<Vec<Target>, TargetError> {
        let defaults = TextOptions {
            show_successes: self.show_successes.0,
            show_warnings: self.show_warnings.0,
            show_policy_docs_link: self.show_policy_docs_link.0,
        };
        parse_targets(&self.output, self.output_file.as_deref(), defaults)
    }

    /// What the report must be filled with for those targets.
    pub fn needs(&self) -> Vec<Need> {
        self.targets().unwrap_or_default().iter().filter_map(|target| target.format.needs()).collect()
    }

    /// As of when rules apply.
    ///
    /// # Errors
    ///
    /// Returns a [`TimeError`] for a malformed time and for one in the past.
    pub fn effective_time(&self, now: Timestamp) -> Result<EffectiveTime, TimeError> {
        EffectiveTime::parse(&self.effective_time, now, self.allow_past_effective_time.0)
    }

    /// How the documents are read.
    pub fn reading(&self) -> Reading {
        match self.compat {
            Some(Compat::Ec) => Reading::Conforma,
            None => Reading::Strict,
        }
    }

    /// What the flags say about the signer.
    pub fn overrides(&self) -> Overrides {
        let text = |flag: &Option<String>| flag.clone().unwrap_or_default();
        Overrides {
            public_key: text(&self.public_key),
            rekor_url: text(&self.rekor_url),
            identity: Identity {
                subject: text(&self.certificate_identity),
                subject_reg_exp: text(&self.certificate_identity_regexp),
                issuer: text(&self.certificate_oidc_issuer),
                issuer_reg_exp: text(&self.certificate_oidc_issuer_regexp),
            },
        }
    }

    /// Which checks the flags relax; every report says so.
    pub fn relaxations(&self) -> Vec<Relaxation> {
        let platforms: Vec<_> = self.platform.iter().map(ToString::to_string).collect();
        let platform = format!("--platform={}", platforms.join(","));
        let relaxed = [
            (
                self.ignore_rekor.0,
                "--ignore-rekor",
                "no transparency log entry is asked for; signatures and identities still are",
            ),
            (self.skip_image_sig_check.0, "--skip-image-sig-check", "image signatures are not judged; attestations still are"),
            (self.allow_past_effective_time.0, "--allow-past-effective-time", "rules may apply as of a time in the past"),
            (
                self.effective_time.eq_ignore_ascii_case("attestation"),
                "--effective-time=attestation",
                "rules apply as of the time that an attestation states",
            ),
            (self.allow_incomplete.0, "--allow-incomplete", "evidence that could not be looked for is not missed"),
            (
                self.allow_unexpected_images.0,
                "--allow-unexpected-images",
                "carried images that no component expects are not judged",
            ),
            (
                self.accept_bundled_policy.0,
                "--accept-bundled-policy",
                "images.yaml and policy.yaml of the archive are used where none is given: it says what is expected and who must have signed",
            ),
            (
                self.accept_bundled_sources.0,
                "--accept-bundled-sources",
                "rules of the archive are used although nothing of the operator's pins them",
            ),
            (self.layers == Layers::None, "--layers=none", "layers and configs need not be carried; evidence must be"),
            (!self.platform.is_empty(), platform.as_str(), "other platforms of an index need not be carried"),
            (self.compat.is_some(), "--compat=ec", "Conforma's reading applies where carnet's is safer"),
            (!self.strict.0, "--strict=false", "the exit status is 0 also when the verdict is fail"),
        ];
        let used = relaxed.into_iter().filter(|(used, _, _)| *used);
        used.map(|(_, flag, effect)| Relaxation { flag: flag.to_owned(), effect: effect.to_owned() }).collect()
    }

    /// Whether text is coloured. `environment` says whether a variable is set and
    /// not empty; a wish for no colour wins, as in ec.
    pub fn colour(&self, environment: impl Fn(&str) -> bool, terminal: bool) -> bool {
        const NEVER: [&str; 4] = ["EC_NO_COLOR", "EC_NO_COLOUR", "NO_COLOR", "NO_COLOUR"];
        const ALWAYS: [&str; 4] = ["EC_FORCE_COLOR", "EC_FORCE_COLOUR", "FORCE_COLOR", "FORCE_COLOUR"];
        let never = self.no_color.0 || NEVER.iter().any(|name| environment(name));
        let always = self.color.0 || ALWAYS.iter().any(|name| environment(name));
        !never && (always || terminal)
    }
}

/// A time on the command line.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    rfc3339(text).ok_or_else(|| "want an RFC 3339 time, such as 2026-03-01T12:00:00Z".to_owned())
}

/// A platform on the command line.
pub(super) fn platform(text: &str) -> Result<Platform, String> {
    let parts: Vec<_> = text.split('/').collect();
    let (os, architecture, variant) = match parts[..] {
        [os, architecture] => (os, architecture, None),
        [os, architecture, variant] => (os, architecture, Some(variant)),
        _ => return Err("want os/arch or os/arch/variant, such as linux/amd64".to_owned()),
    };
    if parts.iter().any(|part| part.is_empty()) {
        return Err("want os/arch or os/arch/variant, such as linux/amd64".to_owned());
    }
    Ok(Platform { os: os.to_owned(), architecture: architecture.to_owned(), variant: variant.map(str::to_owned) })
}
