//! The functions that carnet evaluates itself, in place of the engine's.
//!
//! A failure of a function is undefined, as in OPA without strict errors, and
//! recorded. Trouble that must not look like an answer ends the evaluation.

pub(super) mod bounds;
mod crypto;
mod glob;
mod json;
mod numbers;
pub(super) mod oci;
mod operators;
mod paths;
mod purl;
mod regex;
mod schema;
mod semver;
mod sigstore;
mod sprintf;
mod strings;
pub(super) mod text;
mod time;
mod x509;
mod yaml;

use std::sync::LazyLock;

pub(super) use json::compact as go_json;

use regorus::{
    Value,
    unstable::{BUILTINS, Expr, Ref, Source, Span},
};

use super::{
    functions::{By, Function},
    registry::LookupError,
    session::Session,
};

/// Why a function has no value.
#[derive(Debug)]
pub(super) enum Failure {
    /// The operands are not what it takes: undefined in Rego.
    Undefined(String),
    /// The registry has no trustworthy answer: no verdict.
    Lookup(LookupError),
    /// A bound was exceeded: no verdict.
    Limit(String),
}

type Answer = Result<Value, Failure>;

fn undefined(reason: impl Into<String>) -> Answer {
    Err(Failure::Undefined(reason.into()))
}

/// What evaluates a function.
#[derive(Clone, Copy)]
pub(super) enum Implementation {
    Pure(fn(&[Value]) -> Answer),
    /// Needs the registry, the clock or the caches of the run.
    Session(fn(&[Value], &Session) -> Answer),
    Engine(&'static str),
}

impl Implementation {
    pub(super) fn run(self, args: &[Value], session: &Session) -> Answer {
        match self {
            Self::Pure(function) => function(args),
            Self::Session(function) => function(args, session),
            Self::Engine(name) => {
                bounds::check(name, args, session)?;
                engine(name, args)
            }
        }
    }
}

/// Finds what evaluates a function; nothing for those left to the engine.
pub(super) fn implementation(function: &'static Function) -> Option<Implementation> {
    use Implementation::{Pure, Session};
    if function.by == By::Wrapped {
        return Some(Implementation::Engine(function.name));
    }
    Some(match function.name {
        "array.flatten" => Pure(numbers::flatten),
        "carnet.div" => Pure(operators::div),
        "carnet.element" => Session(operators::element),
        "carnet.intersection" => Pure(operators::intersection),
        "carnet.made" => Session(operators::made),
        "carnet.member" => Pure(operators::member),
        "carnet.member_of" => Pure(operators::member_of),
        "carnet.minus" => Pure(operators::minus),
        "carnet.plus" => Pure(operators::plus),
        "carnet.rem" => Pure(operators::rem),
        "carnet.sequence" => Pure(operators::sequence),
        "carnet.times" => Pure(operators::times),
        "carnet.union" => Pure(operators::union),
        "carnet.walk" => Session(operators::walk),
        "carnet.walkable" => Session(operators::walkable),
        "crypto.hmac.equal" => Pure(crypto::hmac_equal),
        "crypto.hmac.sha1" => Pure(crypto::hmac_sha1),
        "crypto.hmac.sha256" => Pure(crypto::hmac_sha256),
        "crypto.hmac.sha512" => Pure(crypto::hmac_sha512),
        "crypto.sha1" => Pure(crypto::sha1),
        "crypto.sha256" => Pure(crypto::sha256),
        "crypto.x509.parse_certificates" => Pure(x509::parse_certificates),
        "ec.oci.blob" => Session(oci::blob),
        "ec.oci.blob_files" => Session(oci::blob_files),
        "ec.oci.descriptor" => Session(oci::descriptor),
        "ec.oci.image_files" => Session(oci::image_files),
        "ec.oci.image_index" => Session(oci::image_index),
        "ec.oci.image_manifest" => Session(oci::image_manifest),
        "ec.oci.image_manifests" => Session(oci::image_manifests),
        "ec.oci.image_referrers" => Session(oci::image_referrers),
        "ec.oci.image_tag_refs" => Session(oci::image_tag_refs),
        "ec.oci.parsed_blob" => Session(oci::parsed_blob),
        "ec.purl.is_valid" => Pure(purl::is_valid),
        "ec.purl.parse" => Pure(purl::parse),
        "ec.sigstore.verify_attestation" => Session(sigstore::verify_attestation),
        "ec.sigstore.verify_image" => Session(sigstore::verify_image),
        "glob.match" => Pure(glob::glob_match),
        "glob.quote_meta" => Pure(glob::quote_meta),
        "indexof" => Pure(strings::indexof),
        "json.filter" => Pure(paths::filter),
        "json.marshal" => Session(json::marshal),
        "json.match_schema" => Pure(schema::match_schema),
        "json.remove" => Pure(paths::remove),
        "json.verify_schema" => Pure(schema::verify_schema),
        "numbers.range" => Pure(numbers::range),
        "numbers.range_step" => Pure(numbers::range_step),
        "rand.intn" => Pure(numbers::intn),
        "regex.find_all_string_submatch_n" => Pure(regex::find_all_string_submatch_n),
        "regex.find_n" => Pure(regex::find_n),
        "regex.is_valid" => Pure(regex::is_valid),
        "regex.match" => Pure(regex::is_match),
        "regex.replace" => Session(regex::replace),
        "regex.split" => Pure(regex::split),
        "semver.compare" => Pure(semver::compare),
        "semver.is_valid" => Pure(semver::is_valid),
        "sprintf" => Session(sprintf::sprintf),
        "strings.replace_n" => Session(strings::replace_n),
        "time.add_date" => Pure(time::add_date),
        "time.format" => Pure(time::format),
        "time.now_ns" => Session(time::now_ns),
        "time.parse_ns" => Pure(time::parse_ns),
        "time.parse_rfc3339_ns" => Pure(time::parse_rfc3339_ns),
        "to_number" => Pure(numbers::to_number),
        "uuid.rfc4122" => Pure(numbers::uuid),
        "yaml.is_valid" => Pure(yaml::is_valid),
        "yaml.unmarshal" => Pure(yaml::unmarshal),
        _ => return None,
    })
}

/// Where the engine's functions believe to be called: they want to name it in
/// their errors.
static NOWHERE: LazyLock<Option<(Span, Vec<Ref<Expr>>)>> = LazyLock::new(|| {
    let source = Source::from_contents(String::new(), String::new()).ok()?;
    let span = Span { source, line: 1, col: 1, start: 0, end: 0 };
    let param = || Ref::new(Expr::Null { span: span.clone(), value: Value::Null, eidx: 0 });
    let params = (0..8).map(|_| param()).collect();
    Some((span, params))
});

fn engine(name: &str, args: &[Value]) -> Answer {
    let (Some((function, _)), Some((span, params))) = (BUILTINS.get(name), NOWHERE.as_ref()) else {
        return undefined("no such function");
    };
    let params = params.get(..args.len()).unwrap_or(params);
    function(span, params, args, true).map_err(|e| {
        let (_, _, reason) = super::syntax::position(&e.to_string());
        Failure::Undefined(reason)
    })
}
