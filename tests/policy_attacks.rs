//! An archive in the hands of somebody else, judged by the real program: rules and
//! answers that were changed are refused with a code each, or the verdict says
//! whose word it takes.
//!
//! The archive is taken apart, changed and put together again by the code that
//! exporters use, so that it is whole: its id is another one, and nothing else is
//! wrong with it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use carnet_bundle::{
    Archive, Assembly, Bundle, Content, Descriptor, Digest, Document, Limits, Lookup, Lookups, Plan, Reference,
    lookups::{Ask, LookupResult, write_referrers},
    media, open,
};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

#[path = "support/golden_layouts.rs"]
mod golden_layouts;

use golden_layouts::{layouts, testdata, verifier};

const IMAGE: &str = "registry.localhost:5055/golden/app:v1";
const WEB: &str = "registry.localhost:5055/golden/web@sha256:01f6230b391c631e87b47598feaf487c174c7c5c3f790e8d609dc1128e4b760d";
const PACKAGES: &str =
    "registry.localhost:5055/golden/blobs@sha256:e77bf1d52b6224a5c769a9509d619774a47fd40a509f64c9525cb7aa29339ada";

/// A change to what an honest exporter wrote.
type Change = fn(&mut Parts);

struct Attack {
    name: &'static str,
    change: Change,
    /// How policy.yaml names its sources.
    sources: Sources,
    exit: i32,
    /// What is said: a finding's code, or the words of an error.
    says: &'static [&'static str],
    /// Codes of the assumptions that it makes, with their subjects.
    assumes: &'static [(&'static str, &'static str)],
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Sources {
    /// A directory of the operator.
    Local,
    /// A branch, without anything that binds it.
    Moving,
    /// A branch, with the lock of the honest export.
    Locked,
    /// A commit.
    Pinned,
}

const HONEST: &[(&str, &str)] = &[
    ("list-complete", WEB),
    ("lookup-not-found", "registry.localhost:5055/golden/app:withdrawn"),
    ("tag-resolution", "registry.localhost:5055/golden/base:9.4"),
];

