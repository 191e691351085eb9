# METADATA
# title: Metadata
# description: About the package
package passes.metadata_test

import rego.v1

# METADATA
# title: One
# custom:
#   short_name: one
#   effective_on: 2025-07-01
#   yes: yes
one contains chain if chain := rego.metadata.chain()

# METADATA
# title: Rule
two := rego.metadata.rule().title

none := rego.metadata.rule()

three := rego.metadata.chain()[0].path

test_chain if {
	some chain in one
	chain == [
		{
			"annotations": {
				"custom": {"effective_on": "2025-07-01T00:00:00Z", "short_name": "one", "yes": "yes"},
				"scope": "rule",
				"title": "One",
			},
			"path": ["passes", "metadata_test", "one"],
		},
		{
			"annotations": {"description": "About the package", "scope": "package", "title": "Metadata"},
			"path": ["passes", "metadata_test"],
		},
	]
}

test_rule if two == "Rule"

test_rule_without_annotations if none == {}

test_path_of_a_rule_without_annotations if three == ["passes", "metadata_test", "three"]
