package pair

import rego.v1

# METADATA
# title: two
# custom:
#   short_name: two
deny contains {"code": "pair.two", "msg": "two"} if {
	input.image
}
