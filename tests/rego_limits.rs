//! Rules that loop or explode end with "limit exceeded", in bounded time and
//! memory.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "helpers of tests; looks how long it takes")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use carnet_bundle::{Digest, Reference};
use carnet_policy::{
    Reading,
    document::SourceGroup,
    rego::{Data, EvaluationError, File, Filter, Group, GroupOutcome, Limits, LoadError, NoRegistry, Settings, Target},
};
use serde_json::json;

fn load(text: &str, limits: Limits) -> Result<Group, LoadError> {
    let source = SourceGroup::default();
    let settings = Settings {
        source: &source,
        configuration: None,
        effective_time: "2026-03-01T12:00:00Z".parse().unwrap(),
        now: "2026-03-01T12:00:00Z".parse().unwrap(),
        reading: Reading::Strict,
        filter: Filter::IncludeExclude,
        limits,
    };
    Group::load(&[File { path: "p.rego", bytes: text.as_bytes() }], &Data::empty(), &settings)
}

fn evaluate(body: &str, limits: Limits) -> Result<GroupOutcome, EvaluationError> {
    let group = load(&format!("package p\nimport rego.v1\n{body}\n"), limits).unwrap();
    let image: Reference = format!("registry.test/app@{}", Digest::of(b"app")).parse().unwrap();
    let input = json!({"text": "x".repeat(1024 * 1024), "one": 1});
    group.evaluate(Target { image: &image, component: "app" }, &input, Arc::new(NoRegistry))
}

/// Peak of the memory of this process, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// A value that holds itself twice at each of `levels` levels, by the name of `d`.
fn shared(levels: usize) -> String {
    let mut text = "d0 := {\"a\": input.one}\n".to_owned();
    for level in 1..=levels {
        let below = level - 1;
        text.push_str(&format!("d{level} := {{\"a\": d{below}, \"b\": d{below}}}\n"));
    }
    text.push_str(&format!("d := d{levels}\n"));
    text
}

