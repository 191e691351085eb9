//! OCI artifacts as sources.

use carnet_bundle::Reference;

use super::{Location, UrlError, host, unsupported};

/// Hosts that Conforma knows as registries.
pub(super) fn matches(text: &str) -> bool {
    let rest = text.split_once("::").map_or(text, |(_, rest)| rest);
    let host = host(rest.split_once("://").map_or(rest, |(_, rest)| rest));
    let below = |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    ["azurecr.io", "gcr.io", "pkg.dev"].iter().any(|domain| below(domain))
        || ["quay.io", "registry.gitlab.com", "::1", "127.0.0.1", "localhost"].contains(&host.as_str())
        || is_elastic(&host)
}

/// `123456789012.dkr.ecr.eu-central-1.amazonaws.com`
fn is_elastic(host: &str) -> bool {
    let mut labels = host.split('.');
    let account = labels.next().is_some_and(|label| label.len() == 12 && label.bytes().all(|byte| byte.is_ascii_digit()));
    let service = labels.next() == Some("dkr") && labels.next() == Some("ecr");
    let region = labels.next().is_some_and(|label| !label.is_empty());
    account && service && region && labels.collect::<Vec<_>>() == ["amazonaws", "com"]
}

pub(super) fn location(text: &str) -> Result<Location, UrlError> {
    let rest = text.split_once("::").map_or(text, |(_, rest)| rest);
    let name = rest.split_once("://").map_or(rest, |(_, rest)| rest);
    let reference: Reference = name.parse().map_err(|source| UrlError::Reference { url: text.to_owned(), source })?;
    // The first segment is the registry, always: Docker Hub's short forms would
    // name one thing for Conforma and another for everybody else.
    let written = name.split('/').next().unwrap_or_default();
    if reference.registry() != written || !name.contains('/') {
        return Err(unsupported(text, "write the artifact with its registry, as in oci::quay.io/org/policy:tag"));
    }
    Ok(Location::Oci { reference })
}
