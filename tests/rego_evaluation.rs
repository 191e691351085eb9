//! Loading and evaluating rules: what is refused and where, what ends an
//! evaluation, and what is recorded.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use carnet_bundle::{Digest, Reference};
use carnet_policy::{
    Reading,
    document::SourceGroup,
    rego::{
        Answer, CheckKind, Data, DataError, EvaluationError, File, Filter, Group, GroupOutcome, Head, Limits, LoadError,
        LookupError, ManifestBytes, NoRegistry, Question, Referrer, Registry, Settings, SignerOptions, Target, Verified,
    },
};
use serde_json::{Value, json};

fn settings(source: &SourceGroup) -> Settings<'_> {
    Settings {
        source,
        configuration: None,
        effective_time: "2026-03-01T12:00:00Z".parse().unwrap(),
        now: "2026-03-01T12:00:00Z".parse().unwrap(),
        reading: Reading::Strict,
        filter: Filter::IncludeExclude,
        limits: Limits::default(),
    }
}

fn files<'a>(texts: &'a [(&'a str, &'a str)]) -> Vec<File<'a>> {
    texts.iter().map(|(path, text)| File { path, bytes: text.as_bytes() }).collect()
}

fn load(texts: &[(&str, &str)], data: &Data) -> Result<Group, LoadError> {
    Group::load(&files(texts), data, &settings(&SourceGroup::default()))
}

/// The error of loading one file `p.rego`.
fn refused(text: &str) -> LoadError {
    load(&[("p.rego", text)], &Data::empty()).unwrap_err()
}

fn image() -> Reference {
    format!("registry.test/app@{}", Digest::of(b"app")).parse().unwrap()
}

fn evaluate_with(group: &Group, input: &Value, registry: Arc<dyn Registry>) -> Result<GroupOutcome, EvaluationError> {
    group.evaluate(Target { image: &image(), component: "app" }, input, registry)
}

fn evaluate(text: &str) -> Result<GroupOutcome, EvaluationError> {
    let group = load(&[("p.rego", text)], &Data::empty()).unwrap();
    evaluate_with(&group, &json!({}), Arc::new(NoRegistry))
}

fn messages(outcome: &GroupOutcome) -> Vec<&str> {
    outcome.violations.iter().map(|result| result.msg.as_str()).collect()
}

#[test]
fn what_is_not_rego_is_refused_with_file_line_and_column() {
    for (text, want) in [
        ("package a\n\ndeny contains \"x if {\n", "p.rego:3:15: the string is not closed"),
        ("package a\nimport rego.v1\ndeny contains x {\n  x := 1\n}\n", "p.rego:3:17: `if` keyword is required before rule body"),
        ("package a\n\0deny contains \"x\"\n", "p.rego:2:1: NUL character"),
        ("deny contains \"x\"\n", "p.rego:1:1: expecting `package` Missing package declaration."),
        ("package a\ndeny contains \"x\" if ((1)\n", "p.rego:3:1:"),
        ("package a\ndeny[\"x\"]\n", "p.rego:2:1: rego_compile_error: `contains` keyword is required for partial set rules"),
        ("package a\nf(x) := $\"{x}\"\n", "p.rego:2:9: invalid character"),
    ] {
        let error = refused(text).to_string();
        assert!(error.starts_with(want), "{text:?}:\n got {error}\nwant {want}");
    }
    let bytes = b"package a\n# \xff\n";
    let error = Group::load(&[File { path: "p.rego", bytes }], &Data::empty(), &settings(&SourceGroup::default())).unwrap_err();
    assert_eq!(error.to_string(), "p.rego:2:3: not UTF-8");
    assert_eq!(load(&[], &Data::empty()).unwrap_err(), LoadError::NoRules);
}

