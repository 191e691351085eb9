package lib.odd_test

import rego.v1

test_odd if data.lib.odd["a-b"].deny with input as {"odd": true}
