//! Mistakes in the operator's policy, images, rules and data: a message with file,
//! line and column, status 2, and nothing is evaluated.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    sync::OnceLock,
};

use libtest_mimic::{Arguments, Failed, Trial};

#[path = "support/golden_layouts.rs"]
mod golden_layouts;

use golden_layouts::{layouts, testdata, verifier};

const IMAGE: &str = "registry.localhost:5055/golden/app:v1";
const POLICY: &str = "publicKey: keys/release.pub\nsources:\n- policy: [./rules]\n  data: [./data]\n";
const IMAGES: &str = "components:\n- name: app\n  containerImage: registry.localhost:5055/golden/app:v1\n";
const RULES: &str = "package good\n\nimport rego.v1\n\n# METADATA\n# custom:\n#   short_name: never\ndeny contains \"never\" if not input.image\n";
const DATA: &str = "{\"allowed\": [\"a\"]}\n";

/// One file of the operator that is wrong.
struct Case {
    name: &'static str,
    /// The file, among those that are good.
    file: &'static str,
    bytes: fn() -> Vec<u8>,
    /// Begin of the message, and a word of its reason.
    says: (&'static str, &'static str),
}

const CASES: &[Case] = &[
    Case {
        name: "policy.yaml is malformed",
        file: "policy.yaml",
        bytes: || b"publicKey: k\nsources: [\n".to_vec(),
        says: ("policy.yaml:3:1: ", ""),
    },
    Case {
        name: "policy.yaml has two documents",
        file: "policy.yaml",
        bytes: || b"publicKey: k\n---\npublicKey: l\n".to_vec(),
        says: ("policy.yaml:2:1: ", "document"),
    },
    Case {
        name: "policy.yaml has a key twice",
        file: "policy.yaml",
        bytes: || b"publicKey: k\nname: x\npublicKey: l\n".to_vec(),
        says: ("policy.yaml:3:1: ", "publicKey"),
    },
    Case {
        name: "policy.yaml has a key twice, deep in it",
        file: "policy.yaml",
        bytes: || b"publicKey: k\nsources:\n- policy: [./rules]\n  config:\n    exclude: [a]\n    exclude: [b]\n".to_vec(),
        says: ("policy.yaml:6:5: ", "exclude"),
    },
    Case {
        name: "policy.yaml has an unknown key",
        file: "policy.yaml",
        bytes: || b"publicKey: k\nrules: []\n".to_vec(),
        says: ("policy.yaml:2:1: ", "rules"),
    },
    Case {
        name: "policy.yaml has a misspelt key, deep in it",
        file: "policy.yaml",
        bytes: || b"publicKey: k\nsources:\n- policy: [./rules]\n  config: {includes: [a]}\n".to_vec(),
        says: ("policy.yaml:4:12: ", "includes"),
    },
    Case {
        name: "policy.yaml: sources is a text",
        file: "policy.yaml",
        bytes: || b"publicKey: k\nsources: github.com/conforma/policy\n".to_vec(),
        says: ("policy.yaml:2:10: ", "sources"),
    },
    Case {
        name: "policy.yaml: a plain y is no text",
        file: "policy.yaml",
        bytes: || b"publicKey: k\nname: y\n".to_vec(),
        says: ("policy.yaml:2:7: ", "name"),
    },
    Case {
        name: "policy.yaml is not UTF-8",
        file: "policy.yaml",
        bytes: || b"publicKey: k\nname: \xff\n".to_vec(),
        says: ("policy.yaml:2:7: ", "UTF-8"),
    },
    Case {
        name: "policy.yaml holds itself",
        file: "policy.yaml",
        bytes: || b"publicKey: k\nsources: &s\n- ruleData: {a: *s}\n".to_vec(),
        says: ("policy.yaml:3:", ""),
    },
    Case { name: "policy.yaml is huge", file: "policy.yaml", bytes: || huge("# x\n"), says: ("policy.yaml", "") },
    Case {
        name: "images.yaml is malformed",
        file: "images.yaml",
        bytes: || b"components: {\n".to_vec(),
        says: ("images.yaml:2:1: ", ""),
    },
    Case {
        name: "images.yaml has two documents",
        file: "images.yaml",
        bytes: || format!("{IMAGES}---\n{IMAGES}").into_bytes(),
        says: ("images.yaml:4:1: ", "document"),
    },
    Case {
        name: "images.yaml has a key twice",
        file: "images.yaml",
        bytes: twice,
        says: ("images.yaml:3:3: ", "containerImage"),
    },
    Case {
        name: "images.yaml: source is a text",
        file: "images.yaml",
        bytes: || format!("{IMAGES}  source: https://git.example/x\n").into_bytes(),
        says: ("images.yaml:4:11: ", "source"),
    },
    Case {
        name: "images.yaml: components is a mapping",
        file: "images.yaml",
        bytes: || b"components: {name: a}\n".to_vec(),
        says: ("images.yaml:1:13: ", "components"),
    },
    Case {
        name: "images.yaml is not UTF-8",
        file: "images.yaml",
        bytes: || b"components:\n- name: a\xfe\n".to_vec(),
        says: ("images.yaml:2:10: ", "UTF-8"),
    },
    Case {
        name: "images.yaml holds itself",
        file: "images.yaml",
        bytes: || b"components: &c\n- *c\n".to_vec(),
        says: ("images.yaml:2:", ""),
    },
    Case { name: "images.yaml is huge", file: "images.yaml", bytes: || huge("# x\n"), says: ("images.yaml", "") },
    Case {
        name: "a rule calls an unknown function",
        file: "rules/bad.rego",
        bytes: || b"package bad\n\nimport rego.v1\n\ndeny contains \"x\" if ec.oci.magic(input.image.ref)\n".to_vec(),
        says: ("rules/bad.rego:5:", "undefined function ec.oci.magic"),
    },
    Case {
        name: "a rule calls a forbidden function",
        file: "rules/bad.rego",
        bytes: || b"package bad\n\nimport rego.v1\n\ndeny contains \"x\" if http.send({\"url\": \"https://x\"})\n".to_vec(),
        says: ("rules/bad.rego:5:", "http.send"),
    },
    Case {
        name: "a rule has the syntax of Rego v0",
        file: "rules/bad.rego",
        bytes: || b"package bad\n\ndeny[msg] {\n  msg := \"x\"\n}\n".to_vec(),
        says: ("rules/bad.rego:3:", ""),
    },
    Case {
        name: "a rule is cut off",
        file: "rules/bad.rego",
        bytes: || b"package bad\n\nimport rego.v1\n\ndeny contains \"x\" if {\n".to_vec(),
        says: ("rules/bad.rego:", ""),
    },
    Case {
        name: "a rule has a variable that nothing binds",
        file: "rules/bad.rego",
        bytes: || b"package bad\n\nimport rego.v1\n\ndeny contains msg if input.image\n".to_vec(),
        says: ("rules/bad.rego:5:", "msg"),
    },
    Case {
        name: "a rule needs itself",
        file: "rules/bad.rego",
        bytes: || b"package bad\n\nimport rego.v1\n\na if b\n\nb if a\n\ndeny contains \"x\" if a\n".to_vec(),
        says: ("rules/bad.rego:", "recursive"),
    },
    Case {
        name: "a file of rules is not UTF-8",
        file: "rules/bad.rego",
        bytes: || b"package bad\n\n# \xff\n".to_vec(),
        says: ("rules/bad.rego:3:3: ", "UTF-8"),
    },
    Case {
        name: "a file of rules is huge",
        file: "rules/bad.rego",
        bytes: || huge("# x\n"),
        says: ("./rules", "more than 83886080 bytes"),
    },
    Case {
        name: "a file of data is malformed",
        file: "data/bad.yaml",
        bytes: || b"a: 1\nb: [\n".to_vec(),
        says: ("data/bad.yaml:3:1: ", ""),
    },
    Case {
        name: "a file of data is malformed JSON",
        file: "data/bad.json",
        bytes: || b"{\"a\": 1,\n \"b\": }\n".to_vec(),
        says: ("data/bad.json", "line 2 column 7"),
    },
    Case {
        name: "a file of data has a key twice",
        file: "data/bad.json",
        bytes: || b"{\"a\": 1,\n \"a\": 2}\n".to_vec(),
        says: ("data/bad.json", "duplicate key \"a\" at line 2 column 4"),
    },
    Case {
        name: "a file of data has two documents",
        file: "data/bad.yaml",
        bytes: || b"a: 1\n---\na: 2\n".to_vec(),
        says: ("data/bad.yaml:2:1: ", "document"),
    },
    Case {
        name: "a file of data holds itself",
        file: "data/bad.yaml",
        bytes: || b"a: &a\n  b: *a\n".to_vec(),
        says: ("data/bad.yaml:2:", ""),
    },
    Case {
        name: "a file of data is not UTF-8",
        file: "data/bad.yaml",
        bytes: || b"a: 1\nb: \xff\n".to_vec(),
        says: ("data/bad.yaml:2:4: ", "UTF-8"),
    },
    Case {
        name: "two files of data say another thing",
        file: "data/bad.yaml",
        bytes: || b"allowed: none\n".to_vec(),
        says: ("data/", "merge error"),
    },
    Case {
        name: "a file of data is huge",
        file: "data/bad.yaml",
        bytes: || huge("# x\n"),
        says: ("./data", "more than 83886080 bytes"),
    },
];

