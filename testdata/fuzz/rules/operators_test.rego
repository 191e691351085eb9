package passes.operators_test

import rego.v1

test_membership_of_undefined if {
	not membership
}

membership := x if x := 1 in input.nothing

test_membership if {
	1 in [1, 2]
	"b", 2 in {"b": 2}
	not 3 in {1, 2}
	not 1 in "text"
}

# Operands of the wrong type are undefined, not an error.
test_arithmetic_with_texts if {
	count([x | x := input.text + 1]) == 0 with input.text as "a"
	count([x | x := 1 / input.zero]) == 0 with input.zero as 0
	count([x | x := input.set & input.text]) == 0 with input as {"set": {1}, "text": "a"}
}

test_arithmetic if {
	7 - 2 == 5
	7 % 4 == 3
	6 / 4 == 1.5
	{1, 2} - {2} == {1}
	{1} | {2} == {1, 2}
	{1, 2} & {2, 3} == {2}
	1 + (2 * 3) == 7
	(1 + 2) * 3 == 9
}
