//! Mutants of good evidence: none may be accepted, except where the changed text
//! is nobody's word.
//!
//! A short run is part of the suite. `CARNET_MUTANTS=200000 cargo test -p
//! carnet-evidence --release --test evidence_mutants` makes a long one, and
//! `CARNET_SEED` another one.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    reason = "a test reads its data, and says so when it is not there"
)]

#[path = "evidence/layout.rs"]
mod layout;
#[path = "evidence/mutant.rs"]
mod mutant;
#[path = "fuzz/random.rs"]
mod random;

use std::collections::BTreeMap;

use carnet_bundle::{Digest, Manifest, manifest::Body, media};
use carnet_evidence::{
    Claim, Identity, Rules, Signer, Subject, TrustRoot, TrustSource, Verifier, claimed_subjects, from_loose_file, from_manifest,
};
use layout::{Layout, NOW, identity, key, read, trust_root, verifier};
use mutant::{Document, mutate};
use random::Random;
use serde_json::Value;

const MAIN: &str = "https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/main";
const BEACON: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const GITHUB: &str = "https://token.actions.githubusercontent.com";
const SLSA: &str =
    "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml@refs/tags/";

/// Good evidence, and who verifies it.
struct Item {
    name: String,
    document: Document,
    artifact: Vec<u8>,
    subject: Digest,
    verifier: Verifier,
}

/// What may change without a refusal: by the last member of the path, with the
/// reason. What the claim says must stay the same nevertheless.
const NOBODYS_WORD: &[(&str, &str)] = &[
    ("keyid", "DSSE: an unauthenticated hint"),
    ("hint", "the key comes from the operator"),
    ("messageDigest", "a hint that may be left out; the signature covers the artifact"),
    ("signedTimestamp", "bytes of the token outside its signed part, or a token that is not needed"),
    ("SignedRFC3161Timestamp", "bytes of the token outside its signed part"),
    ("dev.sigstore.cosign/rfc3161timestamp", "a token that is not needed"),
    ("rfc3161Timestamps", "a token that is not needed"),
    ("timestampVerificationData", "a token that is not needed"),
    ("dev.sigstore.cosign/chain", "certificates that came along are no anchors; the trust root has the chain"),
    ("certificates", "certificates beside the leaf are no anchors; the trust root has the chain"),
    ("predicateType", "an unsigned annotation; the statement has the type"),
    ("envelope", "signature lines of others than the log"),
    ("inclusionPromise", "time and log have another witness in this bundle"),
    ("inclusionProof", "version 0.1 may have none"),
    ("checkpoint", "version 0.1 may have none"),
    ("integratedTime", "Rekor version 2 signs no times"),
    ("mediaType", "0.2 and 0.3 in their forms say the same here"),
    ("logIndex", "without a promise nobody signs the global index of Rekor version 1"),
    ("dev.sigstore.cosign/certificate", "PEM has many layouts; the certificate is the same"),
    ("publicKey", "holds nothing but the hint"),
    ("dev.cosignproject.cosign/signature", "empty beside an envelope, which has its own"),
];

/// Of these, everything inside as well.
const LISTS: &[&str] = &["certificates", "rfc3161Timestamps", "timestampVerificationData"];

#[test]
fn no_mutant_is_accepted() {
    let number = |name: &str, default: u64| std::env::var(name).ok().map_or(default, |text| text.parse().unwrap());
    let (count, seed) = (number("CARNET_MUTANTS", 4_000), number("CARNET_SEED", 1));
    let items = items();
    assert!(items.len() >= 20, "{} items", items.len());
    let originals: Vec<_> =
        items.iter().map(|item| item.judge(&item.document).unwrap_or_else(|e| panic!("{}: {e}", item.name))).collect();
    let documents: Vec<_> = items.iter().map(|item| item.document.clone()).collect();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut survivors: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..workers)
            .map(|worker| {
                let (items, originals, documents) = (&items, &originals, &documents);
                let share = count / u64::try_from(workers).unwrap() + 1;
                scope.spawn(move || run(items, originals, documents, seed * 1_000 + u64::try_from(worker).unwrap(), share))
            })
            .collect();
        for run in runs {
            let (allowed, bad) = run.join().unwrap();
            allowed.into_iter().for_each(|(path, n)| *survivors.entry(path).or_default() += n);
            wrong.extend(bad);
        }
    });
    println!("{count} mutants of {} items; accepted where it is nobody's word: {survivors:#?}", items.len());
    assert!(wrong.is_empty(), "{} accepted:\n{}", wrong.len(), wrong.join("\n"));
}