fn main() {
    verifier();
    let mut trials: Vec<Trial> = CASES.iter().map(|case| Trial::test(case.name, move || case.judge())).collect();
    trials.push(Trial::test("without a mistake there is a verdict", || passes(None, &[])));
    trials.push(Trial::test("in Conforma's reading the last of two keys wins", || passes(Some(twice()), &["--compat", "ec"])));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

impl Case {
    fn judge(&self) -> Result<(), Failed> {
        let place = place();
        let path = place.path().join(self.file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, (self.bytes)()).unwrap();
        let ended = verify(place.path(), &[]);
        let said = String::from_utf8_lossy(&ended.stderr);
        let (begin, reason) = self.says;
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("carnet-verify: error: ")).collect();
        expect(ended.status.code() == Some(2), || format!("want status 2: {ended:#?}"))?;
        expect(ended.stdout.is_empty() && !place.path().join("report.json").exists(), || format!("a report: {ended:#?}"))?;
        expect(errors.len() == 1 && errors[0].contains(begin) && errors[0].contains(reason), || {
            format!("want {begin:?} and {reason:?}: {}", said.chars().take(2000).collect::<String>())
        })?;
        expect(said.lines().any(|line| line.starts_with("hint: ")), || "no hint".to_owned())
    }
}

fn passes(images: Option<Vec<u8>>, flags: &[&str]) -> Result<(), Failed> {
    let place = place();
    if let Some(images) = images {
        fs::write(place.path().join("images.yaml"), images).unwrap();
    }
    let ended = verify(place.path(), flags);
    expect(ended.status.code() == Some(0), || format!("{ended:#?}"))
}

