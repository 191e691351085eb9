package passes.merge_test

import rego.v1

before := [1, 2, 3, 4, 5, 6, 7, 8]

kind([x]) := "one" if is_number(x)

test_also_from_here if kind([before[0]]) == "one"
