//! The verifier has no network: the checks that need nothing but Cargo.
//!
//! Three facts are held here, cheapest first: what the manifests name, what the
//! whole dependency graph of `carnet-verify` holds, and what building it beside
//! the rooms with sockets would add (Cargo unifies features across a workspace).
//! The checks on the built program (imported symbols, system calls, a run without
//! any network) are in `.ci/run`.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "reads manifests and runs cargo, on the developer's machine"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The rooms that `carnet-verify` is made of, each with the rooms it may know.
const OFFLINE_ROOMS: &[(&str, &[&str])] = &[
    ("carnet-bundle", &[]),
    ("carnet-evidence", &["carnet-bundle"]),
    ("carnet-policy", &["carnet-bundle", "carnet-evidence"]),
    ("carnet-verify", &["carnet-bundle", "carnet-evidence", "carnet-policy"]),
];

/// Crates that open sockets, speak a protocol over one, resolve names, drive
/// those that do, or start a browser. Compared with whole names.
const NETWORK_CRATES: &[&str] = &[
    // Event loops and sockets.
    "async-io",
    "async-net",
    "async-std",
    "compio",
    "io-uring",
    "mio",
    "monoio",
    "net2",
    "polling",
    "quinn",
    "quinn-proto",
    "quinn-udp",
    "s2n-quic",
    "smol",
    "socket2",
    "socks",
    "tokio",
    "tokio-util",
    "ws2_32-sys",
    // Names.
    "c-ares",
    "domain",
    "hickory-proto",
    "hickory-resolver",
    "trust-dns-resolver",
    // HTTP and what builds on it.
    "actix-web",
    "async-tungstenite",
    "attohttpc",
    "awc",
    "axum",
    "curl",
    "curl-sys",
    "h2",
    "h3",
    "hyper",
    "hyper-rustls",
    "hyper-tls",
    "hyper-util",
    "isahc",
    "minreq",
    "octocrab",
    "opener",
    "openidconnect",
    "reqwest",
    "surf",
    "tiny_http",
    "tonic",
    "tower-http",
    "tungstenite",
    "ureq",
    "ureq-proto",
    "warp",
    "webbrowser",
    // TLS.
    "boring",
    "native-tls",
    "openssl",
    "openssl-sys",
    "rustls",
    "rustls-native-certs",
    "rustls-platform-verifier",
    "s2n-tls",
    "schannel",
    "tokio-rustls",
    // Services.
    "git2",
    "gix",
    "kube",
    "kube-client",
    "libgit2-sys",
    "libssh2-sys",
    "oci-client",
    "oci-distribution",
    "rusoto_core",
    "russh",
    "sigstore",
    "sigstore-fulcio",
    "sigstore-oidc",
    "sigstore-tuf",
    "ssh2",
    "tough",
    "tuf",
];

/// Features by which crates of both sides are known to reach for the network
/// without a new crate. `windows-sys` only declares functions; its
/// `Win32_Networking_*` features are therefore not meant here.
const NETWORK_FEATURES: &[&str] =
    &["client", "dns", "http", "http-send", "https", "net", "network", "resolve-http", "socket", "tls", "tuf"];

#[test]
fn manifests_name_no_network_crate_and_only_rooms_to_the_right() {
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version=1"])).unwrap();
    for (room, may_know) in OFFLINE_ROOMS {
        let package = metadata["packages"].as_array().unwrap().iter().find(|p| p["name"] == *room).unwrap();
        // "dev" dependencies are not in the program. "build" ones would run on
        // the machine that builds, and there is no reason for one of these.
        let named = package["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"] != "dev");
        for dependency in named.map(|d| d["name"].as_str().unwrap()) {
            assert!(!NETWORK_CRATES.contains(&dependency), "{room} names the network crate {dependency}");
            if dependency.starts_with("carnet") {
                assert!(may_know.contains(&dependency), "{room} may not know {dependency}");
            }
        }
    }
}

