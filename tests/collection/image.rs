//! Images of bytes that do not repeat, as OCI layouts.

#![allow(dead_code, reason = "every suite uses a part of it")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use carnet_bundle::{Digest, media};
use serde_json::{Value, json};

/// Numbers that look random and are the same in every run (xorshift64*).
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}

/// A layout that is being written.
pub(crate) struct Layout {
    pub(crate) path: PathBuf,
    entries: Vec<Value>,
}

impl Layout {
    pub(crate) fn new(path: &Path) -> Self {
        fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        Self { path: path.to_owned(), entries: Vec::new() }
    }

    /// Adds a blob and returns its descriptor.
    pub(crate) fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        fs::write(self.path.join("blobs/sha256").join(digest.to_hex()), bytes).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    /// Adds an image and returns its descriptor.
    pub(crate) fn image(&self, layers: &[Vec<u8>]) -> Value {
        let config =
            json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [] }, "n": layers.len() });
        let config = self.blob(media::OCI_CONFIG, config.to_string().as_bytes());
        let layers: Vec<_> = layers.iter().map(|layer| self.blob("application/vnd.oci.image.layer.v1.tar", layer)).collect();
        self.manifest(json!({ "config": config, "layers": layers }))
    }

    /// Adds an image manifest of these members.
    pub(crate) fn manifest(&self, mut members: Value) -> Value {
        members["schemaVersion"] = 2.into();
        members["mediaType"] = media::OCI_MANIFEST.into();
        self.blob(media::OCI_MANIFEST, members.to_string().as_bytes())
    }

    /// Adds an index over these descriptors.
    pub(crate) fn index(&self, manifests: &[Value]) -> Value {
        let index = json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": manifests });
        self.blob(media::OCI_INDEX, index.to_string().as_bytes())
    }

    /// Gives a manifest a tag.
    pub(crate) fn tag(&mut self, name: &str, descriptor: &Value) {
        let mut entry = descriptor.clone();
        entry["annotations"] = json!({ media::REF_NAME: name });
        self.entries.push(entry);
        let index = json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": self.entries });
        fs::write(self.path.join("index.json"), index.to_string()).unwrap();
        fs::write(self.path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    }
}

/// A layout at `path` with one image `v1` of so many layers of so many bytes.
pub(crate) fn simple(path: &Path, layers: usize, size: usize) -> Layout {
    let mut random = Seeded(7);
    let mut layout = Layout::new(path);
    let layers: Vec<_> = (0..layers).map(|_| random.bytes(size)).collect();
    let image = layout.image(&layers);
    layout.tag("v1", &image);
    layout
}

/// An index of three platforms, one of them in an index of its own, with evidence
/// about each image, each index and about evidence, and a layer that is shared. The
/// second value is how many pieces of evidence there are about what.
pub(crate) fn graph(path: &Path) -> (Layout, BTreeMap<Digest, usize>) {
    let mut random = Seeded(3);
    let mut layout = Layout::new(path);
    let shared = random.bytes(70_000);
    let images: Vec<_> = (0..3).map(|_| layout.image(&[shared.clone(), random.bytes(150_000), random.bytes(9)])).collect();
    let inner = layout.index(&[on(&images[2], "linux/arm/v7")]);
    let index = layout.index(&[on(&images[0], "linux/amd64"), on(&images[1], "linux/arm64"), inner.clone()]);
    let mut pieces: BTreeMap<Digest, usize> = BTreeMap::new();
    let mut refer = |subject: &Value, n: usize| {
        let payload = layout.blob("application/spdx+json", format!("{{\"n\":{}}}", pieces.values().sum::<usize>()).as_bytes());
        let config = layout.blob(media::OCI_EMPTY, b"{}");
        *pieces.entry(digest(subject)).or_default() += 1;
        layout.manifest(json!({
            "artifactType": format!("application/x-{n}"), "config": config, "layers": [payload], "subject": plain(subject),
        }))
    };
    for subject in images.iter().chain([&inner, &index]) {
        let about = [refer(subject, 1), refer(subject, 2)];
        refer(&about[0], 3);
    }
    layout.tag("v1", &index);
    (layout, pieces)
}

fn plain(descriptor: &Value) -> Value {
    json!({ "mediaType": descriptor["mediaType"], "digest": descriptor["digest"], "size": descriptor["size"] })
}

/// A descriptor with a platform.
pub(crate) fn on(descriptor: &Value, platform: &str) -> Value {
    let mut parts = platform.split('/');
    let mut described = descriptor.clone();
    described["platform"] = json!({ "os": parts.next(), "architecture": parts.next() });
    if let Some(variant) = parts.next() {
        described["platform"]["variant"] = variant.into();
    }
    described
}

/// The digest in a descriptor.
pub(crate) fn digest(descriptor: &Value) -> Digest {
    descriptor["digest"].as_str().unwrap().parse().unwrap()
}