#[test]
fn rules_that_opa_does_not_compile_are_refused() {
    use CheckKind::{Compile, Recursion, Type, UnsafeVar};
    for (kind, body, want) in [
        (Type, "x if { false; nope(1) }", "undefined function nope"),
        (Type, "x if http.send({})", "undefined function http.send: it reaches the network"),
        (Type, "x if opa.runtime()", "undefined function opa.runtime: it reads the environment"),
        (Type, "x if net.lookup_ip_addr(\"a\")", "undefined function net.lookup_ip_addr: it reaches the network"),
        (Type, "x if io.jwt.decode(\"a\")", "undefined function io.jwt.decode"),
        (Type, "x if any([true])", "undefined function any"),
        (Type, "x := count([1], [2], [3])", "count: arity mismatch: have 3 arguments, want 1"),
        (Type, "f(a) := a\nx := y if { y := f(1, 2, 3) }", "data.p.f: arity mismatch: have 3 arguments, want 1"),
        (Type, "x := f(1)", "undefined function f"),
        (Type, "x := 1\nx contains 2", "conflicting rules data.p.x found"),
        (Type, "f(a) := a\nf(a, b) := b if a", "conflicting rules data.p.f found"),
        (Type, "default x := 1\ndefault x := 2", "multiple default rules data.p.x found"),
        (Type, "x := 1\nx.y := 2", "rule data.p.x conflicts with data.p.x.y"),
        (
            Type,
            "x if ec.oci.image_files(\"a\", [\"b\", \"c\"])",
            "ec.oci.image_files: invalid argument(s): have a list of 2, want a list of one text",
        ),
        (Type, "x if true with ec.oci.blob as 1", "ec.oci.blob cannot be replaced outside tests"),
        (Recursion, "x if y\ny if x", "rule data.p.x is recursive: data.p.x -> data.p.y -> data.p.x"),
        (Recursion, "f(a) := f(a)", "rule data.p.f is recursive: data.p.f -> data.p.f"),
        (Recursion, "x := data[y].x if y := input.y", "rule data.p.x is recursive: data.p.x -> data.p.x"),
        (UnsafeVar, "x if not [1][_] == 1", "var _ is unsafe"),
        (UnsafeVar, "x if not y == 1", "var y is unsafe"),
        (UnsafeVar, "x contains y if true", "var y is unsafe"),
        (UnsafeVar, "x := [z | true]", "var z is unsafe"),
        (UnsafeVar, "x if { y := z; z := y }", "var y is unsafe"),
        (Compile, "f({\"a\": a}) := a", "object patterns as arguments of a function are not supported"),
        (Compile, "x := -input.a", "unary minus is not supported: write 0 - x"),
        (Compile, "carnet__x := 1", "names with carnet__ are reserved"),
        (Compile, "f(a) := a\nx if f (1)", "`(` of a call must follow the name at once"),
        (Compile, "deny[\"x\"] if true", "rule p.deny.x is using 'if' keyword without 'contains' keyword"),
    ] {
        let text = format!("package p\n\nimport rego.v1\n\n{body}\n");
        let LoadError::Check(errors) = refused(&text) else { panic!("{body}") };
        let found = errors.iter().find(|error| error.kind == kind && error.reason == want);
        let found = found.unwrap_or_else(|| panic!("{body}: {errors:?}"));
        assert!(found.at.line >= 5, "{body}: {found}");
    }
}

#[test]
fn annotations_are_checked() {
    for (block, want) in [
        ("# METADATA\n# tittle: x", "p.rego:5: annotations: unknown field \"tittle\""),
        ("# METADATA\n# title: [", "annotations: "),
        ("# METADATA\n# title: a\n# title: b", "p.rego:6: annotations: duplicate key \"title\", first written in line 1"),
        ("# METADATA\n# scope: world", "p.rego:4: annotations: unknown annotation scope 'world'"),
        ("# METADATA\n# scope: package", "p.rego:4: annotations: annotation scope must be applied to a package"),
        ("# METADATA", "p.rego:4: annotations: expected METADATA block, found whitespace"),
    ] {
        let error = refused(&format!("package p\nimport rego.v1\n\n{block}\ndeny contains \"x\"\n")).to_string();
        assert!(error.contains(want), "{block}: {error}");
    }
    let twice = "package p\nimport rego.v1\n# METADATA\n# custom: {short_name: a}\ndeny contains \"x\"\n# METADATA\n# custom: {short_name: a}\nwarn contains \"y\"\n";
    assert_eq!(refused(twice).to_string(), "found a second rule with the same code: `p.a` at p.rego:8:1, first at p.rego:5:1");
}