#[test]
fn graph_of_carnet_verify_holds_no_network_crate() {
    let graph = packages(&["-p", "carnet-verify"]);
    // A look into an empty or foreign graph would find nothing, too.
    for expected in ["carnet-bundle", "carnet-evidence", "carnet-policy", "ring", "clap"] {
        assert!(graph.contains_key(expected), "{expected} is not in the graph: {:?}", graph.keys());
    }
    let found: Vec<_> = network_crates(&graph).collect();
    let paths: String = found.iter().map(|spec| tree(&["-p", "carnet-verify", "--invert", spec])).collect();
    assert!(found.is_empty(), "network crates {found:?} in carnet-verify, brought in by:\n{paths}");
}

#[test]
fn graph_check_sees_the_network_crates_of_the_other_side() {
    let graph = packages(&["-p", "carnet"]);
    let seen: String = network_crates(&graph).map(|spec| format!("{spec} ")).collect();
    for expected in ["tokio@", "mio@", "socket2@", "hyper@", "rustls@", "reqwest@"] {
        assert!(seen.contains(expected), "{expected} was not seen: {seen}");
    }
}

#[test]
fn crates_on_both_sides_gain_no_network_from_the_other_side() {
    let alone = packages(&["-p", "carnet-verify"]);
    let together = packages(&["--workspace"]);

    // Everything that reaches a network crate when the whole workspace is
    // resolved at once must be foreign to the verifier.
    for network in network_crates(&together) {
        let reaching = tree(&["--workspace", "--prefix", "none", "--invert", &network]);
        for name in reaching.lines().filter_map(|line| line.split_whitespace().next()) {
            assert!(
                !alone.contains_key(name),
                "{name} is part of carnet-verify and reaches {network} when built with the workspace:\n{}",
                tree(&["--workspace", "--invert", &network])
            );
        }
    }

    for (name, package) in &alone {
        let gained: Vec<_> = together[name].features.difference(&package.features).collect();
        if !gained.is_empty() {
            println!("{name} gains {gained:?} when built with the workspace");
        }
        let network: Vec<_> = gained.iter().filter(|f| NETWORK_FEATURES.contains(&f.as_str())).collect();
        assert!(network.is_empty(), "{name} gains {network:?} when built with the workspace");
    }
}

#[test]
fn offline_rooms_are_held_by_one_list_of_bans() {
    let text = |room: &str| std::fs::read_to_string(root().join("src").join(room).join("clippy.toml")).unwrap();
    let bans = text("bundle");
    for banned in ["std::fs::File", "std::net::TcpStream", "std::env::var", "std::time::SystemTime::now", "jiff::Timestamp::now"]
    {
        assert!(bans.contains(&format!("\"{banned}\"")), "{banned} is not banned");
    }
    for room in ["evidence", "policy", "verify"] {
        assert!(text(room) == bans, "src/{room}/clippy.toml differs from src/bundle/clippy.toml");
    }
}

/// One crate of a resolution, its versions taken together.
#[derive(Default)]
struct Package {
    versions: BTreeSet<String>,
    features: BTreeSet<String>,
}

/// Returns the crates of a resolution by name.
fn packages(selection: &[&str]) -> BTreeMap<String, Package> {
    let mut found: BTreeMap<String, Package> = BTreeMap::new();
    let listing = tree(&[selection, &["--prefix", "none", "--format", "{p}|{f}"]].concat());
    for line in listing.lines().filter(|line| !line.is_empty()) {
        let (package, features) = line.split_once('|').unwrap();
        let mut words = package.split_whitespace();
        let entry = found.entry(words.next().unwrap().to_owned()).or_default();
        entry.versions.insert(words.next().unwrap().trim_start_matches('v').to_owned());
        let features = features.trim_end_matches("(*)").trim();
        entry.features.extend(features.split(',').filter(|f| !f.is_empty()).map(str::to_owned));
    }
    found
}

/// Returns `name@version` of each network crate in a resolution.
fn network_crates(graph: &BTreeMap<String, Package>) -> impl Iterator<Item = String> {
    let named = NETWORK_CRATES.iter().filter_map(|name| Some((name, graph.get(*name)?)));
    named.flat_map(|(name, package)| package.versions.iter().map(move |version| format!("{name}@{version}")))
}

/// Runs `cargo tree` over what is linked into the programs, on any platform.
fn tree(arguments: &[&str]) -> String {
    cargo(&[&["tree", "--edges", "normal", "--target", "all"], arguments].concat())
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).arg("--locked").current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
