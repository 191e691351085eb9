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

/// Whether who is at `from` may not send us to `to`: from elsewhere to this machine
/// or its link, such as the metadata service of a cloud, or from a public address to
/// a private one (server-side request forgery). A registry that has a name may be in
/// the same house as its private addresses, so those are left to it.
pub(crate) fn leads_inside(from: &str, to: &str) -> bool {
    let is_private = |host: &str| address(host).is_some_and(is_private);
    (is_local(to) && !is_local(from)) || (is_private(to) && address(from).is_some() && !is_private(from))
}

/// Whether `host` is this machine, or an address of the link it is on.
pub(crate) fn is_local(host: &str) -> bool {
    let is_link = match address(host) {
        Some(IpAddr::V4(v4)) => v4.is_loopback() || v4.is_link_local() || v4.is_unspecified(),
        Some(IpAddr::V6(v6)) => v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified(),
        None => false,
    };
    is_link || is_loopback(host.trim_end_matches('.'))
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback() || v6.is_unicast_link_local(),
    }
}

/// The address that `host` is, with or without port; an IPv4 address in the clothes
/// of IPv6 as what it is.
fn address(host: &str) -> Option<IpAddr> {
    let bare = host.trim_start_matches('[').split(']').next().unwrap_or_default();
    let address: Result<IpAddr, _> = bare.parse().or_else(|_| bare.split(':').next().unwrap_or_default().parse());
    address.ok().map(|address| address.to_canonical())
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
    fn nobody_leads_from_outside_to_the_inside() {
        for to in ["127.0.0.1:80", "[::ffff:127.0.0.1]", "localhost.", "169.254.169.254", "[fe80::1]:1", "0.0.0.0", "[::]"] {
            assert!(leads_inside("ghcr.io", to), "{to}");
            assert!(!leads_inside("127.0.0.1:5000", to), "{to}");
        }
        for to in ["10.0.0.1", "192.168.1.1:5000", "[fd00::1]", "[::ffff:10.0.0.1]"] {
            assert!(leads_inside("203.0.113.7:443", to) && !leads_inside("registry.corp.example", to), "{to}");
            assert!(!leads_inside("10.9.9.9:5000", to), "{to}");
        }
        assert!(!leads_inside("ghcr.io", "storage.example") && !leads_inside("203.0.113.7", "198.51.100.1"));
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
