//! An exported image, the command line that judges it, and how it ended.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const REFERENCE: &str = "registry.example/org/app:v1";
pub(crate) const MAIN: [&str; 2] = ["https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/main", "https://gitlab.local"];
pub(crate) const LOCAL_ROOT: &str = "trust/local-sigstore/trusted_root.json";

/// An exported image and the command line that judges it.
pub(crate) struct Stage {
    pub(crate) folder: TempDir,
    pub(crate) command: Command,
}

impl Stage {
    /// The image of a layout, with a copy of the local trust root.
    pub(crate) fn of(layout: &str, signer: [&str; 2]) -> Self {
        Self::with(layout, signer, &["--trusted-root", testdata(LOCAL_ROOT).to_str().unwrap()])
    }

    /// The image of a layout, with what the export flags carry.
    pub(crate) fn with(layout: &str, [identity, issuer]: [&str; 2], flags: &[&str]) -> Self {
        let mut stage = Self::exported(layout, flags);
        stage.command.args(["--certificate-identity", identity, "--certificate-oidc-issuer", issuer]);
        stage
    }

    /// The image of a layout, of which a key says who signed.
    pub(crate) fn of_key(layout: &str, key: &str) -> Self {
        Self::exported(layout, &[]).file("--public-key", key)
    }

    fn exported(layout: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("app.carnet.tar");
        let from = format!("oci:{}", testdata("layouts").join(layout).display());
        let carnet = env!("CARGO_BIN_EXE_carnet");
        let mut export = Command::new(carnet);
        export.args(["export", REFERENCE, "--from", &from, "--reproducible", "--quiet"]).args(flags).arg("-o").arg(&archive);
        let export = export.output().unwrap();
        assert_eq!(export.status.code(), Some(0), "{}", text(&export.stderr));
        let mut command = Command::new(Path::new(carnet).with_file_name("carnet-verify"));
        command.arg(archive).args(["--image", REFERENCE, "--show-successes", "--output", "json"]);
        Self { folder, command }
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.folder.path().join("app.carnet.tar")
    }

    pub(crate) fn root(self, path: &str) -> Self {
        self.file("--trusted-root", path)
    }

    pub(crate) fn file(mut self, flag: &str, path: &str) -> Self {
        self.command.arg(flag).arg(testdata(path));
        self
    }

    pub(crate) fn word(mut self, word: &str) -> Self {
        self.command.arg(word);
        self
    }

    pub(crate) fn policy(mut self, members: &str) -> Self {
        let path = self.folder.path().join("trust.yaml");
        fs::write(&path, format!("apiVersion: carnet/v0\nkind: TrustPolicy\n{members}")).unwrap();
        self.command.arg("--trust-policy").arg(path);
        self
    }

    pub(crate) fn variable(mut self, name: &str, path: &str) -> Self {
        self.command.env(name, testdata(path));
        self
    }

    pub(crate) fn judge(mut self) -> Ended {
        let shown = self.folder.path().join("report.txt");
        self.command.arg(format!("--output=text={}", shown.display()));
        let Output { status, stdout, stderr } = self.command.output().unwrap();
        let report: Value = serde_json::from_slice(&stdout).unwrap_or_default();
        let mut codes: Vec<String> = report["carnet"]["findings"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|finding| finding["code"].as_str().unwrap().to_owned())
            .collect();
        codes.dedup();
        let shown = fs::read_to_string(shown).unwrap_or_default();
        Ended { status: status.code(), codes, report, shown, said: text(&stderr) }
    }
}

pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) codes: Vec<String>,
    pub(crate) report: Value,
    /// The report as text.
    pub(crate) shown: String,
    pub(crate) said: String,
}

impl Ended {
    pub(crate) fn assert(&self, status: i32, code: &str) {
        let found = code.is_empty() || self.has(code);
        assert!(self.status == Some(status) && found, "{:?} {:?} {}", self.status, self.codes, self.said);
    }

    pub(crate) fn has(&self, code: &str) -> bool {
        self.codes.iter().any(|found| found == code)
    }

    pub(crate) fn trust(&self) -> &Value {
        &self.report["carnet"]["trust"]
    }

    pub(crate) fn relaxations(&self) -> Vec<&str> {
        let list = self.report["carnet"]["relaxations"].as_array().into_iter().flatten();
        list.map(|relaxation| relaxation["effect"].as_str().unwrap()).collect()
    }

    /// The lines of the text that begin with `start`.
    pub(crate) fn lines(&self, start: &str) -> Vec<&str> {
        self.shown.lines().filter_map(|line| line.strip_prefix(start)).collect()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path)
}

/// SHA-256 of a file of the test data, as a trust policy writes it.
pub(crate) fn digest(path: &str) -> String {
    carnet_bundle::Digest::of(&fs::read(testdata(path)).unwrap()).to_string()
}