const ATTACKS: &[Attack] = &[
    Attack { name: "nothing is changed", change: |_| {}, sources: Sources::Local, exit: 0, says: &[], assumes: HONEST },
    Attack { name: "nothing is changed, pinned", change: |_| {}, sources: Sources::Pinned, exit: 0, says: &[], assumes: HONEST },
    Attack {
        name: "forged rules under an unpinned URL",
        change: forge_rules,
        sources: Sources::Moving,
        exit: 2,
        says: &["policy-source-not-anchored", "git::file://", "//policy?ref="],
        assumes: &[],
    },
    Attack {
        name: "forged rules, and the operator has the lock",
        change: forge_rules,
        sources: Sources::Locked,
        exit: 1,
        says: &["policy-lock-mismatch"],
        assumes: &[],
    },
    Attack {
        name: "a git tree with one changed file",
        change: change_one_file,
        sources: Sources::Pinned,
        exit: 1,
        says: &["policy-source-object-replaced"],
        assumes: &[],
    },
    Attack {
        name: "a git tree with one file less",
        change: |parts| parts.objects(|bytes| bytes.truncate(bytes.len() - 40)),
        sources: Sources::Pinned,
        exit: 1,
        says: &["policy-source-"],
        assumes: &[],
    },
    Attack {
        name: "an answer by digest is edited",
        change: |parts| {
            let digest = Digest::of(b"other packages");
            parts.lookup(Ask::Blob, PACKAGES, |lookup| lookup.digest = Some(digest));
        },
        sources: Sources::Local,
        exit: 1,
        says: &["lookup-tampered", "digest mismatch"],
        assumes: &[],
    },
    Attack {
        name: "the bytes of an answer are left out",
        change: |parts| {
            let wanted: Reference = PACKAGES.parse().unwrap();
            parts.assembly.policy_layers.retain(|layer| Some(&Digest::of(&layer.bytes)) != wanted.digest());
        },
        sources: Sources::Local,
        exit: 1,
        says: &["lookup-tampered", "is not carried"],
        assumes: &[],
    },
    Attack {
        name: "an answer is missing",
        change: |parts| parts.forget(Ask::Resolve, "registry.localhost:5055/golden/app:withdrawn"),
        sources: Sources::Local,
        exit: 2,
        says: &["lookup-not-recorded", "registry.localhost:5055/golden/app:withdrawn"],
        assumes: &[],
    },
    Attack {
        name: "all answers are missing",
        change: |parts| parts.assembly.documents.retain(|document| document.media_type != media::LOOKUPS),
        sources: Sources::Local,
        exit: 2,
        says: &["lookup-not-recorded"],
        assumes: &[],
    },
    Attack {
        name: "an answer is turned into a failure to look",
        change: |parts| {
            parts.lookup(Ask::Resolve, "registry.localhost:5055/golden/app:withdrawn", |lookup| {
                (lookup.result, lookup.status) = (LookupResult::CouldNotLook, Some(503));
            });
        },
        sources: Sources::Local,
        exit: 2,
        says: &["lookup-out-of-reach"],
        assumes: &[],
    },
    Attack {
        name: "a tag is edited: it stands for another carried image",
        change: |parts| {
            let image = parts.assembly.subjects[0].clone();
            parts.lookup(Ask::Resolve, "registry.localhost:5055/golden/base:9.4", |lookup| {
                lookup.digest = Some(image.digest);
                lookup.size = Some(image.size);
                lookup.media_type = Some(image.media_type.clone());
            });
        },
        sources: Sources::Local,
        exit: 1,
        says: &["asks.tag"],
        assumes: HONEST,
    },
    Attack {
        name: "a 404 is edited: what is there is said not to be",
        change: |parts| {
            parts.lookup(Ask::Resolve, "registry.localhost:5055/golden/base:9.4", |lookup| *lookup = nothing(lookup));
        },
        sources: Sources::Local,
        exit: 0,
        says: &[],
        assumes: &[
            ("list-complete", WEB),
            ("lookup-not-found", "registry.localhost:5055/golden/app:withdrawn"),
            ("lookup-not-found", "registry.localhost:5055/golden/base:9.4"),
        ],
    },
    Attack {
        name: "a list is edited: two entries less",
        change: |parts| {
            let kept = Descriptor::of(media::OCI_MANIFEST, b"kept");
            let list = write_referrers([&kept]).unwrap();
            let layer = Document { media_type: media::OPAQUE.to_owned(), title: "list".to_owned(), bytes: list.clone() };
            parts.assembly.policy_layers.push(layer);
            parts.lookup(Ask::Referrers, WEB, |lookup| {
                (lookup.digest, lookup.size) = (Some(Digest::of(&list)), Some(u64::try_from(list.len()).unwrap()));
            });
        },
        sources: Sources::Local,
        exit: 1,
        says: &["asks.referrers", "1 referrers"],
        assumes: HONEST,
    },
];

