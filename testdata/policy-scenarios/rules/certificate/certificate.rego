package certificate

import rego.v1

# METADATA
# title: issuer
# custom:
#   short_name: issuer
deny contains {"code": "certificate.issuer", "msg": sprintf("issued for %s", [issuer])} if {
	some signature in input.image.signatures
	issuer := signature.metadata["Fulcio Issuer"]
	issuer != "https://kubernetes.default.svc.cluster.local"
}

# METADATA
# title: none
# custom:
#   short_name: none
deny contains {"code": "certificate.none", "msg": "no certificate"} if {
	not input.image.signatures[0].certificate
}
