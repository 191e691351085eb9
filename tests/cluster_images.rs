//! `carnet images`: images.yaml from a cluster, from manifests, and from what kubectl
//! printed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[path = "cluster/api.rs"]
mod api;
#[path = "plugin/installed.rs"]
mod installed;
#[path = "cluster/pods.rs"]
mod pods;

use std::{fs, io::Write, process::Command};

use api::{Api, kubeconfig, page, status};
use installed::{Ended, Installed};
use pods::{listed, pod, testdata};
use serde_json::Value;

fn images(words: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carnet"));
    let home = tempfile::tempdir().unwrap();
    command.env_clear().env("HOME", home.path()).arg("images").args(words);
    Ended::of(&command.output().unwrap())
}

fn of_file(name: &str) -> Ended {
    images(&["-f", testdata(&format!("cluster/{name}")).to_str().unwrap()])
}

fn digest(digit: &str) -> String {
    format!("sha256:{}", digit.repeat(64))
}

/// Pairs of a name and a reference, in which `@n` stands for a digest of that digit.
fn wanted(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let spelled = |reference: &str| match reference.split_once('@') {
        Some((name, digit)) => format!("{name}@{}", digest(digit)),
        None => reference.to_owned(),
    };
    pairs.iter().map(|(name, reference)| ((*name).to_owned(), spelled(reference))).collect()
}

#[test]
fn what_containerd_runs_is_pinned_by_what_was_pulled() {
    let said = of_file("pods-containerd.json");
    assert_eq!(said.status, Some(0), "{}", said.err);
    assert_eq!(
        listed(&said.out),
        wanted(&[
            ("web-migrate", "docker.io/library/busybox:1.36@2"),
            ("waiting-models", "registry.example/models/small:1"),
            ("loaded", "registry.example/shop/loaded:2"),
            ("waiting", "registry.example/shop/waiting:3"),
            ("web", "registry.example/shop/web:1.4@1"),
            ("web-debug", "registry.example/tools/debug:latest@3"),
            ("kube-apiserver-n1-kube-apiserver", "registry.k8s.io/kube-apiserver:v1.33.1@6"),
        ])
    );
    for comment in [
        "# shop/Deployment web: container web (2 pods)\n",
        "# shop/Deployment web: init container migrate (1 pod)\n",
        "# shop/Deployment web: ephemeral container debug (1 pod)\n",
        "# shop/Pod waiting: volume models (1 pod)\n",
        "# kube-system/Pod kube-apiserver-n1: container kube-apiserver (1 pod)\n",
        &format!("# no registry knows what runs: the runtime says only that its configuration is {};", digest("4")),
    ] {
        assert!(said.out.contains(comment), "{comment}\n{}", said.out);
    }
    for line in [
        "pods that have ended are left out: 1",
        "shop/loaded:2 is not pinned",
        "shop/waiting:3 is not pinned",
        "models/small:1 is not pinned",
    ] {
        assert!(said.err.contains(line), "{line}\n{}", said.err);
    }
}

#[test]
fn what_cri_o_runs_is_named_by_where_it_was_pulled_from() {
    let said = of_file("pods-cri-o.json");
    assert_eq!(
        listed(&said.out),
        wanted(&[
            ("local", "localhost/local:dev"),
            ("agent", "mirror.example/org/agent@2"),
            ("db", "registry.example/shop/db:16@1")
        ])
    );
    assert!(said.out.contains("# asked for as quay.io/org/agent:7\n"), "{}", said.out);
    assert!(said.out.contains(&format!("its configuration is {}", digest("3"))), "{}", said.out);
    assert!(said.err.contains("localhost/local:dev is not pinned"), "{}", said.err);
}

#[test]
fn what_docker_runs_is_read_without_its_schemes() {
    let said = of_file("pods-docker.json");
    let want = wanted(&[("built", "docker.io/library/built:dev"), ("nginx", "docker.io/library/nginx:latest@1")]);
    assert_eq!(listed(&said.out), want);
    assert!(said.err.contains("built:dev is not pinned"), "{}", said.err);
}

#[test]
fn every_kind_with_pods_is_read_from_manifests() {
    let said = of_file("manifests.yaml");
    let images: Vec<_> = listed(&said.out).into_iter().map(|(name, image)| format!("{name} {image}")).collect();
    let of = |name: &str| format!("{name} r.example/{name}:1");
    let mut want: Vec<_> =
        ["cronjob", "daemonset", "job", "listed", "pod", "replicaset", "rollout", "statefulset"].map(of).to_vec();
    want.push("pod-init r.example/pod-init:1".to_owned());
    want.push(format!("deployment-app r.example/deployment:1@{}", digest("1")));
    want.sort_by_key(|line| line.split(' ').nth(1).unwrap().to_owned());
    assert_eq!(images, want);
    assert!(said.out.contains("# shop/Deployment deployment: container app\n"), "{}", said.out);
    assert!(said.err.contains("carnet: no pods in: ConfigMap, Service\n"), "{}", said.err);
}

