//! Fuzz targets of the policy room: the operator's files, and what a policy names.

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

use carnet_policy::{
    Policy, Reading, images, rego,
    sources::{Lock, SourceUrl},
    yaml,
};
use target::target;

target!(yaml_document, |bytes| {
    let Ok(document) = yaml::Document::parse(bytes, "file") else { return };
    assert!(serde_json::to_string(document.value()).is_ok());
});

target!(images_document, |bytes| {
    for reading in [Reading::Strict, Reading::Conforma] {
        let Ok(images) = images::read(&[images::Document { file: "images.yaml", bytes }], None, reading) else { continue };
        assert!(images.components.iter().all(|component| !component.container_image.is_empty()));
    }
});

target!(policy_document, |bytes| {
    if let Err(error) = Policy::parse(bytes, "policy.yaml") {
        assert!(!error.to_string().is_empty());
    }
});

target!(policy_lock, |bytes| {
    let Ok(lock) = Lock::parse(bytes) else { return };
    assert_eq!(Lock::parse(&lock.to_bytes().unwrap()).unwrap(), lock);
});

target!(source_url, |bytes| {
    let Ok(url) = SourceUrl::parse(std::str::from_utf8(bytes).unwrap_or_default()) else { return };
    assert_eq!(SourceUrl::parse(url.as_str()).unwrap(), url);
});

target!(rules, |bytes| {
    let _ = rego::listing::list(&[rego::File { path: "main.rego", bytes }]);
});
