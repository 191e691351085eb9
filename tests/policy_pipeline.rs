//! The pipeline that carnet serves, whole: a GitLab job signs and attests an image
//! keyless, `carnet export` collects it, and `carnet-verify` judges it by
//! policy.yaml (identity, moving sources, one package of rules) and images.yaml
//! (a tag, and the commit it was built from).
//!
//! The rules are those of `testdata/policy-pipeline`, and, where
//! `CARNET_CONFORMA_POLICY` names a checkout, Conforma's own. Git's configuration
//! sends the URLs of policy.yaml to a repository on the disk.

#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "a test may panic, and says what it leaves out")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};

#[path = "forge/certificate.rs"]
#[allow(dead_code, reason = "shared with the suite of the forge")]
mod certificate;
#[path = "forge/der.rs"]
#[allow(dead_code, reason = "shared with the suite of the forge")]
mod der;
#[path = "support/golden_layouts.rs"]
#[allow(dead_code, reason = "shared with the recorded runs")]
mod golden_layouts;
#[path = "forge/keys.rs"]
#[allow(dead_code, reason = "shared with the suite of the forge")]
mod keys;
#[path = "forge/log.rs"]
#[allow(dead_code, reason = "shared with the suite of the forge")]
mod log;
#[path = "forge/timestamp.rs"]
#[allow(dead_code, reason = "shared with the suite of the forge")]
mod timestamp;
#[path = "forge/world.rs"]
#[allow(dead_code, reason = "shared with the suite of the forge")]
mod world;

use golden_layouts::{testdata, verifier};
use keys::sha256;
use world::{IDENTITY, IMAGE_SIGNATURE, ISSUER, Signed, World};

const REPOSITORY: &str = "registry.gitlab.com/team/app";
const PROJECT: &str = "https://gitlab.example/team/app";
const COMMIT: &str = "1a2b3c4d5e6f70819293a4b5c6d7e8f901234567";
const OTHER_COMMIT: &str = "ffffffffffffffffffffffffffffffffffffffff";
const PACKAGE: &str = "slsa_source_correlated.";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// What the job attests.
#[derive(Clone, Copy, Debug)]
enum Predicate {
    /// SLSA v1, with the members that the schema asks for.
    Corrected,
    /// As the shell script of a pipeline writes it.
    Script,
    /// SLSA v0.2.
    V02,
    /// SLSA v1 that names no source.
    WithoutSource,
}

#[derive(Clone)]
struct Case {
    name: &'static str,
    predicate: Predicate,
    /// The source in images.yaml: repository and commit.
    source: Option<(&'static str, &'static str)>,
    exit: i32,
    /// Codes of the violations; those of the rules without their package.
    violations: &'static [&'static str],
}

const EVERYTHING_PASSES: &[&str] = &[];

const CASES: &[Case] = &[
    Case {
        name: "SLSA v1, the right commit",
        predicate: Predicate::Corrected,
        source: Some((PROJECT, COMMIT)),
        exit: 0,
        violations: EVERYTHING_PASSES,
    },
    Case {
        name: "SLSA v0.2, the right commit",
        predicate: Predicate::V02,
        source: Some((PROJECT, COMMIT)),
        exit: 0,
        violations: EVERYTHING_PASSES,
    },
    Case {
        name: "SLSA v1, the wrong commit",
        predicate: Predicate::Corrected,
        source: Some((PROJECT, OTHER_COMMIT)),
        exit: 1,
        violations: &["expected_source_code_reference"],
    },
    Case {
        name: "SLSA v0.2, the wrong commit",
        predicate: Predicate::V02,
        source: Some((PROJECT, OTHER_COMMIT)),
        exit: 1,
        violations: &["expected_source_code_reference"],
    },
    Case {
        name: "SLSA v1, the wrong repository",
        predicate: Predicate::Corrected,
        source: Some(("https://gitlab.example/somebody/app", COMMIT)),
        exit: 1,
        violations: &["expected_source_code_reference"],
    },
    Case {
        name: "SLSA v0.2, the wrong repository",
        predicate: Predicate::V02,
        source: Some(("https://gitlab.example/somebody/app", COMMIT)),
        exit: 1,
        violations: &["expected_source_code_reference"],
    },
    Case {
        name: "SLSA v1, no source in images.yaml",
        predicate: Predicate::Corrected,
        source: None,
        exit: 1,
        violations: &["source_code_reference_provided"],
    },
    Case {
        name: "SLSA v1, no source in the attestation",
        predicate: Predicate::WithoutSource,
        source: Some((PROJECT, COMMIT)),
        exit: 1,
        violations: &["attested_source_code_reference"],
    },
    Case {
        name: "the predicate of the shell script",
        predicate: Predicate::Script,
        source: Some((PROJECT, COMMIT)),
        exit: 1,
        violations: &["builtin.attestation.syntax_check"],
    },
];

