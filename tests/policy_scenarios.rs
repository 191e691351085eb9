//! Conforma's acceptance scenarios that no recorded run holds, over the whole
//! crossing: `testdata/policy-scenarios/scenarios.json`, one table. Each has what
//! passes and what does not.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use libtest_mimic::{Arguments, Failed, Trial};
use serde::Deserialize;
use serde_json::Value;

#[path = "support/golden_layouts.rs"]
mod golden_layouts;

use golden_layouts::{layouts, testdata, verifier};

const IMAGE: &str = "registry.localhost:5055/golden/app:v1";
const KEYLESS: [(&str, &str); 4] = [
    ("SIGSTORE_ROOT_FILE", "fulcio_v1.crt.pem"),
    ("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", "ctfe.pub"),
    ("SIGSTORE_REKOR_PUBLIC_KEY", "rekor.pub"),
    ("SIGSTORE_TSA_CERTIFICATE_FILE", "tsa_root.crt.pem"),
];

#[derive(Deserialize)]
struct Table {
    /// Scenarios that recorded runs hold, and which.
    recorded: BTreeMap<String, Vec<String>>,
    scenarios: Vec<Scenario>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// The title that Conforma gives it.
    title: String,
    runs: Vec<Run>,
}

/// One export and one verdict.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    run: String,
    /// The policy document; `rules/` and `keys/` lie beside it.
    policy: Option<Value>,
    /// Whether the policy is given as the text itself.
    #[serde(default)]
    inline: bool,
    /// Where the policy document is instead.
    policy_url: Option<String>,
    /// Repositories below `{GIT}`: files by path; `@path` is a file of the folder.
    #[serde(default)]
    git: BTreeMap<String, BTreeMap<String, String>>,
    /// The one image, instead of the usual one; empty for none.
    image: Option<String>,
    /// images.yaml.
    images: Option<Value>,
    /// images.yaml of the export, where the verifier is given something else.
    exported: Option<Value>,
    /// Layouts for further repositories.
    #[serde(default)]
    from: BTreeMap<String, String>,
    /// The trusted root, for evidence without a key.
    trusted_root: Option<String>,
    /// Whether the trust material of the recorded runs is named by the environment.
    #[serde(default)]
    keyless: bool,
    /// Further arguments of the verifier.
    #[serde(default)]
    args: Vec<String>,
    exit: i32,
    /// By component what is reported, as `code: message`; successes by code, without
    /// the built-in ones.
    #[serde(default)]
    report: BTreeMap<String, Reported>,
    /// The components that come first.
    #[serde(default)]
    order: Vec<String>,
    /// What one of the programs says.
    #[serde(default)]
    says: Vec<String>,
    /// The result that a pipeline looks at.
    appstudio: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reported {
    violations: Option<Vec<String>>,
    warnings: Option<Vec<String>>,
    successes: Option<Vec<String>>,
}

fn main() {
    let table: Table = serde_json::from_slice(&fs::read(folder().join("scenarios.json")).unwrap()).unwrap();
    verifier();
    let trial = |title: String, run: Run| Trial::test(format!("{title}: {}", run.run), move || run.judge());
    let of = |scenario: Scenario| scenario.runs.into_iter().map(move |run| trial(scenario.title.clone(), run));
    let recorded = table.recorded;
    let recorded = Trial::test("every other scenario has a recorded run", move || held(&recorded));
    let documented = Trial::test("the traps of docs/conforma.md name codes that exist", documented);
    libtest_mimic::run(&Arguments::from_args(), table.scenarios.into_iter().flat_map(of).chain([documented, recorded]).collect())
        .exit();
}

fn held(recorded: &BTreeMap<String, Vec<String>>) -> Result<(), Failed> {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/goldens");
    let missing: Vec<&String> = recorded.values().flatten().filter(|run| !goldens.join(run).join("cmd.json").exists()).collect();
    expect(missing.is_empty() && recorded.values().all(|runs| !runs.is_empty()), || format!("no such runs: {missing:?}"))
}

