//! Whom the operator trusts: the trust policy and the trust root (V5), and the log
//! proofs that the bundle carries for them to judge.

use carnet_bundle::{Bundle, Digest, Finding, media};
use carnet_evidence::{
    LogProofs, Rules, Signer, TrustPolicy, TrustPolicyError, TrustRoot, TrustSource, Verifier, codes,
    trust_policy::{MaxAge, PatternReading, TufRules, TufVersions, WithoutWindow},
    tuf,
};
use carnet_policy::yaml;
use jiff::{SignedDuration, Timestamp};

use crate::{
    cli::VerifyArgs,
    error::VerifyError,
    inputs::{Document, Inputs, Question},
    report::{self, Ending, Relaxation},
};

/// How far the clock of this host and that of a log may be apart.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// What the trust policy says; without one, its defaults.
#[derive(Debug)]
pub(crate) struct Trust {
    policy: Option<TrustPolicy>,
    /// For any signer.
    pub(crate) rules: Rules,
    /// Who must have signed, as the trust policy reads patterns.
    pub(crate) signer: Signer,
}

impl Trust {
    /// Reads the trust policy of the operator.
    pub(crate) fn read(document: Option<&Document>, signer: &Signer) -> Result<Self, VerifyError> {
        let Some(document) = document else {
            return Ok(Self { policy: None, rules: Rules::new(Signer::Identities(Vec::new())), signer: signer.clone() });
        };
        let text = yaml::Document::parse(&document.bytes, &document.name).map_err(VerifyError::TrustDocument)?;
        let wrong = |source: TrustPolicyError| VerifyError::TrustPolicy { place: text.place(source.at()), source };
        let policy = TrustPolicy::from_value(text.value().clone()).map_err(wrong)?;
        let rules = policy.rules_of_all().map_err(wrong)?;
        let signer = policy.rules(signer.clone()).map_err(wrong)?.signer;
        Ok(Self { policy: Some(policy), rules, signer })
    }

    /// V5.3 and V5.9, the freshness rules at the time `at`, and what is to be said
    /// about patterns and about rules that judge nothing.
    pub(crate) fn findings(&self, verifier: &Verifier, at: Timestamp) -> Vec<Finding> {
        let age = self.max_age();
        let mut findings = verifier.findings(age.warn_after(), age.fail_after());
        let unused = self.policy.as_ref().map(|policy| policy.without_effect(&self.signer)).unwrap_or_default();
        if !unused.is_empty() {
            let message = format!("{}: no effect on the signer of the images, a key", unused.join(", "));
            findings.push(Finding::new(&codes::CERTIFICATE_RULES_UNUSED, "--trust-policy", message));
        }
        if let TrustSource::Tuf(chain) = verifier.trust_root().source() {
            findings.extend(chain.findings(at, self.tuf().map(|rules| rules.expired_metadata).unwrap_or_default()));
        }
        findings
    }

    /// What the trust policy relaxes; every report says so.
    pub(crate) fn relaxations(&self) -> impl Iterator<Item = Relaxation> {
        let effects = self.policy.iter().flat_map(TrustPolicy::relaxations);
        effects.map(|effect| Relaxation { flag: "--trust-policy".to_owned(), effect })
    }

    /// A pattern of policy.yaml, for rules that ask for signatures themselves: as the
    /// trust policy reads it.
    pub(crate) fn pattern(&self, text: &str) -> String {
        let reading = self.policy.as_ref().map(|policy| policy.certificates.reg_exp);
        match reading == Some(PatternReading::Anchored) && !text.is_empty() {
            true => format!("^(?:{text})$"),
            false => text.to_owned(),
        }
    }

    fn max_age(&self) -> MaxAge {
        self.policy.as_ref().map(|policy| policy.trust_root.max_age).unwrap_or_default()
    }

    fn tuf(&self) -> Option<&TufRules> {
        self.policy.as_ref()?.trust_root.tuf.as_ref()
    }

    fn pin(&self) -> Option<Digest> {
        self.policy.as_ref().and_then(|policy| policy.trust_root.digest)
    }

    fn parse(&self, bytes: &[u8], source: TrustSource) -> Result<TrustRoot, VerifyError> {
        let rule = self.policy.as_ref().map(|policy| policy.trust_root.authority_without_window);
        Ok(match rule {
            Some(WithoutWindow::Accept) => TrustRoot::parse_accepting_open_windows(bytes, source)?,
            _ => TrustRoot::parse(bytes, source)?,
        })
    }
}

