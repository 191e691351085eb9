//! A near side and a far side on loopback, in which steps and guides run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::{examples, registries::Distribution, root, text};

/// The commit that the job builds.
pub(crate) const COMMIT: &str = "1a2b3c4d5e6f70819293a4b5c6d7e8f901234567";
/// One that it does not.
pub(crate) const OTHER_COMMIT: &str = "ffffffffffffffffffffffffffffffffffffffff";
/// The commit behind the identities of `testdata/layouts/local-sigstore`.
const KEYLESS_COMMIT: &str = "3f9f7ea23b16f285a2aeb339c55fdc907d81e86b";
const RULES: &str = "git/enterprise-contract/ec-policies.git";

pub(crate) struct Stage {
    folder: tempfile::TempDir,
    source: Option<Distribution>,
    target: Distribution,
    variables: Vec<(String, String)>,
    /// Flags of trust for the far side.
    judge: &'static str,
    /// Flags of trust for the export.
    collect: &'static str,
    /// How the real cosign verifies what arrived.
    cosign: &'static str,
    /// The commit that images are built from.
    pub(crate) commit: String,
}

impl Stage {
    /// An unsigned image, and a key pair that cosign made. There is no log here, so
    /// none is asked for.
    pub(crate) fn with_key() -> Self {
        let stage = Self::new("team/app:1a2b3c4d", "https://gitlab.example/team/app", COMMIT);
        let stage = Self {
            judge: "--ignore-rekor",
            collect: "--no-preflight",
            cosign: "--key cosign.pub --insecure-ignore-tlog",
            ..stage
        };
        stage.succeeds("cosign generate-key-pair 2>/dev/null");
        stage.push("unsigned", "skopeo copy -q --dest-tls-verify=false \"oci:$LAYOUT:v1\" \"docker://$CARNET_IMAGE\"");
        stage.policy("publicKey: cosign.pub\n");
        stage
    }

    /// What a pipeline has signed keyless, and the policy that wants that of a branch.
    pub(crate) fn keyless(layout: &str, branch: &str) -> Self {
        let stage = Self::new("demo/app:v1", "https://gitlab.local/demo/app", KEYLESS_COMMIT);
        let stage = Self {
            judge: "--trusted-root trusted_root.json",
            collect: "--trusted-root trusted_root.json",
            cosign: "--trusted-root trusted_root.json --use-signed-timestamps --certificate-oidc-issuer https://gitlab.local \
                     --certificate-identity https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/main",
            ..stage
        };
        stage.push(layout, "oras cp -r --from-oci-layout \"$LAYOUT:v1\" --to-plain-http \"$CARNET_IMAGE\" >/dev/null");
        let subject = format!("https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/{branch}");
        stage.policy(&format!("identity:\n  issuer: https://gitlab.local\n  subject: {subject}\n"));
        stage
    }

