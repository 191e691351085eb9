//! What somebody reads who does not know carnet yet: `--help`, and what is said about a
//! command line that is none.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "plugin/installed.rs"]
mod installed;
#[path = "examples/lines.rs"]
#[allow(dead_code, reason = "the documentation's lines are another suite's")]
mod lines;

use carnet::{documented, persona::Persona};
use installed::Installed;

const PERSONAS: [Persona; 4] = [Persona::Carnet, Persona::Cosign, Persona::Docker, Persona::Kubectl];

/// Every command, by its words.
fn commands(command: &clap::Command, words: &[&str]) -> Vec<(String, clap::Command)> {
    let mut found = vec![(words.join(" "), command.clone())];
    for below in command.get_subcommands() {
        found.extend(commands(below, &[words, &[below.get_name()]].concat()));
    }
    found
}

/// The examples of a help page, each on one line.
fn examples(page: &str) -> Vec<String> {
    let Some((_, below)) = page.split_once("Examples:\n") else { return Vec::new() };
    let block = below.lines().take_while(|line| line.is_empty() || line.starts_with("  ")).collect::<Vec<_>>().join("\n");
    let joined = block.replace("\\\n", " ");
    joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn every_command_has_examples_that_it_understands() {
    for persona in PERSONAS {
        let mut seen = 0;
        for (path, command) in commands(&documented::definition(persona), &[persona.called()]) {
            let page = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let found = examples(&page);
            assert!(!found.is_empty(), "{path} has no example");
            for line in found {
                // `carnet` itself shows the lines of others.
                assert!(line.starts_with(&path) && line.len() < 320, "{path}: {line}");
                let of_carnet = line.replacen(persona.called(), "carnet", 1);
                lines::understood(&of_carnet, true).unwrap_or_else(|why| unreachable!("{line}: {why}"));
                seen += 1;
            }
            // Nothing is wider than the page that clap makes of it.
            assert!(
                page.lines().filter(|line| line.starts_with("  ")).all(|line| line.chars().count() <= 100),
                "{path}:\n{page}"
            );
        }
        assert!(seen > 40, "{seen}");
    }
}

#[test]
fn commands_stand_in_the_order_in_which_they_are_used() {
    let installed = Installed::whole();
    let page = installed.run("carnet", &["--help"]).good();
    let at = |name: &str| page.find(&format!("\n  {name} ")).unwrap();
    let order = ["export", "verify", "import", "serve", "images", "status", "inspect", "why", "trust", "policy", "plugin", "man"];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{page}");
}

/// Help needs no verifier, and is what the verifier itself would say, with examples.
#[test]
fn help_of_verify_is_that_of_the_verifier() {
    let whole = Installed::whole();
    let own = whole.run("carnet-verify", &["--help"]).good();
    for words in [&["verify", "--help"][..], &["help", "verify"]] {
        let page = Installed::without_verifier().run("carnet", words).good();
        let flags =
            |page: &str| page.lines().filter(|line| line.trim_start().starts_with('-')).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(flags(&page)[..flags(&own).len()], flags(&own), "{words:?}");
        assert!(page.contains("Usage: carnet verify [OPTIONS] <ARCHIVE>") && page.contains("Exit status: 0 pass"), "{page}");
        assert_eq!(examples(&page).len(), 4);
    }
}

#[test]
fn a_mistake_is_answered_with_what_was_meant() {
    let installed = Installed::whole();
    installed.link("kubectl-carnet").link("cosign-carnet").link("docker-carnet");
    for (line, want) in [
        // Of those who come from other tools.
        ("carnet validate image --images x", "`ec validate image` is `carnet verify ARCHIVE` with the same flags"),
        ("carnet image verify a.tar", "`carnet verify` is a command by itself, without \"image\""),
        ("kubectl-carnet get", "`kubectl carnet images` lists what runs, `kubectl carnet status`"),
        ("kubectl-carnet get images -A", "`kubectl carnet images` is a command by itself, without \"get\""),
        ("kubectl-carnet describe x", "`kubectl carnet inspect ARCHIVE`"),
        ("cosign-carnet copy a b", "`cosign-carnet import` writes what passed"),
        ("cosign-carnet save --dir x y", "`cosign-carnet export` collects"),
        ("cosign-carnet verify-attestation x", "`cosign-carnet verify` judges an archive"),
        ("cosign-carnet sign x", "sign and attest with cosign, then `cosign-carnet export`"),
        ("docker-carnet carnet pull x", "`docker carnet export`"),
        ("carnet version", "`carnet --version`"),
        ("carnet policy pim", "a similar subcommand exists: 'pin'"),
        ("carnet policy nonsense", "`carnet policy --help` lists the commands"),
        // Of those who leave something out.
        ("carnet verify --policy", "for example `carnet verify app.carnet.tar --images images.yaml --policy policy.yaml"),
        ("kubectl-carnet verify", "for example `kubectl carnet verify app.carnet.tar"),
        ("carnet export app", "for example `carnet export registry.example/team/app:1.0 -o app.carnet.tar`"),
        ("carnet import a.tar", "`carnet import --help` lists every flag"),
        ("kubectl-carnet status -A", "--bundles shelf"),
        ("carnet plugin install", "for example `carnet plugin install --for kubectl,docker`"),
        // Of those who take a flag from elsewhere.
        ("carnet export app -o a.tar --certificate-identity x", "--certificate-identity is a flag of `carnet verify`"),
        ("carnet verify a.tar --to registry.example/app", "--to is a flag of `carnet import`"),
        ("carnet verify a.tar --polcy x", "a similar argument exists: '--policy'"),
        ("carnet verify a.tar --ignore-rekor true", "a switch and its value are one word"),
        ("kubectl-carnet images pods", "`kubectl carnet images` takes flags only"),
    ] {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        let said = installed.run(name, &words.collect::<Vec<_>>()).refused();
        assert!(said.contains(want), "{line}: want {want}\n{said}");
        // One thing to read, not a page.
        assert!(said.lines().count() == 2 && !said.contains('\u{1b}'), "{line}: {said}");
    }
}

/// What Sigstore's conformance suite says reaches the verifier as it is.
#[test]
fn another_protocol_is_handed_on() {
    let installed = Installed::with_willing_verifier();
    let words = ["verify", "conformance", "verify-bundle", "--bundle", "x", "artifact"];
    assert_eq!(installed.run("carnet", &words).good(), "started: conformance verify-bundle --bundle x artifact\n");
    let said = installed.run("carnet", &["verify", "--version"]).good();
    assert_eq!(said.trim_end(), concat!("carnet-verify ", env!("CARGO_PKG_VERSION")));
}

/// The tour says at its start what would end it, and writes nothing.
#[test]
fn the_tour_needs_the_verifier_before_it_begins() {
    let installed = Installed::without_verifier();
    let said = installed.run("carnet", &["demo"]).refused();
    assert!(said.contains("carnet-verify is not there"), "{said}");
    assert!(!installed.path("carnet-demo").exists());
}

#[test]
fn a_path_is_named_once() {
    let installed = Installed::without_verifier();
    let said = installed.run("carnet", &["inspect", "nosuch.tar"]).refused();
    assert_eq!(said.matches("nosuch.tar").count(), 1, "{said}");
}
