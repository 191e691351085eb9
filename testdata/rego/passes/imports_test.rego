package passes.imports_test

import rego.v1

import data.passes.imports.helper
import data.passes.imports.helper.deep as nested
import input.image as picture

# The import of a whole package must not evaluate rules that depend on this one.
test_alias_of_a_package if helper.seven == 7

test_alias_of_a_rule if nested.answer == 42

test_alias_of_input if picture.ref == "a" with input.image.ref as "a"

test_call_through_an_alias if helper.double(4) == 8

test_result_of_a_call_in_its_last_argument if {
	helper.double(5, x)
	x == 10
}
