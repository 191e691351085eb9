//! What `carnet serve` answers: all of what passed, nothing else, in the words of
//! distribution-spec 1.1.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use carnet_bundle::{Bundle, Digest, Inventory};
use serde_json::{Value, json};

#[path = "support/registries.rs"]
mod registries;
#[path = "serve/served.rs"]
mod served;
#[path = "support/import.rs"]
mod support;

use served::{Got, Large, Served, by_key, by_key_as, ended, words};
use support::{exported, exported_as, exported_from, layout, opened, success};

fn root(archive: &Path) -> Digest {
    opened(archive).inventory().subjects[0].digest
}

/// Everything that an image of the archive names, by the path that answers with it.
fn paths(bundle: &Bundle, name: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let subject = bundle.inventory().subjects.iter().find(|s| s.reference == support::reference(name)).unwrap();
    let evidence = bundle.inventory().evidence.iter().filter(|entry| entry.subject == subject.digest).map(|entry| entry.digest);
    for digest in std::iter::once(subject.digest).chain(evidence) {
        paths.push(format!("/v2/org/{name}/manifests/{digest}"));
        let manifest = bundle.manifest(&digest).unwrap();
        let blobs = manifest.config().into_iter().chain(manifest.layers());
        paths.extend(blobs.map(|blob| Served::blob(name, &blob.digest)));
    }
    paths
}

fn without_places(mut inventory: Inventory) -> Inventory {
    inventory.looked_for.clear();
    inventory.subjects.iter_mut().for_each(|subject| subject.reference.clear());
    inventory.evidence.iter_mut().for_each(|entry| entry.found_in.clear());
    inventory
}

fn by_identity(name: &str) -> Vec<String> {
    let root = support::testdata("trust/local-sigstore/trusted_root.json").display().to_string();
    let identity = "https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/main";
    let image = support::reference(name);
    let words = ["--image", &image, "--certificate-identity", identity, "--certificate-oidc-issuer", "https://gitlab.local"];
    words.into_iter().chain(["--trusted-root", &root]).map(str::to_owned).collect()
}

/// Out of the served archive into another one: the same images, the same evidence.
#[test]
fn what_is_served_is_what_the_archive_holds() {
    let dir = tempfile::tempdir().unwrap();
    for set in ["app", "multi", "extra-referrers", "keyless-legacy", "key-bundle", "key-legacy"] {
        let archive = exported(dir.path(), set);
        let flags = if set.starts_with("key-") { by_key(&[set]) } else { by_identity(set) };
        let served = Served::start(&[&archive], &words(&flags));
        let again = dir.path().join("again.carnet.tar");
        let mut command = Command::new(support::carnet());
        command.args(["export", "--proofs=skip", "--no-cache", "--no-preflight", "--quiet"]);
        success(&command.arg(format!("{}/org/{set}:v1", served.address)).arg("-o").arg(&again).output().unwrap());
        let (before, after) = (opened(&archive), opened(&again));
        assert_eq!(after.content_id(), before.content_id(), "{set}");
        assert_eq!(without_places(after.inventory().clone()), without_places(before.inventory().clone()), "{set}");
        assert_eq!(served.end("TERM").0, Some(0), "{set}");
    }
}

