package terms

import rego.v1

# METADATA
# title: port
# custom:
#   short_name: port
deny contains {"code": "terms.port", "msg": "port is open", "term": term} if {
	input.image
	some term in {"22", "80"}
}
