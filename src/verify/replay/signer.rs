//! Who must have signed, as a rule says it (`ec.sigstore.*`).

use carnet_evidence::{Identity, PublicKey, Rules, Signer, TrustParts, TrustRoot, Verifier};
use carnet_policy::rego::SignerOptions;

use super::answers::Operator;

/// Makes the verifier that a rule asks for, out of the operator's trust root and
/// rules. The error is the text of the result, in Conforma's words.
pub(super) fn verifier(options: &SignerOptions, operator: &Operator) -> Result<Verifier, String> {
    let signer = signer(options).map_err(|error| format!("new policy: {error}"))?;
    let mut rules: Rules = operator.rules.for_signer(signer);
    if options.ignore_rekor {
        rules = rules.ignore_rekor();
    }
    let root = trust_root(options, operator)?;
    Verifier::new(root, rules, operator.now).map_err(|error| format!("new policy: {error}"))
}

/// A key beats an identity, as in Conforma.
fn signer(options: &SignerOptions) -> Result<Signer, String> {
    if !options.public_key.is_empty() {
        let key = PublicKey::from_pem(options.public_key.as_bytes()).map_err(|error| format!("public_key: {error}"))?;
        return Ok(Signer::Key(key));
    }
    let given = |text: &'_ String| (!text.is_empty()).then(|| text.clone());
    let identity = Identity::new(
        given(&options.certificate_identity).as_deref(),
        given(&options.certificate_identity_regexp).as_deref(),
        given(&options.certificate_oidc_issuer).as_deref(),
        given(&options.certificate_oidc_issuer_regexp).as_deref(),
    );
    Ok(Signer::Identities(vec![identity.map_err(|error| error.to_string())?]))
}

/// A rule may bring the key of the log that it wants; certificates are always
/// those of the operator's trust root, and the two cannot be joined.
fn trust_root(options: &SignerOptions, operator: &Operator) -> Result<TrustRoot, String> {
    let log_key = options.rekor_public_key.as_bytes();
    if log_key.is_empty() || options.ignore_rekor {
        return Ok(operator.root.clone());
    }
    if options.public_key.is_empty() {
        return Err("rekor_public_key is taken together with public_key only: for an identity, put the log into the trust root"
            .to_owned());
    }
    let parts = TrustParts { log_keys: Some(log_key.to_vec()), ..TrustParts::default() };
    TrustRoot::from_parts(&parts, "rekor_public_key of the rule").map_err(|error| format!("adding rekor public key: {error}"))
}
