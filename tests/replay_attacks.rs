//! Recorded lookups in the hands of whoever writes the archive: what proves
//! itself cannot be changed, and what does not is said.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::sync::Arc;

use carnet_bundle::{
    Archive, Assembly, Bundle, Content, Descriptor, Digest, Document, Limits, Lookup, Lookups, LookupsError, Manifest, Opened,
    Plan, Reference,
    inventory::{EvidenceEntry, EvidenceKind, Method, Place, Subject},
    lookups::{self, Ask, LookupResult, write_referrers},
    media, open,
};
use carnet_evidence::{Identity, Rules, Signer, TrustRoot};
use carnet_policy::{
    Reading,
    rego::{Answer, LookupError, Registry, SignerOptions},
};
use carnet_verify::replay::{Answers, Carried, CarriedError, Operator, finding};

const APP: &str = "registry.example/app:v1";
const OTHER: &str = "registry.example/other:v1";

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

fn pinned(text: &str, bytes: &[u8]) -> Reference {
    reference(text).pinned(Digest::of(bytes))
}

/// An image manifest over one config; `mark` makes it another image.
fn image(mark: &str) -> (Vec<u8>, Vec<u8>) {
    let config = format!(r#"{{"architecture":"amd64","os":"linux","mark":"{mark}"}}"#).into_bytes();
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{}","size":{}}},"layers":[]}}"#,
        media::OCI_MANIFEST,
        media::OCI_CONFIG,
        Digest::of(&config),
        config.len(),
    );
    (manifest.into_bytes(), config)
}

fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor::of(media::OCI_MANIFEST, bytes)
}

/// What an honest exporter wrote: the image `APP`, and everything that was asked
/// about `OTHER`, which is not among the images.
struct Honest {
    lookups: Lookups,
    layers: Vec<Vec<u8>>,
}

const SBOM: &[u8] = br#"{"sbom":true}"#;

fn manifest_type() -> Option<String> {
    Some(media::OCI_MANIFEST.to_owned())
}

fn honest() -> Honest {
    let (other, _) = image("other");
    let list = write_referrers([&descriptor(b"referrer")]).unwrap();
    let mut lookups = Lookups::default();
    for lookup in [
        Lookup::answered(Ask::Resolve, &reference(OTHER), Some(200), manifest_type(), &other),
        Lookup::answered(Ask::Manifest, &pinned(OTHER, &other), Some(200), manifest_type(), &other),
        Lookup::answered(Ask::Blob, &pinned(OTHER, SBOM), Some(200), None, SBOM),
        Lookup::answered(Ask::Referrers, &pinned(OTHER, &other), Some(200), None, &list),
        Lookup::without(Ask::Resolve, &reference("registry.example/gone:v1"), LookupResult::None, Some(404)),
        Lookup::without(Ask::Manifest, &pinned(OTHER, b"gone"), LookupResult::None, Some(404)),
        Lookup::without(Ask::Blob, &pinned(OTHER, b"secret"), LookupResult::CouldNotLook, Some(403)),
        Lookup::without(Ask::Blob, &pinned(OTHER, b"broken"), LookupResult::CouldNotLook, Some(503)),
        Lookup::without(Ask::Referrers, &pinned(OTHER, b"gone"), LookupResult::None, Some(404)),
    ] {
        lookups.insert(lookup);
    }
    Honest { lookups, layers: vec![other, SBOM.to_vec(), list] }
}

impl Honest {
    /// Puts another answer in the place of the one to the same question.
    fn with(mut self, lookup: Lookup) -> Self {
        let mut changed = Lookups::default();
        changed.insert(lookup);
        self.lookups.iter().cloned().for_each(|lookup| changed.insert(lookup));
        self.lookups = changed;
        self
    }

    fn without(mut self, ask: Ask, reference: &Reference) -> Self {
        let mut changed = Lookups::default();
        let name = reference.to_string();
        let kept = self.lookups.iter().filter(|lookup| lookup.ask != ask || lookup.reference != name);
        kept.cloned().for_each(|lookup| changed.insert(lookup));
        self.lookups = changed;
        self
    }

    fn carrying(mut self, layers: &[&[u8]]) -> Self {
        self.layers = layers.iter().map(|layer| layer.to_vec()).collect();
        self
    }

    fn document(&self) -> Vec<u8> {
        self.lookups.write().unwrap()
    }

