//! `ec.purl.*`: package URLs as packageurl-go reads them. Stricter readers call
//! some of them invalid, and a package that cannot be read is one that no rule
//! forbids.

use std::collections::BTreeMap;

use regorus::Value;

use super::{Answer, undefined};

struct Purl {
    kind: String,
    namespace: String,
    name: String,
    version: String,
    qualifiers: BTreeMap<String, String>,
    subpath: String,
}

pub(super) fn is_valid(args: &[Value]) -> Answer {
    Ok(Value::Bool(matches!(args, [Value::String(text)] if read(text).is_ok())))
}

pub(super) fn parse(args: &[Value]) -> Answer {
    let [Value::String(text)] = args else { return undefined("operand must be a string") };
    let purl = match read(text) {
        Ok(purl) => purl,
        Err(reason) => return undefined(format!("failed to parse PURL {text:?}: {reason}")),
    };
    let qualifiers: Vec<Value> = purl
        .qualifiers
        .into_iter()
        .map(|(key, value)| super::oci::object([("key", Value::from(key)), ("value", Value::from(value))]))
        .collect();
    Ok(super::oci::object([
        ("type", Value::from(purl.kind)),
        ("namespace", Value::from(purl.namespace)),
        ("name", Value::from(purl.name)),
        ("version", Value::from(purl.version)),
        ("qualifiers", Value::from(qualifiers)),
        ("subpath", Value::from(purl.subpath)),
    ]))
}

fn read(text: &str) -> Result<Purl, &'static str> {
    let (scheme, rest) = text.split_once(':').ok_or("purl scheme is not \"pkg\": \"\"")?;
    if !scheme.eq_ignore_ascii_case("pkg") {
        return Err("purl scheme is not \"pkg\"");
    }
    if rest.bytes().any(|b| b < b' ' || b == 0x7f) {
        return Err("invalid control character in URL");
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = rest.trim_matches('/');
    let (kind, path) = path.split_once('/').ok_or("purl is missing type or name")?;
    let kind = kind.to_ascii_lowercase();
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-');
    if kind.is_empty() || !kind.bytes().all(valid) || kind.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("type contains illegal characters");
    }
    // The version begins behind the last `@` that follows the last `/`.
    let (path, version) = match path.rfind('@') {
        Some(at) if !path[at..].contains('/') => (&path[..at], decode(&path[at + 1..])?),
        _ => (path, String::new()),
    };
    let path = path.trim_matches('/');
    let (namespace, name) = path.rsplit_once('/').unwrap_or(("", path));
    let namespace = segments(namespace)?;
    let name = decode(name)?;
    if name.is_empty() {
        return Err("purl is missing type or name");
    }
    let mut purl = Purl { kind, namespace, name, version, qualifiers: qualifiers(query)?, subpath: subpath(fragment)? };
    adjust(&mut purl);
    Ok(purl)
}

fn segments(text: &str) -> Result<String, &'static str> {
    let parts: Result<Vec<_>, _> = text.split('/').filter(|part| !part.is_empty()).map(decode).collect();
    Ok(parts?.join("/"))
}

fn subpath(text: &str) -> Result<String, &'static str> {
    let parts: Result<Vec<_>, _> = text.trim_matches('/').split('/').map(decode).collect();
    let kept: Vec<_> = parts?.into_iter().filter(|part| !matches!(part.as_str(), "" | "." | "..")).collect();
    Ok(kept.join("/"))
}

fn qualifiers(query: &str) -> Result<BTreeMap<String, String>, &'static str> {
    let mut found = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        if pair.contains(';') {
            return Err("invalid semicolon separator in query");
        }
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = decode_query(key)?.to_ascii_lowercase();
        let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if key.is_empty() || !key.bytes().all(valid) || key.starts_with(|c: char| c.is_ascii_digit()) {
            return Err("invalid qualifier key");
        }
        let value = decode_query(value)?;
        if value.is_empty() {
            continue;
        }
        if found.insert(key, value).is_some() {
            return Err("duplicate qualifiers");
        }
    }
    Ok(found)
}

fn decode_query(text: &str) -> Result<String, &'static str> {
    decode(&text.replace('+', " "))
}

/// `%` and two digits are a byte.
fn decode(text: &str) -> Result<String, &'static str> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            let digits = text.get(at + 1..at + 3).ok_or("invalid URL escape")?;
            if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err("invalid URL escape");
            }
            out.push(u8::from_str_radix(digits, 16).map_err(|_| "invalid URL escape")?);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// What some types ask of names.
fn adjust(purl: &mut Purl) {
    let kind = purl.kind.as_str();
    let lower_namespace = ["alpm", "apk", "bitbucket", "composer", "deb", "github", "golang", "npm", "qpkg", "rpm"];
    let lower_name = ["alpm", "apk", "bitbucket", "bitnami", "composer", "deb", "github", "golang"];
    if lower_namespace.contains(&kind) {
        purl.namespace = purl.namespace.to_lowercase();
    }
    if lower_name.contains(&kind) {
        purl.name = purl.name.to_lowercase();
    }
    match kind {
        "pypi" => purl.name = purl.name.to_lowercase().replace('_', "-"),
        "huggingface" => purl.version = purl.version.to_lowercase(),
        "mlflow" if purl.qualifiers.get("repository_url").is_some_and(|url| url.contains("databricks")) => {
            purl.name = purl.name.to_lowercase();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_the_policies_expect() {
        for (text, want) in [
            ("pkg:npm/%40Angular/core@16.0.0", Some("npm|@angular|core|16.0.0|")),
            ("pkg:golang/GitHub.com/A/b@v1.2.3?goos=linux#sub/./dir", Some("golang|github.com/a|b|v1.2.3|sub/dir")),
            ("pkg:generic/x@v#", Some("generic||x|v|")),
            ("pkg://rpm/redhat/openssl@1.0?arch=x86_64", Some("rpm|redhat|openssl|1.0|")),
            ("PKG:pypi/My_Pkg", Some("pypi||my-pkg||")),
            ("pkg:oci/app@sha256%3Aabc", Some("oci||app|sha256:abc|")),
            ("pkg:npm", None),
            ("npm/a", None),
            ("pkg:npm/", None),
            ("pkg:n&m/a", None),
            ("pkg:npm/a%zz", None),
            ("pkg:npm/a?a=1&a=2", None),
        ] {
            let got = read(text).ok().map(|p| [p.kind, p.namespace, p.name, p.version, p.subpath].join("|"));
            assert_eq!(got.as_deref(), want, "{text}");
        }
    }
}
