//! The functions that a rule may call: those of OPA 1.15 without the ones that
//! reach the network or the environment, and Conforma's `ec.*`.

/// A function.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Function {
    pub(super) name: &'static str,
    /// Number of arguments.
    pub(super) args: u8,
    pub(super) by: By,
}

/// Who evaluates a function.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum By {
    /// The engine, and it cannot fail.
    Engine,
    /// The engine's function behind a wrapper that turns an error into
    /// undefined and records it.
    Wrapped,
    /// carnet's own.
    Carnet,
    /// The engine as a relation: `walk`.
    Relation,
    /// Nobody: the statement is dropped, as OPA drops it.
    Nobody,
}

const fn engine(name: &'static str, args: u8) -> Function {
    Function { name, args, by: By::Engine }
}

const fn wrapped(name: &'static str, args: u8) -> Function {
    Function { name, args, by: By::Wrapped }
}

const fn carnet(name: &'static str, args: u8) -> Function {
    Function { name, args, by: By::Carnet }
}

/// Functions that exist in OPA and are refused, with the reason.
const REFUSED: &[(&str, &str)] = &[
    ("http.send", "it reaches the network"),
    ("net.lookup_ip_addr", "it reaches the network"),
    ("opa.runtime", "it reads the environment"),
];

/// Every function, sorted by name.
static FUNCTIONS: &[Function] = &[
    wrapped("abs", 1),
    wrapped("array.concat", 2),
    carnet("array.flatten", 1),
    wrapped("array.reverse", 1),
    wrapped("array.slice", 3),
    wrapped("base64.decode", 1),
    wrapped("base64.encode", 1),
    wrapped("base64.is_valid", 1),
    wrapped("base64url.decode", 1),
    wrapped("base64url.encode", 1),
    wrapped("base64url.encode_no_pad", 1),
    wrapped("bits.and", 2),
    wrapped("bits.lsh", 2),
    wrapped("bits.negate", 1),
    wrapped("bits.or", 2),
    wrapped("bits.rsh", 2),
    wrapped("bits.xor", 2),
    wrapped("ceil", 1),
    wrapped("concat", 2),
    wrapped("contains", 2),
    wrapped("count", 1),
    carnet("crypto.hmac.equal", 2),
    carnet("crypto.hmac.sha1", 2),
    carnet("crypto.hmac.sha256", 2),
    carnet("crypto.hmac.sha512", 2),
    carnet("crypto.sha1", 1),
    carnet("crypto.sha256", 1),
    carnet("crypto.x509.parse_certificates", 1),
    carnet("ec.oci.blob", 1),
    carnet("ec.oci.blob_files", 2),
    carnet("ec.oci.descriptor", 1),
    carnet("ec.oci.image_files", 2),
    carnet("ec.oci.image_index", 1),
    carnet("ec.oci.image_manifest", 1),
    carnet("ec.oci.image_manifests", 1),
    carnet("ec.oci.image_referrers", 1),
    carnet("ec.oci.image_tag_refs", 1),
    carnet("ec.oci.parsed_blob", 1),
    carnet("ec.purl.is_valid", 1),
    carnet("ec.purl.parse", 1),
    carnet("ec.sigstore.verify_attestation", 2),
    carnet("ec.sigstore.verify_image", 2),
    wrapped("endswith", 2),
    wrapped("floor", 1),
    wrapped("format_int", 2),
    carnet("glob.match", 3),
    carnet("glob.quote_meta", 1),
    wrapped("graph.reachable", 2),
    wrapped("graph.reachable_paths", 2),
    wrapped("hex.decode", 1),
    wrapped("hex.encode", 1),
    carnet("indexof", 2),
    wrapped("indexof_n", 2),
    wrapped("intersection", 1),
    engine("is_array", 1),
    engine("is_boolean", 1),
    engine("is_null", 1),
    engine("is_number", 1),
    engine("is_object", 1),
    engine("is_set", 1),
    engine("is_string", 1),
    carnet("json.filter", 2),
    wrapped("json.is_valid", 1),
    carnet("json.marshal", 1),
    wrapped("json.marshal_with_options", 2),
    carnet("json.match_schema", 2),
    wrapped("json.patch", 2),
    carnet("json.remove", 2),
    wrapped("json.unmarshal", 1),
    carnet("json.verify_schema", 1),
    wrapped("lower", 1),
    wrapped("max", 1),
    wrapped("min", 1),
    wrapped("net.cidr_contains", 2),
    wrapped("net.cidr_expand", 1),
    wrapped("net.cidr_is_valid", 1),
    carnet("numbers.range", 2),
    carnet("numbers.range_step", 3),
    wrapped("object.filter", 2),
    wrapped("object.get", 3),
    wrapped("object.keys", 1),
    wrapped("object.remove", 2),
    wrapped("object.subset", 2),
    wrapped("object.union", 2),
    wrapped("object.union_n", 1),
    Function { name: "print", args: u8::MAX, by: By::Nobody },
    wrapped("product", 1),
    carnet("rand.intn", 2),
    carnet("regex.find_all_string_submatch_n", 3),
    carnet("regex.find_n", 3),
    carnet("regex.is_valid", 1),
    carnet("regex.match", 2),
    carnet("regex.replace", 3),
    carnet("regex.split", 2),
    wrapped("replace", 3),
    wrapped("round", 1),
    carnet("semver.compare", 2),
    carnet("semver.is_valid", 1),
    wrapped("sort", 1),
    wrapped("split", 2),
    carnet("sprintf", 2),
    wrapped("startswith", 2),
    wrapped("strings.any_prefix_match", 2),
    wrapped("strings.any_suffix_match", 2),
    wrapped("strings.count", 2),
    carnet("strings.replace_n", 2),
    wrapped("strings.reverse", 1),
    wrapped("substring", 3),
    wrapped("sum", 1),
    carnet("time.add_date", 4),
    wrapped("time.clock", 1),
    wrapped("time.date", 1),
    wrapped("time.diff", 2),
    carnet("time.format", 1),
    carnet("time.now_ns", 0),
    wrapped("time.parse_duration_ns", 1),
    carnet("time.parse_ns", 2),
    carnet("time.parse_rfc3339_ns", 1),
    wrapped("time.weekday", 1),
    carnet("to_number", 1),
    engine("trace", 1),
    wrapped("trim", 2),
    wrapped("trim_left", 2),
    wrapped("trim_prefix", 2),
    wrapped("trim_right", 2),
    wrapped("trim_space", 1),
    wrapped("trim_suffix", 2),
    engine("type_name", 1),
    wrapped("union", 1),
    wrapped("units.parse", 1),
    wrapped("units.parse_bytes", 1),
    wrapped("upper", 1),
    wrapped("urlquery.decode", 1),
    wrapped("urlquery.decode_object", 1),
    wrapped("urlquery.encode", 1),
    wrapped("urlquery.encode_object", 1),
    wrapped("uuid.parse", 1),
    carnet("uuid.rfc4122", 1),
    Function { name: "walk", args: 1, by: By::Relation },
    carnet("yaml.is_valid", 1),
    wrapped("yaml.marshal", 1),
    carnet("yaml.unmarshal", 1),
];

