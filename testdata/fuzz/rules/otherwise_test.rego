package passes.otherwise_test

import rego.v1

pick(x) := x.first if {
	is_object(x)
} else := x.second if {
	is_object(x)
} else := "none"

test_value_is_defined if pick({"first": 1, "second": 2}) == 1

test_undefined_value_goes_on if pick({"second": 2}) == 2

test_last_clause if pick({}) == "none"

chosen := input.first if {
	true
} else := "other"

test_rule_with_undefined_value if chosen == "other"

short(x) := x.a if is_object(x) else := "b"

test_body_without_braces if short({}) == "b"
