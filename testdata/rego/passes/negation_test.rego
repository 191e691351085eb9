package passes.negation_test

import rego.v1

# OPA evaluates the operands of a call before the `not`: where one is undefined,
# the whole body is.
test_call_with_undefined_operand if not negated_call

negated_call if not startswith(input.nothing, "x")

test_comparison_with_undefined_operand if not negated_comparison

negated_comparison if not count(input.nothing) > 0

test_membership_in_undefined if not negated_membership

negated_membership if not 1 in input.nothing

test_inequality_with_undefined_operand if not negated_inequality

negated_inequality if not input.nothing != 1

# A plain reference and an equation stay inside.
test_plain_reference if not input.nothing

test_equation if not input.nothing == 1

test_call_in_an_equation if not negated_equation

negated_equation if not count(input.nothing) == 1

test_operands_see_replaced_input if {
	not startswith(input.text, "b") with input.text as "abc"
}
