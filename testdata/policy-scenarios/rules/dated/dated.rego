package dated

import rego.v1

# METADATA
# title: later
# custom:
#   short_name: later
deny contains {"code": "dated.later", "msg": "too late", "effective_on": "2026-01-10T00:00:00Z"} if {
	input.image
}
