package registry_test

import rego.v1

# One test for each function that asks the registry. The references and digests are
# those of what the test's own registry holds.

test_blob if ec.oci.blob(data.refs.text) == `{"a": 1}`

test_parsed_blob if ec.oci.parsed_blob(data.refs.text) == {"a": 1}

test_blob_files if ec.oci.blob_files(data.refs.layer, ["etc/b.json"]) == {"etc/b.json": {"b": 2}}

test_descriptor if ec.oci.descriptor(data.refs.tag).digest == data.digests.index

test_image_files if ec.oci.image_files(data.refs.index, ["etc"]) == {"etc/b.json": {"b": 2}}

test_image_index if ec.oci.image_index(data.refs.index).manifests[0].digest == data.digests.image

test_image_manifest if ec.oci.image_manifest(data.refs.index).layers[0].digest == data.digests.layer

test_image_manifests if {
	manifests := ec.oci.image_manifests({data.refs.image})
	manifests[data.refs.image].layers[0].digest == data.digests.layer
}

test_image_referrers if ec.oci.image_referrers(data.refs.image)[0].artifactType == "application/spdx+json"

test_image_tag_refs if ec.oci.image_tag_refs(data.refs.image) == [data.refs.signature]

signer := {"ignore_rekor": true, "public_key": "any"}

test_verify_image if ec.sigstore.verify_image(data.refs.image, signer).signatures[0].keyid == "of the image"

test_verify_attestation if {
	verified := ec.sigstore.verify_attestation(data.refs.image, signer)
	verified.attestations[0].statement.predicateType == "https://example.com/predicate"
}
