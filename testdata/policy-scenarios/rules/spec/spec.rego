package spec

import rego.v1

warn contains "a result without a code" if {
	input.policy_spec.sources[0].volatileConfig
}

# METADATA
# title: seen
# custom:
#   short_name: seen
deny contains {"code": "spec.seen", "msg": sprintf("temporary: %s until %s", [item.value, item.effectiveUntil])} if {
	some item in input.policy_spec.sources[0].volatileConfig.exclude
	item.value != "spec.seen"
}
