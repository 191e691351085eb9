package passes.merge_test

import rego.v1

# One function with clauses in two files: each needs the plan of its own file.
kind([_, _]) := "two"

test_clause_of_this_file if kind([1, 2]) == "two"

test_clause_of_the_other_file if kind([1]) == "one"
