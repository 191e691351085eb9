//! What is refused, unreachable or wrong: the right receipt, the right exit code,
//! and no file that looks complete.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "export_support.rs"]
mod support;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Command,
};

use carnet_bundle::{
    Digest, Inventory,
    inventory::{AbsenceReason, LookResult, Method, Role},
    media,
};
use carnet_registry::testing::{Behaviour, Content, Effect, Fault, Route, TestingRegistry};
use support::{Ended, command, export, finish, open_archive, receipt, serve, testdata};

const APP: &str = "sha256:e24e57b9645a7eac5eaf31f65e6e69114010b59c067830c3784da2f941d76c71";

fn app() -> TestingRegistry {
    serve("local-sigstore/app-fallback", Behaviour { referrers_api: false, ..Behaviour::default() })
}

fn run(registry: &TestingRegistry, folder: &Path, extra: &[&str]) -> Ended {
    let output = folder.join("out.tar");
    let reference = format!("{}/demo/app:v1", registry.host());
    export(&[&[reference.as_str(), "-o", output.to_str().unwrap()], extra].concat())
}

/// The folder holds nothing: no archive, no temporary file.
fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

fn incomplete(registry: &TestingRegistry, folder: &Path) -> (Inventory, Vec<&'static str>) {
    let refused = run(registry, folder, &[]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("carnet: error: could not look at"), "{}", refused.stderr);
    assert!(refused.stdout.contains("could not look: "), "{}", refused.stdout);
    assert!(is_empty(folder));
    let accepted = run(registry, folder, &["--allow-incomplete"]);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    let opened = open_archive(&folder.join("out.tar"));
    fs::remove_file(folder.join("out.tar")).unwrap();
    opened
}

#[test]
fn a_store_that_cannot_be_looked_at_means_no_file() {
    for (status, note) in [(401, "denied"), (403, "denied"), (429, "unreachable"), (503, "unreachable")] {
        let folder = tempfile::tempdir().unwrap();
        let registry = app();
        registry.inject(Fault::on(Route::Manifest, Effect::Status(status)).ending(".att"));
        let (inventory, findings) = incomplete(&registry, folder.path());
        assert!(findings.contains(&"collection-incomplete"), "{findings:?}");
        let receipt = receipt(&inventory, APP, Method::CosignAtt);
        assert_eq!((receipt.result, receipt.status), (LookResult::CouldNotLook, Some(status)));
        assert_eq!(receipt.note, note);
    }
}

#[test]
fn a_manifest_in_a_list_that_is_refused_leaves_the_store_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let registry = app();
    let listed = "sha256:141d08ccb1ebf543ceda70b721ee0946530408866b9bb62ebb86fcdaebdf4649";
    registry.inject(Fault::on(Route::Manifest, Effect::Status(403)).ending(listed));
    let (inventory, _) = incomplete(&registry, folder.path());
    let receipt = receipt(&inventory, APP, Method::FallbackTag);
    assert_eq!((receipt.result, receipt.found, receipt.status), (LookResult::CouldNotLook, 2, Some(403)));
}

