# What the provenance about an image says about its source, for SLSA v0.2 and v1.
package lib.source

import rego.v1

provenance := {
	"https://slsa.dev/provenance/v0.2",
	"https://slsa.dev/provenance/v1",
}

dependencies contains dependency if {
	some attestation in input.attestations
	attestation.statement.predicateType in provenance
	some dependency in object.get(attestation.statement.predicate, "materials", [])
}

dependencies contains dependency if {
	some attestation in input.attestations
	attestation.statement.predicateType in provenance
	definition := object.get(attestation.statement.predicate, "buildDefinition", {})
	some dependency in object.get(definition, "resolvedDependencies", [])
}

# References as "repository at commit"; the repository without `git+` and `.git`.
attested contains reference if {
	some dependency in dependencies
	startswith(dependency.uri, "git+")
	some algorithm in {"sha1", "gitCommit"}
	commit := dependency.digest[algorithm]
	reference := sprintf("%s at %s", [repository(trim_prefix(dependency.uri, "git+")), commit])
}

repository(url) := trim_suffix(trim_suffix(url, "/"), ".git")
