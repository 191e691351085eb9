//! Digests and message authentication codes, as hex.

use regorus::Value;
use ring::{digest, hmac};

use super::{Answer, undefined};

fn digest_of(algorithm: &'static digest::Algorithm, args: &[Value]) -> Answer {
    let [Value::String(text)] = args else { return undefined("operand must be a string") };
    Ok(Value::from(hex::encode(digest::digest(algorithm, text.as_bytes()))))
}

pub(super) fn sha1(args: &[Value]) -> Answer {
    digest_of(&digest::SHA1_FOR_LEGACY_USE_ONLY, args)
}

pub(super) fn sha256(args: &[Value]) -> Answer {
    digest_of(&digest::SHA256, args)
}

fn hmac_of(algorithm: hmac::Algorithm, args: &[Value]) -> Answer {
    let [Value::String(text), Value::String(key)] = args else { return undefined("operands must be strings") };
    let key = hmac::Key::new(algorithm, key.as_bytes());
    Ok(Value::from(hex::encode(hmac::sign(&key, text.as_bytes()))))
}

pub(super) fn hmac_sha1(args: &[Value]) -> Answer {
    hmac_of(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, args)
}

pub(super) fn hmac_sha256(args: &[Value]) -> Answer {
    hmac_of(hmac::HMAC_SHA256, args)
}

pub(super) fn hmac_sha512(args: &[Value]) -> Answer {
    hmac_of(hmac::HMAC_SHA512, args)
}

/// Both codes are in the hands of the rule: there is no secret to leak by time.
pub(super) fn hmac_equal(args: &[Value]) -> Answer {
    let [Value::String(left), Value::String(right)] = args else { return undefined("operands must be strings") };
    Ok(Value::Bool(left == right))
}
