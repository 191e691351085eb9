package fails

import rego.v1

# METADATA
# title: always
# custom:
#   short_name: always
deny contains {"code": "fails.always", "msg": "always"} if {
	input.image
}

# METADATA
# title: never
# custom:
#   short_name: never
deny contains {"code": "fails.never", "msg": "never"} if {
	not input.image
}