#[test]
fn a_list_that_was_not_kept_up_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let registry = app();
    let listed: Digest = "sha256:141d08ccb1ebf543ceda70b721ee0946530408866b9bb62ebb86fcdaebdf4649".parse().unwrap();
    registry.change(|content| content.remove_manifest("demo/app", &listed));
    let ended = run(&registry, folder.path(), &[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let (inventory, _) = open_archive(&folder.path().join("out.tar"));
    let receipt = receipt(&inventory, APP, Method::FallbackTag);
    assert_eq!((receipt.result, receipt.found), (LookResult::Found, 2));
    assert_eq!(receipt.note, "listed-manifest-missing");
    assert!(ended.stdout.contains("listed-manifest-missing"), "{}", ended.stdout);
}

/// GitLab answers the fallback tag with the image itself.
#[test]
fn a_fallback_tag_that_is_the_image_is_none() {
    let folder = tempfile::tempdir().unwrap();
    for set in ["local-sigstore/unsigned", "local-sigstore/multi-top"] {
        let registry = serve(set, Behaviour { referrers_api: false, ..Behaviour::default() });
        let layout = testdata("layouts").join(set);
        let index: serde_json::Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
        let digest: Digest = index["manifests"][0]["digest"].as_str().unwrap().parse().unwrap();
        let tag = format!("sha256-{}", digest.to_hex());
        registry.inject(Fault::on(Route::Manifest, Effect::Manifest(digest)).ending(tag));
        assert_eq!(run(&registry, folder.path(), &[]).code, 0);
        let (inventory, _) = open_archive(&folder.path().join("out.tar"));
        let receipt = receipt(&inventory, &digest.to_string(), Method::FallbackTag);
        assert_eq!((receipt.result, receipt.found, receipt.status), (LookResult::None, 0, Some(200)));
        assert_eq!(receipt.note, "fallback-tag-not-an-index");
    }
}

#[test]
fn a_registry_without_referrers_api_is_recorded_as_it_answers() {
    let html = Effect::Answer(200, "text/html".to_owned(), b"<html>".to_vec());
    for (effect, result, status) in [
        (Effect::Status(404), LookResult::None, 404),
        (Effect::Status(405), LookResult::NotLooked, 405),
        (html, LookResult::NotLooked, 200),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let registry = app();
        registry.inject(Fault::on(Route::Referrers, effect));
        assert_eq!(run(&registry, folder.path(), &[]).code, 0);
        let (inventory, _) = open_archive(&folder.path().join("out.tar"));
        assert_eq!(inventory.evidence.len(), 3);
        let receipt = receipt(&inventory, APP, Method::ReferrersApi);
        assert_eq!((receipt.result, receipt.status), (result, Some(status)));
    }
}

#[test]
fn a_page_instead_of_a_manifest_is_malformed() {
    let folder = tempfile::tempdir().unwrap();
    let registry = app();
    let html = Effect::Answer(200, "text/html".to_owned(), b"<html>sign in</html>".to_vec());
    registry.inject(Fault::on(Route::Manifest, html).ending(".sig"));
    let (inventory, _) = incomplete(&registry, folder.path());
    let receipt = receipt(&inventory, APP, Method::CosignSig);
    assert_eq!((receipt.result, receipt.status), (LookResult::CouldNotLook, Some(200)));
    assert_eq!(receipt.note, "malformed");
}

#[test]
fn a_referrer_of_something_else_is_not_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let registry = serve("local-sigstore/app", Behaviour::default());
    let other = Digest::of(b"other");
    let foreign = format!(
        r#"{{"schemaVersion":2,"mediaType":"{m}","config":{{"mediaType":"{e}","digest":"{d}","size":2}},"layers":[],"subject":{{"mediaType":"{m}","digest":"{other}","size":1}}}}"#,
        m = media::OCI_MANIFEST,
        e = media::OCI_EMPTY,
        d = Digest::of(b"{}"),
    );
    let mut listed = Digest::of(b"");
    registry.change(|content| {
        listed = content.add_manifest("demo/app", None, media::OCI_MANIFEST, foreign.as_bytes());
        let index = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{{"mediaType":"{}","digest":"{listed}","size":{}}}]}}"#,
            media::OCI_INDEX,
            media::OCI_MANIFEST,
            foreign.len()
        );
        let tag = APP.replace(':', "-");
        content.add_manifest("demo/app", Some(&tag), media::OCI_INDEX, index.as_bytes());
    });
    assert_eq!(run(&registry, folder.path(), &[]).code, 0);
    let (inventory, _) = open_archive(&folder.path().join("out.tar"));
    assert_eq!(inventory.evidence.len(), 3);
    let receipt = receipt(&inventory, APP, Method::FallbackTag);
    assert_eq!((receipt.result, receipt.note.as_str()), (LookResult::None, "listed-manifest-of-other-subject"));
}

#[test]
fn a_tag_that_moves_is_resolved_once() {
    let folder = tempfile::tempdir().unwrap();
    let registry = app();
    let other = "sha256:141d08ccb1ebf543ceda70b721ee0946530408866b9bb62ebb86fcdaebdf4649".parse().unwrap();
    registry.inject(Fault::on(Route::Manifest, Effect::Manifest(other)).ending("/v1").after(1));
    assert_eq!(run(&registry, folder.path(), &[]).code, 0);
    let (inventory, findings) = open_archive(&folder.path().join("out.tar"));
    assert_eq!((inventory.subjects[0].digest.to_string().as_str(), findings), (APP, vec![]));
    let asked = registry.served().iter().filter(|served| served.path.ends_with("/manifests/v1")).count();
    assert_eq!(asked, 1);
}

