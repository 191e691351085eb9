//! `carnet demo`: a whole crossing on this machine.
//!
//! A registry on loopback serves an image that real cosign signed and attested in
//! a GitLab-shaped pipeline (`testdata/layouts/local-sigstore/app`). The real
//! programs export it and judge the archive, then a tampered copy. No output is
//! recorded; every line comes from a run.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, bail};
use carnet_registry::testing::{Behaviour, Content, TestingRegistry};
use clap::Args;
use include_dir::{Dir, include_dir};

use crate::{
    usage::{self, complain},
    verifier::{self, StartError},
};

static IMAGE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../testdata/layouts/local-sigstore/app");
static TRUSTED_ROOT: &str = include_str!("../../testdata/trust/local-sigstore/trusted_root.json");

const POLICY: &str = "\
# Who must have signed and attested the image.
identity:
  issuer: https://gitlab.local
  subject: https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/main
";
const OTHER_POLICY: &str = "\
# Somebody else: the pipeline of another branch.
identity:
  issuer: https://gitlab.local
  subject: https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/dev
";
const REPOSITORY: &str = "demo/app";
const ARCHIVE: &str = "app.carnet.tar";

/// Arguments of `carnet demo`.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Directory for the files of the tour; they stay there.
    #[arg(long, value_name = "DIR", default_value = "carnet-demo")]
    dir: PathBuf,
}

/// Runs the tour. Status 0 when every step ended as it must, else 2.
pub fn run(args: &DemoArgs) -> ExitCode {
    match tour(&args.dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(error) = error.downcast_ref::<StartError>() {
                return usage::fail(&error.to_string(), error.hint());
            }
            complain(&format!("carnet: error: {error:#}"));
            complain("hint: the files of the tour so far are kept; run the printed commands one by one");
            ExitCode::from(2)
        }
    }
}

fn tour(dir: &Path) -> anyhow::Result<()> {
    // Half a tour helps nobody.
    verifier::located()?;
    let stage = Stage::set(dir)?;
    say("1. The near side: a registry holds a signed image, and everything is collected into one archive.");
    let registry = stage.serve()?;
    fs::write(dir.join("images.yaml"), images(&registry.host()))?;
    stage.run(
        "carnet",
        &["export", "--images", "images.yaml", "--policy", "policy.yaml", "--trusted-root", "trusted_root.json", "-o", ARCHIVE],
        0,
    )?;
    drop(registry);

    say("2. The far side: the registry is gone. The archive, the operator's two files and the trust root are enough.");
    stage.verify(ARCHIVE, "policy.yaml", 0)?;

    say("3. A copy with one changed byte in an image layer is refused.");
    tamper(&dir.join(ARCHIVE), &dir.join("tampered.carnet.tar"))?;
    stage.verify("tampered.carnet.tar", "policy.yaml", 1)?;

    say("4. The untouched archive is refused when the pipeline of another branch should have signed.");
    stage.verify(ARCHIVE, "other-branch.yaml", 1)?;

    say(&format!("Done: every step ended as it must. The files are in {}.", dir.display()));
    say("Look inside with `tar tvf app.carnet.tar`, or change a file and run the commands above again.");
    Ok(())
}

/// The directory of the tour and the directory of the programs.
struct Stage<'a> {
    dir: &'a Path,
    programs: PathBuf,
}

impl<'a> Stage<'a> {
    fn set(dir: &'a Path) -> anyhow::Result<Self> {
        let own = env::current_exe().and_then(|path| path.canonicalize()).context("cannot find the directory of this program")?;
        let programs = own.parent().context("this program has no directory")?.to_owned();
        let write = |name: &str, text: &str| fs::write(dir.join(name), text).with_context(|| format!("cannot write {name}"));
        fs::create_dir_all(dir.join("layout")).with_context(|| format!("cannot create {}", dir.display()))?;
        IMAGE.extract(dir.join("layout")).context("cannot write the layout of the image")?;
        write("policy.yaml", POLICY)?;
        write("other-branch.yaml", OTHER_POLICY)?;
        write("trusted_root.json", TRUSTED_ROOT)?;
        Ok(Self { dir, programs })
    }

    fn serve(&self) -> anyhow::Result<TestingRegistry> {
        let mut content = Content::new();
        content.add_layout(REPOSITORY, &self.dir.join("layout")).context("cannot serve the layout")?;
        TestingRegistry::start(content, Behaviour::default()).context("cannot start a registry on loopback")
    }

    fn verify(&self, archive: &str, policy: &str, want: i32) -> anyhow::Result<()> {
        let arguments =
            [archive, "--images", "images.yaml", "--policy", policy, "--trusted-root", "trusted_root.json", "--show-successes"];
        self.run("carnet-verify", &arguments, want)
    }

    /// Runs a program of the suite in the directory of the tour.
    fn run(&self, program: &str, arguments: &[&str], want: i32) -> anyhow::Result<()> {
        say(&format!("$ {program} {}", arguments.join(" ")));
        let path = self.programs.join(format!("{program}{}", env::consts::EXE_SUFFIX));
        let status = Command::new(&path).args(arguments).current_dir(self.dir).status();
        let status = status.with_context(|| format!("cannot start {}", path.display()))?;
        match status.code() {
            Some(code) if code == want => {
                say(&format!("(exit status {code})\n"));
                Ok(())
            }
            code => bail!("{program} ended with status {code:?}, want {want}"),
        }
    }
}

fn images(host: &str) -> String {
    format!("components:\n  - name: app\n    containerImage: \"{host}/{REPOSITORY}:v1\"\n")
}

/// Copies the archive with the first byte of its last member changed. Layers come
/// last, so this is a byte of a layer.
fn tamper(from: &Path, to: &Path) -> anyhow::Result<()> {
    let mut bytes = fs::read(from)?;
    let at = last_member(&bytes).context("the archive has no members")?;
    bytes[at] ^= 1;
    fs::write(to, bytes)?;
    Ok(())
}

/// Offset of the data of the last member.
fn last_member(archive: &[u8]) -> io::Result<usize> {
    const BLOCK: usize = 512;
    let mut at = 0;
    let mut last = 0;
    while let Some(header) = archive.get(at..at + BLOCK).filter(|block| block[0] != 0) {
        let octal = String::from_utf8_lossy(&header[124..135]).into_owned();
        let size = usize::from_str_radix(&octal, 8).map_err(io::Error::other)?;
        last = at + BLOCK;
        at = last + size.next_multiple_of(BLOCK);
    }
    Ok(last)
}

fn say(line: &str) {
    // Whoever closed the pipe wants no more lines.
    let _ = writeln!(io::stdout(), "{line}");
}
