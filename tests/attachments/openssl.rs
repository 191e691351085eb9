//! A timestamp authority of `openssl ts`, made at test time.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// What stands in the configuration of the tool; `%…%` is filled in.
const CONFIG: &str = "\
[ tsa ]
serial = %dir%/serial
default_policy = 1.2.3.4.1
digests = sha1, sha256, sha384, sha512
accuracy = secs:1
signer_digest = %digest%
ess_cert_id_alg = %id%
[ ca ]
database = %dir%/index.txt
new_certs_dir = %dir%
serial = %dir%/ca-serial
default_md = sha256
policy = any
[ any ]
commonName = supplied
[ root ]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[ signer ]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
";

pub(crate) struct Tsa {
    dir: PathBuf,
}

/// What differs from one authority to the next.
#[derive(Clone, Copy)]
pub(crate) struct Made<'a> {
    /// `-newkey`, and what belongs to it.
    pub(crate) key: &'a [&'a str],
    /// The hash that the authority signs by.
    pub(crate) digest: &'a str,
    /// The hash by which it names its certificate.
    pub(crate) id: &'a str,
    /// `-startdate` and `-enddate` of the certificate that signs.
    pub(crate) valid: [&'a str; 2],
}

pub(crate) const P256: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

impl Default for Made<'_> {
    fn default() -> Self {
        Self { key: P256, digest: "sha256", id: "sha256", valid: ["20200101000000Z", "20490101000000Z"] }
    }
}

impl Tsa {
    /// Two certificates: a root, and one that signs.
    pub(crate) fn new(dir: &Path, name: &str, made: Made<'_>) -> Self {
        fs::create_dir_all(dir).unwrap();
        let tsa = Self { dir: dir.to_owned() };
        let config =
            CONFIG.replace("%dir%", &dir.display().to_string()).replace("%digest%", made.digest).replace("%id%", made.id);
        for (file, content) in [("config", config.as_str()), ("serial", "01"), ("ca-serial", "10"), ("index.txt", "")] {
            fs::write(dir.join(file), content).unwrap();
        }
        let (root, signer) = (format!("/CN={name} root"), format!("/CN={name}"));
        let key = [&["-newkey"], made.key, &["-nodes", "-config", "config"]].concat();
        let root =
            ["req", "-x509", "-keyout", "root.key", "-out", "root.crt", "-days", "9000", "-extensions", "root", "-subj", &root];
        let request = ["req", "-new", "-keyout", "signer.key", "-out", "signer.csr", "-subj", &signer];
        let config_of_requests = "\n[ req ]\ndistinguished_name = any_name\n[ any_name ]\n";
        fs::write(dir.join("config"), config.clone() + config_of_requests).unwrap();
        tsa.run(&[&root[..], &key].concat());
        tsa.run(&[&request[..], &key].concat());
        let [from, to] = made.valid;
        let issue = ["ca", "-batch", "-notext", "-config", "config", "-name", "ca", "-extensions", "signer", "-in", "signer.csr"];
        let by = ["-cert", "root.crt", "-keyfile", "root.key", "-out", "signer.crt", "-startdate", from, "-enddate", to];
        tsa.run(&[&issue[..], &by].concat());
        tsa
    }

    /// Asks for a timestamp over `message`, as docs/attachments.md does, and answers it.
    pub(crate) fn stamp(&self, message: &[u8], digest: &str, query: &[&str]) -> Vec<u8> {
        fs::write(self.dir.join("message"), message).unwrap();
        let ask = ["ts", "-query", "-data", "message", digest, "-out", "query.tsq"];
        self.run(&[&ask[..], query].concat());
        let answer = ["ts", "-reply", "-config", "config", "-section", "tsa", "-queryfile", "query.tsq", "-out", "reply.tsr"];
        let by = ["-signer", "signer.crt", "-inkey", "signer.key"];
        self.run(&[&answer[..], &by].concat());
        fs::read(self.dir.join("reply.tsr")).unwrap()
    }

    /// Whether the tool itself takes the timestamp for one over `message`.
    pub(crate) fn verifies(&self, reply: &[u8], message: &[u8]) -> bool {
        fs::write(self.dir.join("judged"), message).unwrap();
        fs::write(self.dir.join("judged.tsr"), reply).unwrap();
        let words = ["ts", "-verify", "-data", "judged", "-in", "judged.tsr", "-CAfile", "root.crt", "-untrusted", "signer.crt"];
        self.tool(&words).status.success()
    }

    /// The time in it, as the tool prints it.
    pub(crate) fn time(&self, reply: &[u8]) -> Timestamp {
        fs::write(self.dir.join("shown.tsr"), reply).unwrap();
        let shown = self.run(&["ts", "-reply", "-in", "shown.tsr", "-text"]);
        let text = String::from_utf8(shown.stdout).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Time stamp: ")).unwrap_or_else(|| panic!("{text}"));
        let time = DateTime::strptime("%b %e %H:%M:%S %Y GMT", line).unwrap();
        time.to_zoned(TimeZone::UTC).unwrap().timestamp()
    }

    /// A file of its certificates: `root` alone, or the one that signs first.
    pub(crate) fn chain(&self, with_signer: bool) -> String {
        let path = self.dir.join(if with_signer { "chain.pem" } else { "root.crt" });
        if with_signer {
            let certificates = ["signer.crt", "root.crt"].map(|file| fs::read_to_string(self.dir.join(file)).unwrap());
            fs::write(&path, certificates.concat()).unwrap();
        }
        path.display().to_string()
    }

    fn run(&self, words: &[&str]) -> Output {
        let output = self.tool(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn tool(&self, words: &[&str]) -> Output {
        let output = Command::new("openssl").args(words).current_dir(&self.dir).output();
        output.expect("openssl is missing; `.ci/setup` installs what the tests need")
    }
}