fn main() {
    verifier();
    let mut trials: Vec<Trial> = ATTACKS.iter().map(|attack| Trial::test(attack.name, move || attack.judge())).collect();
    trials.push(Trial::test("the id of the honest bundle vouches for it, and for no other", vouched));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

impl Attack {
    fn judge(&self) -> Result<(), Failed> {
        let place = Place::new(self.sources);
        place.change(self.change);
        let ended = place.verify(&[]);
        let said = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        expect(ended.status.code() == Some(self.exit), || format!("want {}: {said}", self.exit))?;
        for text in self.says {
            expect(said.contains(text), || format!("nothing says {text:?}: {said}"))?;
        }
        if self.assumes.is_empty() {
            return Ok(());
        }
        let report: Value = serde_json::from_slice(&ended.stdout)?;
        let assumptions = report["carnet"]["assumptions"].as_array().ok_or("no assumptions")?;
        for (code, subject) in self.assumes {
            let found = assumptions.iter().find(|assumed| assumed["code"] == *code && assumed["subject"] == *subject);
            let used_by = found.and_then(|assumed| assumed["usedBy"].as_array());
            let by_a_rule =
                |users: &Vec<Value>| users.iter().any(|user| user.as_str().is_some_and(|user| user.contains("rule asks.")));
            expect(used_by.is_some_and(by_a_rule), || format!("no {code} about {subject}: {assumptions:#?}"))?;
        }
        let strict = place.verify(&["--no-assumptions"]);
        let said = String::from_utf8_lossy(&strict.stdout);
        expect(strict.status.code() == Some(1), || format!("--no-assumptions: want 1: {said}"))?;
        expect(said.contains("assumption-not-vouched"), || format!("nothing says why: {said}"))
    }
}

fn vouched() -> Result<(), Failed> {
    let place = Place::new(Sources::Moving);
    let id = fs::read_to_string(place.folder.join("id")).unwrap();
    let flags = ["--bundle-id", id.trim(), "--no-assumptions"];
    let ended = place.verify(&flags);
    expect(ended.status.code() == Some(0), || format!("{ended:#?}"))?;
    place.change(|parts| {
        parts.lookup(Ask::Resolve, "registry.localhost:5055/golden/base:9.4", |lookup| *lookup = nothing(lookup))
    });
    // The other bundle has no say in which rules apply either.
    for more in [&[][..], &["--accept-bundled-sources"]] {
        let ended = place.verify(&[&flags[..], more].concat());
        let said = String::from_utf8_lossy(&ended.stdout);
        expect(ended.status.code() == Some(1), || format!("{ended:#?}"))?;
        expect(said.contains("bundle-id-mismatch"), || said.clone().into_owned())?;
    }
    Ok(())
}

/// The same question, answered by "there is none".
fn nothing(lookup: &Lookup) -> Lookup {
    Lookup { digest: None, size: None, media_type: None, result: LookupResult::None, status: Some(404), ..lookup.clone() }
}

/// An allow-all package in the place of the rules: a repository of the attacker.
fn forge_rules(parts: &mut Parts) {
    parts.objects(|bytes| {
        let forged =
            b"package asks\n\nimport rego.v1\n\n# METADATA\n# custom:\n#   short_name: tag\ndeny contains \"x\" if false\n";
        *bytes = [format!("blob {}\0", forged.len()).as_bytes(), forged].concat();
    });
}

/// One letter of one rule.
fn change_one_file(parts: &mut Parts) {
    parts.objects(|bytes| {
        let word = b"not endswith(base";
        let at = bytes.windows(word.len()).position(|window| window == word).unwrap();
        bytes[at..at + 3].copy_from_slice(b"1==");
    });
}

/// A bundle taken apart.
struct Parts {
    assembly: Assembly,
}

impl Parts {
    fn of(bundle: &Bundle, members: &BTreeMap<Digest, Vec<u8>>) -> Self {
        let inventory = bundle.inventory().clone();
        let document = |carried: carnet_bundle::CarriedDocument<'_>| Document {
            media_type: carried.media_type.to_owned(),
            title: carried.title.to_owned(),
            bytes: carried.bytes.to_vec(),
        };
        let listed = inventory.evidence.iter().filter_map(|entry| {
            let manifest = bundle.manifest(&entry.digest)?;
            Some((entry.digest, Descriptor::of(&manifest.media_type, bundle.blob(&entry.digest)?)))
        });
        let listed: BTreeMap<Digest, Descriptor> = listed.collect();
        Self {
            assembly: Assembly {
                evidence_manifests: listed.into_values().collect(),
                documents: bundle.documents().filter(|document| document.media_type != media::INVENTORY).map(document).collect(),
                policy_layers: bundle.policy_documents().map(document).collect(),
                blobs: members.iter().filter(|(digest, _)| bundle.blob(digest).is_some()).map(|(d, b)| (*d, b.clone())).collect(),
                subjects: inventory.subjects,
                evidence: inventory.evidence,
                proofs: inventory.proofs,
                receipts: inventory.looked_for,
                absent: inventory.absent,
            },
        }
    }

    fn lookups(&mut self, change: impl FnOnce(&Lookups) -> Lookups) {
        let document = self.assembly.documents.iter_mut().find(|document| document.media_type == media::LOOKUPS).unwrap();
        document.bytes = change(&Lookups::read(&document.bytes).unwrap()).write().unwrap();
    }

    fn lookup(&mut self, ask: Ask, reference: &str, change: impl FnOnce(&mut Lookup)) {
        self.lookups(|lookups| {
            let mut changed = lookups.get(ask, &reference.parse().unwrap()).unwrap().clone();
            change(&mut changed);
            let mut all = Lookups::default();
            all.insert(changed);
            lookups.iter().cloned().for_each(|lookup| all.insert(lookup));
            all
        });
    }

    fn forget(&mut self, ask: Ask, reference: &str) {
        self.lookups(|lookups| {
            let mut kept = Lookups::default();
            let others = lookups.iter().filter(|lookup| lookup.ask != ask || lookup.reference != reference);
            others.cloned().for_each(|lookup| kept.insert(lookup));
            kept
        });
    }

    /// Changes the objects of the git source; the lock of the archive follows.
    fn objects(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        let layer = self.assembly.policy_layers.iter_mut().find(|layer| layer.media_type == media::GIT_OBJECTS).unwrap();
        let before = Digest::of(&layer.bytes).to_string();
        change(&mut layer.bytes);
        let after = Digest::of(&layer.bytes).to_string();
        let lock = self.assembly.documents.iter_mut().find(|document| document.media_type == media::POLICY_LOCK).unwrap();
        lock.bytes = String::from_utf8(lock.bytes.clone()).unwrap().replace(&before, &after).into_bytes();
    }
}

