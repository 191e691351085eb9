//! Provenance that says the same as its certificate, another thing, or nothing; and
//! certificates without an issuer, subjects with a name.

use serde_json::{Value, json};

use super::{
    super::{
        case::Case,
        certificate::Spec,
        keys::sha256,
        world::{IDENTITY, IMAGE, INTERMEDIATE, ISSUER, PROVENANCE, T, World},
    },
    bundle,
};

const REPOSITORY: &str = "https://gitlab.example/team/app";
const COMMIT: &str = "3f9f7ea23b16f285a2aeb339c55fdc907d81e86b";
const OTHER: &str = "ba30abd991b9ad03e4a7c8cfa79f0fd5fba35b03";
const NAME: &str = "registry.example/team/app";
const RUN: &str = "https://gitlab.example/team/app/-/jobs/9001";

pub(super) fn cases(world: &World) -> Vec<Case> {
    let case = |name: &str, version: &str, predicate: Value, letters| {
        let spec = world.leaf_spec().fulcio(9, IDENTITY).fulcio(12, REPOSITORY).fulcio(13, COMMIT).fulcio(21, RUN);
        let value = world.keyless_by(&spec, statement(version, &predicate, Some(NAME))).bundle_v2(world);
        bundle(name, &value, "attestation").with_comparison(letters)
    };
    let without_facts = |name: &str, predicate: Value| {
        let spec = Spec::leaf(INTERMEDIATE, T - 60, T + 540).names(&[(0x86, IDENTITY.as_bytes())]).fulcio(8, ISSUER);
        let value = world.keyless_by(&spec, statement(PROVENANCE, &predicate, Some(NAME))).bundle_v2(world);
        bundle(name, &value, "attestation").with_comparison("?????")
    };
    let at = |source: &str| format!("git+{REPOSITORY}{source}");
    let v02 = "https://slsa.dev/provenance/v0.2";
    let mut cases = vec![
        case("provenance-of-its-certificate", PROVENANCE, v1(&at(""), "refs/heads/main", COMMIT, IDENTITY), "====="),
        case(
            "provenance-of-another-repository",
            PROVENANCE,
            v1("git+https://gitlab.example/team/other", "refs/heads/main", COMMIT, IDENTITY),
            "!====",
        ),
        case("provenance-of-another-commit", PROVENANCE, v1(&at(""), "refs/heads/main", OTHER, IDENTITY), "=!==="),
        case("provenance-of-another-ref", PROVENANCE, v1(&at(""), "refs/heads/dev", COMMIT, IDENTITY), "==!=="),
        case(
            "provenance-of-another-builder",
            PROVENANCE,
            v1(&at(""), "refs/heads/main", COMMIT, "https://gitlab.example/team/other//.gitlab-ci.yml@refs/heads/main"),
            "===!=",
        ),
        case("provenance-that-names-no-source", PROVENANCE, json!({"buildDefinition": {"buildType": "x"}}), "?????"),
        case("provenance-0.2-of-its-certificate", v02, v0_2(&at("@refs/heads/main"), COMMIT), "===?="),
        case("provenance-0.2-of-another-commit", v02, v0_2(&at("@refs/heads/main"), OTHER), "=!=?="),
        case(
            "provenance-0.2-of-another-repository",
            v02,
            v0_2("git+https://gitlab.example/team/other@refs/heads/main", COMMIT),
            "!==?=",
        ),
        // What the shell script of a pipeline writes.
        case("provenance-by-a-script", PROVENANCE, script(&at(""), COMMIT), "==???"),
        case("provenance-by-a-script-of-another-commit", PROVENANCE, script(&at(""), OTHER), "=!???"),
        case(
            "provenance-by-a-script-of-another-repository",
            PROVENANCE,
            script("git+https://gitlab.example/team/other", COMMIT),
            "!????",
        ),
        case("provenance-with-two-commits-of-one-repository", PROVENANCE, two_commits(&at("")), "=!???"),
        without_facts("provenance-under-a-certificate-without-facts", v1(&at(""), "refs/heads/main", COMMIT, IDENTITY)),
    ];
    cases.extend(second_signer(world));
    cases.extend(issuers(world));
    cases.extend(names(world));
    cases
}

/// Someone else who signs and attests the image.
fn second_signer(world: &World) -> Vec<Case> {
    let rules = json!({"identity": {"subject": "bob@example.com", "issuer": ISSUER}});
    let spec = || Spec::leaf(INTERMEDIATE, T - 60, T + 540).names(&[(0x81, b"bob@example.com")]).fulcio(8, ISSUER);
    let by = |predicate_type: &str| world.keyless_by(&spec(), super::super::world::statement(predicate_type)).bundle_v2(world);
    vec![
        bundle("signature-by-e-mail", &by(super::super::world::IMAGE_SIGNATURE), "image-signature").with_rules(rules.clone()),
        bundle("attestation-by-e-mail", &by("https://example.com/x"), "attestation").with_rules(rules),
    ]
}

