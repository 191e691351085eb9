package functions_test

import rego.v1

# One test for each function that carnet evaluates in place of the engine, with
# operands for which the engine has another answer.

test_array_flatten if array.flatten([1, [2, [3]], 4]) == [1, 2, [3], 4]

test_crypto if {
	crypto.sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	crypto.sha1("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d"
	crypto.hmac.sha256("foo", "bar") == "147933218aaabc0b8b10a2b3a5c34684c8d94341bcf10a4736dc7270f7741851"
	crypto.hmac.sha1("foo", "bar") == "85d155c55ed286a300bd1cf124de08d87e914f3a"
	startswith(crypto.hmac.sha512("foo", "bar"), "24257d7210582a65c731ec55159c8184cc24c02489453e58")
	crypto.hmac.equal("a", "a")
}

test_purl if {
	ec.purl.is_valid("pkg:rpm/fedora/curl@7.50.3-1.fc25?arch=i386")
	not ec.purl.is_valid("rpm/fedora/curl")
	ec.purl.parse("pkg:generic/x@v#").version == "v"
}

test_glob_match if {
	glob.match("a**", ["."], "a.b.c")
	not glob.match("a*", ["."], "a.b")
	glob.quote_meta("*.b?{c}") == `\*.b\?\{c\}`
}

test_indexof if {
	indexof("héllo", "l") == 2
	count([x | x := indexof("a", "")]) == 0
}

test_json_filter_and_remove if {
	json.filter({"a": {"b": 1, "c": 2}}, ["/a/b"]) == {"a": {"b": 1}}
	json.remove({"a": {"b": 1, "c": 2}}, ["/a/b"]) == {"a": {"c": 2}}
}

test_json_marshal if json.marshal({"b": "<&>", "a": [1, null]}) == `{"a":[1,null],"b":"\u003c\u0026\u003e"}`

test_json_unmarshal if {
	json.unmarshal(`{"a":1}`) == {"a": 1}
	count([x | x := json.unmarshal("{")]) == 0
}

test_json_match_schema if {
	json.match_schema({"a": "b"}, {"properties": {"a": {"type": "number"}}}) == [
		false,
		[{
			"desc": "Invalid type. Expected: number, given: string",
			"error": "a: Invalid type. Expected: number, given: string",
			"field": "a",
			"type": "invalid_type",
		}],
	]
	json.match_schema(`{"a": 1}`, `{"required": ["a"]}`) == [true, []]
}

test_json_verify_schema if {
	json.verify_schema({"type": "object"}) == [true, null]
	json.verify_schema(["x"]) == [false, "jsonschema: wrong type, expected string or object"]
	json.verify_schema({"type": "nonsense"})[0] == false
}

test_numbers_range if {
	numbers.range(3, 1) == [3, 2, 1]
	numbers.range_step(1, 6, 2) == [1, 3, 5]
}

test_chance_is_the_same_in_every_run if {
	rand.intn("seed", 1000) == rand.intn("seed", 1000)
	uuid.rfc4122("seed") == uuid.rfc4122("seed")
	uuid.parse(uuid.rfc4122("seed")).version == 4
}

test_regex if {
	not regex.match(`^\d$`, "٣")
	regex.match(`^a{,2}$`, "a{,2}")
	regex.split("b*", "abc") == ["a", "c"]
	regex.find_n(`\w+`, "é a", -1) == ["a"]
	regex.replace("ab", "a(.)", "$1") == "b"
	regex.replace("é1", `\w`, "x") == "éx"
	regex.find_all_string_submatch_n("a(x*)b", "-axxb-ab-", -1) == [["axxb", "xx"], ["ab", ""]]
	regex.find_all_string_submatch_n(`(\w)`, "éa", -1) == [["a", "a"]]
	not regex.is_valid("a**")
}

test_semver if {
	semver.compare("01.2.3", "1.2.3") == 0
	semver.is_valid("1.2.3-alpha.1")
	semver.is_valid("v1.2.3")
	semver.is_valid("1.2.3-01")
	not semver.is_valid("1.2")
}

test_sprintf if {
	sprintf("%d and %d", [1]) == "1 and %!d(MISSING)"
	sprintf("%q", [0]) == `'\x00'`
	sprintf("%s", [[1, "a"]]) == `[1, "a"]`
}

test_strings_replace_n if strings.replace_n({"a": "b", "b": "c"}, "ab") == "bc"

test_time if {
	count([x | x := time.parse_rfc3339_ns("2024-5-6T00:00:00Z")]) == 0
	count([x | x := time.parse_rfc3339_ns("2024-05-06t00:00:00z")]) == 0
	count([x | x := time.parse_rfc3339_ns("2024-05-06 00:00:00Z")]) == 0
	count([x | x := time.parse_ns("2006-01-02", "2024-5-6")]) == 0
	time.format(time.add_date(time.parse_rfc3339_ns("2024-01-31T00:00:00.12Z"), 0, 1, 0)) == "2024-03-02T00:00:00.12Z"
}

test_time_now_is_the_time_of_the_run if time.format(time.now_ns()) == "2026-03-01T12:00:00Z"

test_to_number if {
	to_number("1.5") == 1.5
	count([x | x := to_number(" 1")]) == 0
}

test_x509 if {
	cert := crypto.x509.parse_certificates(data.certificate)[0]
	cert.Subject.CommonName == "golden.example.test"
	cert.KeyUsage == 1
	cert.ExtKeyUsage == [3]
	cert.DNSNames == ["golden.example.test"]
	{e.Id | some e in cert.Extensions} & {[2, 5, 29, 15]} == {[2, 5, 29, 15]}
}

test_yaml if {
	yaml.unmarshal("a: yes\nb: 0123\n") == {"a": true, "b": 83}
	yaml.is_valid("a: 1\n---\nb: 2")
	not yaml.is_valid("a: [")
}
