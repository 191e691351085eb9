# METADATA
# title: Release
# description: Rules of a release.
# scope: subpackages
# organizations: [Example <&> Co.]

# METADATA
# scope: package
# title: The package
package release

import rego.v1

# METADATA
# title: Signed
# description: >-
#   The image is signed & attested, see
#   xref:policy:ROOT:release.adoc#signed[the page] and <b>more</b>.
# authors:
# - Jane Doe <jane@example.test>
# - name: John
# related_resources:
# - https://example.test/a
# - ref: https://example.test/b
#   description: B
# custom:
#   short_name: signed
#   failure_msg: "%s is not signed"
#   solution: Sign it.
#   collections: [minimal, release]
#   depends_on: [release.present]
#   effective_on: 2026-05-01
deny contains result if {
	not input.signed
	result := {"code": "release.signed", "msg": "not signed"}
}

# METADATA
# title: Present
# custom:
#   short_name: present
#   effective_on: "2026-01-01T00:00:00Z"
#   pipeline_intention: [release]
warn contains "absent" if not input.present

# METADATA
# title: Suffixed
# custom:
#   short_name: suffixed
deny_later contains "later" if input.later

# METADATA
# title: Without a short name
deny contains "nameless" if input.nameless

helper if input.helper

# METADATA
# title: A helper
# description: Of no kind.
annotated_helper := msg if msg := input.msg

# METADATA
# scope: document
# title: The whole document
# custom:
#   short_name: all_of_it
whole := "whole"
