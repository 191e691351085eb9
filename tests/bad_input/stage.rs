//! Where a case runs: a folder with good input, an output folder and a place for
//! temporary files.

use std::{
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::OnceLock,
    thread,
};

use carnet_registry::testing::{Behaviour, Content, Fault, TestingRegistry};
use serde_json::Value;
use tempfile::TempDir;

#[path = "../support/members.rs"]
mod archive;
pub(crate) use archive::tar;

pub(crate) const REFERENCE: &str = "registry.example/org/app:v1";
/// Bytes of address space for carnet-verify, in KiB for the shell.
const ADDRESS_SPACE: &str = "ulimit -v 1048576 && exec \"$0\" \"$@\"";
/// Files up to 16 KiB: less than the archive, and what is written beyond fails as on
/// a full disk instead of ending the process.
const SMALL_FILES: &str = "trap '' XFSZ && ulimit -f 32 && exec \"$0\" \"$@\"";
const POLICY: &str = "\
identity:
  issuer: https://gitlab.local
  subject: https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/main
";

pub(crate) struct Stage {
    folder: TempDir,
}

/// How a program is run.
pub(crate) struct Run {
    program: &'static str,
    shell: &'static str,
    arguments: Vec<OsString>,
    stdin: Option<fn(ChildStdin)>,
    stdout: Option<&'static str>,
    /// Ctrl-C as soon as stderr has this text.
    interrupt: Option<&'static str>,
    /// Serves until the program has ended.
    _registry: Option<TestingRegistry>,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) is_quiet: bool,
}

impl Ended {
    pub(crate) fn errors(&self) -> Vec<&str> {
        self.stderr.lines().filter(|line| line.contains("error: ")).collect()
    }
}

impl Stage {
    pub(crate) fn new() -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap() };
        for folder in ["out", "tmp"] {
            fs::create_dir(stage.path(folder)).unwrap();
        }
        stage.file("images.yaml", format!("components:\n- name: app\n  containerImage: {REFERENCE}\n").as_bytes());
        stage.file("policy.yaml", POLICY.as_bytes());
        fs::copy(testdata("trust/local-sigstore/trusted_root.json"), stage.path("trusted_root.json")).unwrap();
        stage
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes an input file.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes a good archive.
    pub(crate) fn archive(&self) -> PathBuf {
        self.file("app.carnet.tar", good_archive())
    }

    /// Runs `carnet-verify` on `archive` with the operator's good files.
    pub(crate) fn verify(&self, archive: impl Into<OsString>) -> Run {
        let run = Run::new("carnet-verify", ADDRESS_SPACE).with("--images", "images.yaml").with("--policy", "policy.yaml");
        run.with("--trusted-root", "trusted_root.json").with("--output", "json=out/report.json").word(archive)
    }

    /// Runs `carnet-verify` on a good archive; the caller says where the report goes.
    pub(crate) fn verify_unreported(&self) -> Run {
        let run = Run::new("carnet-verify", ADDRESS_SPACE).with("--images", "images.yaml").with("--policy", "policy.yaml");
        run.with("--trusted-root", "trusted_root.json").word(self.archive())
    }

    /// Runs `carnet-verify` on a good archive.
    pub(crate) fn verify_good(&self) -> Run {
        self.verify(self.archive())
    }

    /// Runs `carnet export` on a layout; its file goes to the output folder.
    pub(crate) fn export(&self) -> Run {
        let layout = testdata("layouts/local-sigstore/app");
        self.export_from(&layout)
    }

    pub(crate) fn export_from(&self, layout: &Path) -> Run {
        let run = Run::new("carnet", "exec \"$0\" \"$@\"").word("export").word(REFERENCE);
        run.with("--from", format!("oci:{}", layout.display())).with("-o", "out/app.carnet.tar").word("-q")
    }

    /// Runs `carnet export` on a registry that misbehaves.
    pub(crate) fn export_registry(&self, content: Content, faults: Vec<Fault>) -> Run {
        let registry = TestingRegistry::start(content, Behaviour::default()).unwrap();
        faults.into_iter().for_each(|fault| registry.inject(fault));
        let run = Run::new("carnet", "exec \"$0\" \"$@\"").word("export").word(format!("{}/demo/app:v1", registry.host()));
        let run = run.with("-o", "out/app.carnet.tar").with("--id-file", "out/id").word("-q");
        Run { _registry: Some(registry), ..run }
    }

    /// Runs a program and waits for its end.
    pub(crate) fn run(&self, run: Run) -> Ended {
        let program = Path::new(env!("CARGO_BIN_EXE_carnet")).with_file_name(run.program);
        assert!(program.exists(), "{} is missing: build the workspace first", program.display());
        let mut command = Command::new("sh");
        command.args(["-c", run.shell]).arg(program).args(&run.arguments).current_dir(&self.folder);
        command.env_clear().env("TMPDIR", self.path("tmp")).env("HOME", self.path("home"));
        command.stderr(Stdio::piped()).stdout(match run.stdout {
            Some(path) => Stdio::from(fs::File::options().write(true).open(path).unwrap()),
            None => Stdio::piped(),
        });
        command.stdin(if run.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().unwrap();
        let feeder =
            run.stdin.map(|feed| (child.stdin.take().unwrap(), feed)).map(|(pipe, feed)| thread::spawn(move || feed(pipe)));
        let said = run.interrupt.map(|text| interrupt(&mut child, text));
        let output = child.wait_with_output().unwrap();
        if let Some(feeder) = feeder {
            feeder.join().unwrap();
        }
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: said.unwrap_or_default() + &String::from_utf8(output.stderr).unwrap(),
            is_quiet: run.interrupt.is_none(),
        }
    }

    /// The report, if there is a whole one.
    pub(crate) fn report(&self) -> Option<Value> {
        let bytes = fs::read(self.path("out/report.json")).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Files that nobody asked for: all but a whole report and a whole archive.
    pub(crate) fn left_behind(&self) -> Vec<String> {
        let entries = ["out", "tmp"].into_iter().flat_map(|folder| fs::read_dir(self.path(folder)).unwrap());
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| !(name == "report.json" && self.report().is_some())).collect()
    }
}

