//! Certificates and predicates as GitHub, GitLab and scripts write them, and what
//! must not pass for agreement.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

const COMMIT: &str = "3f9f7ea23b16f285a2aeb339c55fdc907d81e86b";
const OTHER: &str = "ba30abd991b9ad03e4a7c8cfa79f0fd5fba35b03";
const V1: &str = "https://slsa.dev/provenance/v1";
const V02: &str = "https://slsa.dev/provenance/v0.2";
/// Letters of the answers: repository, commit, ref, builder, run.
const ALL: &str = "=====";

fn facts(extensions: &[(u32, &str)]) -> CertificateFacts {
    CertificateFacts {
        subject: String::new(),
        issuer: "https://token.actions.githubusercontent.com".to_owned(),
        extensions: extensions.iter().map(|(number, text)| (*number, (*text).to_owned())).collect::<BTreeMap<_, _>>(),
        not_before: jiff::Timestamp::UNIX_EPOCH,
        not_after: jiff::Timestamp::UNIX_EPOCH,
        authority: String::new(),
    }
}

fn github() -> CertificateFacts {
    facts(&[
        (9, "https://github.com/org/app/.github/workflows/build.yml@refs/heads/main"),
        (10, COMMIT),
        (12, "https://github.com/org/app"),
        (13, COMMIT),
        (14, "refs/heads/main"),
        (21, "https://github.com/org/app/actions/runs/77/attempts/2"),
    ])
}

fn gitlab() -> CertificateFacts {
    facts(&[
        (9, "https://gitlab.com/group/project//.gitlab-ci.yml@refs/heads/main"),
        (12, "https://gitlab.com/group/project"),
        (13, COMMIT),
        (14, "refs/heads/main"),
        (21, "https://gitlab.com/group/project/-/jobs/9001"),
    ])
}

fn github_v1() -> Value {
    json!({
        "buildDefinition": {
            "externalParameters": {"workflow": {
                "ref": "refs/heads/main", "repository": "https://github.com/org/app", "path": ".github/workflows/build.yml",
            }},
            "resolvedDependencies": [{"uri": "git+https://github.com/org/app@refs/heads/main", "digest": {"gitCommit": COMMIT}}],
        },
        "runDetails": {
            "builder": {"id": "https://github.com/org/app/.github/workflows/build.yml@refs/heads/main"},
            "metadata": {"invocationId": "https://github.com/org/app/actions/runs/77/attempts/2"},
        },
    })
}

fn generator_v02() -> Value {
    let source = json!({"uri": "git+https://github.com/org/app@refs/heads/main", "digest": {"sha1": COMMIT}});
    json!({
        "builder": {"id": "https://github.com/org/app/.github/workflows/build.yml@refs/heads/main"},
        "invocation": {"configSource": source},
        "metadata": {"buildInvocationID": "77-2"},
        "materials": [source, {"uri": "pkg:docker/alpine@3", "digest": {"sha256": "00"}}],
    })
}

/// What the shell script of a pipeline writes.
fn script_v1() -> Value {
    json!({
        "buildDefinition": {
            "buildType": "https://gitlab.com/ci",
            "resolvedDependencies": [{"uri": "git+https://gitlab.com/group/project", "digest": {"sha1": COMMIT}}],
        },
        "runDetails": {"builder": {"id": "12270807"}, "metadata": {"invocationID": "1"}},
    })
}

/// One letter for each row: `=` consistent, `!` contradicts, `?` not comparable.
fn answers(facts: &CertificateFacts, predicate_type: &str, predicate: &Value) -> String {
    let compared = Provenance::compare(facts, predicate_type, predicate).unwrap();
    let rows = compared.source().into_iter().chain(compared.build());
    rows.map(|(_, comparison)| match comparison {
        Comparison::Consistent => '=',
        Comparison::Contradicts(_) => '!',
        Comparison::NotComparable(_) => '?',
    })
    .collect()
}

fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    *value.pointer_mut(pointer).unwrap() = new;
    value
}

