//! The operator's own files, and the command line.

use crate::{
    Case, Ends,
    archives::deep,
    stage::{Run, Stage},
};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "yaml/malformed_policy",
        arrange: |stage| policy(stage, b"identity: {issuer: [\n"),
        ends: Ends::NoResult("bad.yaml"),
    },
    Case {
        name: "yaml/policy_with_a_tab",
        arrange: |stage| policy(stage, b"identity:\n\tissuer: x\n"),
        ends: Ends::NoResult("bad.yaml"),
    },
    Case {
        name: "yaml/policy_that_is_no_utf8",
        arrange: |stage| policy(stage, b"name: \xff\xfe\n"),
        ends: Ends::NoResult("bad.yaml"),
    },
    Case {
        name: "yaml/policy_with_a_duplicate_key",
        arrange: |stage| policy(stage, b"name: a\nname: b\n"),
        ends: Ends::NoResult("name"),
    },
    Case {
        name: "yaml/policy_with_a_typo",
        arrange: |stage| policy(stage, b"identitiy:\n  subject: x\n"),
        ends: Ends::NoResult("identitiy"),
    },
    Case {
        name: "yaml/policy_that_is_deep",
        arrange: |stage| policy(stage, deep("[", "]").as_bytes()),
        ends: Ends::NoResult("bad.yaml"),
    },
    Case {
        name: "yaml/policy_of_aliases",
        arrange: |stage| policy(stage, aliases().as_bytes()),
        ends: Ends::NoResult("bad.yaml"),
    },
    Case {
        name: "yaml/policy_that_is_empty",
        arrange: |stage| policy(stage, b""),
        ends: Ends::NoResult("the document is empty"),
    },
    Case {
        name: "yaml/policy_with_rules_that_are_missing",
        arrange: |stage| {
            let key = "-----BEGIN PUBLIC KEY-----\\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE6VljdocfJecKOnORijFiZlgJiLde\\nXzgMVnnhlZl4YDpe3J+hHDTeAgYeP50ZI0u4ZQFmZxeKGww0O57d/FeaNw==\\n-----END PUBLIC KEY-----\\n";
            policy(stage, format!("publicKey: \"{key}\"\nsources:\n- policy: [./rules]\n").as_bytes())
        },
        ends: Ends::NoResult("policy-source-unreadable"),
    },
    Case { name: "yaml/malformed_images", arrange: |stage| images(stage, b"components: {\n"), ends: Ends::NoResult("bad.yaml") },
    Case {
        name: "yaml/images_that_are_no_utf8",
        arrange: |stage| images(stage, b"components: \xff\n"),
        ends: Ends::NoResult("bad.yaml"),
    },
    Case {
        name: "yaml/images_with_a_duplicate_key",
        arrange: |stage| images(stage, b"{\"components\":[],\"components\":[]}"),
        ends: Ends::NoResult("components"),
    },
    Case {
        name: "yaml/images_that_are_deep",
        arrange: |stage| images(stage, deep("[", "]").as_bytes()),
        ends: Ends::NoResult("bad.yaml"),
    },
    Case {
        name: "yaml/images_of_aliases",
        arrange: |stage| images(stage, aliases().as_bytes()),
        ends: Ends::NoResult("bad.yaml"),
    },
    Case {
        name: "yaml/images_with_a_bad_reference",
        arrange: |stage| images(stage, b"components:\n- name: a\n  containerImage: UPPER/\xc3\xa9\n"),
        ends: Ends::NoResult("UPPER"),
    },
    Case {
        name: "yaml/deep_text_on_the_command_line",
        arrange: |stage| stage.verify_good().with("--images", format!("components:\n- {}", "[".repeat(60_000))),
        ends: Ends::NoResult("--images"),
    },
    Case {
        name: "yaml/name_that_is_too_long",
        arrange: |stage| stage.verify_good().with("--images", "a".repeat(60_000)),
        ends: Ends::NoResult("cannot read aaaa"),
    },
    Case {
        name: "yaml/export_of_malformed_images",
        arrange: |stage| stage.export().with("--images", stage.file("bad.yaml", b"components: {\n")),
        ends: Ends::NoResult("bad.yaml"),
    },
    Case {
        name: "yaml/export_of_deep_images",
        arrange: |stage| stage.export().with("--images", stage.file("bad.yaml", deep("[", "]").as_bytes())),
        ends: Ends::NoResult("bad.yaml"),
    },
    Case {
        name: "yaml/export_of_images_that_are_no_utf8",
        arrange: |stage| stage.export().with("--images", stage.file("bad.yaml", b"components: \xff\n")),
        ends: Ends::NoResult("bad.yaml"),
    },
    Case {
        name: "trust/root_that_is_no_json",
        arrange: |stage| root(stage, b"hello\n"),
        ends: Ends::NoResult("not a trusted root"),
    },
    Case { name: "trust/root_that_is_empty", arrange: |stage| root(stage, b""), ends: Ends::NoResult("not a trusted root") },
    Case {
        name: "trust/root_that_is_no_utf8",
        arrange: |stage| root(stage, b"{\"mediaType\":\"\xff\"}"),
        ends: Ends::NoResult("not a trusted root"),
    },
    Case {
        name: "trust/root_that_is_deep",
        arrange: |stage| root(stage, deep("[", "]").as_bytes()),
        ends: Ends::NoResult("not a trusted root"),
    },
    Case {
        name: "trust/root_with_a_duplicate_key",
        arrange: |stage| root(stage, b"{\"mediaType\":\"a\",\"mediaType\":\"b\"}"),
        ends: Ends::NoResult("duplicate key"),
    },
    Case {
        name: "trust/key_that_is_no_pem",
        arrange: |stage| stage.verify_good().with("--public-key", stage.file("bad.pem", b"\xff not a key\n")),
        ends: Ends::NoResult("bad.pem"),
    },
    Case {
        name: "trust/export_of_a_root_with_a_duplicate_key",
        arrange: |stage| stage.export().with("--trusted-root", stage.file("bad.json", b"{\"a\":1,\"a\":2}")),
        ends: Ends::NoResult("bad.json"),
    },
    Case {
        name: "trust/export_of_a_root_that_is_deep",
        arrange: |stage| stage.export().with("--trusted-root", stage.file("bad.json", deep("[", "]").as_bytes())),
        ends: Ends::NoResult("bad.json"),
    },
    Case {
        name: "trust/export_of_a_key_that_is_no_pem",
        arrange: |stage| stage.export().with("--public-key", stage.file("bad.pem", b"hello\n")),
        ends: Ends::NoResult("bad.pem"),
    },
    Case { name: "missing/archive", arrange: |stage| stage.verify("nowhere.tar"), ends: Ends::NoResult("nowhere.tar") },
    Case {
        name: "missing/images",
        arrange: |stage| stage.verify_good().with("--images", "nowhere.yaml"),
        ends: Ends::NoResult("nowhere.yaml"),
    },
    Case {
        name: "missing/file_path",
        arrange: |stage| stage.verify_good().with("--file-path", "nowhere.yaml"),
        ends: Ends::NoResult("nowhere.yaml"),
    },
    Case {
        name: "missing/policy",
        arrange: |stage| stage.verify_good().with("--policy", "nowhere.yaml"),
        ends: Ends::NoResult("nowhere.yaml"),
    },
    Case {
        name: "missing/trusted_root",
        arrange: |stage| stage.verify_good().with("--trusted-root", "nowhere"),
        ends: Ends::NoResult("nowhere"),
    },
    Case {
        name: "missing/public_key",
        arrange: |stage| stage.verify_good().with("--public-key", "nowhere.pem"),
        ends: Ends::NoResult("nowhere.pem"),
    },
    Case {
        name: "missing/public_key_of_the_policy",
        arrange: |stage| policy(stage, b"publicKey: nowhere.pem\n"),
        ends: Ends::NoResult("nowhere.pem"),
    },
    Case {
        name: "missing/all_images",
        arrange: |stage| Run::bare("carnet-verify", &[]).word(stage.archive()),
        ends: Ends::NoResult("image"),
    },
    Case {
        name: "missing/exported_images",
        arrange: |stage| stage.export().with("--images", "nowhere.yaml"),
        ends: Ends::NoResult("nowhere.yaml"),
    },
    Case {
        name: "missing/exported_policy",
        arrange: |stage| stage.export().with("--policy", "nowhere.yaml"),
        ends: Ends::NoResult("nowhere.yaml"),
    },
    Case {
        name: "missing/exported_root",
        arrange: |stage| stage.export().with("--trusted-root", "nowhere"),
        ends: Ends::NoResult("nowhere"),
    },
    Case {
        name: "missing/exported_key",
        arrange: |stage| stage.export().with("--public-key", "nowhere.pem"),
        ends: Ends::NoResult("nowhere.pem"),
    },
    Case { name: "missing/layout", arrange: |stage| stage.export_from(&stage.path("nowhere")), ends: Ends::NoResult("nowhere") },
    Case { name: "missing/archive_argument", arrange: |_| Run::bare("carnet-verify", &[]), ends: Ends::NoResult("<ARCHIVE>") },
    Case {
        name: "missing/output_file_argument",
        arrange: |_| Run::bare("carnet", &["export", "a"]),
        ends: Ends::NoResult("--output-file"),
    },
    Case { name: "usage/unknown_flag", arrange: |stage| stage.verify_good().word("--imags"), ends: Ends::NoResult("--imags") },
    Case {
        name: "usage/unknown_flag_of_export",
        arrange: |stage| stage.export().word("--imags"),
        ends: Ends::NoResult("--imags"),
    },
    Case { name: "usage/unknown_command", arrange: |_| Run::bare("carnet", &["exprot"]), ends: Ends::NoResult("exprot") },
    Case {
        name: "usage/flag_with_a_terminal_escape",
        arrange: |_| Run::bare("carnet", &["export", "--\u{9b}2J"]),
        ends: Ends::NoResult("\\u{9b}"),
    },
    Case {
        name: "usage/value_that_is_no_utf8",
        arrange: |stage| stage.verify_good().with_bytes("--image", b"\xff"),
        ends: Ends::NoResult("UTF-8"),
    },
    Case {
        name: "usage/reference_that_is_no_utf8",
        arrange: |stage| stage.export().with_bytes("--from", b"oci:\xff"),
        ends: Ends::NoResult("UTF-8"),
    },
    Case {
        name: "usage/malformed_digest",
        arrange: |stage| stage.verify_good().with("--bundle-id", "sha256:zz"),
        ends: Ends::NoResult("--bundle-id"),
    },
    Case {
        name: "usage/no_workers",
        arrange: |stage| stage.verify_good().with("--workers", "0"),
        ends: Ends::NoResult("--workers"),
    },
    Case {
        name: "usage/refused_flag",
        arrange: |stage| stage.verify_good().word("--skip-att-sig-check"),
        ends: Ends::NoResult("is refused"),
    },
    Case {
        name: "usage/flag_of_a_later_release",
        arrange: |stage| stage.verify_good().word("--vsa"),
        ends: Ends::NoResult("not part of this release"),
    },
];

fn policy(stage: &Stage, bytes: &[u8]) -> Run {
    stage.verify_good().with("--policy", stage.file("bad.yaml", bytes))
}

fn images(stage: &Stage, bytes: &[u8]) -> Run {
    stage.verify_good().with("--images", stage.file("bad.yaml", bytes))
}

fn root(stage: &Stage, bytes: &[u8]) -> Run {
    stage.verify_good().with("--trusted-root", stage.file("bad.json", bytes))
}

/// Ten levels of ten aliases each: ten thousand million scalars.
fn aliases() -> String {
    let level = |n: u32| format!("l{n}: &l{n} [{}]\n", vec![format!("*l{}", n - 1); 10].join(","));
    "l0: &l0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned() + &(1..10).map(level).collect::<String>()
}
