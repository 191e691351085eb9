//! One recorded case, and its way over the crossing.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde::Deserialize;
use serde_json::Value;

/// Where the git repositories are, in inputs and expectations.
const GIT: &str = "@GIT@";

/// A recorded run.
pub(crate) struct Case {
    root: PathBuf,
    name: String,
    given: Given,
    /// An image to export instead of those of the case.
    pub(crate) exports: Option<String>,
    /// Exit status as carnet counts.
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    /// Reports that were written, by name.
    pub(crate) files: BTreeMap<String, String>,
    /// What must not be compared, and why.
    pub(crate) volatile: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Given {
    args: Vec<String>,
    env: BTreeMap<String, String>,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Reports of the names that the recorded run wrote.
    pub(crate) files: BTreeMap<String, String>,
}

impl Case {
    pub(crate) fn read(root: &Path, name: &str) -> Self {
        let folder = root.join(name);
        let git = root.join("git").display().to_string();
        let text = |path: &str| fs::read_to_string(folder.join(path)).unwrap_or_default().replace(GIT, &git);
        let given: Given = serde_json::from_str(&text("cmd.json")).unwrap();
        let written = fs::read_dir(folder.join("expect/files")).into_iter().flatten();
        let names = written.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let files: BTreeMap<_, _> = names.map(|name| (name.clone(), text(&format!("expect/files/{name}")))).collect();
        let (exit, stdout) = (text("expect/exit"), text("expect/stdout"));
        let exit = match (exit.trim(), files.is_empty() && stdout.is_empty()) {
            ("0", _) => 0,
            ("1", false) => 1,
            _ => 2,
        };
        let volatile = serde_json::from_str(&text("volatile.json")).unwrap_or_default();
        Self { root: root.to_owned(), name: name.to_owned(), given, exports: None, exit, stdout, files, volatile }
    }

    /// Exports the images of the case and judges the archive with its arguments
    /// and `flags`.
    pub(crate) fn run(&self, flags: &[&str]) -> Outcome {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join(&self.name);
        copy(&self.root.join(&self.name), &folder, &self.root.join("git").display().to_string());
        for shared in ["keys", "trust"] {
            copy(&self.root.join(shared), &place.path().join(shared), "");
        }
        let archive = place.path().join("app.tar");
        let exported = self.export(&folder, &archive);
        if !exported.status.success() {
            return outcome(&exported, BTreeMap::new());
        }
        let mut command = Command::new(verifier());
        command.current_dir(&folder).arg(&archive).args(&self.given.args[2..]).args(flags).envs(&self.given.env);
        if self.exports.is_some() {
            command.arg("--allow-unexpected-images");
        }
        let judged = command.output().unwrap();
        let report = |name: &String| Some((name.clone(), fs::read_to_string(folder.join(name)).ok()?));
        outcome(&judged, self.files.keys().filter_map(report).collect())
    }

    /// With the policy of the case; an exporter who cannot read it goes without.
    fn export(&self, folder: &Path, archive: &Path) -> Output {
        let base = self.export_arguments(folder);
        let mut with_policy = base.clone();
        if let Some(policy) = self.value(&["--policy", "-p"]).filter(|policy| is_place(folder, policy)) {
            with_policy.extend(["--policy".to_owned(), policy.to_owned()]);
            with_policy.extend(["--lock".to_owned(), "policy-lock.json".to_owned()]);
        }
        if let Some(key) = self.value(&["--public-key", "-k"]).filter(|key| folder.join(key).is_file()) {
            with_policy.extend(["--public-key".to_owned(), key.to_owned()]);
        }
        if let Some(root) = self.given.env.get("SIGSTORE_ROOT_FILE") {
            let root = Path::new(root).with_file_name("trusted_root.json");
            with_policy.extend(["--trusted-root".to_owned(), root.display().to_string()]);
        }
        let export = |arguments: &[String]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_carnet"));
            command.current_dir(folder).arg("export").args(arguments).arg("-o").arg(archive);
            command.args(["--quiet", "--no-preflight", "--no-cache"]).output().unwrap()
        };
        let first = export(&with_policy);
        if first.status.success() || with_policy == base { first } else { export(&base) }
    }

    fn export_arguments(&self, folder: &Path) -> Vec<String> {
        let refs: Value = serde_json::from_slice(&fs::read(self.root.join("images/refs.json")).unwrap()).unwrap();
        let mut arguments = Vec::new();
        for (repository, entry) in refs["repositories"].as_object().unwrap() {
            let layout = self.root.join(entry["layout"].as_str().unwrap());
            arguments.extend(["--from".to_owned(), format!("{repository}=oci:{}", layout.display())]);
        }
        if let Some(image) = &self.exports {
            arguments.push(image.clone());
            return arguments;
        }
        if let Some(image) = self.value(&["--image", "-i"]) {
            arguments.push(image.to_owned());
        }
        for flags in [["--images", "--images"], ["--file-path", "-f"], ["--json-input", "-j"]] {
            let Some(list) = self.value(&flags) else { continue };
            let is_text = !folder.join(list).is_file() && list.contains([':', '{']);
            if is_text {
                fs::write(folder.join("inline.yaml"), list).unwrap();
            }
            arguments.extend(["--images".to_owned(), if is_text { "inline.yaml".to_owned() } else { list.to_owned() }]);
        }
        arguments
    }

    /// The value of a flag, in both spellings.
    fn value(&self, names: &[&str]) -> Option<&str> {
        let args = &self.given.args;
        let apart = args.iter().zip(args.iter().skip(1)).find(|(name, _)| names.contains(&name.as_str()));
        let joined = || args.iter().find_map(|arg| arg.split_once('=').filter(|(name, _)| names.contains(name)));
        apart.map(|(_, value)| value.as_str()).or_else(|| joined().map(|(_, value)| value))
    }
}

/// The verifier that was built beside `carnet`.
pub(crate) fn verifier() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_carnet")).with_file_name("carnet-verify");
    assert!(path.exists(), "{} is missing: build the workspace first (cargo build --workspace)", path.display());
    path
}

fn is_place(folder: &Path, policy: &str) -> bool {
    folder.join(policy).is_file() || policy.starts_with("git::")
}

fn outcome(output: &Output, files: BTreeMap<String, String>) -> Outcome {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome { exit: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr), files }
}

/// Copies a folder without its expectations; text names `git` instead of the mark.
fn copy(from: &Path, to: &Path, git: &str) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true if entry.file_name() == "expect" => {}
            true => copy(&entry.path(), &target, git),
            false => match String::from_utf8(fs::read(entry.path()).unwrap()) {
                Ok(text) => fs::write(target, text.replace(GIT, git)).unwrap(),
                Err(bytes) => fs::write(target, bytes.into_bytes()).unwrap(),
            },
        }
    }
}