/// images.yaml that names an image twice, the second one being the right one.
fn twice() -> Vec<u8> {
    b"components:\n- containerImage: registry.localhost:5055/golden/other:v1\n  containerImage: registry.localhost:5055/golden/app:v1\n  name: app\n".to_vec()
}

/// More than any document of the operator may have.
fn huge(line: &str) -> Vec<u8> {
    line.repeat(90 * 1024 * 1024 / line.len()).into_bytes()
}

/// A folder with everything that is good.
fn place() -> tempfile::TempDir {
    static ARCHIVE: OnceLock<Vec<u8>> = OnceLock::new();
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = place.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write("policy.yaml", POLICY.as_bytes());
    write("images.yaml", IMAGES.as_bytes());
    write("rules/good.rego", RULES.as_bytes());
    write("data/good.json", DATA.as_bytes());
    write("keys/release.pub", &fs::read(testdata("goldens/keys/release.pub")).unwrap());
    let archive = ARCHIVE.get_or_init(|| {
        let mut export = Command::new(env!("CARGO_BIN_EXE_carnet"));
        export.current_dir(place.path()).args(["export", IMAGE, "--policy", "policy.yaml", "-o", "app.tar"]);
        let exported = export.args(["--quiet", "--no-preflight", "--no-cache"]).args(layouts()).output().unwrap();
        assert!(exported.status.success(), "{exported:#?}");
        fs::read(place.path().join("app.tar")).unwrap()
    });
    write("app.tar", archive);
    place
}

fn verify(place: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(verifier());
    command.current_dir(place).args(["app.tar", "--images", "images.yaml", "--policy", "policy.yaml", "--ignore-rekor"]);
    command.args(["--output", "json=report.json"]).args(flags).output().unwrap()
}

fn expect(holds: bool, why: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(why().into()) }
}