#[test]
fn an_image_that_cannot_be_had_is_one_clear_line() {
    for (effect, message, hint) in [
        (Effect::Status(404), "does not exist", "spelling"),
        (Effect::Status(401), "401", "docker login"),
        (Effect::Status(403), "403", "may not read"),
        (Effect::Status(503), "503", "problem of its own"),
        (Effect::Status(429), "429", "limits"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let registry = app();
        registry.inject(Fault::on(Route::Manifest, effect));
        let ended = run(&registry, folder.path(), &["--allow-incomplete", "--quiet"]);
        one_error(&ended, message, hint);
        assert!(is_empty(folder.path()));
    }
    let folder = tempfile::tempdir().unwrap();
    let registry = app();
    let host = registry.host();
    drop(registry);
    let ended = export(&[&format!("{host}/demo/app:v1"), "-q", "-o", folder.path().join("x").to_str().unwrap()]);
    one_error(&ended, "refused", "network");
}

fn one_error(ended: &Ended, message: &str, hint: &str) {
    assert_eq!(ended.code, 2, "{ended:?}");
    let lines: Vec<&str> = ended.stderr.lines().collect();
    let [error, advice] = lines.as_slice() else { panic!("{ended:?}") };
    assert!(error.starts_with("carnet: error: ") && error.contains(message), "{error}");
    assert!(advice.starts_with("hint: ") && advice.contains(hint), "{advice}");
}

#[test]
fn bytes_that_are_not_the_announced_ones_stop_the_export() {
    for effect in [Effect::Corrupt, Effect::Longer] {
        let folder = tempfile::tempdir().unwrap();
        let registry = app();
        registry.inject(Fault::on(Route::Blob, effect));
        let ended = run(&registry, folder.path(), &["-q", "--allow-incomplete"]);
        one_error(&ended, "mismatch", "other bytes");
        assert!(is_empty(folder.path()));
    }
}

#[test]
fn a_layer_that_nobody_has_is_absent_and_said() {
    let manifest = fs::read(testdata("layouts/local-sigstore/app-fallback/blobs/sha256").join(&APP[7..])).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let layer: Digest = manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap();

    let folder = tempfile::tempdir().unwrap();
    let registry = app();
    registry.change(|content| content.remove_blob("demo/app", &layer));
    let ended = run(&registry, folder.path(), &[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("absent: layer: 1 ("), "{}", ended.stdout);
    let (inventory, findings) = open_archive(&folder.path().join("out.tar"));
    assert_eq!(findings, ["layers-not-carried"]);
    let absent: Vec<_> = inventory.absent.iter().map(|a| (a.digest, a.role, a.reason)).collect();
    assert_eq!(absent, [(layer, Role::Layer, AbsenceReason::NotInSource)]);

    let registry = app();
    registry.inject(Fault::on(Route::Blob, Effect::Status(403)).ending(layer.to_string()));
    let (inventory, _) = {
        fs::remove_file(folder.path().join("out.tar")).unwrap();
        incomplete(&registry, folder.path())
    };
    assert_eq!(inventory.absent[0].reason, AbsenceReason::Unreachable);
}

#[test]
fn a_registry_that_fails_now_and_then_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let registry = serve("local-sigstore/multi-fallback", Behaviour::default());
    let mut archives = Vec::new();
    for effect in [None, Some(Effect::Status(503)), Some(Effect::CutAfter(5))] {
        if let Some(effect) = effect {
            registry.inject(Fault::on(Route::Any, effect).every(5));
        }
        let ended = run(&registry, folder.path(), &["--reproducible"]);
        assert_eq!(ended.code, 0, "{ended:?}");
        archives.push(Digest::of(&fs::read(folder.path().join("out.tar")).unwrap()));
        registry.heal();
    }
    assert_eq!(archives, [archives[0]; 3]);
}

#[test]
fn usage_errors_name_the_matter() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.tar");
    let output = output.to_str().unwrap();
    let from = format!("oci:{}", testdata("layouts/local-sigstore/app").display());
    let saved = format!("oci:{}", testdata("layouts/local-sigstore/cosign-save/app-referrers").display());
    let cases: &[(&[&str], &str)] = &[
        (&[], "nothing to export"),
        (&["r.example/UPPER"], "could not parse reference"),
        (&["a", "--from", "dir"], "--from dir"),
        (&["a", "--from", "oci:/nowhere"], "cannot read the layout /nowhere"),
        (&["a", "--images", "/nowhere.yaml"], "cannot read /nowhere.yaml"),
        (&["r.example/a:v2", "--from", &format!("r.example/a={from}")], "r.example/a:v2 does not exist in oci:"),
        (&["r.example/a:v1", "--from", &from, "--reproducible", "--proofs=fetch"], "exclude each other"),
        (&["r.example/a:v1", "--from", &from, "--evidence", "/nowhere.json"], "cannot read /nowhere.json"),
        (&["r.example/a:v1", "--from", &from, "--evidence-repository", "r.example/UPPER"], "could not parse reference"),
        (&["r.example/a:v1", "--from", "docker-archive:/nowhere"], "cannot read the layout /nowhere"),
        (&["r.example/a:v1", "--from", &from, "--pin-images", output], "same file"),
        (&["r.example/a:v1", "--from", &from, "--mirror", "r.example"], "--mirror \"r.example\": neither"),
        (&["r.example/a:v1", "r.example/b:v1", "--from", &saved], "2 references were asked for"),
        (&["r.example/a:v1", "--from", &from, "--trusted-root", "/dev/null"], "not a trusted root"),
        (&["r.example/a:v1", "--from", &from, "--id-file", output], "same file"),
    ];
    for (arguments, message) in cases {
        let ended = export(&[arguments, ["-q", "-o", output].as_slice()].concat());
        assert_eq!(ended.code, 2, "{arguments:?}: {ended:?}");
        assert!(ended.stderr.starts_with("carnet: error: ") && ended.stderr.contains(message), "{arguments:?}: {ended:?}");
    }
    assert!(is_empty(folder.path()));
    for output in [folder.path().to_str().unwrap(), "/dev/null", "-"] {
        let ended = export(&["r.example/a:v1", "--from", &from, "-q", "-o", output]);
        assert!(ended.code == 2 && ended.stderr.contains("not a regular file"), "{ended:?}");
    }
    let ended = export(&["r.example/a:v1", "--from", &from, "-q", "-o", "/nowhere/out.tar"]);
    assert!(ended.code == 2 && ended.stderr.contains("cannot write /nowhere/out.tar"), "{ended:?}");
}

