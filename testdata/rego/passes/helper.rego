package passes.imports.helper

import rego.v1

seven := 7

double(x) := x * 2

# Would be evaluated, and be a cycle, if the whole package were.
uses_the_tests if data.passes.imports_test.test_alias_of_a_package

deep := {"answer": 42}