    fn answers(&self) -> Answers<Carried> {
        answers(bundle(&[self.document()], &self.layers)).unwrap()
    }
}

fn answers(bundle: Bundle) -> Result<Answers<Carried>, CarriedError> {
    let nobody = Identity::exact("nobody", "nowhere").unwrap();
    let operator = Operator {
        root: TrustRoot::public_good().unwrap(),
        rules: Rules::new(Signer::Identities(vec![nobody])),
        now: "2026-11-25T00:00:00Z".parse().unwrap(),
        reading: Reading::Strict,
    };
    Ok(Answers::new(Carried::new(Arc::new(bundle))?, operator))
}

fn bundle(documents: &[Vec<u8>], layers: &[Vec<u8>]) -> Bundle {
    opened(&archive(documents, layers)).bundle.unwrap()
}

/// Gate 1, which hashes everything.
fn opened(archive: &[u8]) -> Opened {
    let limits = Limits::default();
    open(&mut Archive::new(archive, &limits).unwrap(), &limits).unwrap()
}

/// The bytes of a whole archive.
fn archive(documents: &[Vec<u8>], layers: &[Vec<u8>]) -> Vec<u8> {
    written(assembly(documents, layers))
}

fn assembly(documents: &[Vec<u8>], layers: &[Vec<u8>]) -> Assembly {
    let (manifest, config) = image("app");
    let parsed = Manifest::parse(&manifest, media::OCI_MANIFEST).unwrap();
    let document = |media_type: &str, bytes: &Vec<u8>| Document {
        media_type: media_type.to_owned(),
        title: lookups::TITLE.to_owned(),
        bytes: bytes.clone(),
    };
    Assembly {
        subjects: vec![Subject::new(APP.to_owned(), &descriptor(&manifest), &parsed, |_| true)],
        documents: documents.iter().map(|bytes| document(media::LOOKUPS, bytes)).collect(),
        policy_layers: layers.iter().map(|bytes| document(media::OPAQUE, bytes)).collect(),
        blobs: [manifest, config].into_iter().map(|bytes| (Digest::of(&bytes), bytes)).collect(),
        ..Assembly::default()
    }
}

