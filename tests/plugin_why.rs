//! `carnet why` says of every finding code and of every digest in an archive what it
//! is, where it stands, why it matters and what to do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[path = "plugin/installed.rs"]
mod installed;

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::Engine as _;
use carnet_bundle::Severity;
use carnet_verify::codes;
use installed::Installed;
use serde_json::{Value, json};

fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path)
}

/// An installation with an archive of a layout of `testdata/layouts/local-sigstore`.
fn exported(layout: &str, more: &[&str]) -> Installed {
    let installed = Installed::without_verifier();
    let from = format!("oci:{}", testdata("layouts/local-sigstore").join(layout).display());
    let own = ["export", "r.example/demo/app:v1", "--from", &from, "--reproducible", "--no-cache", "-q", "-o", "app.carnet.tar"];
    let ended = installed.run("carnet", &[&own, more].concat());
    assert_eq!(ended.status, Some(0), "{ended:?}");
    installed
}

fn why(installed: &Installed, words: &[&str]) -> String {
    let page = installed.run("carnet", &[&["why"], words].concat()).good();
    assert!(!page.contains(|c: char| c.is_control() && c != '\n'), "{page:?}");
    page
}

/// The four parts, each on one line.
fn parts(page: &str) -> [String; 4] {
    let mut parts: [String; 4] = Default::default();
    let mut at = None;
    for line in page.lines() {
        at = ["What:", "Where:", "Why:", "To do:"].iter().position(|heading| line.starts_with(heading)).or(at);
        let Some(at) = at else { continue };
        let text = line.get(7..).unwrap_or_default().trim();
        parts[at] = format!("{} {text}", parts[at]).trim().to_owned();
    }
    assert!(parts.iter().all(|part| part.len() > 10), "{page}");
    parts
}

fn overview(installed: &Installed) -> Value {
    serde_json::from_str(&installed.run("carnet", &["inspect", "app.carnet.tar", "-o", "json"]).good()).unwrap()
}

#[test]
fn every_code_is_explained_in_its_own_words() {
    let installed = Installed::without_verifier();
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for code in codes::all() {
        let page = why(&installed, &[code.name]);
        assert!(page.starts_with(&format!("{} (", code.name)) && page.contains(&format!("step {})", code.step)), "{page}");
        let [what, _, reason, to_do] = parts(&page);
        assert_eq!(what, squeeze(code.summary));
        let hint = squeeze(code.hint);
        assert!(code.hint.is_empty() || to_do.get(1..) == hint.get(1..), "{}: {to_do}", code.name);
        assert_eq!(reason.contains("It fails the verdict"), code.severity == Severity::Failure, "{reason}");
    }
    let list = why(&installed, &["--list"]);
    assert_eq!(list.lines().count(), codes::all().count());
    assert!(codes::all().all(|code| list.contains(&format!("{}  {} ", code.name, code.step))));
}

/// A hint that only says again what is wrong helps nobody: each names something to do,
/// or says that there is nothing.
#[test]
fn every_code_says_what_to_do() {
    let actions = [
        "accept", "add", "ask", "attest", "build", "check", "compare", "copy", "correct", "do not", "escape", "export", "fetch",
        "give", "keep", "leave", "let", "look", "make", "name", "nothing", "pin", "remove", "relax", "set", "sign", "take",
        "treat", "unpack", "use", "verify", "wait", "widen", "write",
    ];
    for code in codes::all() {
        let names_one = code.hint.split([';', ':', ',']).flat_map(|part| part.split(" or ")).any(|clause| {
            let clause = clause.trim().to_lowercase();
            actions.iter().any(|action| clause.strip_prefix(action).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')))
        });
        assert!(names_one, "{}: {:?}", code.name, code.hint);
        assert!(code.severity == Severity::Note || !code.hint.starts_with("nothing"), "{}: {:?}", code.name, code.hint);
    }
}

#[test]
fn what_is_attached_is_explained() {
    let installed = exported("app", &[]);
    let id = overview(&installed)["id"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "bundle", "digest": {"sha256": id}}],
        "predicateType": "https://example.com/note",
        "predicate": {},
    });
    let payload = base64::engine::general_purpose::STANDARD.encode(statement.to_string());
    let envelope = json!({"payload": payload, "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": "AA=="}]});
    fs::write(installed.path("note.json"), envelope.to_string()).unwrap();
    installed.run("carnet", &["attach", "app.carnet.tar", "note.json"]).good();
    let list = why(&installed, &["app.carnet.tar", "--list"]);
    for (what, where_) in
        [("An attachment, unverified here: DSSE envelope", "Attached to the bundle"), ("The content of the attachment", "")]
    {
        let line = list.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {list}"));
        let page = why(&installed, &["app.carnet.tar", line.split("  ").next().unwrap()]);
        let [have, place, reason, _] = parts(&page);
        assert!(have.contains(what) && place.contains(where_) && reason.contains("by whom the operator names"), "{page}");
    }
}

#[test]
fn the_reason_is_the_specifications() {
    let page = why(&Installed::without_verifier(), &["member-not-listed"]);
    let [_, place, reason, _] = parts(&page);
    assert!(reason.starts_with("Check for a smuggled member. Every member is reached by the walk."), "{reason}");
    assert!(!reason.contains("Findings:") && !reason.contains("**"), "{reason}");
    assert!(place.contains("gate 1, integrity"), "{place}");
}