/// Every word between back-ticks in the table of traps that has the form of a code.
fn documented() -> Result<(), Failed> {
    let page = fs::read_to_string(testdata("../docs/conforma.md")).unwrap();
    let table = page.split("## Traps").nth(1).and_then(|rest| rest.split("\n## ").next()).ok_or("no table of traps")?;
    let is_code =
        |word: &&str| word.contains('-') && !word.starts_with('-') && word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let named: Vec<&str> = table.split('`').skip(1).step_by(2).filter(is_code).collect();
    let known: Vec<&str> = carnet_verify::codes::all().map(|code| code.name).collect();
    let unknown: Vec<&&str> = named.iter().filter(|code| !known.contains(code)).collect();
    expect(named.len() > 10 && unknown.is_empty(), || format!("no such codes: {unknown:?}"))
}

impl Run {
    fn judge(&self) -> Result<(), Failed> {
        let place = tempfile::tempdir().unwrap();
        let place = Place { folder: place.path().canonicalize().unwrap() };
        place.stage(self);
        let exported = self.export(&place);
        let outcome = if exported.status.success() { self.verify(&place) } else { exported };
        let said = format!("{}{}", String::from_utf8_lossy(&outcome.stdout), String::from_utf8_lossy(&outcome.stderr));
        expect(outcome.status.code() == Some(self.exit), || format!("want status {}: {outcome:#?}", self.exit))?;
        for text in &self.says {
            expect(said.contains(text), || format!("nothing says {text:?}: {said}"))?;
        }
        if let Some(want) = &self.appstudio {
            let report: Value = serde_json::from_slice(&fs::read(place.folder.join("appstudio.json")).unwrap()).unwrap();
            expect(report["result"] == want.as_str(), || format!("want {want}: {report}"))?;
        }
        if !self.report.is_empty() {
            let report: Value = serde_json::from_slice(&outcome.stdout).map_err(|error| format!("{error}: {said}"))?;
            self.compare(&report)?;
        }
        Ok(())
    }

    fn compare(&self, report: &Value) -> Result<(), Failed> {
        let components = report["components"].as_array().ok_or("no components")?;
        let names: Vec<&str> = components.iter().filter_map(|component| component["name"].as_str()).collect();
        expect(names.iter().zip(&self.order).all(|(got, want)| got == want), || format!("in another order: {names:?}"))?;
        expect(names.len() == self.report.len(), || format!("other components: {names:?}"))?;
        for (name, want) in &self.report {
            let component = components.iter().find(|component| component["name"] == name.as_str());
            let component = component.ok_or_else(|| format!("no component {name}: {names:?}"))?;
            for (list, want) in [("violations", &want.violations), ("warnings", &want.warnings), ("successes", &want.successes)] {
                let got = listed(component, list);
                let fits =
                    |want: &Vec<String>| want.len() == got.len() && want.iter().zip(&got).all(|(want, got)| same(want, got));
                expect(want.as_ref().is_none_or(fits), || format!("{name}, {list}: want {want:?}, got {got:?}"))?;
            }
        }
        Ok(())
    }