/// Settles whose logs, certificates and timestamps count (V5.1): a file, a pinned
/// copy of the bundle, one that a carried TUF chain delivers, single keys and
/// certificates, or the compiled-in root. A copy without a pin or chain never counts.
pub(crate) fn trust_root(
    args: &VerifyArgs,
    inputs: &Inputs<'_>,
    question: &Question,
    bundle: Option<&Bundle>,
) -> Result<TrustRoot, VerifyError> {
    accepted(chosen(args, inputs, question, bundle)?, question)
}

/// The compiled-in root, where a trust policy asks for no other one.
pub(crate) fn compiled_in(question: &Question) -> Result<TrustRoot, VerifyError> {
    accepted(TrustRoot::public_good()?, question)
}

/// Holds a trust root against what the trust policy asks of it.
fn accepted(root: TrustRoot, question: &Question) -> Result<TrustRoot, VerifyError> {
    let counts = *root.source() != TrustSource::None;
    if counts && question.trust.tuf().is_some() && !matches!(root.source(), TrustSource::Tuf(_)) {
        return Err(VerifyError::TrustRootNotByTuf { origin: root.source().to_string() });
    }
    match question.trust.pin().filter(|pin| counts && pin != root.digest()) {
        Some(want) => Err(VerifyError::TrustRootMismatch { got: *root.digest(), origin: root.source().to_string(), want }),
        None => Ok(root),
    }
}

fn chosen(
    args: &VerifyArgs,
    inputs: &Inputs<'_>,
    question: &Question,
    bundle: Option<&Bundle>,
) -> Result<TrustRoot, VerifyError> {
    let trust = &question.trust;
    if let Some(document) = &inputs.trusted_root {
        return trust.parse(&document.bytes, TrustSource::File(document.name.clone()));
    }
    if let Some(pin) = args.trusted_root_digest {
        return match pinned(pin, trust, bundle)? {
            Some(root) => Ok(root),
            None if bundle.is_none() => Ok(TrustRoot::none()),
            None => Err(VerifyError::TrustedRootNotCarried { pin }),
        };
    }
    if inputs.trust.tuf_root.is_some() || trust.tuf().is_some() {
        // Nothing is judged then, and the findings say why.
        if bundle.is_none() {
            return Ok(TrustRoot::none());
        }
        return by_tuf(inputs, trust, bundle);
    }
    if let Some(pin) = trust.pin()
        && let Some(root) = pinned(pin, trust, bundle)?
    {
        return Ok(root);
    }
    if let Some((parts, source)) = &inputs.trust.parts {
        return Ok(TrustRoot::from_parts(parts, source)?);
    }
    if question.key.is_some() && question.rules(args).log_threshold == 0 {
        return Ok(TrustRoot::none());
    }
    Ok(TrustRoot::public_good()?)
}

fn pinned(pin: Digest, trust: &Trust, bundle: Option<&Bundle>) -> Result<Option<TrustRoot>, VerifyError> {
    let carried = bundle.and_then(|b| b.documents().find(|d| d.media_type == media::TRUSTED_ROOT && d.digest == pin));
    carried.map(|document| trust.parse(document.bytes, TrustSource::Pinned(pin.to_string()))).transpose()
}

/// V5.5 to V5.8: follows the carried chain from the root.json of the operator, who
/// holds it, or its digest.
fn by_tuf(inputs: &Inputs<'_>, trust: &Trust, bundle: Option<&Bundle>) -> Result<TrustRoot, VerifyError> {
    let mut repository = tuf::Repository::default();
    for document in bundle.into_iter().flat_map(Bundle::documents) {
        match document.media_type {
            tuf::MEDIA_TYPE => drop(repository.add_metadata(document.bytes)?),
            media::TRUSTED_ROOT => repository.add_target(document.bytes),
            _ => {}
        }
    }
    let pin = trust.tuf().map(|rules| rules.root);
    let held = match (&inputs.trust.tuf_root, pin) {
        (Some(document), pin) => {
            let got = Digest::of(&document.bytes);
            if let Some(want) = pin.filter(|want| *want != got) {
                return Err(VerifyError::TufRootMismatch { got, origin: document.name.clone(), want });
            }
            document.bytes.as_slice()
        }
        (None, Some(want)) => repository.root(&want).ok_or(VerifyError::TufRootNotCarried { want })?,
        (None, None) => return Err(tuf::TufError::Missing { name: "root.json".to_owned() }.into()),
    };
    let floors = trust.tuf().map_or_else(TufVersions::default, |rules| rules.min_version);
    let (chain, bytes) = repository.deliver(held, &floors)?;
    trust.parse(bytes, TrustSource::Tuf(Box::new(chain)))
}

