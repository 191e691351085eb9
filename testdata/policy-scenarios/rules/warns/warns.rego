package warns

import rego.v1

# METADATA
# title: always
# custom:
#   short_name: always
warn contains {"code": "warns.always", "msg": "look"} if {
	input.image
}