#[test]
fn trees_that_would_exhaust_the_stack_are_refused() {
    let chain: String = (0..300).map(|n| format!("r{n} := r{}\n", n + 1)).collect();
    let text = format!("package p\n{chain}r300 := 1\n");
    assert!(refused(&text).to_string().contains("limit exceeded: more than 200 rules that need each other in a row"));
    let sum = format!("package p\nx := 1{}\n", " + 1".repeat(100_000));
    assert!(refused(&sum).to_string().contains("the expression is too long"));
    let nested = format!("package p\nx := {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
    assert!(refused(&nested).to_string().contains("brackets are nested too deep"));
}

#[test]
fn the_deepest_rules_that_are_taken_can_be_evaluated() {
    let chain: String = (0..195).map(|n| format!("r{n} := f{n}(r{})\nf{n}(x) := [y | some y in x]\n", n + 1)).collect();
    let text = format!("package p\nimport rego.v1\ndeny contains \"deep\" if count(r0) == 2\n{chain}r195 := [1, 2]\n");
    assert_eq!(messages(&evaluate(&text).unwrap()), ["deep"]);
    let nested = format!("{}2{}", "[1, ".repeat(40), "]".repeat(40));
    let text = format!("package p\nimport rego.v1\ndeny contains \"nested\" if {nested} == {nested}\n");
    assert_eq!(messages(&evaluate(&text).unwrap()), ["nested"]);
}

#[test]
fn errors_at_run_time_name_the_line_of_the_file() {
    let text = "package p\n\nimport rego.v1\n\nx := 1 if true\n\nx := 2 if true\n\ndeny contains sprintf(\"%d\", [x])\n";
    let error = evaluate(text).unwrap_err();
    let EvaluationError::Failed { namespace, at, reason } = &error else { panic!("{error}") };
    assert_eq!((namespace.as_str(), &*at.file, at.line), ("p", "p.rego", 7), "{reason}");
    assert_eq!(reason, "eval_conflict_error: complete rules must not produce multiple outputs");
}

#[test]
fn nothing_evaluated_is_no_pass() {
    assert_eq!(evaluate("package p\nimport rego.v1\ndeny contains \"x\" if false\n"), Err(EvaluationError::NothingEvaluated));
}

#[test]
fn rules_that_need_data_alone_are_evaluated_once() {
    let text = "package p
import rego.v1

default empty := false

empty if count(kept) == 0

# The records of functions are kept with the value.
kept contains x if {
	some x in data.list
	to_number(x.n) > 1
}

deny contains sprintf(\"%v %v %v\", [input.name, empty, kept])
";
    let json = br#"{"list": [{"n": "1"}, {"n": "2"}, {"n": "x"}]}"#;
    let data = Data::merge(&[File { path: "d.json", bytes: json }], None).unwrap();
    let group = load(&[("p.rego", text)], &data).unwrap();
    for name in ["a", "b"] {
        let outcome = evaluate_with(&group, &json!({"name": name}), Arc::new(NoRegistry)).unwrap();
        assert_eq!(messages(&outcome), [format!("{name} false {{{{\"n\": \"2\"}}}}")]);
        let undefined: Vec<_> = outcome.undefined.iter().map(|u| (u.function.as_str(), u.at.line)).collect();
        assert_eq!(undefined, [("to_number", 11)]);
    }
}

#[test]
fn replaced_data_reaches_rules_that_need_data_alone() {
    let text = "package p
import rego.v1

sum := total if total := sum([x | some x in data.list])

deny contains sprintf(\"%v %v\", [sum_now, sum_then]) if {
	sum_now := sum
	sum_then := sum with data.list as [10]
}
"
    .replace("sum := total if total := sum(", "total := t if t := sum(")
    .replace("sum_now := sum\n", "sum_now := total\n")
    .replace("sum_then := sum with", "sum_then := total with");
    let data = Data::merge(&[File { path: "d.json", bytes: br#"{"list": [1, 2]}"# }], None).unwrap();
    let group = load(&[("p.rego", &text)], &data).unwrap();
    let outcome = evaluate_with(&group, &json!({}), Arc::new(NoRegistry)).unwrap();
    assert_eq!(messages(&outcome), ["3 10"]);
}

/// Counts questions; knows nothing.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Registry for Counting {
    fn head(&self, _: &Reference) -> Result<Answer<Head>, LookupError> {
        Ok(Answer::Refused("403 Forbidden".to_owned()))
    }

    fn manifest(&self, _: &Reference) -> Result<Answer<ManifestBytes>, LookupError> {
        Ok(Answer::NotFound)
    }

    fn blob(&self, reference: &Reference) -> Result<Answer<Vec<u8>>, LookupError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        match reference.repository() {
            "tampered" => {
                let question = Box::new(Question::Blob(reference.clone()));
                Err(LookupError::Tampered { question, reason: "got a, want b".to_owned() })
            }
            _ => Ok(Answer::Found(b"app".to_vec())),
        }
    }

    fn referrers(&self, _: &Reference) -> Result<Answer<Vec<Referrer>>, LookupError> {
        Ok(Answer::NotFound)
    }

    fn verify_image(&self, _: &Reference, _: &SignerOptions) -> Result<Verified, LookupError> {
        Ok(Verified::default())
    }

    fn verify_attestation(&self, _: &Reference, _: &SignerOptions) -> Result<Verified, LookupError> {
        Ok(Verified::default())
    }
}

#[test]
fn a_question_without_a_trustworthy_answer_ends_the_evaluation() {
    let digest = Digest::of(b"app");
    // In a function with two clauses the engine would swallow the error.
    let text = format!(
        "package p
import rego.v1

f(x) := ec.oci.blob(\"registry.test/tampered@{digest}\") if x

f(x) := \"other\" if x

deny contains \"denied\" if not f(true) == \"other\"

warn contains \"warned\"
"
    );
    let group = load(&[("p.rego", &text)], &Data::empty()).unwrap();
    let counting: Arc<dyn Registry> = Arc::new(Counting::default());
    for (registry, want) in [
        (counting, "p.f: ec.oci.blob: blob registry.test/tampered@sha256:"),
        (Arc::new(NoRegistry), "p.f: ec.oci.blob: lookup not recorded: blob registry.test/tampered@sha256:"),
    ] {
        let error = evaluate_with(&group, &json!({}), registry).unwrap_err();
        assert!(matches!(error, EvaluationError::Lookup { .. }), "{error}");
        assert!(error.to_string().starts_with(want), "{error}");
    }
}

#[test]
fn missing_and_refused_answers_are_undefined_and_recorded() {
    let digest = Digest::of(b"app");
    let text = format!(
        "package p
import rego.v1

reference := \"registry.test/app@{digest}\"

deny contains \"no descriptor\" if not ec.oci.descriptor(reference)

deny contains \"no manifest\" if not ec.oci.image_manifest(reference)

deny contains ec.oci.blob(reference)

deny contains sprintf(\"%v\", [ec.oci.image_referrers(reference)])

deny contains concat(\"\", [\"again \", ec.oci.blob(reference)])
"
    );
    let group = load(&[("p.rego", &text)], &Data::empty()).unwrap();
    let registry = Arc::new(Counting::default());
    let outcome = evaluate_with(&group, &json!({}), registry.clone()).unwrap();
    assert_eq!(messages(&outcome), ["[]", "again app", "app", "no descriptor", "no manifest"]);
    assert_eq!(registry.0.load(Ordering::Relaxed), 1, "a blob is asked for once");
    let asked: Vec<_> = outcome.lookups.iter().map(|l| (l.question.to_string(), l.rule.as_str(), l.function.as_str())).collect();
    let reference = image();
    assert_eq!(
        asked,
        [
            (format!("HEAD of {reference}"), "p.deny", "ec.oci.descriptor"),
            (format!("manifest of {reference}"), "p.deny", "ec.oci.image_manifest"),
            (format!("blob {reference}"), "p.deny", "ec.oci.blob"),
            (format!("referrers of {reference}"), "p.deny", "ec.oci.image_referrers"),
        ]
    );
    let findings: Vec<_> =
        outcome.findings.iter().map(|f| (f.code, f.subject.as_str(), f.message.split(": ").last().unwrap())).collect();
    assert_eq!(findings, [("function-undefined", "p.deny", "403 Forbidden"), ("function-undefined", "p.deny", "not found")]);
}

#[test]
fn a_deny_that_is_no_set_does_not_pass() {
    let text = "package p\nimport rego.v1\ndeny := msg if msg := \"denied\"\nwarn contains \"w\"\n";
    let outcome = evaluate(text).unwrap();
    assert!(outcome.findings.iter().any(|f| f.code == "deny-is-not-a-set" && f.is_failure()), "{:?}", outcome.findings);
}

/// Conforma trims by the dependencies of annotations alone.
#[test]
fn a_violation_does_not_vanish_by_dependencies_that_it_names_itself() {
    for own in [r#"[]"#, r#"["a.warned"]"#, r#"["a.denied"]"#] {
        let text = format!(
            "package a\n\nwarn contains {{\"code\": \"a.warned\", \"msg\": \"w\"}}\n\n\
             deny contains {{\"code\": \"a.denied\", \"msg\": \"d\", \"depends_on\": {own}}}\n"
        );
        assert_eq!(messages(&evaluate(&text).unwrap()), ["d"], "{own}");
    }
}

/// Conforma passes these: what is left out is reported by nothing that denies.
#[test]
fn a_violation_that_only_a_warning_explains_does_not_pass() {
    let annotated =
        |rule: &str, depends: &str| format!("# METADATA\n# custom:\n#   short_name: {rule}\n#   depends_on: [{depends}]\n");
    let denied = "deny contains {\"code\": \"a.denied\", \"msg\": \"d\"}\n";
    let other = |word: &str| format!("{word} contains {{\"code\": \"a.other\", \"msg\": \"o\"}}\n");
    let of = |depends: &str, word: &str| {
        format!(
            "package a\n\n{}{denied}\n{}{}",
            annotated("denied", depends),
            "# METADATA\n# custom:\n#   short_name: other\n",
            other(word)
        )
    };
    for (depends, word, left, hidden) in [
        ("a.other", "warn", &[][..], true),
        ("a.denied", "warn", &[], true),
        ("a.other", "deny", &["o"], false),
        ("a.absent", "warn", &["d"], false),
    ] {
        let outcome = evaluate(&of(depends, word)).unwrap();
        assert_eq!(messages(&outcome), left, "{depends} {word}");
        let said = outcome.findings.iter().any(|f| f.code == "violation-trimmed" && f.is_failure() && f.subject == "a.denied");
        assert_eq!(said, hidden, "{depends} {word}: {:?}", outcome.findings);
    }
}

#[test]
fn data_is_merged_and_clashes_are_refused() {
    let json = |path, bytes| File { path, bytes };
    let a = json("a.json", br#"{"m": {"a": 1}}"#.as_slice());
    let b = json("b.yaml", b"m: {b: yes}\n".as_slice());
    let text = "package p\nimport rego.v1\ndeny contains sprintf(\"%v\", [data.m])\n";
    let group = load(&[("p.rego", text)], &Data::merge(&[a, b], None).unwrap()).unwrap();
    let outcome = evaluate_with(&group, &json!({}), Arc::new(NoRegistry)).unwrap();
    assert_eq!(messages(&outcome), ["{\"a\": 1, \"b\": true}"]);
    let clash = Data::merge(&[a, json("c.yaml", b"m: {a: 1}\n")], None).unwrap_err();
    assert_eq!(clash, DataError::Merge { file: "c.yaml".into(), path: "m.a".to_owned() });
    for (file, want) in [
        (json("d.json", b"{\"a\": 1, \"a\": 2}"), "d.json: duplicate key \"a\""),
        (json("d.yaml", b"a: 1\na: 2\n"), "d.yaml:2:1: duplicate key \"a\""),
        (json("d.yaml", b"a: 1\n---\nb: 2\n"), "d.yaml:2:1: a second document begins here"),
        (json("d.yaml", b"a: [\n"), "d.yaml:"),
        (json("d.yaml", b"a: &a [*a]\n"), "d.yaml:1:8: alias of a value that contains it"),
        (json("d.yaml", b"- 1\n"), "d.yaml: data must be an object"),
        (json("d.json", b"{\"a\": \xff}"), "d.json: "),
    ] {
        let error = Data::merge(&[file], None).unwrap_err().to_string();
        assert!(error.starts_with(want), "{error}");
    }
}

#[test]
fn the_engine_is_no_part_of_the_interface() {
    let text = include_str!("../src/policy/rego.rs");
    for line in text.lines().filter(|line| line.trim_start().starts_with("pub ")) {
        assert!(!line.contains("regorus"), "{line}");
    }
    // Every public item lies in one of these files; none of them has a public
    // field or signature with a type of the engine.
    for (name, text) in [
        ("data", include_str!("../src/policy/rego/data.rs")),
        ("error", include_str!("../src/policy/rego/error.rs")),
        ("group", include_str!("../src/policy/rego/group.rs")),
        ("inspect", include_str!("../src/policy/rego/inspect.rs")),
        ("program", include_str!("../src/policy/rego/program.rs")),
        ("registry", include_str!("../src/policy/rego/registry.rs")),
        ("selection", include_str!("../src/policy/rego/selection.rs")),
        ("session", include_str!("../src/policy/rego/session.rs")),
        ("tester", include_str!("../src/policy/rego/tester.rs")),
    ] {
        let public = text.lines().filter(|line| {
            let line = line.trim_start();
            line.starts_with("pub ") && !line.starts_with("pub(")
        });
        for line in public {
            let line = line.replace("serde_json::Value", "Json");
            let words: Vec<_> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            assert!(!words.contains(&"Value") && !words.contains(&"Engine") && !words.contains(&"regorus"), "{name}: {line}");
        }
    }
}
