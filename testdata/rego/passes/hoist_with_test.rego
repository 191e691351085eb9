package passes.hoist_with_test

import rego.v1

items := ["a", "b"]

first := items[0]

test_rule_used_in_and_under_the_replacement if {
	found == "a" with input.list as [x | some x in items]
}

found := input.list[0] if items[1] == "b"

test_call_as_replacement if {
	found == "A" with input.list as [upper(first), "z"]
}
