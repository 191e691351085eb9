package pair

import rego.v1

# METADATA
# title: one
# custom:
#   short_name: one
deny contains {"code": "pair.one", "msg": "one"} if {
	not input.image
}
