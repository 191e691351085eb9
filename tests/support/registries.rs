//! Real registry programs on loopback, for tests that must not rest on our own
//! idea of a registry.
//!
//! `.ci/setup` installs the two programs into `target/tools/bin`. Each value here
//! is one running process with an empty store in memory and a port of its own,
//! ready when `start` returns and ended when the value is dropped:
//!
//! - [`Distribution`], the reference implementation: no referrers API, so clients
//!   fall back to tags;
//! - [`Ferro`]: has the referrers API (in one page).
//!
//! A suite takes this file in with
//! `#[path = "support/registries.rs"] mod registries;`.

#![allow(dead_code, reason = "each suite starts the registries it needs")]

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a registry may take until it listens; far more than it ever needs.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The reference registry, `registry serve`, of the Go module `distribution`.
pub(crate) struct Distribution(Server);

impl Distribution {
    /// Starts a registry that chooses its own free port.
    pub(crate) fn start() -> Self {
        // The configuration is read from standard input: nothing to clean up.
        let mut command = tool("registry");
        command.args(["serve", "/dev/stdin"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let config = r#"
version: 0.1
log: {level: info, formatter: json}
storage: {inmemory: {}, delete: {enabled: true}}
http: {addr: "127.0.0.1:0", secret: "of tests"}
"#;
        child.stdin.take().unwrap().write_all(config.as_bytes()).unwrap();
        let log = child.stderr.take().unwrap();
        let address = |line: &str| {
            let after = line.split_once("listening on ")?.1;
            Some(after.split('"').next()?.to_owned())
        };
        match Server::ready(child, log, address) {
            Ok(server) => Self(server),
            Err(log) => panic!("the registry of distribution did not start:\n{log}"),
        }
    }

    /// Returns `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.0.address
    }
}

/// The registry with the referrers API, `ferro-oci-server`.
///
/// Its options are environment variables: `FERRO_OCI_LISTEN` (address and port),
/// `FERRO_OCI_STORAGE_DIR` (in memory when unset) and `RUST_LOG`.
pub(crate) struct Ferro(Server);

impl Ferro {
    /// Starts a registry on a free port.
    pub(crate) fn start() -> Self {
        // It does not tell a port it chose itself, so one is chosen here. In the
        // moment between, another process may take it; then the next is tried.
        let mut log = String::new();
        for _ in 0..10 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let wanted = free.local_addr().unwrap().to_string();
            drop(free);
            let mut command = tool("ferro-oci-server");
            command.env("FERRO_OCI_LISTEN", &wanted).env("RUST_LOG", "info").env("NO_COLOR", "1");
            let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
            let out = child.stdout.take().unwrap();
            match Server::ready(child, out, |line| line.contains(": listening").then(|| wanted.clone())) {
                Ok(server) => return Self(server),
                Err(written) => log = written,
            }
        }
        panic!("ferro-oci-server did not start:\n{log}");
    }

    /// Returns `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.0.address
    }
}

/// A running process that listens.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Waits until a line of the log says that the process listens, which it
    /// writes after `bind(2)`; returns the log if that line never comes.
    fn ready(child: Child, log: impl Read + Send + 'static, address: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let mut server = Self { child, address: String::new() };
        let (sender, lines) = mpsc::channel();
        // Reads on when nobody listens any more, or the pipe would fill and the
        // registry would stand still.
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let deadline = Instant::now() + READY_WITHIN;
        let mut written = String::new();
        while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if let Some(found) = address(&line) {
                server.address = found;
                return Ok(server);
            }
            written.push_str(&line);
            written.push('\n');
        }
        Err(written)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the command of an installed tool, with an empty environment.
fn tool(name: &str) -> Command {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/bin")).join(name);
    assert!(path.is_file(), "{} is missing; `.ci/setup` installs what the tests need", path.display());
    let mut command = Command::new(path);
    command.env_clear();
    command
}