/// One of three did not pass: none is served, or the two that did.
#[test]
fn what_did_not_pass_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["key-bundle", "key-legacy", "unsigned"];
    let layouts = names.map(layout);
    let images: Vec<(&str, &Path)> = names.into_iter().zip(layouts.iter().map(PathBuf::as_path)).collect();
    let archive = exported_from(dir.path(), &images, &[]);
    let flags = by_key(&names);
    let (status, text) = ended(&[&archive], &words(&flags));
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("nothing is served: the verdict is fail"), "{text}");

    let with: Vec<String> = flags.into_iter().chain(["--only-passed".to_owned()]).collect();
    let served = Served::start(&[&archive], &words(&with));
    let bundle = opened(&archive);
    for name in ["key-bundle", "key-legacy"] {
        for path in paths(&bundle, name) {
            assert_eq!(served.get(&path).status, 200, "{path}");
        }
    }
    let bad = bundle.inventory().subjects.iter().find(|s| s.reference.contains("unsigned")).unwrap().digest;
    for path in paths(&bundle, "unsigned").into_iter().chain(["/v2/org/unsigned/manifests/v1".to_owned()]) {
        let got = served.get(&path);
        assert_eq!((got.status, got.code().as_str()), (404, "NAME_UNKNOWN"), "{path}");
        let reason = served.says("404 org/unsigned").0;
        assert!(reason.contains("registry.example/org/unsigned:v1 did not pass: component unsigned failed"), "{reason}");
    }
    // Nor under the name of one that passed.
    assert_eq!(served.get(&format!("/v2/org/key-bundle/manifests/{bad}")).code(), "MANIFEST_UNKNOWN");
    assert_eq!(served.get("/v2/_catalog").json(), json!({ "repositories": ["org/key-bundle", "org/key-legacy"] }));
    // The bundle around them is no image.
    assert_eq!(served.get(&format!("/v2/org/key-bundle/manifests/{}", bundle.id())).status, 404);
    assert_eq!(served.end("INT").0, Some(1));

    // No image passed.
    let archive = exported(dir.path(), "unsigned");
    let (status, text) = ended(&[&archive], &[words(&by_key(&["unsigned"])), vec!["--only-passed"]].concat());
    assert!(status == Some(1) && text.contains("no image passed"), "{text}");
}

/// One list names all images, and each archive holds a part of them.
#[test]
fn several_archives_are_one_registry() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["key-bundle", "key-legacy"];
    let archives = names.map(|name| exported(dir.path(), name));
    let digests = archives.each_ref().map(|archive| root(archive));
    let pinned = || names.iter().zip(&digests).map(|(name, digest)| (*name, format!("registry.example/org/{name}@{digest}")));
    for flags in [by_key(&names), by_key_as(&pinned().collect::<Vec<_>>())] {
        let served = Served::start(&[&archives[0], &archives[1]], &words(&flags));
        for (digest, name) in digests.iter().zip(names) {
            let got = served.get(&format!("/v2/org/{name}/manifests/v1"));
            assert_eq!(got.header("docker-content-digest"), digest.to_string());
        }
        assert_eq!(served.get("/v2/_catalog").json()["repositories"], json!(["org/key-bundle", "org/key-legacy"]));
        assert_eq!(served.end("TERM").0, Some(0));
    }

    // A component that no archive holds is nobody's to answer for.
    let flags = by_key(&["key-bundle", "key-legacy", "unsigned"]);
    let (status, text) = ended(&[&archives[0], &archives[1]], &words(&flags));
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("no archive holds registry.example/org/unsigned:v1, which is expected"), "{text}");
    assert!(text.contains("lacks registry.example/org/key-legacy:v1, which another archive holds"), "{text}");
    let with = [words(&flags), vec!["--only-passed"]].concat();
    let served = Served::start(&[&archives[0], &archives[1]], &with);
    for name in names {
        assert_eq!(served.get(&format!("/v2/org/{name}/manifests/v1")).status, 200, "{name}");
    }
    assert_eq!(served.end("TERM").0, Some(1));
    // One archive alone answers for all that is expected.
    let (status, text) = ended(&[&archives[0]], &words(&by_key(&names)));
    assert!(status == Some(1) && text.contains("no archive holds registry.example/org/key-legacy:v1"), "{text}");
}

/// What another archive holds excuses nothing else.
#[test]
fn a_bad_image_in_one_of_two_archives_fails_both() {
    let dir = tempfile::tempdir().unwrap();
    let archives = ["key-bundle", "unsigned"].map(|name| exported(dir.path(), name));
    let flags = by_key(&["key-bundle", "unsigned"]);
    for order in [[0, 1], [1, 0]] {
        let both = order.map(|at| archives[at].as_path());
        let (status, text) = ended(&both, &words(&flags));
        assert!(status == Some(1) && text.contains("nothing is served: the verdict is fail"), "{text}");
        let served = Served::start(&both, &[words(&flags), vec!["--only-passed"]].concat());
        assert_eq!(served.get("/v2/_catalog").json()["repositories"], json!(["org/key-bundle"]));
        assert_eq!(served.get("/v2/org/unsigned/manifests/v1").status, 404);
        assert_eq!(served.end("TERM").0, Some(1));
    }
    // Nor that an archive holds what nobody expects.
    let both = [archives[0].as_path(), archives[1].as_path()];
    let (status, text) = ended(&both, &words(&by_key(&["key-bundle"])));
    assert!(status == Some(1) && text.contains("nothing is served: the verdict is fail"), "{text}");
    // The same component fails in one archive and is missing in the other.
    let (status, text) = ended(&both, &words(&by_key(&["unsigned"])));
    assert!(status == Some(1) && text.contains("nothing is served: the verdict is fail"), "{text}");
}

