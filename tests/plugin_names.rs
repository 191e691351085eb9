//! One program, several names: each is called as its host calls it, and speaks of
//! itself as the user typed it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "plugin/installed.rs"]
mod installed;

use std::os::unix::fs::symlink;

use installed::Installed;

/// The names, the words that a host puts first, and what the user typed.
const NAMES: [(&str, &[&str], &str); 5] = [
    ("carnet", &[], "carnet"),
    ("carnet-next", &[], "carnet"),
    ("cosign-carnet", &[], "cosign-carnet"),
    ("docker-carnet", &["--debug", "carnet"], "docker carnet"),
    ("kubectl-carnet", &[], "kubectl carnet"),
];

#[test]
fn usage_lines_are_what_was_typed() {
    let installed = Installed::whole();
    for (name, first, typed) in NAMES {
        if name != "carnet" {
            installed.link(name);
        }
        let usage = |words: &[&str]| installed.run(name, &[first, words].concat()).good();
        for (words, want) in [
            (&["--help"][..], format!("Usage: {typed} <COMMAND>")),
            (&["tree", "--help"], format!("Usage: {typed} tree <ARCHIVE>")),
            (&["help", "trust", "show"], format!("Usage: {typed} trust show")),
            (&["verify", "--help"], format!("Usage: {typed} verify [OPTIONS] <ARCHIVE>")),
        ] {
            let page = usage(words);
            assert!(page.lines().any(|line| line.starts_with(&want)), "{name} {words:?}: {page}");
        }
        let said = installed.run(name, &[first, &["nonsense"]].concat()).refused();
        assert!(said.contains(&format!("`{typed} --help`")), "{name}: {said}");
    }
}

#[test]
fn kubectl_starts_the_longest_name() {
    let installed = Installed::with_willing_verifier();
    installed.link("kubectl-carnet-verify").link("kubectl-carnet-trust-show");
    assert_eq!(installed.run("kubectl-carnet-verify", &["a.tar", "--image", "x"]).good(), "started: a.tar --image x\n");
    let page = installed.run("kubectl-carnet-trust-show", &["--help"]).good();
    assert!(page.contains("Usage: kubectl carnet trust show"), "{page}");
}

#[test]
fn kubectl_can_start_the_verifier_itself() {
    let installed = Installed::whole();
    symlink(installed.path("carnet-verify"), installed.path("kubectl-carnet-verify")).unwrap();
    let direct = installed.run("kubectl-carnet-verify", &["--version"]).good();
    assert_eq!(direct, installed.run("carnet-verify", &["--version"]).good());
}

#[test]
fn short_forms_are_those_of_the_host() {
    let installed = Installed::with_willing_verifier();
    installed.link("cosign-carnet").link("docker-carnet").link("kubectl-carnet");
    for (name, words, want) in [
        ("carnet", &["a", "-o", "json"][..], "a -o json"),
        ("kubectl-carnet", &["a", "-o", "json"], "a --output=json"),
        ("kubectl-carnet", &["a", "-o", "out.json"], "a -o out.json"),
        ("cosign-carnet", &["a", "--key", "k.pub", "--insecure-ignore-tlog", "--offline"], "a --key k.pub --ignore-rekor"),
        (
            "cosign-carnet",
            &["a", "--certificate-identity", "x", "--certificate-oidc-issuer=y"],
            "a --certificate-identity x --certificate-oidc-issuer=y",
        ),
    ] {
        let said = installed.run(name, &[&["verify"], words].concat()).good();
        assert_eq!(said, format!("started: {want}\n"), "{name}");
    }
    let said = installed.run("cosign-carnet", &["verify", "a", "--check-claims=false"]).refused();
    assert!(said.contains("--check-claims=false is not honoured"), "{said}");
}

#[test]
fn cosign_is_said_to_have_no_plugins() {
    let installed = Installed::without_verifier();
    let page = installed.link("cosign-carnet").run("cosign-carnet", &["--help"]).good();
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains("cosign starts no plugins: `cosign carnet` is no command."), "{page}");
}

#[test]
fn docker_gets_its_description() {
    let installed = Installed::without_verifier();
    let text = installed.link("docker-carnet").run("docker-carnet", &["docker-cli-plugin-metadata"]).good();
    let metadata: serde_json::Value = serde_json::from_str(&text).unwrap();
    // What docker asks for: cli-plugins/metadata and cli-plugins/manager/plugin.go of docker/cli.
    assert_eq!(metadata["SchemaVersion"], "0.1.0");
    assert_eq!(metadata["Version"], env!("CARGO_PKG_VERSION"));
    assert!(["Vendor", "ShortDescription", "URL"].iter().all(|key| metadata[key].as_str().is_some_and(|text| !text.is_empty())));
    let said = installed.run("docker-carnet", &["--config", "/x", "carnet", "export", "a"]).refused();
    assert!(said.contains("DOCKER_CONFIG"), "{said}");
}

#[test]
fn words_cannot_steer_the_terminal() {
    let installed = Installed::without_verifier();
    for (name, first, _) in NAMES {
        if name != "carnet" {
            installed.link(name);
        }
        let said = installed.run(name, &[first, &["\u{1b}[2Jx\u{202e}"]].concat()).refused();
        assert!(!said.contains(['\u{1b}', '\u{202e}']) && said.contains("u{202e}"), "{name}: {said:?}");
    }
}