/// What the report says about the trust that was used.
pub(crate) fn shown(root: &TrustRoot, question: &Question, at: Timestamp) -> report::Trust {
    let key = question.key.as_ref().map(|key| format!("public key {}", key.fingerprint()));
    let source = match (root.source(), key) {
        (TrustSource::None, Some(key)) => key,
        (source, Some(key)) => format!("{key}; logs and timestamps: {source}"),
        (source, None) => source.to_string(),
    };
    let has_root = *root.source() != TrustSource::None;
    let date = root.newest_entry().filter(|_| has_root);
    report::Trust {
        source,
        digest: has_root.then(|| *root.digest()),
        date,
        age_days: date.map(|date| at.duration_since(date).as_hours() / 24),
        as_of: Some(at),
        tuf: match root.source() {
            TrustSource::Tuf(chain) => Some(report::Tuf::from(chain.as_ref())),
            _ => None,
        },
        forecast: forecast(root, question.trust.max_age(), at),
    }
}

/// V5.4: `signed` is the last time that a trusted source signed about an image.
pub(crate) fn clock(signed: Option<(Timestamp, Digest)>, at: Timestamp) -> Option<Finding> {
    let (time, image) = signed.filter(|(time, _)| time.duration_since(at) > CLOCK_TOLERANCE)?;
    let message = format!("the time of verification is {at}, but a log or timestamp authority signed at {time}");
    Some(Finding::new(&codes::HOST_CLOCK_IMPLAUSIBLE, image, message))
}

/// `--at` before the clock: freshness rules see less than they could.
pub(crate) fn set_back(args: &VerifyArgs, now: Timestamp) -> Option<Relaxation> {
    let at = args.at.filter(|at| *at < now)?;
    let effect = "freshness is judged as of a time in the past; the validity of signatures does not depend on it";
    Some(Relaxation { flag: format!("--at={at}"), effect: effect.to_owned() })
}

/// The log entries that were fetched at export (`bundle-spec/evidence.md` §5). One
/// that cannot be read proves nothing, and is said.
pub(crate) fn proofs(bundle: Option<&Bundle>) -> (LogProofs, Vec<Finding>) {
    let (mut proofs, mut findings) = (LogProofs::default(), Vec::new());
    let Some(bundle) = bundle else { return (proofs, findings) };
    for entry in &bundle.inventory().proofs {
        let mut documents = bundle.documents();
        let document = documents.find(|d| d.media_type == media::LOG_PROOF && d.digest == entry.digest);
        if let Some(Err(error)) = document.map(|document| proofs.add(document.bytes)) {
            findings.push(Finding::new(&codes::EVIDENCE_MALFORMED, entry.digest, error.to_string()));
        }
    }
    (proofs, findings)
}

/// What ends after `at`, soonest first: parts of the trust root, the age that it may
/// have, the metadata of its TUF chain.
fn forecast(root: &TrustRoot, age: MaxAge, at: Timestamp) -> Vec<Ending> {
    let mut ends = root.ends();
    let limits = [(age.warn_after(), "warning"), (age.fail_after(), "failure")];
    for (limit, weight) in limits {
        let until = limit.and_then(|limit| root.newest_entry()?.checked_add(limit).ok());
        ends.extend(until.map(|until| (format!("age that the trust root may have ({weight})"), until)));
    }
    if let TrustSource::Tuf(chain) = root.source() {
        ends.extend(chain.links().iter().map(|link| (format!("TUF {} {}", link.role, link.version), link.expires)));
    }
    ends.retain(|(_, until)| *until > at);
    ends.sort_by_key(|(_, until)| *until);
    ends.into_iter().map(|(what, until)| Ending { what, until }).collect()
}
