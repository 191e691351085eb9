//! One recorded case, and its way over the crossing.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde::Deserialize;

use crate::golden_layouts::{layouts, verifier};

/// Where the git repositories are, in inputs and expectations.
const GIT: &str = "@GIT@";

/// A recorded run.
#[derive(Clone)]
pub(crate) struct Case {
    root: PathBuf,
    name: String,
    given: Given,
    /// Where the recording had the repositories, for what names them by path.
    recorded_git: Option<String>,
    /// A folder that the case names and that is not part of it.
    pub(crate) beside: Option<(&'static str, PathBuf)>,
    /// A repository in which everything that is asked for is not there.
    pub(crate) empty: Option<&'static str>,
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

#[derive(Clone, Deserialize)]
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
    /// Reads a case; `recorded_git` is where the recording had the repositories,
    /// when a file in one of them names that folder.
    pub(crate) fn read(root: &Path, name: &str, recorded_git: Option<&str>) -> Self {
        let folder = root.join(name);
        let here = root.join("git").display().to_string();
        let there = recorded_git.unwrap_or(&here);
        let text = |path: &str| fs::read_to_string(folder.join(path)).unwrap_or_default().replace(GIT, there);
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
        let recorded_git = recorded_git.map(str::to_owned);
        Self {
            root: root.to_owned(),
            name: name.to_owned(),
            given,
            recorded_git,
            exports: None,
            beside: None,
            empty: None,
            exit,
            stdout,
            files,
            volatile,
        }
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
        if let Some((name, there)) = &self.beside {
            std::os::unix::fs::symlink(there, folder.join(name)).unwrap();
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
            if let Some(there) = &self.recorded_git {
                let here = self.root.join("git").display().to_string();
                command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", format!("url.file://{here}/.insteadOf"));
                command.env("GIT_CONFIG_VALUE_0", format!("file://{there}/"));
            }
            command.args(["--quiet", "--no-preflight", "--no-cache"]).output().unwrap()
        };
        let first = export(&with_policy);
        if first.status.success() || with_policy == base { first } else { export(&base) }
    }

    fn export_arguments(&self, folder: &Path) -> Vec<String> {
        let mut arguments = layouts();
        if let Some(repository) = self.empty {
            let layout = folder.join("empty");
            fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
            fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
            fs::write(layout.join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
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