/// A folder with the archive, and what the operator holds.
struct Place {
    _place: tempfile::TempDir,
    folder: PathBuf,
    sources: Sources,
}

impl Place {
    fn new(sources: Sources) -> Self {
        let place = tempfile::tempdir().unwrap();
        let place = Self { folder: place.path().canonicalize().unwrap(), _place: place, sources };
        let repository = place.folder.join("rules");
        fs::create_dir_all(repository.join("policy")).unwrap();
        fs::copy(testdata("policy-scenarios/rules/asks/asks.rego"), repository.join("policy/asks.rego")).unwrap();
        place.git(&["init", "--quiet"]);
        place.git(&["add", "--all"]);
        place.git(&["commit", "--quiet", "--message", "rules"]);
        let commit = String::from_utf8(place.git(&["rev-parse", "HEAD"]).stdout).unwrap();
        let git = |reference: &str| format!("git::file://{}//policy?ref={reference}", repository.display());
        let source = match sources {
            Sources::Local => "./rules/policy".to_owned(),
            Sources::Moving | Sources::Locked => git("main"),
            Sources::Pinned => git(commit.trim()),
        };
        let key = testdata("goldens/keys/release.pub").display().to_string();
        fs::write(place.folder.join("policy.yaml"), format!("publicKey: {key}\nsources:\n- policy:\n  - {source}\n")).unwrap();
        let mut export = Command::new(env!("CARGO_BIN_EXE_carnet"));
        export.current_dir(&place.folder).args(["export", IMAGE, "--policy", "policy.yaml", "--lock", "lock.json"]);
        export.args(["--id-file", "id", "-o", "app.tar", "--quiet", "--no-preflight", "--no-cache"]).args(layouts());
        let exported = export.output().unwrap();
        assert!(exported.status.success(), "{exported:#?}");
        place
    }

    fn git(&self, words: &[&str]) -> Output {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"];
        let ended = Command::new("git").args(identity).args(words).current_dir(self.folder.join("rules")).output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
        ended
    }

    /// Takes the archive apart, changes it, and puts it together.
    fn change(&self, change: impl FnOnce(&mut Parts)) {
        let path = self.folder.join("app.tar");
        let members = members(&fs::read(&path).unwrap());
        let mut parts = Parts::of(&bundle(&path), &members);
        change(&mut parts);
        fs::write(&path, put_together(parts.assembly, &members)).unwrap();
    }

    fn verify(&self, flags: &[&str]) -> Output {
        let mut command = Command::new(verifier());
        command.current_dir(&self.folder).args(["app.tar", "--image", IMAGE, "--policy", "policy.yaml"]);
        command.args(["--ignore-rekor", "--output", "json", "--info"]).args(flags);
        if self.sources == Sources::Locked {
            command.args(["--policy-lock", "lock.json"]);
        }
        command.output().unwrap()
    }
}

fn bundle(path: &Path) -> Bundle {
    let limits = Limits::default();
    let opened = open(&mut Archive::new(fs::File::open(path).unwrap(), &limits).unwrap(), &limits).unwrap();
    assert_eq!(opened.findings, []);
    opened.bundle.unwrap()
}

/// The blobs of an archive.
fn members(archive: &[u8]) -> BTreeMap<Digest, Vec<u8>> {
    let mut members = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry.unwrap(), &mut bytes).unwrap();
        members.insert(Digest::of(&bytes), bytes);
    }
    members
}

fn put_together(assembly: Assembly, members: &BTreeMap<Digest, Vec<u8>>) -> Vec<u8> {
    let mut archive = Vec::new();
    for member in Plan::new(assembly).unwrap().members() {
        archive.extend_from_slice(&member.header());
        match &member.content {
            Content::Bytes(bytes) => archive.extend_from_slice(bytes),
            Content::Stream(_) => archive.extend_from_slice(&members[&member.digest]),
        }
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

fn expect(holds: bool, why: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(why().into()) }
}
