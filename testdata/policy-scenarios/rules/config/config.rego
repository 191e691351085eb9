package config

import rego.v1

# METADATA
# title: vendor
# custom:
#   short_name: vendor
deny contains {"code": "config.vendor", "msg": sprintf("vendor is %s", [input.image.config.Labels.vendor])} if {
	input.image.config.Labels.vendor != data.rule_data__configuration__.vendor
}

# METADATA
# title: parent
# custom:
#   short_name: parent
deny contains {"code": "config.parent", "msg": sprintf("built on %s", [input.image.parent.config.Labels.name])} if {
	input.image.parent.config.Labels.name != data.rule_data__configuration__.parent
}

# METADATA
# title: blind
# custom:
#   short_name: blind
deny contains {"code": "config.blind", "msg": "nothing to see"} if {
	not input.image.parent.config.Labels.name
}