#[test]
fn a_damaged_layout_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    let source = testdata("layouts/local-sigstore/app");
    assert!(Command::new("cp").arg("-r").args([&source, &layout]).status().unwrap().success());
    let blob = layout.join("blobs/sha256").join(&APP[7..]);
    let bytes = fs::read(&blob).unwrap();
    fs::write(&blob, [bytes.as_slice(), b"\n"].concat()).unwrap();
    let output = folder.path().join("out.tar");
    let from = format!("oci:{}", layout.display());
    let ended = export(&["r.example/a:v1", "--from", &from, "-q", "-o", output.to_str().unwrap()]);
    assert!(ended.code == 2 && ended.stderr.contains("digest mismatch"), "{ended:?}");
}

#[test]
fn what_is_no_layout_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let layout = testdata("layouts/local-sigstore/app");
    let tar = |name: &str, twice: bool| {
        let path = folder.path().join(name);
        let mut builder = tar::Builder::new(fs::File::create(&path).unwrap());
        builder.append_dir_all(".", &layout).unwrap();
        if twice {
            builder.append_path_with_name(layout.join("index.json"), "index.json").unwrap();
        }
        builder.finish().unwrap();
        path
    };
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let whole = fs::read(tar("whole.tar", false)).unwrap();
    let blobs = folder.path().join("no-index/blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let twice = folder.path().join("twice");
    fs::create_dir_all(twice.join("blobs/sha256")).unwrap();
    fs::write(twice.join("index.json"), r#"{"manifests":[],"manifests":[]}"#).unwrap();
    for (path, message) in [
        (file("empty", b""), "it has no index.json"),
        (file("noise", &[7; 2048]), "neither a directory nor a tar"),
        (file("gzip", &[0x1f, 0x8b, 8, 0]), "gunzip"),
        (tar("twice.tar", true), "occurs twice"),
        (file("cut.tar", &whole[..whole.len() / 2]), "cut off"),
        (folder.path().join("no-index"), "it has no index.json"),
        (twice, "duplicate key"),
    ] {
        let from = format!("registry.example/app=oci:{}", path.display());
        let output = folder.path().join("out.tar");
        let ended = export(&["registry.example/app:v1", "--from", &from, "-q", "-o", output.to_str().unwrap()]);
        assert!(ended.code == 2 && ended.stderr.contains(message), "{path:?}: {ended:?}");
        assert!(!output.exists());
    }
}

#[test]
fn evidence_larger_than_a_verifier_holds_is_absent_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let registry = serve("local-sigstore/unsigned", Behaviour::default());
    let reference = format!("{}/demo/app:v1", registry.host());
    let output = folder.path().join("out.tar");
    let arguments = [reference.as_str(), "-o", output.to_str().unwrap()];
    assert_eq!(export(&arguments).code, 0);
    let image = open_archive(&output).0.subjects[0].clone();
    let claimed = Digest::of(b"10 GiB");
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{m}","artifactType":"application/x","config":{{"mediaType":"{e}","digest":"{d}","size":2}},"layers":[{{"mediaType":"application/x","digest":"{claimed}","size":10737418240}}],"subject":{{"mediaType":"{m}","digest":"{subject}","size":{size}}}}}"#,
        m = media::OCI_MANIFEST,
        e = media::OCI_EMPTY,
        d = Digest::of(b"{}"),
        subject = image.digest,
        size = image.size,
    );
    registry.change(|content| {
        content.add_manifest("demo/app", None, media::OCI_MANIFEST, manifest.as_bytes());
    });
    let ended = export(&arguments);
    assert!(ended.code == 0 && ended.stdout.contains("absent: evidence: 1 (10.00 GiB), too-large"), "{ended:?}");
    let (inventory, findings) = open_archive(&output);
    assert_eq!(findings, ["evidence-not-carried"]);
    assert_eq!((inventory.absent[0].digest, inventory.absent[0].reason), (claimed, AbsenceReason::TooLarge));
}

