# The source that images.yaml names is the one that the provenance names.
package slsa_source_correlated

import rego.v1

import data.lib.source

# METADATA
# title: Source code reference provided
# custom:
#   short_name: source_code_reference_provided
deny contains result if {
	not input.image.source.git.revision
	result := {
		"code": "slsa_source_correlated.source_code_reference_provided",
		"msg": "Expected source code reference was not provided for verification",
	}
}

# METADATA
# title: Source reference
# custom:
#   short_name: attested_source_code_reference
deny contains result if {
	count(source.attested) == 0
	result := {
		"code": "slsa_source_correlated.attested_source_code_reference",
		"msg": "The attested material contains no source code reference",
	}
}

# METADATA
# title: Expected source code reference
# custom:
#   short_name: expected_source_code_reference
deny contains result if {
	count(source.attested) > 0
	git := input.image.source.git
	expected := sprintf("%s at %s", [source.repository(git.url), git.revision])
	not expected in source.attested
	result := {
		"code": "slsa_source_correlated.expected_source_code_reference",
		"msg": sprintf("The expected source code reference %q is not attested", [expected]),
	}
}
