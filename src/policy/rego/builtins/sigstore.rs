//! `ec.sigstore.*`: verification of other images than the one that is judged.
//! They always return an object; what is wrong stands in its `errors`.

use carnet_bundle::Reference;
use regorus::Value;
use serde_json::json;

use super::{Answer, Failure, Session, undefined};
use crate::rego::registry::{SignerOptions, Verified};

pub(super) fn verify_image(args: &[Value], session: &Session) -> Answer {
    let found = verified(args, |reference, options| session.verify_image(reference, options))?;
    Ok(Value::from(json!({"success": found.errors.is_empty(), "errors": found.errors, "signatures": found.signatures})))
}

pub(super) fn verify_attestation(args: &[Value], session: &Session) -> Answer {
    let found = verified(args, |reference, options| session.verify_attestation(reference, options))?;
    Ok(Value::from(json!({"success": found.errors.is_empty(), "errors": found.errors, "attestations": found.attestations})))
}

fn verified(
    args: &[Value],
    verify: impl FnOnce(&Reference, &SignerOptions) -> Result<Verified, crate::rego::registry::LookupError>,
) -> Result<Verified, Failure> {
    let wrong = |error: String| Ok(Verified { errors: vec![error], ..Verified::default() });
    let [Value::String(reference), options] = args else {
        return undefined("operands must be a reference and an object").map(|_| Verified::default());
    };
    let options = match options_of(options) {
        Ok(options) => options,
        Err(error) => return wrong(format!("opts parameter: {error}")),
    };
    let reference: Reference = match reference.parse() {
        Ok(reference) => reference,
        Err(error) => return wrong(format!("new digest: {error}")),
    };
    if reference.digest().is_none() {
        let form = "a digest must contain exactly one '@' separator (e.g. registry/repository@digest)";
        return wrong(format!("new digest: {form} saw: {reference}"));
    }
    let missing = missing(&options);
    if !missing.is_empty() {
        return wrong(format!("opts parameter: new policy: {}", missing.join("\n")));
    }
    verify(&reference, &options).map_err(Failure::Lookup)
}

/// What a signer without a key must say.
fn missing(options: &SignerOptions) -> Vec<&'static str> {
    let issuer = [&options.certificate_oidc_issuer, &options.certificate_oidc_issuer_regexp];
    let identity = [&options.certificate_identity, &options.certificate_identity_regexp];
    let mut missing = Vec::new();
    if options.public_key.is_empty() && issuer.iter().all(|text| text.is_empty()) {
        missing.push("certificate OIDC issuer must be provided for keyless workflow");
    }
    if options.public_key.is_empty() && identity.iter().all(|text| text.is_empty()) {
        missing.push("certificate identity must be provided for keyless workflow");
    }
    missing
}

fn options_of(value: &Value) -> Result<SignerOptions, String> {
    let Value::Object(fields) = value else { return Err("expected an object".to_owned()) };
    let text = |name: &str| match fields.get(&Value::from(name)) {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.to_string()),
        Some(_) => Err(format!("{name} must be a string")),
    };
    let Some(Value::Bool(ignore_rekor)) = fields.get(&Value::from("ignore_rekor")) else {
        return Err("ignore_rekor must be a boolean".to_owned());
    };
    Ok(SignerOptions {
        certificate_identity: text("certificate_identity")?,
        certificate_identity_regexp: text("certificate_identity_regexp")?,
        certificate_oidc_issuer: text("certificate_oidc_issuer")?,
        certificate_oidc_issuer_regexp: text("certificate_oidc_issuer_regexp")?,
        ignore_rekor: *ignore_rekor,
        public_key: text("public_key")?,
        rekor_url: text("rekor_url")?,
        rekor_public_key: text("rekor_public_key")?,
    })
}
