//! The test assets of sigstore-conformance, each by the bytes of its artifact and
//! by its digest alone, and for each negative the reason.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    reason = "a test reads its data, and says so when it is not there"
)]

#[path = "evidence/layout.rs"]
mod layout;

use std::collections::BTreeMap;

use carnet_bundle::Digest;
use carnet_evidence::{PublicKey, Rules, Signer, Subject, TrustRoot, TrustSource, Verifier, from_loose_file};
use layout::{NOW, identity, read, testdata};
use libtest_mimic::{Arguments, Failed, Trial};

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";
/// Cases upstream has; a case that vanishes must be noticed.
const CASES: usize = 70;

fn main() {
    let arguments = Arguments::from_args();
    let reasons = reasons();
    let mut trials = Vec::new();
    let mut cases = 0;
    for folder in ["bundle-verify", "repaired"] {
        for name in folders(&format!("sigstore-conformance/{folder}")) {
            cases += usize::from(folder == "bundle-verify");
            for by in ["bytes", "digest"] {
                let case = Case { path: format!("sigstore-conformance/{folder}/{name}"), by };
                let want = reasons.get(&format!("{folder}/{name}")).cloned();
                trials.push(Trial::test(format!("{folder}/{name} by {by}"), move || case.check(want.as_deref())));
            }
        }
    }
    trials.push(Trial::test("all upstream cases are here", move || {
        if cases == CASES { Ok(()) } else { Err(format!("{cases} cases, want {CASES}").into()) }
    }));
    trials.push(Trial::test("a root certificate in a bundle is left out with a note", root_certificate_is_dropped));
    libtest_mimic::run(&arguments, trials).exit();
}

struct Case {
    path: String,
    by: &'static str,
}

impl Case {
    /// `want` is the code of a negative, `None` for a positive.
    fn check(&self, want: Option<&str>) -> Result<(), Failed> {
        match (self.verify(), want) {
            (Ok(()), None) => Ok(()),
            (Err(codes), Some(want)) if codes.first().is_some_and(|code| code == want) => Ok(()),
            (got, want) => Err(format!("got {got:?}, want {want:?}").into()),
        }
    }

    /// The codes of the findings, the decisive one first.
    fn verify(&self) -> Result<(), Vec<String>> {
        let one = |code: &str| vec![code.to_owned()];
        let root = match self.optional("trusted_root.json") {
            Some(bytes) => TrustRoot::parse(&bytes, TrustSource::File("trusted_root.json".to_owned())),
            None => TrustRoot::public_good(),
        };
        let root = root.map_err(|e| one(&format!("trust root: {e}")))?;
        let signer = match self.optional("key.pub") {
            Some(pem) => Signer::Key(PublicKey::from_pem(&pem).map_err(|e| one(&format!("key: {e}")))?),
            None => identity(&self.text("identity", IDENTITY), &self.text("issuer", ISSUER)),
        };
        let verifier = Verifier::new(root, Rules::new(signer), NOW.parse().unwrap()).unwrap();
        let bundle = read(&format!("{}/bundle.sigstore.json", self.path));
        let artifact = self.optional("artifact").unwrap_or_else(|| read("sigstore-conformance/a.txt"));
        let digest = Digest::of(&artifact);
        let evidence = from_loose_file(&digest, &bundle).map_err(|_| one("not evidence"))?;
        let subject = if self.by == "bytes" { Subject::of_bytes(&artifact) } else { Subject::from(&digest) };
        let outcome = verifier.verify(&evidence, subject);
        outcome.map(|_| ()).map_err(|findings| findings.iter().map(|finding| finding.code.to_owned()).collect())
    }

    fn optional(&self, file: &str) -> Option<Vec<u8>> {
        std::fs::read(testdata().join(&self.path).join(file)).ok()
    }

    fn text(&self, file: &str, default: &str) -> String {
        let text = self.optional(file).map(|bytes| String::from_utf8(bytes).unwrap().trim().to_owned());
        text.unwrap_or_else(|| default.to_owned())
    }
}

/// `bundle-with-root-cert` fails upstream's clients for its chain. Real bundles of
/// 2023 carry the root too; it is no anchor and no reason to lose them.
fn root_certificate_is_dropped() -> Result<(), Failed> {
    // Upstream's own vector is signed by a P-384 key over SHA-256, and refused for that.
    let bundle = read("sigstore-conformance/repaired/bundle-with-root-cert/bundle.sigstore.json");
    let artifact = read("sigstore-conformance/a.txt");
    let rules = Rules::new(identity(IDENTITY, ISSUER));
    let verifier = Verifier::new(TrustRoot::public_good().unwrap(), rules, NOW.parse().unwrap()).unwrap();
    let evidence = from_loose_file(&Digest::of(&artifact), &bundle).unwrap();
    let claim = verifier.verify(&evidence, Subject::of_bytes(&artifact)).map_err(|findings| format!("{findings:?}"))?;
    let notes: Vec<_> = claim.notes.iter().map(|note| note.code).collect();
    if notes == ["root-certificate-dropped"] { Ok(()) } else { Err(format!("{notes:?}").into()) }
}

fn folders(path: &str) -> Vec<String> {
    let entries = std::fs::read_dir(testdata().join(path)).unwrap().map(Result::unwrap);
    let mut names: Vec<_> =
        entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The reason of every negative case.
fn reasons() -> BTreeMap<String, String> {
    let table = String::from_utf8(read("sigstore-conformance/expect.tsv")).unwrap();
    let rows = table.lines().skip(1).map(|line| line.split_once('\t').unwrap());
    rows.map(|(case, code)| (case.to_owned(), code.to_owned())).collect()
}
