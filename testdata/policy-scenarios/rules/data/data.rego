package shown

import rego.v1

# METADATA
# title: word
# custom:
#   short_name: word
warn contains {"code": "shown.word", "msg": sprintf("word is %s", [word])} if {
	word := data.rule_data__configuration__.word
}

# METADATA
# title: none
# custom:
#   short_name: none
warn contains {"code": "shown.none", "msg": "no word"} if {
	not data.rule_data__configuration__.word
}