/// What a claim says, and the times that it shows.
type Meaning = (String, Vec<String>);

type Run = (BTreeMap<String, usize>, Vec<String>);

fn run(items: &[Item], originals: &[Meaning], documents: &[Document], seed: u64, count: u64) -> Run {
    let mut random = Random::new(seed);
    let mut survivors = BTreeMap::new();
    let mut wrong = Vec::new();
    for _ in 0..count {
        let place = random.below(items.len());
        let item = &items[place];
        let Some(mutant) = mutate(&item.document, documents, &mut random) else { continue };
        let Ok(claim) = item.judge(&mutant.document) else { continue };
        let path = &mutant.path;
        let inside = |member: &str| LISTS.contains(&member) && path.contains(&format!("/{member}/"));
        let member = NOBODYS_WORD.iter().find(|(member, _)| path.ends_with(&format!("/{member}")) || inside(member));
        match member {
            Some((member, _)) if says_no_more(&claim, &originals[place]) => {
                *survivors.entry((*member).to_owned()).or_default() += 1
            }
            _ if item.verifier.rules().log_threshold == 0 && needs_no_log(&mutant, &claim, originals, &originals[place]) => {
                *survivors.entry("no log is asked for".to_owned()).or_default() += 1;
            }
            _ if item.verifier.rules().log_threshold == 0
                && says_no_more(&claim, &originals[place])
                && has_further_signatures(&mutant.document, &item.document) =>
            {
                *survivors.entry("further signatures".to_owned()).or_default() += 1;
            }
            _ if item.verifier.rules().log_threshold == 0
                && says_no_more(&claim, &originals[place])
                && is_spelled_otherwise(&mutant.document, &item.document) =>
            {
                *survivors.entry("padding of base64".to_owned()).or_default() += 1;
            }
            _ => {
                let changed = difference(&item.document, &mutant.document);
                wrong.push(format!("{} {}: {}: {changed}", item.name, mutant.what, mutant.path));
            }
        }
    }
    (survivors, wrong)
}

/// Both texts from the first byte on in which they differ.
fn difference(original: &Document, mutant: &Document) -> String {
    let text = |document: &Document| match document {
        Document::Bundle(text) => text.clone(),
        Document::Layer { blob, .. } => blob.clone(),
    };
    let (original, mutant) = (text(original), text(mutant));
    let at = original.iter().zip(&mutant).take_while(|(a, b)| a == b).count();
    let shown = |text: &[u8]| String::from_utf8_lossy(&text[at.saturating_sub(20)..text.len().min(at + 20)]).into_owned();
    format!("byte {at}: {:?} instead of {:?}", shown(&mutant), shown(&original))
}

impl Item {
    /// What the claim says, or why there is none.
    fn judge(&self, document: &Document) -> Result<Meaning, String> {
        let subject = Subject::of_bytes(&self.artifact);
        let subject = if self.artifact.is_empty() { Subject::from(&self.subject) } else { subject };
        let verify = |evidence: &carnet_evidence::Evidence<'_>| {
            let outcome = self.verifier.verify(evidence, subject);
            outcome.map(|claim| meaning(&claim)).map_err(|findings| findings[0].code.to_owned())
        };
        match document {
            Document::Bundle(text) => {
                let evidence = from_loose_file(&self.subject, text).map_err(|e| e.to_string())?;
                verify(&evidence)
            }
            Document::Layer { .. } => {
                let (manifest, blob) = document.to_manifest();
                let digest = Digest::of(&manifest);
                let parsed = Manifest::parse(&manifest, media::OCI_MANIFEST).map_err(|e| e.to_string())?;
                let (evidence, _) = from_manifest(&self.subject, &digest, &parsed, &|_| Some(&blob));
                verify(evidence.first().ok_or("nothing")?)
            }
        }
    }
}

