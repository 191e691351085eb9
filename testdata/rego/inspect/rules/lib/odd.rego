package lib.odd["a-b"]

import rego.v1

# METADATA
# title: Odd
# custom:
#   short_name: odd
#   depends_on: release.signed
#   collections: []
deny contains "odd" if input.odd