/// A tag names one image: two of two hosts, or of two archives, are decided by nobody.
#[test]
fn a_tag_of_two_images_is_refused_with_both_sources() {
    let dir = tempfile::tempdir().unwrap();
    let sets = ["key-bundle", "key-legacy"];
    let hosts = ["a.example/org/app:v1", "b.example/org/app:v1"];
    let archives: Vec<PathBuf> = sets.iter().zip(hosts).map(|(set, name)| exported_as(dir.path(), &layout(set), name)).collect();
    let flags = by_key_as(&[("a", hosts[0].to_owned()), ("b", hosts[1].to_owned())]);
    let (status, text) = ended(&[&archives[0], &archives[1]], &words(&flags));
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("org/app:v1 would stand for"), "{text}");
    for (archive, name) in archives.iter().zip(hosts) {
        let source = format!("{} ({name} in {})", root(archive), archive.display());
        assert!(text.contains(&source), "{source}: {text}");
    }
    // Other tags of one path are one repository.
    let retagged = dir.path().join("retagged");
    success(&Command::new("cp").arg("-r").args([&layout("key-legacy"), &retagged]).output().unwrap());
    let index = fs::read_to_string(retagged.join("index.json")).unwrap();
    fs::write(retagged.join("index.json"), index.replace("\"v1\"", "\"v2\"")).unwrap();
    let other = exported_as(dir.path(), &retagged, "b.example/org/app:v2");
    let flags = by_key_as(&[("a", hosts[0].to_owned()), ("b", "b.example/org/app:v2".to_owned())]);
    let served = Served::start(&[&archives[0], &other], &words(&flags));
    let tags = served.get("/v2/org/app/tags/list").json();
    assert!(["v1", "v2"].iter().all(|tag| tags["tags"].as_array().unwrap().contains(&json!(tag))), "{tags}");
}

/// Bytes that passed under one name are not served under another that the exporter
/// alone knows, nor under its tag.
#[test]
fn a_name_that_only_the_exporter_knows_decides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mirror = exported_as(dir.path(), &layout("key-legacy"), "registry.example/org/payments:v1");
    let digest = root(&mirror);
    let flags = by_key_as(&[("app", format!("registry.example/org/app@{digest}"))]);
    let served = Served::start(&[&mirror], &words(&flags));
    assert_eq!(served.get("/v2/_catalog").json(), json!({ "repositories": ["org/app"] }));
    assert_eq!(served.get(&format!("/v2/org/app/manifests/{digest}")).status, 200);
    for path in ["/v2/org/app/manifests/v1", "/v2/org/payments/manifests/v1", "/v2/org/payments/tags/list"] {
        assert_eq!(served.get(path).status, 404, "{path}");
    }
    let tags = served.get("/v2/org/app/tags/list").json();
    assert!(!tags["tags"].as_array().unwrap().contains(&json!("v1")), "{tags}");
    assert_eq!(served.end("TERM").0, Some(0));
}

/// The evidence that speaks against an image is in one of two archives.
#[test]
fn an_image_that_failed_in_one_archive_is_served_from_none() {
    let dir = tempfile::tempdir().unwrap();
    let good = exported(dir.path(), "key-bundle");
    let stripped_layout = dir.path().join("stripped");
    strip(&layout("key-bundle"), &root(&good), &stripped_layout);
    fs::create_dir(dir.path().join("bad")).unwrap();
    let bad = exported_from(&dir.path().join("bad"), &[("key-bundle", &stripped_layout)], &[]);
    assert_eq!(root(&good), root(&bad));
    let flags = [by_key(&["key-bundle"]), vec!["--only-passed".to_owned()]].concat();
    for archives in [[&good, &bad], [&bad, &good]] {
        let (status, text) = ended(&[archives[0], archives[1]], &words(&flags));
        assert!(status == Some(1) && text.contains("no image passed"), "{text}");
    }
}