/// A mutant may lose a witness of the time; it may not gain one.
fn says_no_more(mutant: &Meaning, original: &Meaning) -> bool {
    mutant.0 == original.0 && mutant.1.iter().all(|time| original.1.contains(time))
}

/// Where no log is asked for, an entry is nobody's word, and a whole other envelope
/// by the same key is other evidence.
fn needs_no_log(mutant: &mutant::Mutant, claim: &Meaning, originals: &[Meaning], original: &Meaning) -> bool {
    let entry = ["/tlogEntries", "/dev.sigstore.cosign/bundle"].iter().any(|member| mutant.path.contains(member));
    entry && says_no_more(claim, original) || mutant.what == "taken from other evidence" && originals.contains(claim)
}

/// More signatures behind the good one of an envelope that is stored by itself: DSSE
/// counts keys (`one-signature-stands-there-twice` of the forge). A log entry would not
/// fit any more.
fn has_further_signatures(mutant: &Document, original: &Document) -> bool {
    let parts = |document: &Document| {
        let Document::Layer { blob, .. } = document else { return None };
        let mut envelope: Value = serde_json::from_slice(blob).ok()?;
        let signatures = envelope.as_object_mut()?.remove("signatures")?.as_array()?.clone();
        Some((envelope, signatures))
    };
    match (parts(mutant), parts(original)) {
        (Some((rest, more)), Some((same, one))) => rest == same && more.len() > one.len() && more.starts_with(&one),
        _ => false,
    }
}

/// The same envelope, its base64 without the padding, which may be left out. A log
/// entry is over the bytes, and would not fit any more.
fn is_spelled_otherwise(mutant: &Document, original: &Document) -> bool {
    let padded = |document: &Document| {
        let Document::Layer { blob, .. } = document else { return None };
        let mut envelope: Value = serde_json::from_slice(blob).ok()?;
        let trim = |value: &mut Value| *value = value.as_str().unwrap_or_default().trim_end_matches('=').into();
        trim(envelope.get_mut("payload")?);
        let signatures = envelope.get_mut("signatures")?.as_array_mut()?;
        signatures.iter_mut().filter_map(|signature| signature.get_mut("sig")).for_each(trim);
        Some(envelope)
    };
    padded(original).is_some_and(|original| padded(mutant) == Some(original))
}

/// Everything in a claim that must not change.
fn meaning(claim: &Claim) -> Meaning {
    let times = claim.times.iter().map(|time| format!("{time:?}")).collect();
    let records = claim.log_records.iter().map(|record| (&record.log, &record.leaf, &record.format)).collect::<Vec<_>>();
    let text = format!(
        "{:?} {} {:?} {:?} {:?} {:?} {:?} {} {:?} {records:?}",
        claim.kind,
        claim.subject,
        claim.payload,
        claim.statement_type,
        claim.predicate_type,
        claim.docker_reference,
        claim.signed_by,
        claim.signature.sig,
        claim.signature.certificate,
    );
    (text, times)
}