#[test]
fn what_builders_write_agrees_with_their_certificates() {
    assert_eq!(answers(&github(), V1, &github_v1()), ALL);
    assert_eq!(answers(&github(), V02, &generator_v02()), ALL);
    // A runner is no workflow, and a script knows neither ref nor run.
    assert_eq!(answers(&gitlab(), V1, &script_v1()), "==???");
    let native = json!({
        "buildDefinition": {
            "externalParameters": {"source": "https://gitlab.com/group/project", "entryPoint": "build"},
            "resolvedDependencies": [{"uri": "https://gitlab.com/group/project", "digest": {"sha256": COMMIT}}],
        },
        "runDetails": {"builder": {"id": "https://gitlab.com/group/project/-/runners/7"}, "metadata": {"invocationID": 9001}},
    });
    assert_eq!(answers(&gitlab(), V1, &native), "==??=");
    let hosted = with(github_v1(), "/runDetails/builder/id", json!("https://github.com/actions/runner/github-hosted"));
    assert_eq!(answers(&github(), V1, &hosted), "===?=");
}

#[test]
fn another_source_contradicts_wherever_it_is_written() {
    let dependency = "/buildDefinition/resolvedDependencies/0";
    for (predicate, want) in [
        (
            with(github_v1(), "/buildDefinition/externalParameters/workflow/repository", json!("https://github.com/org/other")),
            "!====",
        ),
        (with(github_v1(), "/buildDefinition/externalParameters/workflow/ref", json!("refs/heads/dev")), "==!=="),
        (with(github_v1(), &format!("{dependency}/digest/gitCommit"), json!(OTHER)), "=!==="),
        (with(github_v1(), &format!("{dependency}/uri"), json!("git+https://github.com/org/app@refs/tags/v1")), "==!=="),
        (
            with(
                github_v1(),
                "/runDetails/builder/id",
                json!("https://github.com/org/other/.github/workflows/x.yml@refs/heads/main"),
            ),
            "===!=",
        ),
        (
            with(
                github_v1(),
                "/runDetails/metadata/invocationId",
                json!("https://github.com/org/app/actions/runs/78/attempts/1"),
            ),
            "====!",
        ),
    ] {
        assert_eq!(answers(&github(), V1, &predicate), want, "{predicate}");
    }
    for (pointer, new, want) in [
        ("/invocation/configSource/uri", json!("git+https://github.com/evil/app@refs/heads/main"), "!===="),
        ("/invocation/configSource/uri", json!("git+https://github.com@evil.example/org/app@refs/heads/main"), "!===="),
        ("/invocation/configSource/digest/sha1", json!(OTHER), "=!==="),
        // The rules read materials: the second claim must not hide behind the first.
        ("/materials/0/digest/sha1", json!(OTHER), "=!==="),
        ("/metadata/buildInvocationID", json!("78-2"), "====!"),
    ] {
        assert_eq!(answers(&github(), V02, &with(generator_v02(), pointer, new.clone())), want, "{pointer} {new}");
    }
    let listed = |uri: &str, digest: Value| with(script_v1(), dependency, json!({"uri": uri, "digest": digest}));
    assert_eq!(answers(&gitlab(), V1, &listed("git+https://gitlab.com/group/other", json!({"sha1": COMMIT}))), "!????");
    assert_eq!(answers(&gitlab(), V1, &listed("git+https://gitlab.com/group/project", json!({"sha1": OTHER}))), "=!???");
    // A first name that is no address hides nothing of the list.
    let mut junk = listed("git+https://gitlab.com/group/other", json!({"sha1": COMMIT}));
    junk["buildDefinition"]["externalParameters"] = json!({"source": "group/project"});
    assert_eq!(answers(&gitlab(), V1, &junk), "!????");
    // Both commits in one list: the right one does not excuse the wrong one.
    let mut two = script_v1();
    let list = two.pointer_mut("/buildDefinition/resolvedDependencies").unwrap().as_array_mut().unwrap();
    list.push(json!({"uri": "git+https://gitlab.com/group/project.git", "digest": {"sha1": OTHER}}));
    assert_eq!(answers(&gitlab(), V1, &two), "=!???");
}