/// What a rule says, and the bound that it meets.
fn explosions() -> Vec<(&'static str, &'static str, String)> {
    let range = "some a in numbers.range(1, 100000)";
    let doubled: String = (1..60).map(|n| format!("t{n} := concat(\"\", [t{0}, t{0}])\n", n - 1)).collect();
    let squared: String = (1..60).map(|n| format!("q{n} := q{0} * q{0}\n", n - 1)).collect();
    let union: String = (1..60).map(|n| format!("u{n} := array.concat(u{0}, u{0})\n", n - 1)).collect();
    let diamond: String =
        (0..60).map(|n| format!("\"{n}a\": [\"{0}a\", \"{0}b\"], \"{n}b\": [\"{0}a\", \"{0}b\"], ", n + 1)).collect();
    let schema: String = (0..60)
        .map(|n| {
            format!("\"{n}\": {{\"anyOf\": [{{\"$ref\": \"#/definitions/{0}\"}}, {{\"$ref\": \"#/definitions/{0}\"}}]}}, ", n + 1)
        })
        .collect();
    let deny = |body: &str| format!("deny contains \"x\" if {{ {body} }}");
    let (memory, elements, either) = ("memory", "number of elements", "memory|number of elements");
    vec![
        (
            "product of three",
            elements,
            deny(
                "count([1 | some a in numbers.range(1, 500); some b in numbers.range(1, 500); some c in numbers.range(1, 500)]) == 0",
            ),
        ),
        (
            "set of a product",
            either,
            "deny contains sprintf(\"%d %d\", [a, b]) if { some a in numbers.range(1, 5000); some b in numbers.range(1, 5000) }"
                .to_owned(),
        ),
        (
            "comprehensions in a comprehension",
            either,
            deny(&format!("count([b | {range}; b := [c | some c in input.list]; count([1 | {range}]) > 0]) == 0")),
        ),
        ("one long comprehension", elements, deny(&format!("count([[a, a, a, a, a, a, a, a] | {range}]) == 0"))),
        (
            "an object",
            elements,
            format!(
                "o[[a, b]] := a if {{ some a in numbers.range(1, 1000); some b in numbers.range(1, 1000) }}\n{}",
                deny("count(o) == 0")
            ),
        ),
        (
            "a function that makes lists",
            elements,
            format!(
                "f(a) := [[a, b] | some b in numbers.range(1, 1000)]\n{}",
                deny("count([f(a) | some a in numbers.range(1, 100000)]) == 0")
            ),
        ),
        ("many texts", memory, deny(&format!("count([sprintf(\"%1000d\", [a]) | {range}]) == 0"))),
        ("texts doubled", memory, format!("t0 := input.text\n{doubled}{}", deny("count(t59) == 0"))),
        ("lists doubled", memory, format!("u0 := [input.one]\n{union}{}", deny("count(u59) == 0"))),
        (
            "numbers squared",
            "digits of a number",
            format!("q0 := input.one + 12345678901234567890\n{squared}{}", deny("q59 == 0")),
        ),
        ("a shift", "digits of a number", deny("bits.lsh(1, 4000000000) == 0")),
        ("a long range", "a range of 1000000001 numbers", deny("count(numbers.range(0, 1000000000)) == 0")),
        (
            "a wide field",
            memory,
            deny(&format!("sprintf(\"{}\", [{}]) == \"\"", "%999999d".repeat(200), vec!["1"; 200].join(", "))),
        ),
        ("one text many times", memory, deny(&format!("sprintf(\"{}\", [input.text]) == \"\"", "%[1]s".repeat(2000)))),
        ("a text joined", memory, deny("concat(\"\", [input.text | some a in numbers.range(1, 2000)]) == \"\"")),
        ("a text replaced", memory, deny("replace(input.text, \"x\", input.text) == \"\"")),
        ("texts replaced", memory, deny("strings.replace_n({\"x\": input.text}, input.text) == \"\"")),
        ("matches replaced", memory, deny("regex.replace(input.text, \"x\", input.text) == \"\"")),
        ("a large regular expression", "size of a regular expression", deny("regex.match(`(\\pL{900}){900}`, input.text)")),
        ("the same in a test of it", "size of a regular expression", deny("regex.is_valid(`(\\pL{900}){900}`)")),
        (
            "a large glob",
            "size of a regular expression",
            deny("glob.match(concat(\"\", [\"[!a-b]\" | some a in numbers.range(1, 200000)]), [], input.text)"),
        ),
        ("addresses", memory, deny("count(net.cidr_expand(\"10.0.0.0/8\")) == 0")),
        ("addresses of version 6", memory, deny("count(net.cidr_expand(\"2001:db8::/64\")) == 0")),
        ("paths of a graph", memory, deny(&format!("count(graph.reachable_paths({{{diamond}}}, [\"0a\"])) == 0"))),
        ("a walk", elements, format!("{}{}", shared(50), deny("count([1 | walk(d, [path, value])]) == 0"))),
        ("a walk as a value", elements, format!("{}{}", shared(50), deny("count([1 | some v in walk(d)]) == 0"))),
        ("a value with shared parts as JSON", memory, format!("{}{}", shared(50), deny("json.marshal(d) == \"\""))),
        ("the same as YAML", memory, format!("{}{}", shared(50), deny("yaml.marshal(d) == \"\""))),
        (
            "the same with options",
            memory,
            format!("{}{}", shared(50), deny("json.marshal_with_options(d, {\"pretty\": true}) == \"\"")),
        ),
        ("the same as text", memory, format!("{}{}", shared(50), deny("sprintf(\"%v\", [d]) == \"\""))),
        ("the same merged", memory, format!("{}{}", shared(50), deny("object.union(d, d) == {}"))),
        ("the same as a message", "a result of more than 67108864 bytes", format!("{}deny contains d", shared(50))),
        (
            "the same in a message",
            "a result of more than 67108864 bytes",
            format!("{}deny contains {{\"msg\": \"m\", \"d\": d}}", shared(50)),
        ),
        (
            "a schema of alternatives",
            "steps of a schema",
            deny(&format!(
                "json.match_schema({{}}, {{\"$ref\": \"#/definitions/0\", \"definitions\": {{{schema}\"60\": {{\"type\": \"array\"}}}}}})[0]"
            )),
        ),
    ]
}