/// Copies the image of a layout, and nothing that is about it.
fn strip(from: &Path, image: &Digest, to: &Path) {
    let blob = |digest: &str| format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"));
    let read = |name: &str| -> Value { serde_json::from_slice(&fs::read(from.join(name)).unwrap()).unwrap() };
    let index = read("index.json");
    let entry = index["manifests"].as_array().unwrap().iter().find(|entry| entry["digest"] == image.to_string()).unwrap();
    let manifest = read(&blob(&image.to_string()));
    let named = std::iter::once(&manifest["config"]).chain(manifest["layers"].as_array().unwrap());
    let digests = named.map(|blob| blob["digest"].as_str().unwrap().to_owned()).chain([image.to_string()]);
    fs::create_dir_all(to.join("blobs/sha256")).unwrap();
    for name in digests.map(|digest| blob(&digest)).chain(["oci-layout".to_owned()]) {
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
    fs::write(to.join("index.json"), json!({ "schemaVersion": 2, "manifests": [entry] }).to_string()).unwrap();
}

/// A served image of one layer of a megabyte and a bit.
fn one_image(dir: &Path) -> (Served, Vec<u8>, Digest, Digest) {
    let large = Large::new(dir, 1_100_000);
    let (served, root) = (large.serve(), root(&large.archive));
    (served, large.layer, large.digest, root)
}

#[test]
fn blobs_are_answered_as_a_whole_in_ranges_and_to_head() {
    let dir = tempfile::tempdir().unwrap();
    let (served, layer, digest, root) = one_image(dir.path());
    let path = Served::blob("large", &digest);
    let size = layer.len();
    let etag = format!("\"{digest}\"");
    let whole = |got: &Got| {
        assert_eq!((got.status, got.header("content-length")), (200, size.to_string().as_str()));
        assert_eq!(got.header("docker-content-digest"), digest.to_string());
        assert_eq!((got.header("etag"), got.header("accept-ranges")), (etag.as_str(), "bytes"));
        assert_eq!(got.header("content-type"), "application/octet-stream");
    };
    let head = served.ask("HEAD", &path, &[]);
    whole(&head);
    assert_eq!(head.body, b"");
    // The second half first: nothing is known of the blob yet.
    for (range, from, to) in [
        ("bytes=600000-", 600_000, size),
        ("bytes=0-0", 0, 1),
        ("bytes=-1", size - 1, size),
        ("bytes=131071-131072", 131_071, 131_073),
        ("bytes=1000000-9999999", 1_000_000, size),
    ] {
        let got = served.ask("GET", &path, &[("Range", range)]);
        assert_eq!((got.status, got.is_complete()), (206, true), "{range}");
        assert_eq!(got.header("content-range"), format!("bytes {from}-{}/{size}", to - 1), "{range}");
        assert!(got.body == layer[from..to], "{range}");
        let head = served.ask("HEAD", &path, &[("Range", range)]);
        assert_eq!((head.status, head.header("content-length"), head.body.len()), (206, got.header("content-length"), 0));
    }
    for headers in [
        &[][..],
        &[("Range", "bytes=0-1,5-6")],
        &[("Range", "lines=1-")],
        &[("Range", "bytes=9-3")],
        &[("Range", "bytes=1-"), ("If-Range", "\"another\"")],
        &[("Range", "bytes=1-"), ("Range", "bytes=2-")],
        &[("If-None-Match", "\"another\"")],
    ] {
        let got = served.ask("GET", &path, headers);
        whole(&got);
        assert!(got.body == layer, "{headers:?}");
    }
    let same = served.ask("GET", &path, &[("Range", "bytes=1-"), ("If-Range", &etag)]);
    assert_eq!((same.status, same.body.len()), (206, size - 1));
    let beyond = served.ask("GET", &path, &[("Range", "bytes=1100000-")]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, format!("bytes */{size}").as_str()));
    assert_eq!(beyond.code(), "RANGE_INVALID");
    for tag in [etag.as_str(), &format!("\"x\", W/{etag}")] {
        let got = served.ask("GET", &path, &[("If-None-Match", tag)]);
        assert_eq!((got.status, got.body.len()), (304, 0), "{tag}");
    }
    // A manifest is no blob, and a blob no manifest.
    assert_eq!(served.get(&Served::blob("large", &root)).code(), "BLOB_UNKNOWN");
    assert_eq!(served.get(&format!("/v2/org/large/manifests/{digest}")).code(), "MANIFEST_UNKNOWN");
    let written = path.replace(':', "%3A");
    assert!(served.get(&written).body == layer);
}

