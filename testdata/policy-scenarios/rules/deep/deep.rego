package corp.deep

import rego.v1

# METADATA
# title: ssh
# custom:
#   short_name: ssh
deny contains {"code": "corp.deep.ssh", "msg": "ssh is open"} if {
	input.image
	data.rule_data__configuration__.ssh == "open"
}
