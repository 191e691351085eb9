package passes.mocks_test

import rego.v1

test_function_of_conforma_by_a_function if {
	ec.oci.blob("a") == "blob of a" with ec.oci.blob as mock_blob
}

mock_blob(ref) := sprintf("blob of %s", [ref])

test_function_of_conforma_by_a_value if {
	size == 5 with ec.oci.blob as "hello"
}

size := count(ec.oci.blob("x"))

test_function_of_opa if {
	time.now_ns() == 7 with time.now_ns as 7
	format == "mocked" with sprintf as "mocked"
}

format := sprintf("%d", [1])

test_function_rule if {
	helper(1) == "other" with helper as other
}

helper(x) := x

other(_) := "other"

test_data if value == 2 with data.passes.given as 2

value := data.passes.given
