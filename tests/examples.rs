//! The recipes of `examples/`: the blocks of each YAML file are the steps, byte for
//! byte, and the steps run here on loopback, with the real cosign, against a real
//! registry. The guides of `docs/guides` run, too, and every line of the
//! documentation that calls carnet is one that carnet understands.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_yaml::Value;

#[path = "examples/lines.rs"]
mod lines;
#[path = "support/registries.rs"]
mod registries;
#[path = "examples/stage.rs"]
mod stage;

use stage::{COMMIT, OTHER_COMMIT, Stage, ended};

/// The YAML files, and the steps that each holds.
const FILES: [(&str, &[&str]); 5] = [
    ("gitlab/original.gitlab-ci.yml", &["sign", "attest", "images"]),
    ("gitlab/templates/carnet.yml", &["sign", "attest", "images", "export", "verify", "import"]),
    ("github/carnet.yml", &["sign", "attest", "images", "export", "verify", "import"]),
    ("tekton/task.yaml", &["images", "export", "verify", "import"]),
    ("kubernetes/job.yaml", &["shelf"]),
];

#[test]
fn blocks_of_the_yaml_are_the_steps() {
    for (file, steps) in FILES {
        let mut found = BTreeSet::new();
        for block in texts(file).into_iter().filter(|text| text.contains('\n')) {
            match steps.iter().find(|step| block == step_text(step)) {
                Some(step) => drop(found.insert(*step)),
                // What no test runs must not be carnet's part of the pipeline.
                None => assert!(!block.contains("carnet ") && !block.contains("cosign "), "{file}: not a step:\n{block}"),
            }
        }
        assert_eq!(found, steps.iter().copied().collect(), "{file}");
    }
}

/// Every variable that a step needs is set where the step runs.
#[test]
fn variables_of_the_steps_are_set() {
    assert_eq!(needed("a \"$CARNET_X/b\" ${CARNET_Y:-} $((n % CARNET_Z))"), ["CARNET_X", "CARNET_Z"].map(str::to_owned).into());
    for (file, steps) in FILES {
        let text = fs::read_to_string(examples().join(file)).unwrap();
        for variable in steps.iter().flat_map(|step| needed(&step_text(step))) {
            let set = [format!("{variable}: "), format!("name: {variable}\n")];
            // The job before hands it on, or the lock is used.
            let handed_on = variable == "CARNET_BUNDLE_ID" && !file.starts_with("github");
            assert!(handed_on || set.iter().any(|way| text.contains(way)), "{file}: {variable} is not set");
        }
    }
}

/// `CARNET_…` that a script uses without a default.
fn needed(script: &str) -> BTreeSet<String> {
    let after = script.split(['$', '%']).skip(1).map(|rest| rest.trim_start_matches(['(', ' ']));
    let name = |rest: &str| rest.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect::<String>();
    after.map(name).filter(|name| name.starts_with("CARNET_") && name.len() > 7).collect()
}

