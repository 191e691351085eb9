//! krew's rules for manifests, and krew itself.
//!
//! The rules are those of krew 0.4: `ValidatePlugin` in
//! <https://github.com/kubernetes-sigs/krew/blob/v0.4.5/internal/index/validation/validate.go>,
//! and the further ones of its program for maintainers of an index,
//! <https://github.com/kubernetes-sigs/krew/blob/v0.4.5/cmd/validate-krew-manifest/main.go>.
//! That archives are `.zip` or `.tar.gz`, and that a licence is in them, is in
//! <https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/> and
//! <https://krew.sigs.k8s.io/docs/developer-guide/release/>; the length of the short
//! description is the naming guide's.

#![allow(dead_code, reason = "each suite uses what it needs")]

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::installed::Ended;

/// What krew is built for, of what its rules call supported.
const SYSTEMS: [(&str, &str); 9] = [
    ("darwin", "amd64"),
    ("darwin", "arm64"),
    ("linux", "386"),
    ("linux", "amd64"),
    ("linux", "arm"),
    ("linux", "arm64"),
    ("linux", "ppc64le"),
    ("windows", "386"),
    ("windows", "amd64"),
];
/// Names that no file can have on Windows.
const DEVICES: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];

/// The first rule that a manifest breaks.
pub(crate) fn broken(name: &str, plugin: &Value) -> Option<&'static str> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let spec = &plugin["spec"];
    let short = text(&spec["shortDescription"]);
    let platforms = spec["platforms"].as_array().cloned().unwrap_or_default();
    let rules = [
        ("apiVersion", plugin["apiVersion"] == "krew.googlecontainertools.github.com/v1alpha2"),
        ("kind", plugin["kind"] == "Plugin"),
        ("safe name", is_safe(name)),
        ("name", plugin["metadata"]["name"] == name),
        ("short description", !short.is_empty() && !short.contains(['\r', '\n'])),
        ("length of the short description", short.len() <= 50),
        ("platforms", !platforms.is_empty()),
        ("version", is_version(&text(&spec["version"]))),
        ("homepage", text(&spec["homepage"]).starts_with("https://")),
        ("line length", ["description", "caveats"].iter().all(|key| short_lines(&text(&spec[*key])))),
    ];
    let rules = rules.into_iter().chain(platforms.iter().flat_map(platform_rules));
    let overlap = SYSTEMS.iter().any(|system| platforms.iter().filter(|platform| selects(platform, *system)).count() > 1);
    rules.chain([("overlapping selectors", !overlap)]).find(|(_, holds)| !holds).map(|(rule, _)| rule)
}

fn platform_rules(platform: &Value) -> Vec<(&'static str, bool)> {
    let text = |key: &str| platform[key].as_str().unwrap_or_default();
    let is_digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    let files = platform["files"].as_array();
    let named = |file: &Value, key: &str| file[key].as_str().is_some_and(|name| !name.is_empty());
    let labels = platform["selector"]["matchLabels"].as_object();
    vec![
        ("uri", text("uri").starts_with("https://") && (text("uri").ends_with(".tar.gz") || text("uri").ends_with(".zip"))),
        ("sha256", text("sha256").len() == 64 && text("sha256").chars().all(is_digit)),
        ("bin", !text("bin").is_empty()),
        ("files", files.is_none_or(|files| !files.is_empty())),
        ("from and to", files.into_iter().flatten().all(|file| named(file, "from") && named(file, "to"))),
        ("licence", files.into_iter().flatten().any(|file| file["from"] == "LICENSE")),
        ("selector", labels.is_some_and(|labels| !labels.is_empty())),
        ("selector keys", labels.into_iter().flatten().all(|(key, _)| key == "os" || key == "arch")),
        ("supported platform", SYSTEMS.iter().any(|system| selects(platform, *system))),
    ]
}

fn is_safe(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && name.chars().all(is_word) && !DEVICES.iter().any(|device| device.eq_ignore_ascii_case(name))
}

/// Semantic, with `v` in front, and without build metadata.
fn is_version(text: &str) -> bool {
    let Some(version) = text.strip_prefix('v') else { return false };
    let core = version.split('-').next().unwrap_or_default();
    let is_number = |part: &str| part.parse::<u32>().is_ok_and(|number| number.to_string() == part);
    core.split('.').count() == 3 && core.split('.').all(is_number)
}

fn short_lines(text: &str) -> bool {
    text.lines().all(|line| line.len() <= 80 || !line.trim().contains(' '))
}

fn selects(platform: &Value, (os, arch): (&str, &str)) -> bool {
    let label = |key: &str, have: &str| platform["selector"]["matchLabels"].get(key).is_none_or(|want| want == have);
    label("os", os) && label("arch", arch)
}

/// End of the name of this machine's archive.
pub(crate) fn this_platform() -> String {
    let arch = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let os = if env::consts::OS == "macos" { "darwin" } else { env::consts::OS };
    format!("-{os}-{arch}.tar.gz")
}

/// Installs an archive by a manifest with the real krew, into a directory of its own.
pub(crate) fn install(home: &Path, manifest: &Path, archive: &Path, environment: &[(&str, &str)]) -> Ended {
    let mut krew = Command::new(tool("krew"));
    krew.env("KREW_ROOT", home).env("KREW_NO_UPGRADE_CHECK", "1").envs(environment.iter().copied());
    krew.arg("install").arg("--manifest").arg(manifest).arg("--archive").arg(archive);
    Ended::of(&krew.output().unwrap())
}

/// A program that `.ci/setup` installs.
pub(crate) fn tool(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/bin").join(name);
    assert!(path.is_file(), "{} is missing: run .ci/setup tests", path.display());
    path
}
