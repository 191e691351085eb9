package bundles

import rego.v1

web := "registry.localhost:5055/golden/web@sha256:01f6230b391c631e87b47598feaf487c174c7c5c3f790e8d609dc1128e4b760d"

# METADATA
# title: image
# custom:
#   short_name: image
deny contains {"code": "bundles.image", "msg": concat("; ", result.errors)} if {
	result := ec.sigstore.verify_image(web, data.config.default_sigstore_opts)
	not result.success
}

# METADATA
# title: attestation
# custom:
#   short_name: attestation
deny contains {"code": "bundles.attestation", "msg": concat("; ", result.errors)} if {
	result := ec.sigstore.verify_attestation(web, data.config.default_sigstore_opts)
	not result.success
}

# METADATA
# title: kinds
# custom:
#   short_name: kinds
warn contains {"code": "bundles.kinds", "msg": sprintf("%d statements", [count(result.attestations)])} if {
	result := ec.sigstore.verify_attestation(web, data.config.default_sigstore_opts)
}
