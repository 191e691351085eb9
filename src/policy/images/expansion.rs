//! An index stands for itself and for its children.

use carnet_bundle::{Descriptor, Digest, Reference};

use super::Component;
use crate::yaml::Reading;

/// Returns the components that the children of an index make, in the order of
/// the index; the component of the index itself stays beside them.
///
/// BuildKit attestation manifests are carried, not run, so they are no component
/// of their own; Conforma judges them too, and so does [`Reading::Conforma`]. One
/// that claims a platform would be run there, whatever its annotation says.
pub fn expand(component: &Component, manifests: &[Descriptor], reading: Reading) -> Vec<Component> {
    let judged = |child: &Descriptor| reading == Reading::Conforma || !child.is_buildkit_attestation() || runs(child);
    manifests
        .iter()
        .enumerate()
        .filter(|(_, child)| judged(child))
        .map(|(position, child)| Component {
            name: format!("{}-{}-{}", component.name, child.digest, architecture(child, position)),
            container_image: pinned_name(&component.reference, &child.digest),
            reference: component.reference.pinned(child.digest),
            source: component.source.clone(),
        })
        .collect()
}

/// Registry and repository as Conforma prints them: `index.docker.io` for Docker
/// Hub.
pub fn full_name(reference: &Reference) -> String {
    match reference.registry() {
        "docker.io" => format!("index.docker.io/{}", reference.repository()),
        registry => format!("{registry}/{}", reference.repository()),
    }
}

/// The pinned reference as Conforma prints it: full name and digest, no tag.
pub fn pinned_name(reference: &Reference, digest: &Digest) -> String {
    format!("{}@{digest}", full_name(reference))
}

/// Whether a runtime may choose this child: BuildKit gives its attestations the
/// platform `unknown/unknown`. Of a child without a platform containerd asks the
/// config, which may say anything.
fn runs(child: &Descriptor) -> bool {
    child.platform.as_ref().is_none_or(|platform| !matches!(platform.architecture.as_str(), "" | "unknown"))
}

fn architecture(child: &Descriptor, position: usize) -> String {
    match &child.platform {
        Some(platform) if !platform.architecture.is_empty() => platform.architecture.clone(),
        _ => format!("noarch-{position}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(index: u8, platform: Option<&str>, buildkit: bool) -> Descriptor {
        Descriptor {
            media_type: carnet_bundle::media::OCI_MANIFEST.to_owned(),
            digest: Digest::from_bytes([index; 32]),
            size: 1,
            artifact_type: None,
            annotations: buildkit
                .then(|| (carnet_bundle::media::DOCKER_REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned()))
                .into_iter()
                .collect(),
            platform: platform.map(|architecture| carnet_bundle::Platform {
                os: "linux".to_owned(),
                architecture: architecture.to_owned(),
                variant: None,
            }),
            urls: Vec::new(),
        }
    }

    #[test]
    fn children_are_named_by_digest_and_architecture() {
        let component = Component::from_reference("alpine:3").unwrap();
        let manifests =
            [child(1, Some("amd64"), false), child(2, None, false), child(3, Some("unknown"), true), child(4, Some(""), false)];
        let names = |reading| {
            let children = expand(&component, &manifests, reading);
            children.into_iter().map(|c| (c.name.replace("01", "1").replace("02", "2"), c.container_image)).collect::<Vec<_>>()
        };
        let strict = names(Reading::Strict);
        let digest = |b: u8| Digest::from_bytes([b; 32]).to_string();
        assert_eq!(strict.len(), 3);
        assert!(strict[0].0.starts_with("Unnamed-sha256:1111") && strict[0].0.ends_with("-amd64"), "{}", strict[0].0);
        assert!(strict[1].0.ends_with("-noarch-1"), "{}", strict[1].0);
        assert!(strict[2].0.ends_with("-noarch-3"), "{}", strict[2].0);
        assert_eq!(strict[0].1, format!("index.docker.io/library/alpine@{}", digest(1)));
        // An annotation does not hide what a runtime would choose.
        let hidden = expand(&component, &[child(1, Some("arm64"), true)], Reading::Strict);
        assert_eq!(hidden.len(), 1);
        let conforma = names(Reading::Conforma);
        assert_eq!(conforma.len(), 4);
        assert!(conforma[2].0.ends_with("-unknown"), "{}", conforma[2].0);
    }
}