#[test]
fn what_cannot_be_compared_is_no_agreement() {
    let none = facts(&[]);
    assert_eq!(answers(&none, V1, &github_v1()), "?????");
    assert_eq!(answers(&github(), V1, &json!({})), "?????");
    assert_eq!(answers(&github(), V1, &Value::Null), "?????");
    assert_eq!(answers(&github(), V02, &json!("text")), "?????");
    assert_eq!(answers(&github(), "https://slsa.dev/provenance/v0.1", &github_v1()), "?????");
    assert!(Provenance::compare(&github(), "https://spdx.dev/Document", &json!({})).is_none());
    let uri = "/buildDefinition/resolvedDependencies/0/uri";
    assert_eq!(answers(&gitlab(), V1, &with(script_v1(), uri, json!("git+ssh://git@gitlab.com/group/project"))), "?=???");
    assert_eq!(answers(&gitlab(), V1, &with(script_v1(), uri, json!("git@gitlab.com:group/project.git"))), "?=???");
    let sha = "/buildDefinition/resolvedDependencies/0/digest/sha1";
    assert_eq!(answers(&gitlab(), V1, &with(script_v1(), sha, json!(&COMMIT[..8]))), "=????");
    let named = with(github_v1(), "/buildDefinition/externalParameters/workflow/repository", json!("pkg:github/org/app"));
    assert_eq!(answers(&github(), V1, &named), "?====");
}

#[test]
fn spellings_of_one_repository_are_one() {
    let uri = "/buildDefinition/resolvedDependencies/0/uri";
    for (text, want) in [
        ("git+https://ci-token:secret@gitlab.com/group/project.git", "==???"),
        ("git+https://GITLAB.com:443/group/project/", "==???"),
        ("git+https://gitlab.com/group/project@main", "===??"),
        ("git+https://gitlab.com/group/project@dev", "==!??"),
        ("git+https://gitlab.com/group/project#readme", "==???"),
        ("https://gitlab.com/group/project", "==???"),
        ("git+https://gitlab.com/Group/project", "!????"),
        ("git+https://gitlab.com/group/project/../other", "!????"),
        ("git+https://gitlab.com:8443/group/project", "!????"),
    ] {
        assert_eq!(answers(&gitlab(), V1, &with(script_v1(), uri, json!(text))), want, "{text}");
    }
}

#[test]
fn the_commit_of_the_workflow_may_stand_beside_the_source() {
    let workflow = "https://github.com/slsa-framework/generator";
    let mut certificate = github();
    certificate.extensions.insert(9, format!("{workflow}/.github/workflows/g.yml@refs/tags/v1"));
    certificate.extensions.insert(10, OTHER.to_owned());
    certificate.extensions.insert(12, workflow.to_owned());
    let list = |commit: &str| {
        json!({"buildDefinition": {"resolvedDependencies": [
            {"uri": format!("git+{workflow}@refs/heads/main"), "digest": {"sha1": COMMIT}},
            {"uri": format!("git+{workflow}@refs/tags/v1"), "digest": {"sha1": commit}},
        ]}})
    };
    assert_eq!(answers(&certificate, V1, &list(OTHER)), "===??");
    assert_eq!(answers(&certificate, V1, &list("0000000000000000000000000000000000000000")), "=!!??");
}

#[test]
fn old_certificates_of_github_name_the_repository_without_its_host() {
    let old = facts(&[(3, COMMIT), (5, "org/app"), (6, "refs/heads/main")]);
    assert_eq!(answers(&old, V02, &generator_v02()), "===??");
    let elsewhere = CertificateFacts { issuer: "https://issuer.example".to_owned(), ..old };
    assert_eq!(answers(&elsewhere, V02, &generator_v02()), "?????");
}
