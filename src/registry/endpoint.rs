//! Where the API of a registry is, and whether it may be asked in the clear.

use std::net::IpAddr;

use carnet_bundle::Reference;

use crate::options::Options;

/// Scheme and host of a registry's API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Endpoint {
    pub(crate) scheme: &'static str,
    pub(crate) host: String,
}

impl Endpoint {
    pub(crate) fn of(reference: &Reference, options: &Options) -> Self {
        let host = match reference.registry() {
            "docker.io" => "registry-1.docker.io",
            host => host,
        };
        let http = options.allow_http || is_loopback(host);
        Self { scheme: if http { "http" } else { "https" }, host: host.to_owned() }
    }

    /// URL of `path` below the repository of `reference`.
    pub(crate) fn url(&self, reference: &Reference, path: &str) -> String {
        format!("{}://{}/v2/{}/{path}", self.scheme, self.host, reference.repository())
    }
}

/// Whether `host`, with or without port, is this machine: `localhost`,
/// `*.localhost`, `127.0.0.0/8` or `[::1]`.
pub fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, _)) => v6,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost" || name.ends_with(".localhost") || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CredentialFiles;

    #[test]
    fn only_hosts_of_this_machine_are_loopback() {
        for host in ["localhost", "localhost:5000", "a.localhost:1", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example.com", "notlocalhost", "128.0.0.1", "10.0.0.1:80", "[fe80::1]:1", "ghcr.io", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn plain_http_needs_loopback_or_the_option() {
        let url = |reference: &str, allow_http| {
            let options = Options { allow_http, credentials: CredentialFiles::none(), ..Options::default() };
            let reference: Reference = reference.parse().unwrap();
            Endpoint::of(&reference, &options).url(&reference, "manifests/v1")
        };
        assert_eq!(url("ghcr.io/a/b", false), "https://ghcr.io/v2/a/b/manifests/v1");
        assert_eq!(url("ghcr.io/a/b", true), "http://ghcr.io/v2/a/b/manifests/v1");
        assert_eq!(url("localhost:5000/b", false), "http://localhost:5000/v2/b/manifests/v1");
        assert_eq!(url("alpine", false), "https://registry-1.docker.io/v2/library/alpine/manifests/v1");
    }
}