#[test]
fn directories_and_standard_input_are_read() {
    let dir = tempfile::tempdir().unwrap();
    for (name, from) in [("a.yaml", "manifests.yaml"), ("b.json", "pods-docker.json"), ("c.txt", "pods-cri-o.json")] {
        fs::copy(testdata(&format!("cluster/{from}")), dir.path().join(name)).unwrap();
    }
    let said = images(&["-f", dir.path().to_str().unwrap(), "-o", "name"]);
    assert_eq!(said.out.lines().count(), 12, "{}", said.out);
    assert!(said.out.contains("docker.io/library/nginx:latest@sha256:1") && !said.out.contains("mirror"), "{}", said.out);
    let mut command = Command::new(env!("CARGO_BIN_EXE_carnet"));
    command.args(["images", "-f", "-", "-o", "json"]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&fs::read(testdata("cluster/pods-docker.json")).unwrap()).unwrap();
    let document: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(document["components"][1]["name"], "nginx");
}

/// The list is one that carnet-verify reads: it complains of the archive, not of it.
#[test]
fn the_list_is_one_that_the_verifier_reads() {
    let installed = Installed::whole();
    let list = of_file("pods-containerd.json").out;
    fs::write(installed.path("images.yaml"), &list).unwrap();
    fs::write(installed.path("a.tar"), "").unwrap();
    let key = testdata("trust/local-sigstore/demo.pub");
    let words = ["verify", "a.tar", "--images", "images.yaml", "--ignore-rekor", "-k", key.to_str().unwrap()];
    let said = installed.run("carnet", &words).err;
    assert!(said.contains("a.tar") || said.contains("archive"), "{said}");
    assert!(!said.contains("images.yaml"), "{said}");
}

#[test]
fn hostile_names_stay_text() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pods.json");
    let mut one = pod("n\u{1b}[2J", "a\n- containerImage: evil", "r.example/a:1\u{202e}", "x\ny: z");
    one["kind"] = "Pod".into();
    fs::write(&path, one.to_string()).unwrap();
    let said = images(&["-f", path.to_str().unwrap()]);
    assert_eq!(listed(&said.out).len(), 1, "{}", said.out);
    for text in [&said.out, &said.err] {
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    }
}

#[test]
fn what_is_no_manifest_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = |text: &str| {
        let path = dir.path().join("x.yaml");
        fs::write(&path, text).unwrap();
        images(&["-f", path.to_str().unwrap()]).refused()
    };
    assert!(file("a: [").contains("neither a Kubernetes manifest nor a list of pods"));
    assert!(file("kind: Service\n").contains("x.yaml; no pods in: Service"));
    assert!(file("").contains("no image runs in "));
    assert!(images(&["-f", "/nowhere.yaml"]).refused().contains("/nowhere.yaml: "));
    for words in [["-f", "x", "-A"].as_slice(), &["-f", "x", "-n", "y"], &["-A", "-n", "y"], &["--request-timeout", "soon"]] {
        images(words).refused();
    }
}

/// Three pods, two on a page, in two namespaces.
fn shop() -> Vec<Value> {
    let id = |digit: &str| format!("r.example/a@{}", digest(digit));
    vec![
        pod("shop", "a", "r.example/a:1", &id("1")),
        pod("shop", "b", "r.example/a:2", &id("2")),
        pod("shop", "c", "r.example/a:3", &id("3")),
        pod("other", "d", "r.example/a:4", &id("4")),
    ]
}

#[test]
fn pages_of_a_list_are_read_to_the_end() {
    let api = Api::with_pods(shop());
    let dir = tempfile::tempdir().unwrap();
    let config = api.kubeconfig(dir.path());
    let config = config.to_str().unwrap();
    for (words, want) in [
        (&["-A"][..], vec!["a", "b", "c", "d"]),
        (&[], vec!["a", "b", "c"]),
        (&["--context", "there"], vec!["d"]),
        (&["-n", "other"], vec!["d"]),
        (&["--namespace=other", "-l", "app=d,tier!=x"], vec!["d"]),
    ] {
        let said = images(&[&["--kubeconfig", config], words].concat()).good();
        let names: Vec<_> = listed(&said).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, want, "{words:?}");
    }
    let asked = api.asked();
    assert!(asked.iter().all(|asked| asked.authorization == "Bearer secret-token"), "{asked:?}");
    let first = "/api/v1/pods?&fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed";
    assert!(asked[0].target.starts_with(first) && asked[0].target.contains("limit=500"), "{asked:?}");
    assert!(asked[1].target.contains("continue=from-2"), "{asked:?}");
    assert!(asked.last().unwrap().target.contains("labelSelector=app%3Dd%2Ctier%21%3Dx"), "{asked:?}");
}

