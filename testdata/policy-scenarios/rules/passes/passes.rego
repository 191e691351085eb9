package passes

import rego.v1

# METADATA
# title: never
# custom:
#   short_name: never
deny contains {"code": "passes.never", "msg": "never"} if {
	not input.image
}
