package passes.walk_test

import rego.v1

doc := {"a": {"b": [1, 2]}}

test_walk_as_a_value if {
	leaves := {v | [_, v] := walk(doc); is_number(v)}
	leaves == {1, 2}
}

test_walk_with_a_pattern if {
	paths := {p | walk(doc, [p, 2])}
	paths == {["a", "b", 1]}
}

test_walk_begins_with_the_document if {
	some [path, value] in [entry | entry := walk(doc)]
	path == []
	value == doc
}
