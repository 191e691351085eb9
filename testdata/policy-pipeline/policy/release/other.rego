# A rule that the policy of the pipeline does not include.
package other

import rego.v1

# METADATA
# title: Never included
# custom:
#   short_name: never_included
deny contains {"code": "other.never_included", "msg": "never included"} if input.image