/// What carnet adds for the normaliser's own use, sorted by name: no rule can
/// call them, as no rule can write their names.
pub(super) static OWN: &[Function] = &[
    carnet("carnet.div", 2),
    carnet("carnet.element", 1),
    carnet("carnet.intersection", 2),
    carnet("carnet.made", 1),
    carnet("carnet.member", 2),
    carnet("carnet.member_of", 3),
    carnet("carnet.minus", 2),
    carnet("carnet.plus", 2),
    carnet("carnet.rem", 2),
    carnet("carnet.sequence", 1),
    carnet("carnet.times", 2),
    carnet("carnet.union", 2),
    carnet("carnet.walk", 1),
    carnet("carnet.walkable", 1),
];

/// Finds a function that a rule may call.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.binary_search_by_key(&name, |f| f.name).ok().and_then(|at| FUNCTIONS.get(at))
}

/// All functions that a rule may call.
pub(super) fn all() -> impl Iterator<Item = &'static Function> {
    FUNCTIONS.iter()
}

/// Finds one of the normaliser's own functions.
pub(super) fn own(name: &str) -> Option<&'static Function> {
    OWN.binary_search_by_key(&name, |f| f.name).ok().and_then(|at| OWN.get(at))
}

/// Why a function of OPA is refused.
pub(super) fn refused(name: &str) -> Option<&'static str> {
    REFUSED.iter().find(|(refused, _)| *refused == name).map(|(_, reason)| *reason)
}

/// Whether a name is the first word of a function's name.
pub(super) fn is_root(name: &str) -> bool {
    let first = FUNCTIONS.partition_point(|f| f.name < name);
    FUNCTIONS.get(first).is_some_and(|f| f.name.split('.').next() == Some(name))
}

impl Function {
    /// Name under which the engine finds carnet's version.
    pub(super) fn engine_name(&self) -> String {
        format!("carnet__{}", self.name.replace('.', "_"))
    }

    /// Whether its value is new: the others hand out a part of an operand, and
    /// count for themselves what they let through.
    pub(super) fn makes(&self) -> bool {
        !matches!(
            self.name,
            "carnet.element"
                | "carnet.made"
                | "carnet.sequence"
                | "carnet.walk"
                | "carnet.walkable"
                | "max"
                | "min"
                | "object.get"
        )
    }

    /// Whether calls are replaced by ours: with the number of the call site as a
    /// further argument.
    pub(super) fn is_replaced(&self) -> bool {
        matches!(self.by, By::Wrapped | By::Carnet)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_sorted_and_stay_distinct_for_the_engine() {
        for list in [FUNCTIONS, OWN] {
            assert!(list.windows(2).all(|pair| pair[0].name < pair[1].name));
        }
        let names: BTreeSet<_> = FUNCTIONS.iter().chain(OWN).map(Function::engine_name).collect();
        assert_eq!(names.len(), FUNCTIONS.len() + OWN.len());
    }

    #[test]
    fn the_engine_has_what_is_left_to_it() {
        for function in FUNCTIONS.iter().filter(|f| matches!(f.by, By::Engine | By::Wrapped | By::Relation)) {
            let (_, args) = regorus::unstable::BUILTINS.get(function.name).unwrap_or_else(|| panic!("{}", function.name));
            assert_eq!(*args, function.args, "{}", function.name);
        }
    }

    #[test]
    fn roots_are_first_words() {
        for (name, want) in [("time", true), ("count", true), ("ec", true), ("tim", false), ("zzz", false), ("parse_ns", false)] {
            assert_eq!(is_root(name), want, "{name}");
        }
    }
}