#[test]
fn rules_that_explode_end_at_a_limit() {
    let limits = Limits { time: Duration::from_secs(60), memory: 48 * 1024 * 1024 };
    let mut wrong = Vec::new();
    for (name, want, body) in explosions() {
        let begun = Instant::now();
        match evaluate(&body, limits.clone()) {
            Err(EvaluationError::LimitExceeded { what, .. }) if want.split('|').any(|want| want == what) => {}
            other => wrong.push(format!("{name}: {other:?}, want {want}")),
        }
        if begun.elapsed() > Duration::from_secs(40) {
            wrong.push(format!("{name}: {:?}", begun.elapsed()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(peak() < 1024, "{} MiB", peak());
}

#[test]
fn rules_that_take_long_end_at_a_limit() {
    let long = "some a in numbers.range(1, 5000); some b in numbers.range(1, 5000)";
    let texts = "[sprintf(\"%d\", [a]) | some a in numbers.range(1, 100000)]";
    for (name, body) in [
        ("a loop", format!("deny contains \"x\" if {{ {long}; a + b < 0 }}")),
        ("a loop in a function", format!("f(x) if {{ {long}; a + b < x }}\ndeny contains \"x\" if f(0)")),
        (
            "every",
            "deny contains \"x\" if every a in numbers.range(1, 5000) { every b in numbers.range(1, 5000) { a + b > 0 } }"
                .to_owned(),
        ),
        // Neither of the two looks at a clock.
        (
            "a comparison",
            format!(
                "{}e0 := {{\"a\": input.one}}\n{}deny contains \"x\" if d == e28\n",
                shared(28),
                shared(28)
                    .replace('d', "e")
                    .lines()
                    .filter(|line| line.starts_with("e") && !line.starts_with("e0") && !line.starts_with("e :"))
                    .map(|line| format!("{line}\n"))
                    .collect::<String>()
            ),
        ),
        (
            "a function of the engine",
            format!("l := {texts}\ndeny contains \"x\" if strings.any_suffix_match(l, [concat(\"\", [t, \"x\"]) | some t in l])"),
        ),
    ] {
        let limits = Limits { time: Duration::from_millis(300), memory: 1024 * 1024 * 1024 };
        let begun = Instant::now();
        let error = evaluate(&body, limits).unwrap_err();
        assert!(matches!(&error, EvaluationError::LimitExceeded { what, .. } if what == "time"), "{name}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{name}: {:?}", begun.elapsed());
    }
}

#[test]
fn what_is_large_and_no_explosion_is_evaluated() {
    let limits = Limits { time: Duration::from_secs(60), memory: 256 * 1024 * 1024 };
    for body in [
        "deny contains \"x\" if count([a | some a in numbers.range(1, 500000)]) == 500000",
        "deny contains \"x\" if count(concat(\"\", [input.text, input.text])) == 2097152",
        "deny contains \"x\" if count(net.cidr_expand(\"10.0.0.0/20\")) == 4096",
        "deny contains \"x\" if count(graph.reachable_paths({\"a\": [\"b\", \"c\"], \"b\": [\"d\"], \"c\": [\"d\"], \"d\": [\"a\"]}, [\"a\"])) == 2",
        "deny contains \"x\" if count([1 | walk({\"a\": [1, 2, {\"b\": 3}]}, [_, _])]) == 6",
        "deny contains \"x\" if bits.lsh(1, 1000) > 1",
        "deny contains \"x\" if count([1 | some a in {x | some x in numbers.range(1, 100)}; some b in [y | y := a]; b == a]) == 100",
    ] {
        let outcome = evaluate(body, limits.clone()).unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(outcome.violations.len(), 1, "{body}");
    }
}

#[test]
fn files_that_would_take_the_reader_long_are_refused() {
    let huge = format!("package p\n{}", "# x\n".repeat(1_100_000));
    let error = load(&huge, Limits::default()).unwrap_err().to_string();
    assert_eq!(error, "p.rego: limit exceeded: more than 4194304 bytes");
    let wide = format!("package p\n\nx if f(\"{}\", [], 1)\n", "x".repeat(100_000));
    let error = load(&wide, Limits::default()).unwrap_err().to_string();
    assert!(error.starts_with("p.rego:3:65535: code beyond column 65535"), "{error}");
    // Each statement needs the one that follows.
    let body: String = (0..60_000).map(|n| format!("a{n} := a{}; ", n + 1)).collect();
    let begun = Instant::now();
    let error = load(&format!("package p\nx if {{ {body}a60000 := 1 }}\n"), Limits::default()).unwrap_err().to_string();
    assert!(error.starts_with("p.rego:2") && error.contains("limit exceeded"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