    /// What the guides speak of: signed images, and the operator's files.
    pub(crate) fn guide() -> Self {
        let stage = Self::keyless("app", "main");
        let legacy = "oras cp -r --from-oci-layout \"$LAYOUT:v1\" --to-plain-http \"$SOURCE/team/legacy:v1\" >/dev/null
            for tag in $(oras repo tags --oci-layout \"$LAYOUT\" | grep '^sha256-'); do
              oras cp --from-oci-layout \"$LAYOUT:$tag\" --to-plain-http \"$SOURCE/team/legacy:$tag\" >/dev/null
            done";
        stage.push("key-legacy", legacy);
        fs::copy(testdata("trust/local-sigstore/demo.pub"), stage.path("demo.pub")).unwrap();
        ended(&stage.step("images", &[]), 0);
        stage
    }

    fn new(image: &str, source: &str, commit: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (near, far) = (Distribution::start(), Distribution::start());
        let path = folder.path();
        fs::create_dir(path.join("home")).unwrap();
        fs::copy(testdata("trust/local-sigstore/trusted_root.json"), path.join("trusted_root.json")).unwrap();
        let programs = Path::new(env!("CARGO_BIN_EXE_carnet")).parent().unwrap().display().to_string();
        let tools = root().join("target/tools/bin").display().to_string();
        let system = std::env::var("PATH").unwrap();
        let variables = [
            ("PATH", format!("{programs}:{tools}:{system}")),
            ("HOME", path.join("home").display().to_string()),
            ("COSIGN_PASSWORD", String::new()),
            (
                "COSIGN_OPTIONS",
                "--key cosign.key --use-signing-config=false --tlog-upload=false --allow-http-registry".to_owned(),
            ),
            ("GIT_CONFIG_COUNT", "1".to_owned()),
            ("GIT_CONFIG_KEY_0", format!("url.file://{}/git/.insteadOf", path.display())),
            ("GIT_CONFIG_VALUE_0", "https://github.com/".to_owned()),
            ("SOURCE", near.address().to_owned()),
            ("CARNET_IMAGE", format!("{}/{image}", near.address())),
            ("CARNET_SOURCE", source.to_owned()),
            ("CARNET_COMMIT", commit.to_owned()),
            ("CARNET_REF", "main".to_owned()),
            ("CARNET_BUILDER", format!("{source}/-/runners/12270807")),
            ("CARNET_RUN", format!("{source}/-/jobs/90210")),
            ("CARNET_STARTED", "2026-11-25T00:00:00Z".to_owned()),
            ("CARNET_TO", format!("{}/prod/app", far.address())),
        ];
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let stage = Self {
            folder,
            source: Some(near),
            target: far,
            variables,
            judge: "",
            collect: "",
            cosign: "",
            commit: commit.to_owned(),
        };
        stage.rules();
        stage
    }

    /// From the build, which a ready image takes the place of, to the archive.
    pub(crate) fn near_side(&self) {
        ended(&self.step("sign", &[]), 0);
        ended(&self.step("attest", &[]), 0);
        self.export();
    }

    pub(crate) fn export(&self) {
        ended(&self.step("images", &[]), 0);
        ended(&self.step("export", &[]), 0);
    }

    /// The far side with its own expectation; the source registry may be gone.
    pub(crate) fn far_side_passes(&self, bound: &[(&str, &str)]) {
        ended(&self.step("images", &[]), 0);
        let said = ended(&self.step("verify", bound), 0);
        assert!(said.contains("slsa_source_correlated.expected_source_code_reference"), "{said}");
        for report in ["report.yaml", "report.xml"] {
            assert!(self.path(report).is_file(), "{report}");
        }
        ended(&self.step("import", bound), 0);
        assert!(self.latest().is_some());
        self.succeeds(&format!("cosign verify {} --allow-http-registry \"$CARNET_TO:latest\" 2>&1", self.cosign));
        // Once more: everything is there.
        let said = ended(&self.step("import", bound), 0);
        assert!(said.contains("0 written"), "{said}");
    }

    pub(crate) fn stop_the_source(&mut self) {
        self.source = None;
    }

    /// The digest behind `latest` on the far side.
    pub(crate) fn latest(&self) -> Option<String> {
        let output = self.shell("crane digest --insecure \"$CARNET_TO:latest\"", &[]);
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// Runs a step of `examples/steps`.
    pub(crate) fn step(&self, step: &str, variables: &[(&str, &str)]) -> Output {
        let script = fs::read_to_string(examples().join("steps").join(format!("{step}.sh"))).unwrap();
        let trust = if step == "export" { self.collect } else { self.judge };
        self.shell(&script, &[&[("CARNET_TRUST", trust)][..], variables].concat())
    }

    /// Runs a script as a runner does: a shell, its variables, and no other.
    pub(crate) fn shell(&self, script: &str, variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new("sh");
        command.current_dir(self.folder.path()).args(["-c", script]).env_clear().stdin(Stdio::null());
        command.envs(self.variables.iter().cloned()).envs(variables.iter().copied());
        command.output().unwrap()
    }

    pub(crate) fn succeeds(&self, script: &str) {
        ended(&self.shell(script, &[]), 0);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A block of a guide, with the registries of this stage in the place of its own.
    pub(crate) fn localised(&self, block: &str) -> String {
        let near = self.source.as_ref().unwrap().address();
        let block = block.replace("registry.example/team/app:1.0", &format!("{near}/demo/app:v1"));
        let block = block.replace("registry.example/team/legacy:1.0", &format!("{near}/team/legacy:v1"));
        block.replace("registry.local", self.target.address())
    }

    fn push(&self, layout: &str, script: &str) {
        let layout = testdata(&format!("layouts/local-sigstore/{layout}")).display().to_string();
        ended(&self.shell(script, &[("LAYOUT", &layout)]), 0);
    }

    /// The sources of the example's policy, with an authority of one's own.
    fn policy(&self, authority: &str) {
        let example = fs::read_to_string(examples().join("gitlab/policy.yaml")).unwrap();
        let sources = &example[example.find("sources:").unwrap()..];
        fs::write(self.path("policy.yaml"), format!("{authority}{sources}")).unwrap();
    }

    /// The repository of rules that the policy names.
    fn rules(&self) {
        let rules = testdata("policy-pipeline/policy").display().to_string();
        let script = format!("mkdir -p {RULES}; cp -r {rules} {RULES}/policy; cd {RULES}; git init -q; {COMMITTED}");
        self.succeeds(&script);
    }

    /// Changes a rule after the lock was made.
    pub(crate) fn move_the_rules(&self) {
        self.succeeds(&format!("cd {RULES}; echo '# moved' >>policy/release/other.rego; {COMMITTED}"));
    }
}

const COMMITTED: &str = "git add --all; git -c user.name=t -c user.email=t@example.com commit -q -m rules";

/// Holds that a command ended so, and returns what it said.
pub(crate) fn ended(output: &Output, status: i32) -> String {
    let said = text(output);
    assert_eq!(output.status.code(), Some(status), "{said}");
    said
}

fn testdata(path: &str) -> PathBuf {
    root().join("testdata").join(path)
}
