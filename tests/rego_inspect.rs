//! What rules say about themselves, listed as Conforma's own program listed it:
//! every `expect-…` under `testdata/rego/inspect` was printed by `ec inspect
//! policy`.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "reads testdata")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use carnet_policy::rego::{
    File, LoadError,
    listing::{self, Listing},
};

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/rego/inspect")
}

fn walk(folder: &Path, below: &str, found: &mut Vec<(String, Vec<u8>)>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{below}{}", entry.file_name().into_string().unwrap());
        match entry.path().is_dir() {
            true => walk(&entry.path(), &format!("{name}/"), found),
            false => found.push((name, fs::read(entry.path()).unwrap())),
        }
    }
}

fn listed(source: &str) -> Listing {
    let mut files = Vec::new();
    walk(&testdata().join(source), "", &mut files);
    let files: Vec<File<'_>> = files.iter().map(|(path, bytes)| File { path, bytes }).collect();
    Listing::from([(format!("file::./{source}"), listing::list(&files).unwrap())])
}

#[test]
fn the_listing_is_conformas() {
    for source in ["annotated", "rules"] {
        let listing = listed(source);
        for (form, got) in [
            ("text", listing::text(&listing)),
            ("names", listing::names(&listing)),
            ("short-names", listing::names(&listing)),
            ("json", listing::json(&listing)),
        ] {
            // Conforma crashes where a rule without a block meets JSON.
            let path = testdata().join(format!("expect-{source}-{form}"));
            if form == "json" && source == "rules" {
                assert!(!path.exists());
                continue;
            }
            assert_eq!(got, fs::read_to_string(path).unwrap(), "{source} {form}");
        }
    }
}

#[test]
fn rules_without_a_block_stand_in_the_document_too() {
    let document = listing::document(&listed("rules"));
    let entries = document["file::./rules"].as_array().unwrap();
    let bare: Vec<_> = entries.iter().filter(|entry| entry.get("annotations").is_none()).collect();
    let places: Vec<_> = bare.iter().map(|entry| entry["location"]["row"].as_u64().unwrap()).collect();
    assert_eq!(places, [57, 71, 73]);
}

#[test]
fn rules_are_found_by_code_short_name_package_and_collection() {
    let listing = listed("rules");
    let rules = &listing["file::./rules"];
    let codes = |wanted: &dyn Fn(&listing::Listed) -> bool| -> Vec<String> {
        rules.iter().filter(|listed| wanted(listed)).filter_map(|listed| Some(listed.rule.as_ref()?.code.clone())).collect()
    };
    assert_eq!(codes(&|listed| listed.is_rule("release.present")), ["release.present"]);
    assert_eq!(codes(&|listed| listed.is_rule("signed")), ["release.signed"]);
    assert_eq!(codes(&|listed| listed.package() == "lib.odd.a-b"), ["lib.odd.a-b.odd"]);
    assert_eq!(codes(&|listed| listed.is_in_collection("minimal")), ["release.signed"]);
    assert_eq!(codes(&|listed| listed.is_rule("nonsense")), Vec::<String>::new());
}

#[test]
fn what_cannot_be_listed_is_said_with_its_place() {
    let list = |text: &str| listing::list(&[File { path: "p.rego", bytes: text.as_bytes() }]).unwrap_err().to_string();
    assert_eq!(list("package p\n\ndeny := true\n"), "the rule \"deny := true\" returns an unsupported value, at p.rego:3");
    assert!(
        list("package p\n# METADATA\n# tittle: x\ndeny contains \"x\"\n").starts_with("p.rego:3: annotations: unknown field")
    );
    assert!(list("package p\ndeny[x] { x := 1 }\n").starts_with("p.rego:2:"));
    let tests = [File { path: "p_test.rego", bytes: b"package p\n" }];
    assert_eq!(listing::list(&tests).unwrap_err(), LoadError::NoRules);
}