#[test]
fn gitlab_component_is_sound() {
    let documents = yaml("gitlab/templates/carnet.yml");
    let [head, jobs] = documents.as_slice() else { panic!("a component has two documents") };
    let inputs = keys(&head["spec"]["inputs"]);
    let text = fs::read_to_string(examples().join("gitlab/templates/carnet.yml")).unwrap();
    let used: BTreeSet<_> = text.split("$[[ inputs.").skip(1).map(|rest| rest.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(used, inputs, "inputs that are used, and that there are");
    let known = ["image", "stage", "extends", "variables", "script", "before_script", "needs", "rules", "artifacts", "id_tokens"];
    let names = keys(jobs);
    for (name, job) in jobs.as_mapping().unwrap() {
        let odd: Vec<_> = keys(job).into_iter().filter(|key| !known.contains(&key.as_str())).collect();
        assert!(odd.is_empty(), "{name:?}: {odd:?}");
        let before = job["needs"].as_sequence().into_iter().flatten().chain(Some(&job["extends"]));
        let before = before.filter_map(Value::as_str);
        before.for_each(|job| assert!(names.contains(job), "{name:?} needs {job}"));
    }
    // No credentials where the verdict is made.
    let judge = serde_yaml::to_string(&jobs["carnet-verify"]).unwrap().replace("unset CI_JOB_TOKEN CI_REGISTRY_PASSWORD", "");
    assert!(!judge.contains("login") && !judge.contains("PASSWORD") && jobs["carnet-verify"]["id_tokens"].is_null());

    let user = &yaml("gitlab/.gitlab-ci.yml")[0];
    let given = keys(&user["include"][0]["inputs"]);
    let required = inputs.iter().filter(|input| head["spec"]["inputs"][input.as_str()]["default"].is_null());
    assert!(given.is_subset(&inputs) && required.into_iter().all(|input| given.contains(input)));
    let stages: Vec<_> = user["stages"].as_sequence().unwrap().iter().filter_map(Value::as_str).collect();
    let wanted =
        ["stage-export", "stage-verify", "stage-promote"].map(|input| head["spec"]["inputs"][input]["default"].as_str().unwrap());
    assert!(wanted.iter().all(|stage| stages.contains(stage)), "{stages:?}");
}

#[test]
fn github_workflow_is_sound() {
    let workflow = &yaml("github/carnet.yml")[0];
    let jobs = &workflow["jobs"];
    let text = fs::read_to_string(examples().join("github/carnet.yml")).unwrap();
    let names = keys(jobs);
    for (name, job) in jobs.as_mapping().unwrap() {
        let needs = match &job["needs"] {
            Value::String(one) => vec![one.as_str()],
            many => many.as_sequence().into_iter().flatten().filter_map(Value::as_str).collect(),
        };
        assert!(needs.iter().all(|need| names.contains(*need)), "{name:?}");
        for step in job["steps"].as_sequence().unwrap() {
            assert!(step["run"].is_string() != step["uses"].is_string(), "{name:?}: {step:?}");
        }
    }
    for output in text.split("needs.").skip(1).filter_map(|rest| rest.split_once(".outputs.")) {
        let name = output.1.split(' ').next().unwrap();
        assert!(jobs[output.0]["outputs"][name].is_string(), "{output:?}");
    }
    let ids: BTreeSet<_> = jobs["build"]["steps"].as_sequence().unwrap().iter().filter_map(|step| step["id"].as_str()).collect();
    let used = text.split("steps.").skip(1).filter_map(|rest| rest.split_once(".outputs")).map(|(id, _)| id);
    used.into_iter().for_each(|id| assert!(ids.contains(id), "{id}"));
    // Only the job that builds has more than a container has.
    let privileged: Vec<_> = names.iter().filter(|name| jobs[name.as_str()]["container"]["options"].is_string()).collect();
    assert_eq!(privileged, ["build"]);
    // The job that judges may read the repository, and nothing else.
    assert_eq!(keys(&jobs["verify"]["permissions"]), BTreeSet::from(["contents".to_owned()]));
}

#[test]
fn tekton_task_is_sound() {
    let spec = &yaml("tekton/task.yaml")[0]["spec"];
    let text = fs::read_to_string(examples().join("tekton/task.yaml")).unwrap();
    for (kind, end) in [("params", ")"), ("workspaces", ".path)"), ("results", ".path)")] {
        let declared: BTreeSet<_> = spec[kind].as_sequence().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
        let mark = format!("$({kind}.");
        for used in text.split(mark.as_str()).skip(1) {
            let name = used.split(end).next().unwrap();
            assert!(declared.contains(name), "{kind}: {name}");
        }
    }
}

#[test]
fn kubernetes_job_is_sound() {
    let documents = yaml("kubernetes/job.yaml");
    let (policy, job) = (&documents[0]["spec"], &documents[1]["spec"]);
    assert_eq!(policy["podSelector"]["matchLabels"], job["template"]["metadata"]["labels"]);
    assert_eq!(keys(policy), BTreeSet::from(["podSelector", "policyTypes"].map(str::to_owned)), "nothing is allowed");
    let pod = &job["template"]["spec"];
    let names = |list: &Value| -> BTreeSet<String> {
        list.as_sequence().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let container = &pod["containers"][0];
    // Who is nobody can write the reports.
    assert_eq!(pod["securityContext"]["fsGroup"], container["securityContext"]["runAsUser"]);
    assert_eq!(names(&pod["volumes"]), names(&container["volumeMounts"]));
    // Every pod has its share.
    let pods = container["env"].as_sequence().unwrap().iter().find(|one| one["name"] == "CARNET_PODS").unwrap();
    assert_eq!(pods["value"].as_str().unwrap(), job["completions"].as_u64().unwrap().to_string());
}

/// The image of the recipes has what the steps start, under the names that a release has.
#[test]
fn the_image_of_the_recipes_holds_what_they_start() {
    let page = fs::read_to_string(examples().join("image/README.md")).unwrap();
    let table: String = page.lines().filter(|line| line.starts_with('|')).collect();
    for (file, steps) in FILES {
        for step in steps {
            for program in started(&step_text(step)) {
                assert!(
                    table.contains(&format!("`{program}`")),
                    "{file}: {step} starts {program}, which the image need not have"
                );
            }
        }
        // One name for the image in all of them; the pipeline that they replace has others.
        if file == "gitlab/original.gitlab-ci.yml" {
            continue;
        }
        let text = fs::read_to_string(examples().join(file)).unwrap();
        let images = text.split("registry.example/tools/").skip(1).map(|rest| rest.split_whitespace().next().unwrap());
        assert!(images.into_iter().all(|image| matches!(image, "carnet:1" | "build:1")), "{file}");
    }
    let containerfile = fs::read_to_string(examples().join("image/Containerfile")).unwrap();
    let krew = fs::read_to_string(root().join(".krew.yaml")).unwrap();
    let asset = "carnet-{{ .TagName }}-linux-amd64.tar.gz";
    assert!(krew.contains(asset));
    let asset = asset.replace("{{ .TagName }}", "v${VERSION}").replace("amd64", "${TARGETARCH}");
    assert!(containerfile.contains(&format!("COPY SHA256SUMS {asset} /release/\n")));
    assert!(containerfile.contains(&format!("grep -qx \"{asset}: OK\"")), "the digest is asked for");
    for member in ["carnet", "carnet-verify"] {
        assert!(krew.contains(&format!("- from: {member}\n")));
    }
    assert!(containerfile.contains("-C /usr/local/bin carnet carnet-verify "), "side by side, on PATH");
    let (judge, pipeline) = containerfile.split_once("FROM judge AS pipeline").unwrap();
    assert!(["cosign", "buildah", "ca-certificates", "git"].iter().all(|name| pipeline.contains(name)));
    // What judges is made without a network, and names no place to reach one.
    assert!(!judge.contains("apt-get") && !judge.contains("://"), "{judge}");
}

/// Programs that a script starts; what a shell does itself is not among them.
fn started(script: &str) -> BTreeSet<String> {
    const OF_THE_SHELL: [&str; 17] = [
        "set",
        "case",
        "esac",
        "for",
        "in",
        "do",
        "done",
        "if",
        "then",
        "else",
        "fi",
        "exit",
        "unset",
        "continue",
        "echo",
        "bundle-id",
        "policy-lock",
    ];
    let mut found = BTreeSet::new();
    let mut rest = String::new();
    let mut end: Option<&str> = None;
    for line in script.lines() {
        match end {
            Some(mark) if line == mark => end = None,
            // Inside a document only what `$(…)` starts.
            Some(_) => {
                rest.extend(line.split("$(").skip(1).filter(|after| !after.starts_with('(')).map(|after| format!("{after}\n")))
            }
            None => {
                end = line.split_once("<<").map(|(_, mark)| mark);
                rest += line;
                // A line that goes on is one.
                rest = rest.strip_suffix('\\').map_or_else(|| format!("{rest}\n"), str::to_owned);
            }
        }
    }
    for command in rest.replace("$((", " ").replace("$(", "\n").split(['\n', ';', '|', '&', ')', '{']) {
        let is_program = |word: &&str| {
            word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && word.starts_with(|c: char| c.is_ascii_lowercase())
        };
        found.extend(command.split_whitespace().next().filter(is_program).map(str::to_owned));
    }
    found.retain(|word| !OF_THE_SHELL.contains(&word.as_str()));
    found
}

/// The pipeline with a key; the archive's rules are bound by its id.
#[test]
fn the_pipeline_runs_with_the_id_in_a_variable() {
    let mut stage = Stage::with_key();
    stage.near_side();
    let id = fs::read_to_string(stage.path("carnet.env")).unwrap();
    let id = id.trim().strip_prefix("CARNET_BUNDLE_ID=").unwrap().to_owned();
    stage.stop_the_source();
    let by_id = [("CARNET_RULES_BY", "bundle-id"), ("CARNET_BUNDLE_ID", id.as_str())];
    stage.far_side_passes(&by_id);

    // Another archive than the one that was exported: its rules are nobody's.
    let other = format!("sha256:{}", "0".repeat(64));
    let output = stage.step("verify", &[by_id[0], ("CARNET_BUNDLE_ID", &other)]);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{output:?}");
    // Without the variable nothing is judged.
    ended(&stage.step("verify", &by_id[..1]), 2);
}

/// The pipeline with a key; the rules are bound by a lock of the operator.
#[test]
fn the_pipeline_runs_with_a_lock() {
    let mut stage = Stage::with_key();
    stage.succeeds("carnet policy pin policy.yaml --lock policy-lock.json -o pinned.yaml");
    stage.near_side();
    stage.stop_the_source();
    stage.far_side_passes(&[("CARNET_RULES_BY", "policy-lock")]);
}

/// Rules that moved after the lock was made are not the operator's.
#[test]
fn rules_that_moved_are_refused_by_the_lock() {
    let stage = Stage::with_key();
    stage.succeeds("carnet policy pin policy.yaml --lock policy-lock.json -o pinned.yaml");
    stage.move_the_rules();
    stage.near_side();
    let by_lock = [("CARNET_RULES_BY", "policy-lock")];
    let output = stage.step("verify", &by_lock);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{output:?}");
    let said = text(&output);
    assert!(said.contains("policy-lock"), "{said}");
    assert_ne!(stage.step("import", &by_lock).status.code(), Some(0));
    assert_eq!(stage.latest(), None);
}

#[test]
fn another_commit_is_not_promoted() {
    let mut stage = Stage::with_key();
    stage.succeeds("carnet policy pin policy.yaml --lock policy-lock.json -o pinned.yaml");
    stage.near_side();
    stage.stop_the_source();
    let by_lock = [("CARNET_RULES_BY", "policy-lock")];
    // The operator expects what another commit was built into.
    ended(&stage.step("images", &[("CARNET_COMMIT", OTHER_COMMIT)]), 0);
    let said = ended(&stage.step("verify", &by_lock), 1);
    assert!(said.contains("slsa_source_correlated.expected_source_code_reference"), "{said}");
    ended(&stage.step("import", &by_lock), 1);
    assert_eq!(stage.latest(), None);
    let receipt = fs::read_to_string(stage.path("import-receipt.json")).unwrap();
    assert!(receipt.contains("\"verdict\":\"fail\"") || receipt.contains("\"verdict\": \"fail\""), "{receipt}");
}

/// What a GitLab pipeline signed keyless, from the export on.
#[test]
fn the_pipeline_runs_with_keyless_identities() {
    let mut stage = Stage::keyless("app", "main");
    stage.export();
    stage.stop_the_source();
    let id = fs::read_to_string(stage.path("bundle.id")).unwrap();
    let by_id = [("CARNET_RULES_BY", "bundle-id"), ("CARNET_BUNDLE_ID", id.trim())];
    ended(&stage.step("images", &[("CARNET_COMMIT", OTHER_COMMIT)]), 0);
    let said = ended(&stage.step("verify", &by_id), 1);
    assert!(said.contains("slsa_source_correlated.expected_source_code_reference"), "{said}");
    ended(&stage.step("import", &by_id), 1);
    assert_eq!(stage.latest(), None);
    stage.far_side_passes(&by_id);
}

/// The same image, signed by the pipeline of another branch.
#[test]
fn the_pipeline_of_another_branch_is_refused() {
    let stage = Stage::keyless("wrong-identity", "main");
    // The export itself says that its archive would be refused.
    ended(&stage.step("images", &[]), 0);
    let said = ended(&stage.step("export", &[]), 1);
    assert!(said.contains("none of the expected identities matched"), "{said}");
    let id = fs::read_to_string(stage.path("bundle.id")).unwrap();
    let by_id = [("CARNET_RULES_BY", "bundle-id"), ("CARNET_BUNDLE_ID", id.trim())];
    let said = ended(&stage.step("verify", &by_id), 1);
    assert!(said.contains("identity-mismatch"), "{said}");
    ended(&stage.step("import", &by_id), 1);
    assert_eq!(stage.latest(), None);
}

/// Pods share a shelf; a bad archive fails its pod and no other.
#[test]
fn a_shelf_is_judged_by_its_pods() {
    let stage = Stage::keyless("app", "main");
    stage.export();
    for name in ["shelf", "expected", "reports"] {
        fs::create_dir(stage.path(name)).unwrap();
    }
    fs::copy(stage.path("policy.yaml"), stage.path("expected/policy.yaml")).unwrap();
    let images = fs::read_to_string(stage.path("images.yaml")).unwrap();
    for (name, commit) in [("a", COMMIT), ("b", OTHER_COMMIT), ("c", COMMIT)] {
        fs::copy(stage.path("app.carnet.tar"), stage.path(&format!("shelf/{name}.carnet.tar"))).unwrap();
        let expected = images.replace(&stage.commit, if commit == COMMIT { &stage.commit } else { OTHER_COMMIT });
        fs::write(stage.path(&format!("expected/{name}.images.yaml")), expected).unwrap();
    }
    let pod = |index: &str| {
        let paths = ["shelf", "expected", "reports"].map(|name| stage.path(name).display().to_string());
        let trust = "--trusted-root trusted_root.json --accept-bundled-sources";
        let variables = [("CARNET_SHELF", paths[0].as_str()), ("CARNET_EXPECTED", &paths[1]), ("CARNET_REPORTS", &paths[2])];
        stage.step(
            "shelf",
            &[&variables[..], &[("CARNET_PODS", "2"), ("JOB_COMPLETION_INDEX", index), ("CARNET_TRUST", trust)]].concat(),
        )
    };
    let said = ended(&pod("0"), 0);
    assert!(said.contains("a: status 0") && said.contains("c: status 0") && !said.contains("b: status"), "{said}");
    let said = ended(&pod("1"), 1);
    assert!(said.contains("b: status 1") && !said.contains("a: status"), "{said}");
    let reports: BTreeSet<_> = fs::read_dir(stage.path("reports")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(reports.len(), 3);
}

/// Every `sh` block of every guide, in order, in one folder.
#[test]
fn guides_run() {
    let folder = root().join("docs/guides");
    let mut guides = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let page = fs::read_to_string(&path).unwrap();
        let stage = Stage::guide();
        let mut script = String::from("set -eu\n");
        for block in lines::fenced(&page, "sh") {
            script += &stage.localised(&block);
        }
        assert!(script.contains("carnet"), "{} runs nothing", path.display());
        let output = stage.shell(&script, &[]);
        assert!(output.status.success(), "{}:\n{script}\n{}", path.display(), text(&output));
        guides += 1;
    }
    assert!(guides >= 4);
}

#[test]
fn every_line_that_calls_carnet_is_understood() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for line in lines::of_carnet(&root()) {
        seen += 1;
        let wrong_here = lines::understood(&line.text, line.whole).err();
        wrong.extend(wrong_here.map(|why| format!("{}: {}\n    {why}", line.place, line.text)));
    }
    assert!(seen > 40, "only {seen} lines were found");
    assert!(wrong.is_empty(), "{} of {seen}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn lines_that_carnet_does_not_understand_are_objected_to() {
    for line in [
        "carnet exprot x",
        "carnet export --no-such app",
        "carnet verify a.tar --imagse images.yaml",
        "carnet-verify a.tar --bundle-id",
        "carnet import a.tar --to r/x --bundle-id sha256:1",
        "carnet policy pun policy.yaml",
        "carnet trust show --output html",
    ] {
        assert!(lines::understood(line, true).is_err(), "{line}");
    }
    for line in ["carnet verify … --image x", "carnet policy pin policy.yaml", "carnet why CODE", "carnet export --lock FILE"] {
        lines::understood(line, false).unwrap();
    }
}

/// Files that the pages link to are there.
#[test]
fn links_lead_somewhere() {
    for page in lines::pages(&root()) {
        let text = fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap();
            if file.is_empty() || file.contains("://") || file.contains(' ') {
                continue;
            }
            assert!(page.parent().unwrap().join(file).exists(), "{}: {target}", page.display());
        }
    }
}

/// The quick part of the interop matrix; it also holds its page against what was run.
#[test]
fn tools_open_archives_and_accept_what_was_imported() {
    let run = root().join("tests/interop/run");
    let programs = Path::new(env!("CARGO_BIN_EXE_carnet")).parent().unwrap();
    assert!(programs.join("carnet-verify").exists(), "build the workspace first (cargo build --workspace)");
    let mut command = Command::new(run);
    command.arg("--quick").env("CARNET_PROGRAMS", programs).stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = ended(&output, 0);
    assert!(said.lines().filter(|line| line.starts_with("ok: ")).count() > 30, "{said}");
}

/// Every text of a YAML file.
fn texts(file: &str) -> Vec<String> {
    fn walk(value: &Value, texts: &mut Vec<String>) {
        match value {
            Value::String(text) => texts.push(text.clone()),
            Value::Sequence(list) => list.iter().for_each(|one| walk(one, texts)),
            Value::Mapping(map) => map.values().for_each(|one| walk(one, texts)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    yaml(file).iter().for_each(|document| walk(document, &mut found));
    found
}

fn yaml(file: &str) -> Vec<Value> {
    use serde::Deserialize as _;
    let text = fs::read_to_string(examples().join(file)).unwrap();
    serde_yaml::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap()).collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_mapping().unwrap().keys().map(|key| key.as_str().unwrap().to_owned()).collect()
}

fn step_text(step: &str) -> String {
    fs::read_to_string(examples().join("steps").join(format!("{step}.sh"))).unwrap()
}

fn examples() -> PathBuf {
    root().join("examples")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A command's output, for the modules of this suite.
fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