#[test]
fn manifests_lists_and_referrers_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "key-bundle");
    let bundle = opened(&archive);
    let digest = root(&archive);
    let served = Served::start(&[&archive], &words(&by_key(&["key-bundle"])));
    for path in ["/v2/", "/v2"] {
        let got = served.get(path);
        assert_eq!((got.status, got.header("docker-distribution-api-version")), (200, "registry/2.0"));
    }
    for reference in ["v1".to_owned(), digest.to_string()] {
        let path = format!("/v2/org/key-bundle/manifests/{reference}");
        let got = served.get(&path);
        assert_eq!((got.status, got.header("docker-content-digest")), (200, digest.to_string().as_str()));
        assert_eq!(got.header("content-type"), bundle.manifest(&digest).unwrap().media_type);
        assert_eq!(Digest::of(&got.body), digest);
        let head = served.ask("HEAD", &path, &[]);
        assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, got.header("content-length"), 0));
        assert_eq!(served.ask("GET", &path, &[("If-None-Match", got.header("etag"))]).status, 304);
    }

    let referrers = format!("/v2/org/key-bundle/referrers/{digest}");
    let got = served.get(&referrers);
    assert_eq!((got.status, got.header("content-type")), (200, "application/vnd.oci.image.index.v1+json"));
    let all = got.json()["manifests"].as_array().unwrap().clone();
    assert_eq!(all.len(), bundle.tree().referrers(&digest).count());
    assert!(all.len() > 1);
    let wanted = all[0]["artifactType"].as_str().unwrap();
    let filtered = served.get(&format!("{referrers}?artifactType={}", wanted.replace('/', "%2F").replace('+', "%2B")));
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    assert!(!filtered.json()["manifests"].as_array().unwrap().is_empty());
    assert!(filtered.json()["manifests"].as_array().unwrap().iter().all(|entry| entry["artifactType"] == wanted));
    let none = served.get(&format!("{referrers}?artifactType=a/b"));
    assert_eq!((none.status, &none.json()["manifests"]), (200, &json!([])));
    // The specification knows no 404 here.
    let zeros = "0".repeat(64);
    for name in ["org/key-bundle", "org/other"] {
        let got = served.get(&format!("/v2/{name}/referrers/sha256:{zeros}"));
        assert_eq!((got.status, &got.json()["manifests"]), (200, &json!([])));
    }

    // The fallback tag is the list, byte for byte, and it is the one of the archive.
    let fallback = format!("sha256-{}", digest.to_hex());
    let tagged = served.get(&format!("/v2/org/key-bundle/manifests/{fallback}"));
    assert_eq!(tagged.body, got.body);
    assert!(bundle.has(&Digest::of(&tagged.body)));
    assert_eq!(served.get(&format!("/v2/org/key-bundle/manifests/{}", Digest::of(&tagged.body))).body, tagged.body);

    let tags = "/v2/org/key-bundle/tags/list";
    assert_eq!(served.get(tags).json(), json!({ "name": "org/key-bundle", "tags": [fallback, "v1"] }));
    let first = served.get(&format!("{tags}?n=1"));
    assert_eq!(first.json()["tags"], json!([fallback]));
    assert_eq!(first.header("link"), format!("<{tags}?n=1&last={fallback}>; rel=\"next\""));
    let second = served.get(&format!("{tags}?n=1&last={fallback}"));
    assert_eq!((second.json()["tags"].clone(), second.header("link")), (json!(["v1"]), ""));
    assert_eq!(served.get(&format!("{tags}?n=x")).code(), "PAGINATION_NUMBER_INVALID");
    assert_eq!(served.get("/v2/_catalog?n=0").json(), json!({ "repositories": [] }));
    assert_eq!(served.get("/v2/org/other/tags/list").code(), "NAME_UNKNOWN");
}