/// Something else that holds, with rules from a folder.
type Check = fn(&Path) -> Result<(), Failed>;

fn main() {
    verifier();
    let mut trials = trials("own rules", &testdata("policy-pipeline/policy"));
    match env::var_os("CARNET_CONFORMA_POLICY").map(PathBuf::from).filter(|folder| folder.join("policy/release").is_dir()) {
        Some(checkout) => trials.extend(self::trials("Conforma's rules", &checkout.join("policy"))),
        None => eprintln!("SKIPPED: set CARNET_CONFORMA_POLICY to a checkout of conforma/policy"),
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn trials(whose: &str, rules: &Path) -> Vec<Trial> {
    let judged = CASES.iter().map(|case| {
        let rules = rules.to_owned();
        Trial::test(format!("{whose}: {}", case.name), move || judge(&rules, case))
    });
    let others: [(&str, Check); 3] = [
        ("moving sources need the lock of the export", moving_sources),
        ("the minimal policy asks for the identity alone", minimal),
        ("another pipeline's identity", another_identity),
    ];
    let others = others.into_iter().map(|(name, test)| {
        let rules = rules.to_owned();
        Trial::test(format!("{whose}: {name}"), move || test(&rules))
    });
    judged.chain(others).collect()
}

fn judge(rules: &Path, case: &Case) -> Result<(), Failed> {
    let job = Job::run(rules, case.predicate, case.source);
    job.export(&["--policy", "policy.yaml", "--lock", "lock.json"])?;
    let ended = job.verify(&["--policy", "policy.yaml", "--policy-lock", "lock.json"]);
    let report = report(&ended)?;
    let component = &report["components"][0];
    let codes: Vec<&str> = list(component, "violations").filter_map(|result| result["metadata"]["code"].as_str()).collect();
    let short: Vec<&str> = codes.iter().map(|code| code.strip_prefix(PACKAGE).unwrap_or(code)).collect();
    // The script's predicate is judged by the rules, too, as in Conforma.
    expect(short.iter().filter(|code| !case.violations.contains(code)).count() == 0, || format!("{codes:?}: {ended:#?}"))?;
    expect(case.violations.iter().all(|code| short.contains(code)), || format!("{codes:?}: {ended:#?}"))?;
    expect(ended.status.code() == Some(case.exit), || format!("want {}: {ended:#?}", case.exit))?;
    if case.exit == 0 {
        let successes: Vec<&str> =
            list(component, "successes").filter_map(|result| result["metadata"]["code"].as_str()).collect();
        for code in ["source_code_reference_provided", "expected_source_code_reference"] {
            expect(successes.contains(&format!("{PACKAGE}{code}").as_str()), || format!("{successes:?}"))?;
        }
        expect(!successes.iter().any(|code| code.starts_with("other.")), || format!("{successes:?}"))?;
    }
    if matches!(case.predicate, Predicate::Script) {
        let said = String::from_utf8_lossy(&ended.stdout);
        for field in ["externalParameters", "builder/id"] {
            expect(said.contains(field), || format!("nothing names {field}: {said}"))?;
        }
        let hints: Vec<&str> = list(&report["carnet"], "findings")
            .filter(|finding| finding["code"] == "attestation-syntax")
            .filter_map(|finding| finding["hint"].as_str())
            .collect();
        let names_both = |hint: &str| hint.contains("externalParameters") && hint.contains("builder.id");
        expect(hints.iter().any(|hint| names_both(hint)), || format!("no hint names both fields: {hints:?}"))?;
    }
    Ok(())
}

fn moving_sources(rules: &Path) -> Result<(), Failed> {
    let job = Job::run(rules, Predicate::Corrected, Some((PROJECT, COMMIT)));
    job.export(&["--policy", "policy.yaml", "--lock", "lock.json", "--id-file", "id"])?;
    let commit = job.commit();
    let ended = job.verify(&["--policy", "policy.yaml"]);
    let said = String::from_utf8_lossy(&ended.stderr);
    expect(ended.status.code() == Some(2), || format!("{ended:#?}"))?;
    for part in ["policy-source-not-anchored", &format!("//policy/lib?ref={commit}"), &format!("//policy/release?ref={commit}")] {
        expect(said.contains(part), || format!("nothing says {part}: {said}"))?;
    }
    // Each way to bind the sources, and the pinned file that Conforma reads, too.
    let id = fs::read_to_string(job.folder.join("id")).unwrap();
    for flags in [vec!["--bundle-id", id.trim()], vec!["--accept-bundled-sources"], vec!["--policy-lock", "lock.json"]] {
        let ended = job.verify(&[&["--policy", "policy.yaml"], &flags[..]].concat());
        expect(ended.status.code() == Some(0), || format!("{flags:?}: {ended:#?}"))?;
    }
    let mut pin = Command::new(env!("CARGO_BIN_EXE_carnet"));
    let pinned = job.with_git(pin.current_dir(&job.folder).args(["policy", "pin", "policy.yaml", "-o", "pinned.yaml"]));
    let pinned = pinned.output().unwrap();
    expect(pinned.status.success(), || format!("{pinned:#?}"))?;
    let ended = job.verify(&["--policy", "pinned.yaml"]);
    expect(ended.status.code() == Some(0), || format!("{ended:#?}"))?;
    let report = report(&ended)?;
    let shown = report["policy"]["sources"][0]["policy"][0].as_str().unwrap_or_default();
    let want = format!("git::github.com/enterprise-contract/ec-policies//policy/lib?ref={commit}");
    expect(shown == want, || format!("got {shown}, want {want}"))
}

fn minimal(rules: &Path) -> Result<(), Failed> {
    let job = Job::run(rules, Predicate::Corrected, None);
    let policy = json!({"identity": {"issuer": ISSUER, "subject": IDENTITY}});
    fs::write(job.folder.join("minimal.yaml"), policy.to_string()).unwrap();
    job.export(&["--policy", "minimal.yaml"])?;
    let ended = job.verify(&["--policy", "minimal.yaml"]);
    expect(ended.status.code() == Some(0), || format!("{ended:#?}"))?;
    let report = report(&ended)?;
    let successes = list(&report["components"][0], "successes").count();
    expect(successes == 3, || format!("{report}"))
}

fn another_identity(rules: &Path) -> Result<(), Failed> {
    let job = Job::run(rules, Predicate::Corrected, Some((PROJECT, COMMIT)));
    job.export(&["--policy", "policy.yaml", "--lock", "lock.json"])?;
    let branch = IDENTITY.replace("refs/heads/main", "refs/heads/feature");
    let flags = ["--certificate-identity", &branch, "--certificate-oidc-issuer", ISSUER];
    let ended = job.verify(&[&["--policy", "policy.yaml", "--policy-lock", "lock.json"], &flags[..]].concat());
    expect(ended.status.code() == Some(1), || format!("{ended:#?}"))?;
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    for part in ["builtin.image.signature_check", "builtin.attestation.signature_check", "identity-mismatch"] {
        expect(said.contains(part), || format!("nothing says {part}: {said}"))?;
    }
    Ok(())
}

/// A pipeline's job, its image and what lies beside it.
struct Job {
    _place: tempfile::TempDir,
    folder: PathBuf,
}

impl Job {
    /// Builds, signs and attests.
    fn run(rules: &Path, predicate: Predicate, source: Option<(&str, &str)>) -> Self {
        let place = tempfile::tempdir().unwrap();
        let job = Self { folder: place.path().canonicalize().unwrap(), _place: place };
        let world = World::new();
        job.layout(&world, predicate);
        job.repository(rules);
        let write = |name: &str, text: String| fs::write(job.folder.join(name), text).unwrap();
        write("trusted_root.json", world.trusted_root().to_string());
        let sources = "sources:\n  - policy:\n      - github.com/enterprise-contract/ec-policies//policy/lib\n      \
                       - github.com/enterprise-contract/ec-policies//policy/release\n    \
                       ruleData:\n      supported_vcs: [git]\n      supported_digests: [sha1, gitCommit]\n    \
                       config:\n      include:\n        - slsa_source_correlated\n";
        write("policy.yaml", format!("identity:\n  issuer: {ISSUER}\n  subject: {IDENTITY}\n{sources}"));
        let git = source.map_or_else(String::new, |(url, revision)| {
            format!("    source:\n      git:\n        url: \"{url}\"\n        revision: \"{revision}\"\n")
        });
        write("images.yaml", format!("---\ncomponents:\n  - containerImage: \"{REPOSITORY}:1a2b3c4d\"\n{git}"));
        job
    }

    fn export(&self, flags: &[&str]) -> Result<(), Failed> {
        let layout = format!("{REPOSITORY}=oci:{}", self.folder.join("layout").display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_carnet"));
        command.current_dir(&self.folder).args(["export", "--images", "images.yaml", "--from", &layout, "-o", "app.carnet.tar"]);
        command.args(["--trusted-root", "trusted_root.json", "--quiet", "--no-cache", "--no-preflight"]).args(flags);
        let ended = self.with_git(&mut command).output().unwrap();
        expect(ended.status.success(), || format!("{ended:#?}"))
    }

    fn verify(&self, flags: &[&str]) -> Output {
        let mut command = Command::new(verifier());
        command.current_dir(&self.folder).args(["app.carnet.tar", "--images", "images.yaml"]);
        command.args(["--trusted-root", "trusted_root.json", "--output", "json", "--show-successes"]).args(flags);
        command.output().unwrap()
    }

    /// Sends git to the disk instead of github.com.
    fn with_git<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let key = format!("url.file://{}/git/.insteadOf", self.folder.display());
        command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", key).env("GIT_CONFIG_VALUE_0", "https://github.com/")
    }

    fn commit(&self) -> String {
        String::from_utf8(self.git(&["rev-parse", "HEAD"]).stdout).unwrap().trim().to_owned()
    }

    fn git(&self, words: &[&str]) -> Output {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"];
        let repository = self.folder.join("git/enterprise-contract/ec-policies.git");
        let ended = Command::new("git").args(identity).args(words).current_dir(repository).output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
        ended
    }

    /// The repository of rules: `policy/lib` and `policy/release`.
    fn repository(&self, rules: &Path) {
        let root = self.folder.join("git/enterprise-contract/ec-policies.git");
        for part in ["lib", "release"] {
            copy(&rules.join(part), &root.join("policy").join(part));
        }
        self.git(&["init", "--quiet"]);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "rules"]);
    }

    /// The registry's repository as a layout: the image under its tag, a signature
    /// and an attestation about it.
    fn layout(&self, world: &World, predicate: Predicate) {
        let root = self.folder.join("layout");
        fs::create_dir_all(root.join("blobs/sha256")).unwrap();
        let blob = |bytes: &[u8]| {
            let hex = hex::encode(sha256(bytes));
            fs::write(root.join("blobs/sha256").join(&hex), bytes).unwrap();
            (format!("sha256:{hex}"), bytes.len())
        };
        let descriptor = |media_type: &str, bytes: &[u8]| {
            let (digest, size) = blob(bytes);
            json!({"mediaType": media_type, "digest": digest, "size": size})
        };
        let config = descriptor("application/vnd.oci.image.config.v1+json", br#"{"architecture":"amd64","os":"linux"}"#);
        let manifest_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": []}).to_string();
        let image = descriptor(manifest_type, manifest.as_bytes());
        let hex = hex::encode(sha256(manifest.as_bytes()));
        let mut tagged = image.clone();
        tagged["annotations"] = json!({"org.opencontainers.image.ref.name": "1a2b3c4d"});
        let mut listed = vec![tagged];
        let signature = statement("https://in-toto.io/Statement/v1", IMAGE_SIGNATURE, &hex, &json!({}));
        for payload in [signature, attestation(predicate, &hex)] {
            let signed: Signed = world.keyless_by(&world.leaf_spec(), payload);
            let layer = descriptor(BUNDLE, signed.bundle_v2(world).to_string().as_bytes());
            let empty = descriptor("application/vnd.oci.empty.v1+json", b"{}");
            let evidence = json!({
                "schemaVersion": 2, "mediaType": manifest_type, "artifactType": BUNDLE, "config": empty,
                "layers": [layer], "subject": image,
            });
            listed.push(descriptor(manifest_type, evidence.to_string().as_bytes()));
        }
        fs::write(root.join("index.json"), json!({"schemaVersion": 2, "manifests": listed}).to_string()).unwrap();
        fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    }
}

fn statement(of: &str, predicate_type: &str, hex: &str, predicate: &Value) -> Vec<u8> {
    let subject = json!([{"name": REPOSITORY, "digest": {"sha256": hex}}]);
    json!({"_type": of, "subject": subject, "predicateType": predicate_type, "predicate": predicate}).to_string().into_bytes()
}

/// What `cosign attest` wraps, in the statement that it wraps it in.
fn attestation(predicate: Predicate, hex: &str) -> Vec<u8> {
    let v1 = |predicate: Value| statement("https://in-toto.io/Statement/v0.1", "https://slsa.dev/provenance/v1", hex, &predicate);
    let source = json!([{"uri": format!("git+{PROJECT}"), "digest": {"sha1": COMMIT}}]);
    let run = json!({
        "builder": {"id": "https://gitlab.example/team/app/-/runners/12270807"},
        "metadata": {"invocationId": "90210", "startedOn": "2026-03-01T11:50:00Z", "finishedOn": "2026-03-01T11:58:00Z"},
    });
    let definition = |dependencies: Value| json!({"buildType": "https://gitlab.example/ci/job@v1", "externalParameters": {"ref": "main"}, "resolvedDependencies": dependencies});
    match predicate {
        Predicate::Corrected => v1(json!({"buildDefinition": definition(source), "runDetails": run})),
        Predicate::WithoutSource => v1(json!({"buildDefinition": definition(json!([])), "runDetails": run})),
        Predicate::Script => v1(json!({
            "buildDefinition": {"buildType": "https://gitlab.example/ci/job@v1", "resolvedDependencies": source},
            "runDetails": {
                "builder": {"id": 12_270_807},
                "metadata": {"invocationID": "90210", "startedOn": "2026-03-01T11:50:00Z", "finishedOn": "2026-03-01T11:58:00Z"},
            },
        })),
        Predicate::V02 => {
            let predicate = json!({
                "builder": {"id": "https://gitlab.example/team/app/-/runners/12270807"},
                "buildType": "https://gitlab.example/ci/job@v1",
                "invocation": {"configSource": {"uri": format!("git+{PROJECT}"), "digest": {"sha1": COMMIT}, "entryPoint": ".gitlab-ci.yml"}},
                "materials": source,
            });
            statement("https://in-toto.io/Statement/v0.1", "https://slsa.dev/provenance/v0.2", hex, &predicate)
        }
    }
}

fn report(ended: &Output) -> Result<Value, Failed> {
    serde_json::from_slice(&ended.stdout).map_err(|error| format!("{error}: {ended:#?}").into())
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value[name].as_array().into_iter().flatten()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn expect(holds: bool, why: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(why().into()) }
}
