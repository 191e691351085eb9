//! The rules of the evidence room itself.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    reason = "a test reads its data, and says so when it is not there"
)]

use std::{collections::BTreeSet, path::Path};

use carnet_bundle::Severity;
use carnet_evidence::codes;

/// Every source file of the room with its text.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new(env!("CARGO_MANIFEST_DIR")), &mut found);
    found
}

#[test]
fn the_sigstore_crates_are_known_to_the_backend_alone() {
    let sources = sources();
    assert!(sources.len() > 20);
    for (path, text) in sources {
        let backend = path.ends_with("/backend.rs") || path.contains("/backend/");
        assert!(backend || !text.contains("sigstore_"), "{path} names a sigstore crate");
    }
}

#[test]
fn codes_have_one_meaning_and_a_step_of_this_room() {
    let mut names = BTreeSet::new();
    for code in codes::ALL {
        assert!(names.insert(code.name), "{} stands there twice", code.name);
        assert!(code.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", code.name);
        let gate: u32 = code.step.split('.').next().unwrap().trim_start_matches('V').parse().unwrap();
        assert!((5..=11).contains(&gate), "{} is a step of another room", code.name);
        assert!(code.summary.ends_with('.') && !code.hint.ends_with('.'), "{}", code.name);
        // Trust roots fail by themselves, and so does what a trusted signer contradicts.
        let may_fail = gate == 5 || code.step == "V11.6";
        assert!(may_fail || code.severity < Severity::Failure, "one piece of evidence fails nothing by itself: {}", code.name);
    }
}