/// Tags of evidence as cosign's legacy tools look for it.
#[test]
fn legacy_tags_stand_for_evidence() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "key-legacy");
    let served = Served::start(&[&archive], &words(&by_key(&["key-legacy"])));
    let hex = root(&archive).to_hex();
    for suffix in ["sig", "att"] {
        let got = served.get(&format!("/v2/org/key-legacy/manifests/sha256-{hex}.{suffix}"));
        assert_eq!(got.status, 200, "{suffix}");
        assert!(opened(&archive).manifest(&Digest::of(&got.body)).is_some());
    }
    let tags = served.get("/v2/org/key-legacy/tags/list").json();
    assert_eq!(tags["tags"], json!([format!("sha256-{hex}.att"), format!("sha256-{hex}.sig"), "v1"]));
}

#[test]
fn nothing_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let (served, _, digest, root) = one_image(dir.path());
    let blob = Served::blob("large", &digest);
    for (method, path) in [
        ("POST", "/v2/org/large/blobs/uploads/"),
        ("PUT", "/v2/org/large/manifests/v1"),
        ("PATCH", "/v2/org/large/blobs/uploads/1"),
        ("DELETE", "/v2/org/large/manifests/v1"),
        ("DELETE", blob.as_str()),
        ("OPTIONS", "/v2/"),
        ("CONNECT", "/v2/"),
        ("GETX", "/v2/"),
    ] {
        let got = served.ask(method, path, &[("Content-Length", "0")]);
        assert_eq!((got.status, got.header("allow"), got.code().as_str()), (405, "GET, HEAD", "UNSUPPORTED"), "{method}");
    }
    // A body that nobody reads is no hindrance.
    let head =
        "PUT /v2/org/large/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\n12345".to_owned();
    assert_eq!(served.send(head.as_bytes()).unwrap().status, 405);
    assert_eq!(served.get("/v2/org/large/manifests/v1").header("docker-content-digest"), root.to_string());
}

/// What is asked for is looked up, and never becomes a path.
#[test]
fn hostile_requests_are_answered_with_errors_and_stay_text_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (served, layer, digest, _) = one_image(dir.path());
    let hex = digest.to_hex();
    for (path, status) in [
        ("/v2/../../etc/passwd", 404),
        ("/v2/org/large/../large/manifests/v1", 404),
        ("/v2/org//large/manifests/v1", 404),
        ("/v2/org/large/manifests/..%2f..%2fv1", 404),
        ("/v2/org/large/manifests/", 404),
        ("/v2//manifests/v1", 404),
        ("/v2/org/large/manifests/v1/", 404),
        ("/v2/org/large/manifests/V1", 404),
        ("/v2/ORG/large/manifests/v1", 404),
        ("/v2/org/large/blobs/../../../../etc/passwd", 404),
        ("/v2/org/large/blobs/sha256:../../etc/passwd", 404),
        ("/v2/org/large/blobs/sha256:..", 400),
        ("/v2/org/large/blobs/sha512:00", 400),
        ("/v2/org/large/manifests/sha256:zz", 400),
        ("/v2/org/large/referrers/v1", 400),
        ("/v2/org/large/blobs/%00", 400),
        ("/v1/", 404),
        ("/", 404),
        ("/v2/org/large/tags/list?n=1&n=2&last=%ff%00", 200),
    ] {
        assert_eq!(served.get(path).status, status, "{path}");
    }
    assert_eq!(served.get(&format!("/v2/org/large/blobs/sha256:{}", hex.to_uppercase())).code(), "DIGEST_INVALID");

    // Text that would move a cursor or forge a line.
    let evil = "/v2/evil\u{202e}\u{9b}2J/manifests/v1";
    let head = format!("GET {evil} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    if let Some(got) = served.send(head.as_bytes()) {
        assert!(matches!(got.status, 400 | 404), "{}", got.status);
    }
    let long = format!("/v2/{}/manifests/v1", "a".repeat(10_000));
    assert_eq!(served.get(&long).status, 404);
    let (line, before) = served.says("aaaaaaaaaaaa");
    assert!(line.len() < 400, "{}", line.len());
    let odd = |line: &String| line.contains(|c: char| c.is_control() || c == '\u{202e}');
    assert!(!before.iter().chain([&line]).any(odd), "{before:?}");

    // Heads that are none, or too many, or contradict themselves.
    let many = "X: y\r\n".repeat(5000);
    let large = format!("X: {}\r\n", "y".repeat(200_000));
    for head in [
        "\u{0}\u{1}\u{2}\r\n\r\n".to_owned(),
        "GET /v2/ HTTP/9.9\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        format!("GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{many}\r\n"),
        format!("GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{large}\r\n"),
        "GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(),
        "GET /v2/ HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ] {
        let got = served.send(head.as_bytes());
        assert!(got.as_ref().is_none_or(|got| (400..600).contains(&got.status)), "{:?}: {got:?}", &head[..head.len().min(60)]);
    }
    // It has lost nothing by that, and a client that goes away is no matter.
    for _ in 0..20 {
        let mut stream = served.connect();
        let path = Served::blob("large", &digest);
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    }
    assert!(served.get(&Served::blob("large", &digest)).body == layer);
    assert_eq!(served.end("TERM").0, Some(0));
}

