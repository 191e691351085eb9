//! What `.ci/release` makes: the archive of this machine, digests, the krew manifest.
//!
//! The script runs here with two small programs, since packing real ones takes long;
//! after a real release it gives the directory that it wrote (`CARNET_RELEASE`), and the
//! same is asked of that, and more.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "plugin/installed.rs"]
mod installed;
#[path = "plugin/krew.rs"]
mod krew;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use installed::{Ended, program};
use serde_json::Value;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The time of the commit, which an unpacked source does not know.
const TIME: &str = "1764000000";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn made() -> Option<PathBuf> {
    env::var_os("CARNET_RELEASE").map(PathBuf::from)
}

/// The release that was made a moment ago, or one of small programs.
fn release() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    if let Some(made) = made() {
        return (dir, made);
    }
    let (programs, out) = (dir.path().join("programs"), dir.path().join("release"));
    small_programs(&programs, VERSION);
    ran(&packed(&programs, &out, VERSION));
    (dir, out)
}

fn packed(programs: &Path, out: &Path, version: &str) -> Output {
    let mut command = Command::new(root().join(".ci/release"));
    command.arg(version).env("CARNET_PROGRAMS", programs).env("CARNET_RELEASE", out).env("SOURCE_DATE_EPOCH", TIME);
    command.output().unwrap()
}

fn ran(output: &Output) -> String {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

fn archives(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut archives: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(".tar.gz")).collect();
    archives.sort();
    archives
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// Two programs that only say what they are; the one finds the other as the real ones do.
fn small_programs(dir: &Path, version: &str) {
    fs::create_dir_all(dir).unwrap();
    program(&dir.join("carnet-verify"), &format!("echo carnet-verify {version}"));
    let beside = "\"$(/usr/bin/dirname \"$(/usr/bin/readlink -f \"$0\")\")/carnet-verify\"";
    program(&dir.join("carnet"), &format!("[ \"$1\" = verify ] && exec {beside}\necho carnet {version}"));
}

#[test]
fn the_manifest_passes_krews_rules_and_names_what_is_there() {
    let (_dir, release) = release();
    let text = fs::read_to_string(release.join("carnet.yaml")).unwrap();
    assert!(!text.contains("{{") && text.starts_with("apiVersion: "), "{text}");
    let plugin: Value = serde_yaml::from_str(&text).unwrap();
    assert_eq!(krew::broken("carnet", &plugin), None);
    assert_eq!(plugin["spec"]["version"], format!("v{VERSION}"));
    let platforms = plugin["spec"]["platforms"].as_array().unwrap();
    let named: Vec<_> = platforms.iter().map(|platform| platform["uri"].as_str().unwrap().rsplit('/').next().unwrap()).collect();
    let mut have: Vec<_> = archives(&release).iter().map(|path| name(path)).collect();
    have.sort_by_key(|name| named.iter().position(|other| other == name));
    assert_eq!(named, have);
    for platform in platforms {
        let archive = release.join(platform["uri"].as_str().unwrap().rsplit('/').next().unwrap());
        let digest = ring::digest::digest(&ring::digest::SHA256, &fs::read(&archive).unwrap());
        assert_eq!(platform["sha256"], hex::encode(digest), "{}", archive.display());
    }
}

#[test]
fn the_digests_are_those_of_the_archives() {
    let (_dir, release) = release();
    let mut sums = Command::new("sha256sum");
    ran(&sums.args(["--check", "--strict", "SHA256SUMS"]).current_dir(&release).output().unwrap());
    let listed = fs::read_to_string(release.join("SHA256SUMS")).unwrap();
    assert_eq!(listed.lines().count(), archives(&release).len());
}

/// The archive of this machine, installed by krew itself, is a plugin that works.
#[test]
fn krew_installs_the_archive() {
    let (dir, release) = release();
    let archive = archives(&release).into_iter().find(|path| name(path).ends_with(&krew::this_platform())).unwrap();
    let home = dir.path().join("krew");
    let ended = krew::install(&home, &release.join("carnet.yaml"), &archive, &[]);
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    let run = |words: &[&str]| {
        let mut command = Command::new(home.join("bin/kubectl-carnet"));
        Ended::of(&command.env_clear().env("PATH", home.join("bin")).args(words).output().unwrap())
    };
    assert_eq!(run(&["--version"]).good(), format!("carnet {VERSION}\n"));
    // The verifier came along.
    assert_eq!(run(&["verify", "--version"]).good(), format!("carnet-verify {VERSION}\n"));
    if made().is_none() {
        return;
    }
    let bin = home.join("bin");
    run(&["plugin", "install", "--for", "kubectl", "--dir", bin.to_str().unwrap()]).good();
    let said = run(&["plugin", "check", "--for", "kubectl"]);
    assert_eq!(said.status, Some(0), "{said:?}");
}

#[test]
fn archives_hold_the_programs_and_the_licence_and_nothing_of_who_made_them() {
    let (_dir, release) = release();
    for path in archives(&release) {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(fs::File::open(&path).unwrap()));
        let mut names = Vec::new();
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            names.push((entry.path().unwrap().display().to_string(), header.mode().unwrap()));
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            assert_eq!((header.username().unwrap(), header.groupname().unwrap()), (Some(""), Some("")));
        }
        let want = [("LICENSE", 0o644), ("carnet", 0o755), ("carnet-verify", 0o755)];
        assert_eq!(names, want.map(|(name, mode)| (name.to_owned(), mode)), "{}", path.display());
    }
}