#[test]
fn a_list_without_end_is_over_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let registry = serve("local-sigstore/unsigned", Behaviour::default());
    let entries: Vec<String> = (0..1001)
        .map(|n| {
            let digest = Digest::of(format!("{n}").as_bytes());
            format!(r#"{{"mediaType":"{}","digest":"{digest}","size":1}}"#, media::OCI_MANIFEST)
        })
        .collect();
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#, media::OCI_INDEX, entries.join(","));
    registry.inject(Fault::on(Route::Referrers, Effect::Answer(200, media::OCI_INDEX.to_owned(), index.into())));
    let ended = run(&registry, folder.path(), &["-q"]);
    assert!(ended.code == 2 && ended.stderr.contains("has more than 1000 pieces of evidence"), "{ended:?}");
}

/// A file system of 16 KiB, in a mount namespace of its own.
#[test]
fn a_full_disk_is_one_clear_line() {
    let from = format!("oci:{}", testdata("layouts/local-sigstore/app").display());
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.tar");
    let inner = command(&["r.example/a:v1", "--from", &from, "-q", "-o", output.to_str().unwrap()]);
    let script = r#"mount -t tmpfs -o size=16k tmpfs "$0" && "$@"; code=$?; ls -A "$0" >&2; exit $code"#;
    let mut outer = Command::new("unshare");
    outer.args(["-rm", "sh", "-c", script]).arg(folder.path()).arg(inner.get_program()).args(inner.get_args());
    outer.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    one_error(&finish(outer.output().unwrap()), "No space left on device", "free some space");
}

#[test]
fn an_interrupted_export_leaves_nothing_behind() {
    for signal in ["INT", "TERM", "HUP"] {
        let folder = tempfile::tempdir().unwrap();
        let mut content = Content::new();
        content.add_layout("demo/app", &testdata("layouts/local-sigstore/app")).unwrap();
        let registry = TestingRegistry::start(content, Behaviour::default()).unwrap();
        registry.inject(Fault::on(Route::Blob, Effect::Stall));
        let output = folder.path().join("out.tar");
        let reference = format!("{}/demo/app:v1", registry.host());
        let mut child = command(&[&reference, "--no-progress", "-o", output.to_str().unwrap()]).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let started = stderr.lines().map_while(Result::ok).find(|line| line.contains(" is sha256:"));
        assert!(started.is_some());
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(2), "{signal}");
        assert!(is_empty(folder.path()), "{signal}");
    }
}

#[test]
fn an_export_ends_at_its_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let registry = app();
    registry.inject(Fault::on(Route::Blob, Effect::Stall));
    let ended = run(&registry, folder.path(), &["-q", "--deadline", "1s"]);
    one_error(&ended, "not done after 1 s", "run it again");
    assert!(is_empty(folder.path()));
    for text in ["", "1", "0s", "1 h", "-1m", "99999999999s"] {
        assert_eq!(run(&registry, folder.path(), &["-q", &format!("--deadline={text}")]).code, 2, "{text}");
    }
}

#[test]
fn text_of_a_registry_cannot_steer_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let registry = app();
    let body = br#"{"errors":[{"code":"X","message":"\u001b]0;owned\u0007 \u001b[2J"}]}"#.to_vec();
    registry.inject(Fault::on(Route::Manifest, Effect::Answer(403, "application/json".to_owned(), body)));
    let ended = run(&registry, folder.path(), &[]);
    assert!(ended.code == 2 && ended.stderr.contains("owned"), "{ended:?}");
    assert!(!ended.stderr.chars().any(|c| c.is_control() && c != '\n'), "{ended:?}");
}