#[test]
fn it_says_when_it_is_ready_and_ends_when_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "key-bundle");
    let ready = dir.path().join("ready");
    let flags = by_key(&["key-bundle"]);
    for signal in ["INT", "TERM"] {
        let pipe = dir.path().join(format!("pipe-{signal}"));
        success(&Command::new("mkfifo").arg(&pipe).output().unwrap());
        for file in [&ready, &pipe] {
            let with = [words(&flags), vec!["--ready-file", file.to_str().unwrap()]].concat();
            let served = Served::start(&[&archive], &with);
            if file == &pipe {
                // Reading waits until it is written.
                assert_eq!(fs::read_to_string(file).unwrap(), format!("http://{}\n", served.address));
            }
            // An idle connection does not hold it up.
            let idle = served.connect();
            assert_eq!(served.get("/v2/").status, 200);
            if file == &ready {
                assert_eq!(fs::read_to_string(file).unwrap(), format!("http://{}\n", served.address));
            }
            assert_eq!(served.end(signal).0, Some(0));
            drop(idle);
            assert_eq!(file.exists(), file == &pipe);
        }
    }
}

#[test]
fn what_cannot_be_served_is_said_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "key-bundle");
    let flags = by_key(&["key-bundle"]);
    let good = words(&flags);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_at = taken.local_addr().unwrap().to_string();
    let packed = dir.path().join("packed.carnet.tar.gz");
    let mut gzip = Command::new("gzip").args(["-nc"]).arg(&archive).output().unwrap().stdout;
    // As carnet writes it: no flags, of no system.
    (gzip[8], gzip[9]) = (0, 255);
    fs::write(&packed, gzip).unwrap();
    let (none, stdin) = (dir.path().join("none.tar"), PathBuf::from("-"));
    for (archives, more, want) in [
        (vec![&archive], vec!["--listen", "0.0.0.0:0"], "--let-anyone-pull"),
        (vec![&archive], vec!["--listen", "[::]:0"], "--let-anyone-pull"),
        (vec![&archive], vec!["--listen", &taken_at], "cannot listen on"),
        (vec![&archive], vec!["--listen", "registry.example:80"], "want an IP address and a port"),
        (vec![&archive], vec!["--tls-cert", "/nonexistent", "--tls-key", "/nonexistent"], "cannot read /nonexistent"),
        (vec![&archive], vec!["--tls-cert", "x"], "--tls-key"),
        (vec![&archive], vec!["--ready-file", "/nonexistent/ready"], "cannot write /nonexistent/ready"),
        (vec![&archive], vec!["--no-such-flag"], "--no-such-flag"),
        (vec![&archive, &none], vec![], "none.tar"),
        (vec![&stdin], vec![], "standard input"),
        (vec![&packed], vec![], "gunzip"),
        (vec![&archive, &archive], vec!["--output", "json=r"], "a report of its own"),
    ] {
        let archives: Vec<&Path> = archives.into_iter().map(PathBuf::as_path).collect();
        let (status, text) = ended(&archives, &[good.clone(), more.clone()].concat());
        assert_eq!(status, Some(2), "{more:?}: {text}");
        assert!(text.contains("error: ") && text.contains("hint: ") && text.contains(want), "{more:?}: {text}");
    }
}