#[test]
fn a_list_that_expires_is_asked_for_anew_and_whole() {
    let api = Api::start(|asked| match asked.target.contains("continue=") {
        true => status(410, "Expired", "The provided continue parameter is too old"),
        false => Some(page(&shop(), &asked.target)),
    });
    let dir = tempfile::tempdir().unwrap();
    let said = images(&["--kubeconfig", api.kubeconfig(dir.path()).to_str().unwrap(), "-A"]).good();
    assert_eq!(listed(&said).len(), 4);
    let asked = api.asked();
    assert!(asked.len() == 3 && !asked[2].target.contains("limit="), "{asked:?}");
}

#[test]
fn an_api_that_has_too_much_to_do_is_asked_again() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let api = Api::start(move |asked| match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => status(429, "TooManyRequests", "try again"),
        _ => Some(page(&shop(), &asked.target)),
    });
    let dir = tempfile::tempdir().unwrap();
    images(&["--kubeconfig", api.kubeconfig(dir.path()).to_str().unwrap()]).good();
}

#[test]
fn every_way_of_not_being_able_to_look_is_named() {
    let junk = |body: &str| Some((200, body.to_owned()));
    let forbidden = "pods is forbidden: User \"eve\" cannot list resource \"pods\" in API group \"\" in the namespace \"shop\"";
    for (answer, want) in [
        (
            status(403, "Forbidden", forbidden),
            "not allowed to list pods in namespace shop (403): pods is forbidden: User \"eve\" cannot list",
        ),
        (status(401, "Unauthorized", "Unauthorized"), "does not accept the credentials (401): Unauthorized"),
        (status(404, "NotFound", "not here"), "answered 404: not here"),
        (status(503, "Unavailable", "busy"), "answered 503: busy"),
        (status(500, "Internal", "evil \u{1b}[2J"), "answered 500: evil \\u{1b}[2J"),
        (Some((502, "<html>Bad Gateway</html>".to_owned())), "answered 502: "),
        (junk("<html>hello</html>"), "is no list of pods: expected value"),
        (junk("{\"kind\":\"PodList\"}"), "is no list of pods"),
        (junk("{\"kind\":\"Status\",\"items\":[]}"), "its kind is \"Status\""),
        (junk("{\"kind\":\"PodList\",\"items\":["), "is no list of pods: EOF"),
        (junk("{\"kind\":\"PodList\",\"items\":[]}"), "no image runs in namespace shop"),
        (None, "did not answer within 1 s"),
    ] {
        let api = Api::start(move |_| answer.clone());
        let dir = tempfile::tempdir().unwrap();
        let config = api.kubeconfig(dir.path());
        let said = images(&["--kubeconfig", config.to_str().unwrap(), "--request-timeout", "1s"]).refused();
        assert!(said.contains(want), "{want}\n{said}");
        assert!(!said.contains("secret-token"), "{said}");
    }
}

#[test]
fn a_list_without_end_ends() {
    let mut one = shop();
    one.truncate(1);
    let api = Api::start(move |_| {
        let list = serde_json::json!({ "kind": "PodList", "metadata": { "continue": "again" }, "items": one });
        Some((200, list.to_string()))
    });
    let dir = tempfile::tempdir().unwrap();
    let said = images(&["--kubeconfig", api.kubeconfig(dir.path()).to_str().unwrap()]).refused();
    assert!(said.contains("the same page again"), "{said}");
}

#[test]
fn a_cluster_that_cannot_be_reached_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let said = images(&["--kubeconfig", kubeconfig(dir.path(), &server).to_str().unwrap()]).refused();
    assert!(said.contains(&format!("cannot reach {server}: ")) && said.to_lowercase().contains("refused"), "{said}");
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let good = kubeconfig(dir.path(), "http://127.0.0.1:1");
    let good = good.to_str().unwrap();
    let bad = dir.path().join("bad");
    for (text, want) in [
        ("a: [", "cannot use"),
        ("", "cannot use"),
        ("kind: Config\ncurrent-context: x\n", "cannot use"),
        ("kind: Config\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n", "c"),
    ] {
        fs::write(&bad, text).unwrap();
        let said = images(&["--kubeconfig", bad.to_str().unwrap()]).refused();
        assert!(said.contains(want) && said.contains(bad.to_str().unwrap()), "{text}\n{said}");
    }
    let said = images(&["--kubeconfig", good, "--context", "nowhere"]).refused();
    assert!(said.contains("nowhere"), "{said}");
    let said = images(&["--kubeconfig", "/nowhere"]).refused();
    assert!(said.contains("/nowhere"), "{said}");
    let said = images(&["--kubeconfig", good, "-n", "../../secrets"]).refused();
    assert!(said.contains("no name of a namespace"), "{said}");
    // No kubeconfig at all, and no pod.
    let said = images(&[]).refused();
    assert!(said.contains("this is no pod"), "{said}");
}