    fn export(&self, place: &Place) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_carnet"));
        command.current_dir(&place.folder).arg("export").args(layouts());
        for (repository, layout) in &self.from {
            command.arg("--from").arg(format!("{repository}=oci:{}", testdata(layout).display()));
        }
        match (&self.policy_url, &self.policy) {
            (Some(url), _) => drop(command.arg("--policy").arg(place.git(url))),
            (None, Some(_)) => drop(command.args(["--policy", "policy.yaml"])),
            (None, None) => {}
        }
        // A policy that the verifier has to refuse is none for the exporter.
        let images = if self.images.is_some() || self.exported.is_some() { "exported.yaml" } else { "" };
        match images {
            "" => drop(command.arg(self.image.as_deref().unwrap_or(IMAGE))),
            file => drop(command.args(["--images", file])),
        }
        command.args(self.key()).args(["-o", "app.tar", "--quiet", "--no-preflight", "--no-cache"]);
        let output = command.output().unwrap();
        if output.status.success() || !self.inline {
            return output;
        }
        let bare: Vec<_> =
            command.get_args().map(ToOwned::to_owned).filter(|arg| arg != "--policy" && arg != "policy.yaml").collect();
        Command::new(env!("CARGO_BIN_EXE_carnet")).current_dir(&place.folder).args(bare).output().unwrap()
    }

    fn verify(&self, place: &Place) -> Output {
        let mut command = Command::new(verifier());
        command.current_dir(&place.folder).arg("app.tar").args(["--show-successes", "--output", "json"]);
        command.args(["--effective-time", "2026-03-01T12:00:00Z", "--allow-past-effective-time"]);
        match (&self.policy_url, &self.policy) {
            (Some(url), _) => drop(command.arg("--policy").arg(place.git(url))),
            (None, Some(policy)) if self.inline => drop(command.arg("--policy").arg(policy.to_string())),
            (None, Some(_)) => drop(command.args(["--policy", "policy.yaml"])),
            (None, None) => {}
        }
        match (&self.images, self.image.as_deref()) {
            (Some(_), _) => drop(command.args(["--images", "images.yaml"])),
            (None, Some("")) => {}
            (None, image) => drop(command.arg("--image").arg(image.unwrap_or(IMAGE))),
        }
        match &self.trusted_root {
            Some(root) => drop(command.arg("--trusted-root").arg(testdata(root))),
            None if self.keyless => {
                let file = |(name, file): (&str, &str)| (name.to_owned(), testdata("goldens/trust").join(file));
                command.envs(KEYLESS.map(file));
            }
            None => drop(command.arg("--ignore-rekor")),
        }
        if self.appstudio.is_some() {
            command.args(["--output", "appstudio=appstudio.json"]);
        }
        command.args(&self.args).output().unwrap()
    }

    /// What an exporter needs to know of who signs.
    fn key(&self) -> Vec<String> {
        let flags = ["--public-key", "--certificate-identity-regexp", "--certificate-oidc-issuer-regexp"];
        let pairs = self.args.iter().zip(self.args.iter().skip(1)).filter(|(flag, _)| flags[..1].contains(&flag.as_str()));
        let mut words: Vec<String> = pairs.flat_map(|(flag, value)| [flag.clone(), value.clone()]).collect();
        let root = match &self.trusted_root {
            Some(root) => Some(testdata(root)),
            None => self.keyless.then(|| testdata("goldens/trust/trusted_root.json")),
        };
        words.extend(root.into_iter().flat_map(|root| ["--trusted-root".to_owned(), root.display().to_string()]));
        words
    }
}

/// The folder of one run.
struct Place {
    folder: PathBuf,
}

impl Place {
    fn stage(&self, run: &Run) {
        copy(&folder().join("rules"), &self.folder.join("rules"));
        copy(&testdata("goldens/keys"), &self.folder.join("keys"));
        let write = |name: &str, value: &Value| fs::write(self.folder.join(name), value.to_string()).unwrap();
        if let Some(policy) = &run.policy {
            write("policy.yaml", policy);
        }
        if let Some(images) = &run.images {
            write("images.yaml", images);
        }
        if let Some(images) = run.exported.as_ref().or(run.images.as_ref()) {
            write("exported.yaml", images);
        }
        for (name, files) in &run.git {
            let repository = self.folder.join("git").join(name);
            for (path, content) in files {
                let content = match content.strip_prefix('@') {
                    Some(file) => fs::read_to_string(folder().join(file)).unwrap(),
                    None => self.git(content),
                };
                let path = repository.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
            let git = |words: &[&str]| {
                let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"];
                let ended = Command::new("git").args(identity).args(words).current_dir(&repository).output().unwrap();
                assert!(ended.status.success(), "{ended:?}");
            };
            git(&["init", "--quiet"]);
            git(&["add", "--all"]);
            git(&["commit", "--quiet", "--message", "rules"]);
        }
    }

    fn git(&self, text: &str) -> String {
        text.replace("{GIT}", self.folder.join("git").to_str().unwrap())
    }
}

/// The results of a list, as the table writes them.
fn listed(component: &Value, list: &str) -> Vec<String> {
    let results = component[list].as_array().into_iter().flatten();
    let texts = results.map(|result| {
        let (code, message) =
            (result["metadata"]["code"].as_str().unwrap_or_default(), result["msg"].as_str().unwrap_or_default());
        if list == "successes" { code.to_owned() } else { format!("{code}: {message}") }
    });
    texts.filter(|text| !text.starts_with("builtin.")).collect()
}

/// A message may be left open with `*`.
fn same(want: &str, got: &str) -> bool {
    want == got || want.strip_suffix('*').is_some_and(|start| got.starts_with(start))
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

fn folder() -> PathBuf {
    testdata("policy-scenarios")
}

fn expect(holds: bool, why: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(why().into()) }
}