fn written(assembly: Assembly) -> Vec<u8> {
    let mut bytes = Vec::new();
    for member in Plan::new(assembly).unwrap().members() {
        let Content::Bytes(content) = &member.content else { panic!("{} would be streamed", member.name) };
        bytes.extend_from_slice(&member.header());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// Code, subject and who relied on it.
fn assumed(answers: &Answers<Carried>) -> Vec<(String, String, String)> {
    let all = answers.assumptions().into_iter();
    all.map(|assumption| (assumption.code, assumption.subject, assumption.message)).collect()
}

fn tampered<T: std::fmt::Debug>(answer: Result<T, LookupError>, reason: &str) {
    match answer {
        Err(LookupError::Tampered { reason: got, .. }) => assert!(got.contains(reason), "{got}"),
        other => panic!("want tampered: {reason}, got {other:?}"),
    }
}

fn not_recorded<T: std::fmt::Debug>(answer: Result<T, LookupError>, question: &str) {
    match answer {
        Err(error @ LookupError::NotRecorded { .. }) => assert_eq!(error.to_string(), format!("lookup not recorded: {question}")),
        other => panic!("want not recorded: {question}, got {other:?}"),
    }
}

#[test]
fn answers_are_those_that_were_recorded() {
    let answers = honest().answers();
    let (other, _) = image("other");
    let head = answers.head(&reference(OTHER)).unwrap();
    assert!(matches!(&head, Answer::Found(head) if head.digest == Digest::of(&other) && head.size > 0), "{head:?}");
    assert!(matches!(answers.manifest(&reference(OTHER)), Ok(Answer::Found(found)) if found.bytes == other));
    assert_eq!(answers.blob(&pinned(OTHER, SBOM)), Ok(Answer::Found(SBOM.to_vec())));
    assert!(matches!(answers.referrers(&pinned(OTHER, &other)), Ok(Answer::Found(list)) if list.len() == 1));
    assert_eq!(answers.head(&reference("registry.example/gone:v1")), Ok(Answer::NotFound));
    assert_eq!(answers.blob(&pinned(OTHER, b"secret")), Ok(Answer::Refused("HTTP status 403".to_owned())));
    let broken = answers.blob(&pinned(OTHER, b"broken")).unwrap_err().to_string();
    assert!(broken.ends_with("could not be looked at when the bundle was made, HTTP status 503"), "{broken}");
}

#[test]
fn what_proves_itself_is_no_assumption_and_the_rest_is() {
    let answers = honest().answers();
    let (other, _) = image("other");
    let (app, config) = image("app");
    answers.blob(&pinned(OTHER, SBOM)).unwrap();
    answers.manifest(&pinned(OTHER, &other)).unwrap();
    // The image itself needs no record.
    answers.manifest(&pinned(APP, &app)).unwrap();
    answers.blob(&pinned(APP, &config)).unwrap();
    assert_eq!(assumed(&answers), []);

    let view = Arc::new(answers);
    let registry = view.for_asker("component app");
    registry.head(&reference(OTHER)).unwrap();
    registry.head(&reference("registry.example/gone:v1")).unwrap();
    registry.head(&pinned(OTHER, b"gone")).unwrap();
    registry.blob(&pinned(OTHER, b"secret")).unwrap();
    registry.referrers(&pinned(OTHER, &other)).unwrap();
    registry.referrers(&pinned(OTHER, b"gone")).unwrap();
    // Nobody asked whether another repository holds the image.
    registry.manifest(&pinned(OTHER, &app)).unwrap();
    let codes: Vec<_> = view.assumptions().into_iter().map(|assumption| (assumption.code, assumption.used_by)).collect();
    let by_app = |code: &str| (code.to_owned(), vec!["component app".to_owned()]);
    let want = [
        "content-place",
        "list-complete",
        "list-complete",
        "lookup-not-found",
        "lookup-not-found",
        "lookup-refused",
        "tag-resolution",
    ];
    assert_eq!(codes, want.map(by_app));
}

#[test]
fn an_edited_answer_by_digest_is_tampering() {
    let (other, _) = image("other");
    let (app, _) = image("app");
    let blob = pinned(OTHER, SBOM);
    let manifest = pinned(OTHER, &other);
    // Another blob of the archive in its place.
    let swapped = honest().with(Lookup::answered(Ask::Blob, &blob, Some(200), None, &other));
    tampered(swapped.answers().blob(&blob), "digest mismatch: the recorded answer is");
    let swapped = honest().with(Lookup::answered(Ask::Manifest, &manifest, Some(200), manifest_type(), &app));
    tampered(swapped.answers().manifest(&manifest), "digest mismatch: the recorded answer is");
    tampered(swapped.answers().head(&manifest), "digest mismatch: the recorded answer is");
    // Another size or type.
    let mut wrong = Lookup::answered(Ask::Blob, &blob, Some(200), None, SBOM);
    wrong.size = Some(1);
    tampered(honest().with(wrong).answers().blob(&blob), "size mismatch");
    let index = Some(media::OCI_INDEX.to_owned());
    let wrong = honest().with(Lookup::answered(Ask::Manifest, &manifest, Some(200), index.clone(), &other));
    tampered(wrong.answers().manifest(&manifest), "media type mismatch");
    let wrong = honest().with(Lookup::answered(Ask::Resolve, &reference(OTHER), Some(200), index, &other));
    tampered(wrong.answers().head(&reference(OTHER)), "recorded as application/vnd.oci.image.index.v1+json");
}

#[test]
fn a_positive_answer_without_its_bytes_is_tampering() {
    let (other, _) = image("other");
    let stripped = honest().carrying(&[]).answers();
    tampered(stripped.blob(&pinned(OTHER, SBOM)), "is not carried");
    tampered(stripped.manifest(&pinned(OTHER, &other)), "is not carried");
    tampered(stripped.head(&reference(OTHER)), "is not carried");
    tampered(stripped.referrers(&pinned(OTHER, &other)), "is not carried");
    // Bytes under another digest are other bytes.
    let swapped = honest().carrying(&[br#"{"sbom":false}"#]).answers();
    tampered(swapped.blob(&pinned(OTHER, SBOM)), "is not carried");
    // Without the record of the manifest, too.
    let stripped = honest().without(Ask::Manifest, &pinned(OTHER, &other)).carrying(&[]).answers();
    tampered(stripped.manifest(&reference(OTHER)), "that manifest is not carried");
}

#[test]
fn swapped_bytes_are_found_by_gate_1_and_answer_nothing() {
    let honest = honest();
    let mut bytes = archive(&[honest.document()], &honest.layers);
    let at = bytes.windows(SBOM.len()).position(|window| window == SBOM).unwrap();
    bytes[at + 9] = b'f';
    let opened = opened(&bytes);
    assert!(opened.findings.iter().any(|finding| finding.code == "blob-digest-mismatch"), "{:?}", opened.findings);
    let answers = answers(opened.bundle.unwrap()).unwrap();
    tampered(answers.blob(&pinned(OTHER, SBOM)), "is not carried");
}

#[test]
fn each_way_to_have_no_answer_has_its_own_code() {
    let answers = honest().answers();
    let stripped = honest().carrying(&[]).answers();
    for (error, code) in [
        (answers.blob(&pinned(OTHER, b"never asked")).unwrap_err(), "lookup-not-recorded"),
        (answers.blob(&pinned(OTHER, b"broken")).unwrap_err(), "lookup-out-of-reach"),
        (stripped.blob(&pinned(OTHER, SBOM)).unwrap_err(), "lookup-tampered"),
    ] {
        let finding = finding(&error);
        assert_eq!(finding.code, code);
        assert!(finding.subject.starts_with("blob registry.example/other@sha256:"), "{}", finding.subject);
        assert!(!finding.hint.is_empty());
    }
}

/// A rule that denies what an image holds must not be shown an empty place.
#[test]
fn what_is_carried_from_a_place_is_not_absent_there() {
    let (manifest, config) = image("app");
    for (result, status) in [(LookupResult::None, 404), (LookupResult::CouldNotLook, 403)] {
        let lookup = |ask, bytes: &[u8]| Lookup::without(ask, &pinned(APP, bytes), result, Some(status));
        let reason = "recorded as not to be had";
        let edited = honest().with(lookup(Ask::Manifest, &manifest)).answers();
        tampered(edited.manifest(&pinned(APP, &manifest)), reason);
        let edited = honest().with(lookup(Ask::Blob, &config)).answers();
        tampered(edited.blob(&pinned(APP, &config)), reason);
        // A repository need not hand out a manifest as a blob.
        let honest = honest().with(lookup(Ask::Blob, &manifest)).answers();
        assert!(honest.blob(&pinned(APP, &manifest)).is_ok());
    }
}

/// What was found under a tag or in a list is not taken away by the record either.
#[test]
fn evidence_that_is_carried_was_there() {
    let (app, _) = image("app");
    let (signature, config) = image("signature");
    let (subject, tag) = (pinned(APP, &app), reference(APP).tagged("sha256-app.sig"));
    let place = |method, tag: &str| Place { repository: subject.name(), method, tag: tag.to_owned() };
    let entry = |found_in: Vec<Place>| EvidenceEntry {
        digest: Digest::of(&signature),
        subject: Digest::of(&app),
        kind: EvidenceKind::Other,
        predicate_type: String::new(),
        found_in,
    };
    let with = |lookup: Lookup, found_in: Vec<Place>| {
        let honest = honest().with(lookup);
        let mut assembly = assembly(&[honest.document()], &honest.layers);
        assembly.evidence.push(entry(found_in));
        assembly.blobs.extend([&signature, &config].map(|bytes| (Digest::of(bytes), bytes.clone())));
        answers(opened(&written(assembly)).bundle.unwrap()).unwrap()
    };
    for (result, status) in [(LookupResult::None, 404), (LookupResult::CouldNotLook, 403)] {
        let none = |ask, reference: &Reference| Lookup::without(ask, reference, result, Some(status));
        let by_tag = || vec![place(Method::CosignSig, "sha256-app.sig")];
        tampered(with(none(Ask::Resolve, &tag), by_tag()).head(&tag), "what was found under it");
        tampered(with(none(Ask::Resolve, &reference(APP)), by_tag()).head(&reference(APP)), "what was found under it");
        for method in [Method::ReferrersApi, Method::FallbackTag] {
            let got = with(none(Ask::Referrers, &subject), vec![place(method, "")]).referrers(&subject);
            tampered(got, "is not among them");
        }
        // Found elsewhere, or in another way, it need not be listed.
        let honest = with(none(Ask::Referrers, &subject), by_tag());
        assert!(honest.referrers(&subject).is_ok());
    }
    let shorter = write_referrers([&descriptor(b"referrer")]).unwrap();
    let lookup = Lookup::answered(Ask::Referrers, &subject, Some(200), None, &shorter);
    tampered(with(lookup, vec![place(Method::ReferrersApi, "")]).referrers(&subject), "is not among them");
}

#[test]
fn a_list_that_is_no_list_is_tampering() {
    let (other, _) = image("other");
    let forged = honest().with(Lookup::answered(Ask::Referrers, &pinned(OTHER, &other), Some(200), None, SBOM)).answers();
    tampered(forged.referrers(&pinned(OTHER, &other)), "the list cannot be read");
}

#[test]
fn an_edited_tag_404_or_list_is_an_assumption() {
    let (app, _) = image("app");
    let (other, _) = image("other");
    // The tag now stands for another carried image.
    let edited = honest().with(Lookup::answered(Ask::Resolve, &reference(OTHER), Some(200), manifest_type(), &app)).answers();
    assert!(matches!(edited.head(&reference(OTHER)), Ok(Answer::Found(head)) if head.digest == Digest::of(&app)));
    let message = format!("the tag stood for {} when the bundle was made", Digest::of(&app));
    assert_eq!(assumed(&edited), [("tag-resolution".to_owned(), OTHER.to_owned(), message)]);
    // What was there is gone.
    let edited = honest().with(Lookup::without(Ask::Blob, &pinned(OTHER, SBOM), LookupResult::None, Some(404))).answers();
    assert_eq!(edited.blob(&pinned(OTHER, SBOM)), Ok(Answer::NotFound));
    let subject = pinned(OTHER, SBOM).to_string();
    let message = "there was no such blob (HTTP status 404) when the bundle was made".to_owned();
    assert_eq!(assumed(&edited), [("lookup-not-found".to_owned(), subject, message)]);
    // A shorter list.
    let subject = pinned(OTHER, &other);
    let edited = honest().with(Lookup::without(Ask::Referrers, &subject, LookupResult::None, Some(404))).answers();
    assert_eq!(edited.referrers(&subject), Ok(Answer::NotFound));
    let message = "nothing referred to it (HTTP status 404) when the bundle was made".to_owned();
    assert_eq!(assumed(&edited), [("list-complete".to_owned(), subject.to_string(), message)]);
}

#[test]
fn a_question_without_a_record_has_no_answer() {
    let (other, _) = image("other");
    let gone = pinned(OTHER, b"gone");
    let answers = honest().without(Ask::Manifest, &gone).answers();
    not_recorded(answers.head(&gone), &format!("manifest of {gone}"));
    let answers = honest().without(Ask::Resolve, &reference(OTHER)).answers();
    not_recorded(answers.head(&reference(OTHER)), &format!("HEAD of {OTHER}"));
    not_recorded(answers.manifest(&reference(OTHER)), &format!("HEAD of {OTHER}"));
    let list = pinned(OTHER, &other);
    let answers = honest().without(Ask::Referrers, &list).answers();
    not_recorded(answers.referrers(&list), &format!("referrers of {list}"));
    let blob = pinned(OTHER, b"never asked");
    not_recorded(answers.blob(&blob), &format!("blob {blob}"));
    // Whether a manifest is handed out as a blob is the registry's affair.
    let (app, _) = image("app");
    let manifest = pinned(APP, &app);
    not_recorded(answers.blob(&manifest), &format!("blob {manifest}"));
    // An archive without a record of anything.
    let none = self::answers(bundle(&[], &[])).unwrap();
    not_recorded(none.head(&reference(OTHER)), &format!("HEAD of {OTHER}"));
    not_recorded(none.referrers(&manifest), &format!("referrers of {manifest}"));
}

#[test]
fn a_signature_is_never_answered_from_a_record() {
    let (other, _) = image("other");
    let signer = SignerOptions {
        certificate_identity: "release@example.com".to_owned(),
        certificate_oidc_issuer: "https://accounts.example.com".to_owned(),
        ..SignerOptions::default()
    };
    let subject = pinned(OTHER, &other);
    let hex = Digest::of(&other).to_hex();
    let tags = ["sig", "att"].map(|suffix| reference(OTHER).tagged(format!("sha256-{hex}.{suffix}")));
    // The tag and the list were asked for at export, or there is no answer.
    not_recorded(honest().answers().verify_image(&subject, &signer), &format!("HEAD of {}", tags[0]));
    not_recorded(honest().answers().verify_attestation(&subject, &signer), &format!("HEAD of {}", tags[1]));
    // A record of evidence that does not verify gives no success and no entry.
    let forged = br#"{"critical":{"identity":{"docker-reference":""},"image":{"docker-manifest-digest":""},"type":""}}"#;
    let signature = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{}","size":2}},"layers":[{{"mediaType":"{}","digest":"{}","size":{},"annotations":{{"dev.cosignproject.cosign/signature":"Zm9yZ2Vk"}}}}]}}"#,
        media::OCI_MANIFEST,
        media::OCI_CONFIG,
        Digest::of(b"{}"),
        media::SIMPLE_SIGNING,
        Digest::of(forged),
        forged.len(),
    );
    let list = write_referrers([]).unwrap();
    let mut attack = honest()
        .with(Lookup::answered(Ask::Resolve, &tags[0], Some(200), manifest_type(), signature.as_bytes()))
        .with(Lookup::answered(
            Ask::Manifest,
            &pinned(OTHER, signature.as_bytes()),
            Some(200),
            manifest_type(),
            signature.as_bytes(),
        ))
        .with(Lookup::answered(Ask::Blob, &pinned(OTHER, forged), Some(200), None, forged))
        .with(Lookup::without(Ask::Resolve, &tags[1], LookupResult::None, Some(404)))
        .with(Lookup::answered(Ask::Referrers, &subject, Some(200), None, &list));
    attack.layers.extend([signature.clone().into_bytes(), forged.to_vec(), list]);
    let answers = attack.answers();
    let image = answers.verify_image(&subject, &signer).unwrap();
    assert!(image.errors[0].starts_with("verify image signature: no matching signatures: "), "{:?}", image.errors);
    assert_eq!(image.signatures, []);
    let attestation = answers.verify_attestation(&subject, &signer).unwrap();
    assert_eq!(attestation.errors, ["verify image attestation signature: no matching attestations: "]);
    assert_eq!(attestation.attestations, []);
    let codes: Vec<_> = assumed(&answers).into_iter().map(|(code, ..)| code).collect();
    assert_eq!(codes, ["list-complete", "lookup-not-found", "tag-resolution"]);
    // Its payload may not be missing either.
    attack.layers.retain(|layer| layer != forged);
    tampered(attack.answers().verify_image(&subject, &signer), "is not carried");
}

#[test]
fn who_must_have_signed_is_read_as_in_conforma() {
    let answers = honest().answers();
    let subject = pinned(OTHER, b"gone");
    for (options, error) in [
        (SignerOptions::default(), "opts parameter: new policy: certificate identity must be provided for keyless workflow"),
        (
            SignerOptions { public_key: "k8s://ns/key".to_owned(), ..SignerOptions::default() },
            "opts parameter: new policy: public_key: not a PEM public key: want exactly one `PUBLIC KEY` section",
        ),
        (
            SignerOptions {
                certificate_identity: "a".to_owned(),
                certificate_oidc_issuer: "b".to_owned(),
                rekor_public_key: "key".to_owned(),
                ..SignerOptions::default()
            },
            "opts parameter: rekor_public_key is taken together with public_key only",
        ),
    ] {
        let image = answers.verify_image(&subject, &options).unwrap();
        assert!(image.errors.len() == 1 && image.errors[0].starts_with(error), "{:?}", image.errors);
        assert_eq!(image.signatures, []);
    }
}

#[test]
fn a_document_of_another_form_is_refused() {
    let good = honest().document();
    let error = |documents: &[Vec<u8>]| answers(bundle(documents, &[])).unwrap_err();
    assert_eq!(error(&[good.clone(), b"{}".to_vec()]), CarriedError::Several(2));
    let spaced = [&good[..], b"\n"].concat();
    assert_eq!(error(&[spaced]), CarriedError::Lookups(LookupsError::NotCanonical));
    let text = String::from_utf8(good).unwrap();
    let critical = text.replacen("\"critical\":[]", "\"critical\":[\"negative-answers-v2\"]", 1);
    let want = LookupsError::Critical("negative-answers-v2".to_owned());
    assert_eq!(error(&[critical.into_bytes()]), CarriedError::Lookups(want));
}