#[test]
fn a_damaged_archive_says_where() {
    let installed = exported("app", &[]);
    let sound = why(&installed, &["app.carnet.tar", "blob-digest-mismatch"]);
    assert!(parts(&sound)[1].starts_with("Not found when this archive was read."), "{sound}");
    let archive = installed.path("app.carnet.tar");
    let mut bytes = fs::read(&archive).unwrap();
    let last = (0..bytes.len() - 1024).rev().find(|at| bytes[*at] != 0).unwrap();
    bytes[last] ^= 1;
    fs::write(&archive, bytes).unwrap();
    let subject = overview(&installed)["findings"][0]["subject"].as_str().unwrap().to_owned();
    let page = why(&installed, &["app.carnet.tar", "blob-digest-mismatch"]);
    assert!(parts(&page)[1].starts_with(&format!("{subject}: ")), "{page}");
    let page = why(&installed, &["app.carnet.tar", &subject]);
    let [what, place, _, to_do] = parts(&page);
    assert!(what.contains("layer of the image") && place.contains("Wrong: blob-digest-mismatch: "), "{page}");
    assert!(to_do.contains("carnet why blob-digest-mismatch"), "{page}");
    let list = why(&installed, &["app.carnet.tar", "--list"]);
    assert!(list.starts_with("blob-digest-mismatch  "), "{list}");
}

#[test]
fn a_code_of_a_later_gate_needs_a_verdict() {
    let installed = exported("app", &[]);
    let page = why(&installed, &["app.carnet.tar", "identity-mismatch"]);
    assert!(parts(&page)[1].contains("`carnet verify ARCHIVE`"), "{page}");
}

#[test]
fn every_digest_of_an_archive_is_explained() {
    let root = testdata("trust/local-sigstore/trusted_root.json");
    let installed = exported("multi", &["--trusted-root", root.to_str().unwrap(), "--platform", "linux/amd64"]);
    let shown = overview(&installed);
    let digest = |pointer: &str| shown.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
    for (pointer, what, place) in [
        ("/id", "The bundle id", "blobs/sha256/"),
        ("/contentId", "The content id", "In no list"),
        ("/images/0/digest", "The image r.example/demo/app:v1 (", "Evidence about it: sigstore-bundle"),
        (
            "/images/0/platforms/0/digest",
            "The image for linux/amd64 of the index sha256:",
            "Looked for evidence by referrers-api",
        ),
        ("/images/0/platforms/1/digest", "Not in the archive: child (555 B", ""),
        ("/evidence/0/digest", "Evidence, unverified here: sigstore-bundle", "Found by "),
        ("/trustMaterial/0/digest", "Trust material trusted_root.json (", "blobs/sha256/"),
    ] {
        let page = why(&installed, &["app.carnet.tar", &digest(pointer)]);
        let [have, at, ..] = parts(&page);
        let what = what.replace("555 B", "555 bytes");
        assert!(have.contains(&what) && at.contains(place), "{pointer}: {page}");
        assert!(page.starts_with(&format!("{}\n", digest(pointer))));
    }
    let list = why(&installed, &["app.carnet.tar", "--list"]);
    for line in list.lines().filter(|line| line.starts_with("sha256:")) {
        let (digest, role) = line.split_once("  ").unwrap();
        assert!(!role.is_empty() && role != "Named by the archive.", "{line}");
        parts(&why(&installed, &["app.carnet.tar", digest]));
    }
    // Layers, configs and payloads are in the list.
    for role in [
        "A layer of the image",
        "The config of the image",
        "A payload of the evidence",
        "The empty config of",
        "The inventory (",
        "The control manifest",
        "The index of the evidence about",
    ] {
        assert!(list.contains(role), "{role}: {list}");
    }
}

#[test]
fn the_first_digits_are_enough() {
    let installed = exported("app", &[]);
    let digest = overview(&installed)["id"].as_str().unwrap().to_owned();
    let hex = digest.strip_prefix("sha256:").unwrap();
    for begin in [&digest[..17], &hex[..10], hex] {
        assert!(why(&installed, &["app.carnet.tar", begin]).starts_with(&digest), "{begin}");
    }
}

#[test]
fn what_cannot_be_explained_is_said() {
    let installed = exported("app", &[]);
    fs::write(installed.path("no.tar"), "no archive").unwrap();
    for (words, want) in [
        (&["why"][..], "want a finding code"),
        (&["why", "a", "b", "c"], "'c'"),
        (&["why", "app.carnet.tar", "blob-digest-mismatch", "--list"], "want a finding code"),
        (&["why", "no-such-code"], "no-such-code is no finding code"),
        (&["why", "app.carnet.tar", "sha256:12"], "sha256:12 is no finding code"),
        (&["why", "0123456789ab"], "names no archive"),
        (&["why", "app.carnet.tar", "000000000000"], "nothing in the archive has or names the digest 000000000000"),
        (&["why", "no.tar", "blob-digest-mismatch"], "no.tar: "),
        (&["why", "missing.tar", "--list"], "missing.tar: "),
        (&["why", "\u{1b}[2J"], "u{1b}"),
    ] {
        let said = installed.run("carnet", words).refused();
        assert!(said.contains(want) && !said.contains('\u{1b}'), "{words:?}: {said}");
    }
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("evil\u{1b}]0;owned\u{7}\u{202e}.json");
    let blobs = testdata("layouts/local-sigstore/app/blobs/sha256");
    let mut blobs = fs::read_dir(blobs).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
    let start = b"{\"mediaType\":\"application/vnd.dev.sigstore.bundle";
    fs::write(&odd, blobs.find(|bytes| bytes.starts_with(start)).unwrap()).unwrap();
    let installed = exported("app", &["--evidence", odd.to_str().unwrap()]);
    let list = why(&installed, &["app.carnet.tar", "--list"]);
    let loose = list.lines().find(|line| line.contains("evil")).unwrap();
    let page = why(&installed, &["app.carnet.tar", loose.split("  ").next().unwrap()]);
    assert!(page.contains("u{1b}") && !page.contains(['\u{1b}', '\u{202e}']) && !list.contains('\u{202e}'), "{page}");
}
