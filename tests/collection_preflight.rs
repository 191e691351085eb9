//! What would fail at the far side is known before it is carried.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "export_support.rs"]
mod support;

use std::{fs, path::PathBuf};

use support::{Ended, export, open_archive, testdata};

const POLICY: &str = "\
identity:
  issuer: https://gitlab.local
  subject: https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/main
";
const APP: &str = "sha256:e24e57b9645a7eac5eaf31f65e6e69114010b59c067830c3784da2f941d76c71";

struct Stage(tempfile::TempDir);

impl Stage {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn export(&self, layout: &str, extra: &[&str]) -> Ended {
        let from = format!("oci:{}", testdata("layouts/local-sigstore").join(layout).display());
        let output = self.path("out.tar");
        export(&[["r.example/demo/app:v1", "--from", &from, "-o", &output].as_slice(), extra].concat())
    }

    fn written(&self) -> bool {
        PathBuf::from(self.path("out.tar")).exists()
    }
}

fn trusted_root() -> String {
    testdata("trust/local-sigstore/trusted_root.json").to_str().unwrap().to_owned()
}

#[test]
fn a_bundle_that_will_be_refused_is_written_and_said() {
    let stage = Stage::new();
    let root = trusted_root();
    let good = stage.write("policy.yaml", POLICY);
    let bad = stage.write("other.yaml", &POLICY.replace("heads/main", "heads/dev"));
    for (layout, policy, extra, code) in [
        ("app", &good, [].as_slice(), 0),
        ("app", &bad, &[], 1),
        ("app", &bad, &["--no-preflight"], 0),
        ("unsigned", &good, &[], 1),
        ("multi", &good, &["--platform", "linux/amd64"], 0),
        ("app", &good, &["--layers", "none"], 0),
    ] {
        let flags = ["--policy", policy.as_str(), "--trusted-root", &root];
        let ended = stage.export(layout, &[flags.as_slice(), extra].concat());
        assert_eq!(ended.code, code, "{layout} {policy} {extra:?}: {ended:?}");
        assert_eq!(ended.stderr.contains("preflight: the verifier would refuse: "), code == 1, "{ended:?}");
        assert!(stage.written());
        assert_eq!(open_archive(stage.path("out.tar").as_ref()).0.subjects.len(), 1);
        fs::remove_file(stage.path("out.tar")).unwrap();
    }
}

#[test]
fn images_yaml_is_what_the_preflight_expects() {
    let stage = Stage::new();
    let policy = stage.write("policy.yaml", POLICY);
    for reference in ["r.example/demo/app:v1", &format!("r.example/demo/app@{APP}")] {
        let images = stage.write("images.yaml", &format!("components:\n  - name: app\n    containerImage: {reference}\n"));
        let from = format!("oci:{}", testdata("layouts/local-sigstore/app").display());
        let output = stage.path("out.tar");
        let root = trusted_root();
        let ended = export(&["--images", &images, "--policy", &policy, "--trusted-root", &root, "--from", &from, "-o", &output]);
        assert_eq!(ended.code, 0, "{ended:?}");
    }
}

#[test]
fn a_policy_that_nothing_here_can_judge_by_is_said() {
    let stage = Stage::new();
    let policy = stage.write("policy.yaml", "name: no identity\n");
    let ended = stage.export("app", &["--policy", &policy]);
    assert!(ended.code == 0 && ended.stderr.contains("warning: preflight: nothing here can say"), "{ended:?}");
}

#[test]
fn required_evidence_that_is_not_there_is_said() {
    let stage = Stage::new();
    for (layout, kinds, missing) in [
        ("app", "signature,provenance,sbom", [].as_slice()),
        ("app", "https://slsa.dev/provenance/v1", &[]),
        ("app", "https://slsa.dev/provenance/v0.2", &["https://slsa.dev/provenance/v0.2"]),
        ("key-legacy", "signature,provenance,sbom", &[]),
        ("att-only", "signature,provenance", &["signature"]),
        ("sig-only", "signature,provenance,sbom", &["provenance", "sbom"]),
        ("unsigned", "signature", &["signature"]),
        ("multi", "signature,provenance,sbom", &[]),
        ("multi-top", "sbom", &[]),
        ("extra-referrers", "sbom", &[]),
    ] {
        let ended = stage.export(layout, &["--require", kinds]);
        let lines: Vec<_> =
            ended.stderr.lines().filter_map(|line| line.strip_prefix("carnet: r.example/demo/app:v1 has no ")).collect();
        assert_eq!((lines.as_slice(), ended.code), (missing, i32::from(!missing.is_empty())), "{layout} {kinds}: {ended:?}");
        assert!(stage.written());
    }
    let ended = stage.export("app", &["--require", "signatures"]);
    assert_eq!(ended.code, 2, "{ended:?}");
}

#[test]
fn images_are_written_with_tag_and_digest() {
    let stage = Stage::new();
    let source = "source: {\"git\": {\"url\":\"https://git.example/app\",\"revision\":\"main\"}}";
    let component = "  - name: \"my: app\"\n    containerImage";
    let images = stage.write("images.yaml", &format!("components:\n{component}: r.example/demo/app:v1\n    {source}\n"));
    let pinned = stage.path("pinned.yaml");
    let ended = stage.export("app", &["--images", &images, "--pin-images", &pinned]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let want = format!("components:\n{component}: \"r.example/demo/app:v1@{APP}\"\n    {source}\n");
    assert_eq!(fs::read_to_string(&pinned).unwrap(), want);
    // What is written is what is read.
    let ended = stage.export("app", &["--images", &pinned, "--pin-images", &stage.path("again.yaml")]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let again = fs::read_to_string(stage.path("again.yaml")).unwrap();
    assert!(again.contains(&format!("r.example/demo/app:v1@{APP}")), "{again}");
    let ended = stage.export("app", &["--pin-images", &pinned]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(fs::read_to_string(&pinned).unwrap().starts_with("components:\n  - name: \"app\"\n"));
}

#[test]
fn the_logs_that_the_far_side_must_know_are_said() {
    let stage = Stage::new();
    let needs = "warning: the verifier needs a trusted root with the log ";
    let ended = stage.export("app", &[]);
    assert!(
        ended.code == 0
            && ended
                .stderr
                .contains(&format!("{needs}34cacf6c2f7ac99e84835b1e40649b1f391771ad857f707e1b880d66c9417da3 (3 entries)")),
        "{ended:?}"
    );
    let root = trusted_root();
    for extra in [["--trusted-root", &root].as_slice(), &["--trusted-root", &root, "-q"]] {
        let ended = stage.export("app", extra);
        assert!(ended.code == 0 && !ended.stderr.contains(needs), "{ended:?}");
    }
}
