//! The program `carnet serve` as a process, and a client that sends exactly what it
//! is told and sees where an answer ends.

#![allow(dead_code, reason = "every suite uses a part of it")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, mpsc},
    time::Duration,
};

use carnet_bundle::Digest;
use serde_json::Value;

use crate::{registries::Distribution, support};

/// Longer than anything here takes.
const WITHIN: Duration = Duration::from_secs(120);
/// A registry that is being served; ended when it is dropped.
pub(crate) struct Served {
    child: Child,
    pub(crate) address: String,
    lines: Mutex<mpsc::Receiver<String>>,
}

/// An answer, as far as it came.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Served {
    pub(crate) fn start(archives: &[&Path], flags: &[&str]) -> Self {
        let mut command = command(archives, flags);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut served = Self { child, address: String::new(), lines: Mutex::new(lines) };
        let (line, _) = served.says("listening on ");
        served.address = line.split_once("://").unwrap().1.to_owned();
        served
    }

    /// Waits for a line of the log with that text; what came before it, too.
    pub(crate) fn says(&self, text: &str) -> (String, Vec<String>) {
        let (mut before, lines) = (Vec::new(), self.lines.lock().unwrap());
        loop {
            match lines.recv_timeout(WITHIN) {
                Ok(line) if line.contains(text) => return (line, before),
                Ok(line) => before.push(line),
                Err(_) => panic!("it never said {text:?}, but {before:#?}"),
            }
        }
    }

    /// Ends it by a signal; its status, and what else it said.
    pub(crate) fn end(mut self, signal: &str) -> (Option<i32>, Vec<String>) {
        let id = self.child.id().to_string();
        support::success(&Command::new("kill").args([&format!("-{signal}"), &id]).output().unwrap());
        let status = self.child.wait().unwrap();
        (status.code(), self.lines.lock().unwrap().iter().collect())
    }

    /// Most bytes of memory that it ever had.
    pub(crate) fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    pub(crate) fn get(&self, path: &str) -> Got {
        self.ask("GET", path, &[])
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Got {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{lines}\r\n", self.address);
        self.send(head.as_bytes()).unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    /// Sends these bytes. `None` when the connection ends without an answer.
    pub(crate) fn send(&self, bytes: &[u8]) -> Option<Got> {
        let mut stream = self.connect();
        // It may have refused the rest already.
        let _ = stream.write_all(bytes);
        read(&mut stream, Vec::new())
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        stream
    }

    /// Path of a blob of the image `name`.
    pub(crate) fn blob(name: &str, digest: &Digest) -> String {
        format!("/v2/org/{name}/blobs/{digest}")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Whether the body is as long as was announced.
    pub(crate) fn is_complete(&self) -> bool {
        self.header("content-length").parse() == Ok(self.body.len())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The code of the error body.
    pub(crate) fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().unwrap().to_owned()
    }
}

/// Reads an answer to the end of the connection.
pub(crate) fn read(stream: &mut TcpStream, mut all: Vec<u8>) -> Option<Got> {
    match stream.read_to_end(&mut all) {
        Ok(_) => {}
        Err(error) => assert!(!matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "no end: {error}"),
    }
    let at = all.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8(all[..at].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    Some(Got { status, headers: headers.collect(), body: all[at + 4..].to_vec() })
}

pub(crate) fn command(archives: &[&Path], flags: &[&str]) -> Command {
    let mut command = Command::new(support::carnet());
    command.arg("serve").args(archives).args(["--listen", ":0", "--quiet"]).args(flags).stdin(Stdio::null());
    command
}

/// Runs it where it ends by itself; its status, and what it said.
pub(crate) fn ended(archives: &[&Path], flags: &[&str]) -> (Option<i32>, String) {
    let mut child = command(archives, flags).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok) {
        said = said + &line + "\n";
        if line.contains("listening on ") {
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap().code();
    assert!(status.is_some(), "it serves: {said}");
    (status, said)
}

/// Flags by which images of the key `demo` pass.
pub(crate) fn by_key(names: &[&str]) -> Vec<String> {
    by_key_as(&names.iter().map(|name| (*name, support::reference(name))).collect::<Vec<_>>())
}

/// The same, each image under the reference that is given.
pub(crate) fn by_key_as(components: &[(&str, String)]) -> Vec<String> {
    let components: Vec<Value> =
        components.iter().map(|(name, image)| serde_json::json!({ "name": name, "containerImage": image })).collect();
    let images = serde_json::json!({ "components": components }).to_string();
    let key = support::testdata("trust/local-sigstore/demo.pub").display().to_string();
    ["--images", &images, "--public-key", &key, "--ignore-rekor"].map(str::to_owned).to_vec()
}

pub(crate) fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// An archive with a signed image `large` of one layer.
pub(crate) struct Large {
    pub(crate) archive: PathBuf,
    pub(crate) layer: Vec<u8>,
    pub(crate) digest: Digest,
    /// Flags by which it passes.
    pub(crate) flags: Vec<String>,
}

impl Large {
    /// Signs with a key of its own, in a registry, because no image of that size lies
    /// in the tree.
    pub(crate) fn new(dir: &Path, size: usize) -> Self {
        let mut state = 1_u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        });
        let layer: Vec<u8> = noise.take(size).collect();
        let layout = dir.join("layout");
        let image = support::image_layout(&layout, &layer);
        let registry = Distribution::start();
        let name = format!("{}/org/large", registry.address());
        let (tagged, pinned) = (format!("{name}:v1"), format!("{name}@{image}"));
        let source = format!("{}:v1", layout.display());
        tool(dir, "oras", &["cp", "--no-tty", "--to-plain-http", "--from-oci-layout", &source, &tagged]);
        tool(dir, "cosign", &["generate-key-pair"]);
        // No log and no time stamp: a key alone.
        fs::write(dir.join("signing.json"), r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"}"#).unwrap();
        let builder = serde_json::json!({
            "buildDefinition": { "buildType": "https://example.com/build", "externalParameters": {} },
            "runDetails": { "builder": { "id": "https://example.com/builder" } },
        });
        fs::write(dir.join("predicate.json"), builder.to_string()).unwrap();
        let with = ["--yes", "--allow-http-registry", "--key", "cosign.key", "--signing-config", "signing.json"];
        tool(dir, "cosign", &[&["sign"][..], &with, &[&pinned]].concat());
        let about = ["--type", "slsaprovenance1", "--predicate", "predicate.json"];
        tool(dir, "cosign", &[&["attest"][..], &with, &about, &[&pinned]].concat());
        let archive = dir.join("large.carnet.tar");
        let mut command = Command::new(support::carnet());
        command.args(["export", "--proofs=skip", "--no-cache", "--no-preflight", "--quiet", &tagged, "-o"]);
        support::success(&command.arg(&archive).output().unwrap());
        let key = dir.join("cosign.pub").display().to_string();
        let flags = ["--image", &tagged, "--public-key", &key, "--ignore-rekor"].map(str::to_owned).to_vec();
        Self { archive, digest: Digest::of(&layer), layer, flags }
    }

    pub(crate) fn serve(&self) -> Served {
        Served::start(&[&self.archive], &words(&self.flags))
    }
}

/// Runs a tool that `.ci/setup` installed, in `dir`.
fn tool(dir: &Path, name: &str, arguments: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/bin").join(name);
    let mut command = Command::new(path.canonicalize().unwrap());
    command.args(arguments).current_dir(dir).env_clear().env("HOME", dir).env("COSIGN_PASSWORD", "").stdin(Stdio::null());
    support::success(&command.output().unwrap());
}