fn items() -> Vec<Item> {
    let mut items = Vec::new();
    let local = trust_root("local-sigstore/trusted_root.json");
    let demo = || Rules::new(key("trust/local-sigstore/demo.pub"));
    let main = || Rules::new(identity(MAIN, "https://gitlab.local"));
    for (set, rules) in [
        ("app", main()),
        ("keyless-rekor1", main()),
        ("rekor1-tsa", main()),
        ("keyless-legacy", main()),
        ("key-bundle", demo()),
        ("key-legacy-tlog", demo()),
        ("key-legacy", demo().ignore_rekor()),
        ("key-notlog", demo().ignore_rekor()),
        ("key-p384", Rules::new(key("trust/local-sigstore/key-p384.pub"))),
        ("key-rsa", Rules::new(key("trust/local-sigstore/key-rsa.pub"))),
    ] {
        items.extend(from_layout(&format!("local-sigstore/{set}"), &local, &rules));
    }
    let public = TrustRoot::public_good().unwrap();
    for version in ["v1.4.0", "v1.10.0", "v2.1.0"] {
        let rules = Rules::new(identity(&format!("{SLSA}{version}"), GITHUB));
        items.extend(from_layout(&format!("ghgen-{version}"), &public, &rules));
    }
    let login = "https://github.com/login/oauth";
    items.extend(from_layout("busybox-keyless-email", &public, &Rules::new(identity("mitr@redhat.com", login))));
    let cluster = identity(
        "https://kubernetes.io/namespaces/default/serviceaccounts/default",
        "https://kubernetes.default.svc.cluster.local",
    );
    items.extend(from_layout("conforma-testimage", &trust_root("conforma-testimage/trusted_root.json"), &Rules::new(cluster)));
    for case in [
        "happy-path-v0.1",
        "happy-path-v0.2",
        "happy-path-v0.3",
        "happy-path-intoto-in-dsse-v3",
        "intoto-with-custom-trust-root",
        "rekor2-checkpoint-multiple-cosigs",
        "rekor2-dsse-happy-path",
        "managed-key-and-trusted-root",
    ] {
        items.push(from_conformance(case));
    }
    let github = read("evidence/bundles/github-private/github-private-attestation.sigstore.json");
    let releases = Signer::Identities(vec![Identity::exact_without_issuer("https://dotcom.releases.github.com").unwrap()]);
    items.push(Item {
        name: "github-private".to_owned(),
        artifact: Vec::new(),
        subject: claimed_subjects(&github)[0],
        document: Document::Bundle(github),
        verifier: verifier(&trust_root("github/trusted_root.json"), Rules::new(releases).timestamps_only()),
    });
    items
}

/// Every layer of every evidence manifest about the image.
fn from_layout(path: &str, root: &TrustRoot, rules: &Rules) -> Vec<Item> {
    let open = Layout::open(&format!("layouts/{path}"));
    let subject = open.image();
    let mut items = Vec::new();
    for evidence in open.evidence(&subject) {
        let manifest = open.manifest(evidence.manifest().unwrap()).unwrap();
        let Body::Image { layers, .. } = &manifest.body else { continue };
        let layer = &layers[evidence.layer().unwrap()];
        let blob = open.blob(&layer.digest).unwrap().to_vec();
        let document = if layer.media_type.starts_with(media::SIGSTORE_BUNDLE_PREFIX) {
            Document::Bundle(blob)
        } else {
            Document::Layer { media_type: layer.media_type.clone(), annotations: layer.annotations.clone(), blob }
        };
        let verifier = verifier(root, rules.clone());
        items.push(Item { name: format!("{path} {}", items.len()), document, artifact: Vec::new(), subject, verifier });
    }
    items
}

fn from_conformance(case: &str) -> Item {
    let path = format!("sigstore-conformance/bundle-verify/{case}");
    let optional = |file: &str| std::fs::read(layout::testdata().join(&path).join(file)).ok();
    let root =
        optional("trusted_root.json").map_or_else(TrustRoot::public_good, |bytes| TrustRoot::parse(&bytes, TrustSource::None));
    let text = |file: &str, default: &str| {
        optional(file).map_or(default.to_owned(), |b| String::from_utf8(b).unwrap().trim().to_owned())
    };
    let signer = match optional("key.pub") {
        Some(_) => key(&format!("{path}/key.pub")),
        None => identity(&text("identity", BEACON), &text("issuer", GITHUB)),
    };
    let artifact = optional("artifact").unwrap_or_else(|| read("sigstore-conformance/a.txt"));
    Item {
        name: case.to_owned(),
        document: Document::Bundle(read(&format!("{path}/bundle.sigstore.json"))),
        subject: Digest::of(&artifact),
        artifact,
        verifier: Verifier::new(root.unwrap(), Rules::new(signer), NOW.parse().unwrap()).unwrap(),
    }
}