#[test]
fn same_programs_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let mut made = Vec::new();
    for (at, umask) in ["022", "077"].into_iter().enumerate() {
        let (programs, out) = (dir.path().join(format!("programs{at}")), dir.path().join(format!("out{at}")));
        small_programs(&programs, VERSION);
        let mut touch = Command::new("touch");
        assert!(touch.arg("-d").arg(format!("200{at}-01-01")).arg(programs.join("carnet")).status().unwrap().success());
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("umask {umask}; exec \"$0\" v{VERSION}")).arg(root().join(".ci/release"));
        command.env("CARNET_PROGRAMS", &programs).env("CARNET_RELEASE", &out).env("SOURCE_DATE_EPOCH", TIME);
        ran(&command.output().unwrap());
        let mut files: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        made.push(files.iter().map(|path| (name(path), fs::read(path).unwrap())).collect::<Vec<_>>());
    }
    assert_eq!(made[0].len(), 3, "an archive, SHA256SUMS and carnet.yaml");
    assert!(made[0] == made[1], "the bytes differ");
}

/// Archives of other machines are taken in, and the manifest then names them.
#[test]
fn archives_of_other_machines_are_taken_in() {
    let dir = tempfile::tempdir().unwrap();
    let (programs, out) = (dir.path().join("programs"), dir.path().join("out"));
    small_programs(&programs, VERSION);
    fs::create_dir(&out).unwrap();
    for platform in ["linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"] {
        fs::write(out.join(format!("carnet-v{VERSION}-{platform}.tar.gz")), platform).unwrap();
    }
    // Of another release.
    fs::write(out.join("carnet-v0.0.0-linux-arm64.tar.gz"), "old").unwrap();
    let said = ran(&packed(&programs, &out, VERSION));
    assert!(!said.contains("archives are missing"), "{said}");
    let plugin: Value = serde_yaml::from_str(&fs::read_to_string(out.join("carnet.yaml")).unwrap()).unwrap();
    assert_eq!(krew::broken("carnet", &plugin), None);
    assert_eq!(plugin["spec"]["platforms"].as_array().unwrap().len(), 4);
    assert_eq!(fs::read_to_string(out.join("SHA256SUMS")).unwrap().lines().count(), 4);
    let alone = dir.path().join("alone");
    assert!(ran(&packed(&programs, &alone, VERSION)).contains("archives are missing: "));
}

#[test]
fn what_is_of_another_version_is_not_released() {
    let dir = tempfile::tempdir().unwrap();
    let (programs, out) = (dir.path().join("programs"), dir.path().join("out"));
    small_programs(&programs, "9.9.9");
    for (version, want) in [(VERSION, "is \"carnet 9.9.9\", not"), ("9.9.9", "Cargo.toml says version")] {
        let output = packed(&programs, &out, version);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(want), "{said}");
        assert!(!out.join("SHA256SUMS").exists());
    }
}