/// Certificates that name no issuer.
fn issuers(world: &World) -> Vec<Case> {
    let spec = Spec::leaf(INTERMEDIATE, T - 60, T + 540).names(&[(0x86, IDENTITY.as_bytes())]);
    let value = world.keyless_by(&spec, super::super::world::statement("https://example.com/x")).bundle_v2(world);
    let named = world.keyless("https://example.com/x").bundle_v2(world);
    let rules =
        |issuer: &str, absent: &str| json!({"identity": {"subject": IDENTITY, "issuer": issuer}, "issuerWhereAbsent": absent});
    vec![
        bundle("no-issuer-where-one-is-asked-for", &value, "issuer-mismatch"),
        bundle("no-issuer-where-the-authority-vouches", &value, "attestation")
            .with_rules(rules("https://fulcio.example", "https://fulcio.example")),
        bundle("no-issuer-and-another-authority-vouches", &value, "issuer-mismatch")
            .with_rules(rules(ISSUER, "https://fulcio.example")),
        bundle("an-issuer-where-the-authority-vouches", &named, "issuer-mismatch")
            .with_rules(rules("https://fulcio.example", "https://fulcio.example")),
    ]
}

/// Names of subjects, compared with the repository asked for.
fn names(world: &World) -> Vec<Case> {
    let rules = || json!({"identity": {"subject": IDENTITY, "issuer": ISSUER}, "subjectName": "docker.io/library/app"});
    let case = |case: &str, name: Option<&str>, outcome| {
        let payload = statement("https://example.com/x", &json!({}), name);
        bundle(case, &world.keyless_by(&world.leaf_spec(), payload).bundle_v2(world), outcome).with_rules(rules())
    };
    vec![
        case("subject-named-as-asked", Some("docker.io/library/app"), "attestation"),
        case("subject-named-in-short", Some("index.docker.io/app"), "attestation"),
        case("subject-named-with-its-tag", Some("app:v1"), "attestation"),
        case("subject-of-another-name", Some("registry.example/team/app"), "repository-mismatch"),
        case("subject-of-a-longer-name", Some("docker.io/library/app/x"), "repository-mismatch"),
        case("subject-without-a-name", None, "repository-mismatch"),
        case("subject-whose-name-is-no-reference", Some("pkg:oci/app@v1"), "repository-mismatch"),
        // As BuildKit names an image.
        case("subject-named-by-a-package-url", Some("pkg:docker/app@v1?platform=linux%2Famd64"), "attestation"),
        case(
            "subject-named-by-a-package-url-of-elsewhere",
            Some("pkg:docker/app@v1?repository_url=a.example"),
            "repository-mismatch",
        ),
        // cosign names no subject in the signatures that it makes.
        bundle(
            "signature-where-names-are-compared",
            &world.keyless(super::super::world::IMAGE_SIGNATURE).bundle_v2(world),
            "image-signature",
        )
        .with_rules(rules()),
    ]
}

fn statement(predicate_type: &str, predicate: &Value, name: Option<&str>) -> Vec<u8> {
    let mut subject = json!({"digest": {"sha256": hex::encode(sha256(IMAGE))}});
    if let Some(name) = name {
        subject["name"] = json!(name);
    }
    let version = if predicate_type.ends_with("/v0.2") { "v0.1" } else { "v1" };
    json!({
        "_type": format!("https://in-toto.io/Statement/{version}"), "subject": [subject],
        "predicateType": predicate_type, "predicate": predicate,
    })
    .to_string()
    .into_bytes()
}

fn v1(source: &str, reference: &str, commit: &str, builder: &str) -> Value {
    json!({
        "buildDefinition": {
            "buildType": "https://gitlab.example/ci",
            "externalParameters": {"source": format!("{source}@{reference}"), "ref": reference},
            "resolvedDependencies": [{"uri": format!("git+{REPOSITORY}"), "digest": {"gitCommit": commit}}],
        },
        "runDetails": {"builder": {"id": builder}, "metadata": {"invocationId": RUN}},
    })
}

fn v0_2(source: &str, commit: &str) -> Value {
    let source = json!({"uri": source, "digest": {"sha1": commit}});
    json!({
        "builder": {"id": "https://gitlab.example/runner"}, "buildType": "https://gitlab.example/ci",
        "invocation": {"configSource": source}, "materials": [source], "metadata": {"buildInvocationID": "9001"},
    })
}

fn script(source: &str, commit: &str) -> Value {
    json!({
        "buildDefinition": {
            "buildType": "https://gitlab.example/ci",
            "resolvedDependencies": [{"uri": source, "digest": {"sha1": commit}}],
        },
        "runDetails": {"builder": {"id": 12_270_807}, "metadata": {"invocationID": "77"}},
    })
}

fn two_commits(source: &str) -> Value {
    let mut predicate = script(source, COMMIT);
    let list = predicate["buildDefinition"]["resolvedDependencies"].as_array_mut().unwrap();
    list.push(json!({"uri": source, "digest": {"sha1": OTHER}}));
    predicate
}
