package asks

import rego.v1

registry := "registry.localhost:5055/golden"

base := "registry.localhost:5055/golden/base@sha256:3790d50d53ec49cbf5b51be76cc8276cf8f1c678f8453200bcde4ed765f3e49e"

web := "registry.localhost:5055/golden/web@sha256:01f6230b391c631e87b47598feaf487c174c7c5c3f790e8d609dc1128e4b760d"

packages := "registry.localhost:5055/golden/blobs@sha256:e77bf1d52b6224a5c769a9509d619774a47fd40a509f64c9525cb7aa29339ada"

# METADATA
# title: The tag of the parent stands for the digest that is known
# custom:
#   short_name: tag
deny contains {"code": "asks.tag", "msg": "another parent"} if {
	descriptor := ec.oci.descriptor(sprintf("%s/base:9.4", [registry]))
	not endswith(base, descriptor.digest)
}

# METADATA
# title: No withdrawal notice is in the repository
# custom:
#   short_name: withdrawn
deny contains {"code": "asks.withdrawn", "msg": "withdrawn"} if ec.oci.descriptor(sprintf("%s/app:withdrawn", [registry]))

# METADATA
# title: Everything that refers to the image is signed for
# custom:
#   short_name: referrers
deny contains {"code": "asks.referrers", "msg": sprintf("%d referrers", [count(found)])} if {
	found := ec.oci.image_referrers(web)
	count(found) != 3
}

# METADATA
# title: The packages are known
# custom:
#   short_name: blob
deny contains {"code": "asks.blob", "msg": "packages are not known"} if not ec.oci.blob(packages)

# METADATA
# title: The parent is an image
# custom:
#   short_name: manifest
deny contains {"code": "asks.manifest", "msg": "no parent"} if not ec.oci.image_manifest(base).config
