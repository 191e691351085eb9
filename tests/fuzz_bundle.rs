//! Fuzz targets of the bundle room: none of its readers panics, and what they read is
//! what stood there.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test reads its data, and says so when it is not there"
)]

#[path = "fuzz/random.rs"]
mod random;
#[path = "fuzz/target.rs"]
mod target;

use carnet_bundle::{
    Archive, Digest, Inventory, Limits, Lookups, Manifest, Reference,
    container::{Container as _, Keep, Names},
    json,
    lookups::{read_referrers, write_referrers},
    media,
    open::open,
};
use target::target;

target!(archive, |bytes| {
    let limits = Limits { memory: 1 << 20, ..Limits::default() };
    let Ok(mut archive) = Archive::new(bytes, &limits) else { return };
    let Ok(opened) = open(&mut archive, &limits) else { return };
    // Tree, derived files and receipts are computed from what is there.
    if let Some(bundle) = &opened.bundle {
        assert!(bundle.tree().manifests().count() <= limits.manifests);
        bundle.documents().for_each(|document| assert_eq!(Digest::of(document.bytes), document.digest));
    }
    assert!(opened.bundle.is_some() || !opened.findings.is_empty(), "neither a bundle nor a reason");
});

// What the gate lets through has one reading: another reader of tar sees the same
// members with the same bytes (TARmageddon and its kin).
target!(archive_differential, |bytes| {
    let limits = Limits::default();
    let (Ok(mut archive), mut other) = (Archive::new(bytes, &limits), tar::Archive::new(bytes)) else { return };
    let mut seen = Vec::new();
    for entry in other.entries().unwrap() {
        let Ok(mut entry) = entry else { break };
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut content = Vec::new();
        if std::io::Read::read_to_end(&mut entry, &mut content).is_err() {
            break;
        }
        seen.push((name, content));
    }
    for (name, content) in &seen {
        let Ok(member) = archive.member(name, Keep::Digest) else { return };
        let Some(member) = member else { return };
        assert_eq!((member.size, member.digest), (u64::try_from(content.len()).unwrap(), Digest::of(content)), "{name}");
    }
    if let Ok(Names::Ordered(names)) = archive.finish() {
        assert_eq!(names, seen.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
    }
});

target!(inventory, |bytes| {
    let Ok(inventory) = json::parse_as::<Inventory>(bytes) else { return };
    let text = json::canonical(&inventory).unwrap();
    assert_eq!(json::parse_as::<Inventory>(&text).unwrap(), inventory);
});

target!(manifest, |bytes| {
    for media_type in [media::OCI_MANIFEST, media::OCI_INDEX, media::DOCKER_MANIFEST, media::DOCKER_LIST] {
        let Ok(manifest) = Manifest::parse(bytes, media_type) else { continue };
        assert_eq!(manifest.is_index(), media::is_index(media_type));
        assert!(manifest.children().is_empty() || manifest.layers().is_empty(), "index and image at once");
        let _ = (manifest.effective_artifact_type(), manifest.config());
    }
});

target!(strict_json, |bytes| {
    let Ok(value) = json::parse(bytes) else { return };
    assert_eq!(serde_json::from_slice::<serde_json::Value>(bytes).unwrap(), value, "another reader sees something else");
    if let Ok(text) = json::canonical(&value) {
        assert_eq!(json::canonical(&json::parse(&text).unwrap()).unwrap(), text);
    }
});

target!(reference, |bytes| {
    let Ok(reference) = std::str::from_utf8(bytes).unwrap_or_default().parse::<Reference>() else { return };
    let text = reference.to_string();
    assert_eq!(text.parse::<Reference>().unwrap(), reference, "{text}");
    assert!(!text.contains("..") || reference.repository().contains(".."), "{text}");
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
});

target!(digest, |bytes| {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let Ok(digest) = text.parse::<Digest>() else { return };
    assert_eq!(digest.to_string(), text);
});

target!(lookups, |bytes| {
    let Ok(lookups) = Lookups::read(bytes) else { return };
    assert_eq!(Lookups::read(&lookups.write().unwrap()).unwrap(), lookups);
});

target!(referrers, |bytes| {
    let Ok(listed) = read_referrers(bytes) else { return };
    let text = write_referrers(&listed).unwrap();
    assert_eq!(write_referrers(&read_referrers(&text).unwrap()).unwrap(), text);
});
