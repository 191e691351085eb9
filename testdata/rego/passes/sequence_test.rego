package passes.sequence_test

import rego.v1

test_nothing_in_a_scalar if {
	count([x | some x in 7]) == 0
	count([x | some x in "text"]) == 0
	count([x | some x in null]) == 0
}

test_nothing_in_undefined if count([x | some x in input.nothing]) == 0

test_key_and_value if {
	found := {sprintf("%v=%v", [k, v]) | some k, v in {"a": 1, "b": 2}}
	found == {"a=1", "b=2"}
}

elements contains x if some x in [1, 2]

test_a_set_has_its_elements if elements == {1, 2}