impl Run {
    fn new(program: &'static str, shell: &'static str) -> Self {
        Self { program, shell, arguments: Vec::new(), stdin: None, stdout: None, interrupt: None, _registry: None }
    }

    /// Any other command line of one of the programs.
    pub(crate) fn bare(program: &'static str, words: &[&str]) -> Self {
        words.iter().fold(Self::new(program, "exec \"$0\" \"$@\""), |run, word| run.word(word))
    }

    pub(crate) fn word(mut self, word: impl Into<OsString>) -> Self {
        self.arguments.push(word.into());
        self
    }

    /// Adds a flag; a later one takes the place of an earlier one in carnet-verify.
    pub(crate) fn with(self, flag: &str, value: impl Into<OsString>) -> Self {
        self.word(flag).word(value)
    }

    /// Adds an argument that is no UTF-8.
    pub(crate) fn with_bytes(self, flag: &str, value: &[u8]) -> Self {
        self.with(flag, OsString::from_vec(value.to_vec()))
    }

    /// Feeds standard input from a thread.
    pub(crate) fn fed(self, feed: fn(ChildStdin)) -> Self {
        Self { stdin: Some(feed), ..self }
    }

    pub(crate) fn writing_to(self, stdout: &'static str) -> Self {
        Self { stdout: Some(stdout), ..self }
    }

    pub(crate) fn with_small_files(self) -> Self {
        Self { shell: SMALL_FILES, ..self }
    }

    pub(crate) fn interrupted_at(self, text: &'static str) -> Self {
        let loud = self.arguments.into_iter().filter(|word| word != "-q").collect();
        Self { interrupt: Some(text), arguments: loud, ..self }
    }
}

/// Sends SIGINT when stderr has `text`; returns all of stderr.
fn interrupt(child: &mut Child, text: &str) -> String {
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains(text) && stderr.read_line(&mut said).unwrap() > 0 {}
    assert!(said.contains(text), "no {text:?} in {said}");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    stderr.read_to_string(&mut said).unwrap();
    said
}

/// The members of a good archive.
pub(crate) fn members() -> archive::Members {
    archive::members(good_archive())
}

/// Writes the members as a directory.
pub(crate) fn unpack(folder: &Path) {
    fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    for (name, bytes) in members() {
        fs::File::create(folder.join(name)).unwrap().write_all(&bytes).unwrap();
    }
}

fn good_archive() -> &'static [u8] {
    static ARCHIVE: OnceLock<Vec<u8>> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let stage = Stage::new();
        let ended = stage.run(stage.export().word("--reproducible"));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        fs::read(stage.path("out/app.carnet.tar")).unwrap()
    })
}

pub(crate) fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path)
}
