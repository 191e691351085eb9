package passes.rename_test

import rego.v1

i := 3

value := "rule"

test_some_hides_a_rule if {
	some i
	["a", "b"][i] == "b"
	i == 1
}

test_some_in_hides_a_rule if {
	found := [value | some value in ["x", "y"]]
	found == ["x", "y"]
}

test_argument_hides_a_rule if same("z") == "z"

same(value) := value

test_inner_variable_hides_an_outer_one if {
	some x in [1, 2]
	inner := [x | some x in ["a"]]
	inner == ["a"]
	x == 2
}

test_variable_named_like_a_function if {
	count := 5
	count == 5
	contains := ["a"]
	contains[0] == "a"
}

test_every_hides_a_rule if {
	every value in [1, 2] {
		value < 3
	}
}
