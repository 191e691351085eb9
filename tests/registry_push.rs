//! Pushes: what is sent, with which credentials, and what is believed of the answer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::{fs, time::Duration};

use bytes::Bytes;
use carnet_bundle::{Descriptor, Digest, Reference, media};
use carnet_registry::{
    Answer, Backoff, BlobError, Chunks, CredentialFiles, Options, Placed, PushError, Pusher, Upload,
    testing::{Behaviour, Content, Effect, Fault, Route, TestingRegistry},
};
use futures_util::{StreamExt, stream};

const REPOSITORY: &str = "demo/app";
const IMAGE: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;

fn serve(behaviour: Behaviour) -> TestingRegistry {
    TestingRegistry::start(Content::new(), behaviour).unwrap()
}

fn pusher(credentials: CredentialFiles) -> Pusher {
    let backoff = Backoff { attempts: 3, first: Duration::from_millis(1), longest: Duration::from_millis(2) };
    Pusher::new(Options { credentials, backoff, ..Options::default() }).unwrap()
}

fn reference(registry: &TestingRegistry, rest: &str) -> Reference {
    format!("{}/{REPOSITORY}{rest}", registry.host()).parse().unwrap()
}

fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor::of("application/octet-stream", bytes)
}

/// `bytes` in two pieces.
fn pieces(bytes: &'static [u8]) -> impl Fn() -> Chunks + Send + Sync {
    move || {
        let (one, other) = bytes.split_at(bytes.len() / 2);
        stream::iter([Ok(Bytes::from_static(one)), Ok(Bytes::from_static(other))]).boxed()
    }
}

async fn push(
    pusher: &Pusher,
    registry: &TestingRegistry,
    sent: &'static [u8],
    named: &[u8],
    mount: Option<&str>,
) -> Result<Placed, PushError> {
    let open = pieces(sent);
    pusher.push_blob(&reference(registry, ""), &Upload { descriptor: &descriptor(named), open: &open, mount }).await
}

fn has(registry: &TestingRegistry, bytes: &[u8]) -> bool {
    let mut has = false;
    registry.change(|content| has = content.has_blob(REPOSITORY, &Digest::of(bytes)));
    has
}

#[tokio::test]
async fn the_right_to_write_is_asked_for() {
    let credentials = Some(("user".to_owned(), "secret".to_owned()));
    let registry = serve(Behaviour { credentials, ..Behaviour::default() });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.json");
    fs::write(&file, format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpzZWNyZXQ="}}}}}}"#, registry.host())).unwrap();
    let pusher = pusher(CredentialFiles::new(vec![file]));
    assert_eq!(push(&pusher, &registry, b"blob", b"blob", None).await, Ok(Placed::Sent));
    let served = registry.served();
    let asked = served.iter().find(|one| one.path.starts_with("/token")).unwrap();
    assert!(asked.path.contains("pull%2Cpush"), "{}", asked.path);
}

/// An upload may go on elsewhere; credentials do not.
#[tokio::test]
async fn another_host_gets_the_bytes_and_no_credentials() {
    let credentials = Some(("user".to_owned(), "secret".to_owned()));
    let registry = serve(Behaviour { credentials, ..Behaviour::default() });
    let elsewhere = serve(Behaviour::default());
    let place = format!("http://{}/v2/{REPOSITORY}/blobs/uploads/7", elsewhere.host());
    registry.inject(Fault::on(Route::Upload, Effect::Header("location", place)));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.json");
    fs::write(&file, format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpzZWNyZXQ="}}}}}}"#, registry.host())).unwrap();
    let pusher = pusher(CredentialFiles::new(vec![file]));
    assert_eq!(push(&pusher, &registry, b"blob", b"blob", None).await, Ok(Placed::Sent));
    assert!(registry.served().iter().any(|one| one.authorization == "Bearer"));
    assert!(has(&elsewhere, b"blob") && elsewhere.served().iter().all(|one| one.authorization.is_empty()));
}

#[tokio::test]
async fn bytes_that_are_not_those_of_the_digest_are_never_complete() {
    let registry = serve(Behaviour::default());
    let pusher = pusher(CredentialFiles::none());
    for (sent, named) in [(&b"other bytes"[..], &b"right bytes"[..]), (b"short", b"longer"), (b"longer", b"short")] {
        let outcome = push(&pusher, &registry, sent, named, None).await;
        let wrong = matches!(outcome, Err(PushError::Source(BlobError::Digest { .. } | BlobError::Size { .. })));
        assert!(wrong, "{outcome:?}");
        assert!(!has(&registry, named) && !has(&registry, sent));
    }
    // It is not tried again: the bytes do not get better.
    let puts = registry.served().iter().filter(|one| one.method == "PUT" && one.status == 201).count();
    assert_eq!(puts, 0);
    assert_eq!(registry.served().iter().filter(|one| one.method == "POST").count(), 3);
    assert_eq!(push(&pusher, &registry, b"", b"", None).await, Ok(Placed::Sent));
}

#[tokio::test]
async fn a_blob_of_another_repository_is_mounted_if_it_is_there() {
    let registry = serve(Behaviour::default());
    registry.change(|content| {
        content.add_blob("demo/base", b"layer");
    });
    let pusher = pusher(CredentialFiles::none());
    assert_eq!(push(&pusher, &registry, b"layer", b"layer", Some("demo/base")).await, Ok(Placed::Mounted));
    assert_eq!(push(&pusher, &registry, b"other", b"other", Some("demo/base")).await, Ok(Placed::Sent));
    registry.inject(Fault::on(Route::Upload, Effect::Status(405)).times(1));
    assert_eq!(push(&pusher, &registry, b"third", b"third", Some("demo/base")).await, Ok(Placed::Sent));
    assert!(has(&registry, b"layer") && has(&registry, b"other") && has(&registry, b"third"));
}

#[tokio::test]
async fn a_manifest_is_written_as_it_is_or_not_at_all() {
    let registry = serve(Behaviour::default());
    let pusher = pusher(CredentialFiles::none());
    let bytes = Bytes::from_static(IMAGE.as_bytes());
    let digest = Digest::of(&bytes);
    let wrong = reference(&registry, "").pinned(Digest::of(b"else"));
    let outcome = pusher.push_manifest(&wrong, media::OCI_MANIFEST, bytes.clone()).await;
    assert!(matches!(outcome, Err(PushError::Source(BlobError::Digest { got, .. })) if got == digest), "{outcome:?}");
    assert_eq!(registry.served(), []);

    assert_eq!(pusher.has_manifest(&reference(&registry, ""), &digest).await, Answer::None { status: Some(404) });
    let tagged = reference(&registry, ":v1");
    assert_eq!(pusher.push_manifest(&tagged, media::OCI_MANIFEST, bytes.clone()).await, Ok(None));
    assert_eq!(pusher.has_manifest(&tagged, &digest).await, Answer::Found(()));
    let Answer::Found(stored) = pusher.registry().manifest(&tagged).await else { panic!() };
    assert_eq!((stored.bytes.as_ref(), stored.media_type.as_str()), (IMAGE.as_bytes(), media::OCI_MANIFEST));

    let other = Digest::of(b"converted").to_string();
    registry.inject(Fault::on(Route::PutManifest, Effect::Header("docker-content-digest", other.clone())));
    let outcome = pusher.push_manifest(&tagged, media::OCI_MANIFEST, bytes).await;
    assert_eq!(outcome, Err(PushError::Stored { got: other, want: digest }));
}

#[tokio::test]
async fn the_registry_says_whether_it_lists_a_referrer() {
    let subject = format!(r#","subject":{{"mediaType":"{}","digest":"{}","size":2}}}}"#, media::OCI_MANIFEST, Digest::of(b"{}"));
    let referrer = IMAGE.strip_suffix('}').unwrap().to_owned() + &subject;
    for (referrers_api, want) in [(true, Some(Digest::of(b"{}"))), (false, None)] {
        let registry = serve(Behaviour { referrers_api, ..Behaviour::default() });
        let place = reference(&registry, "").pinned(Digest::of(referrer.as_bytes()));
        let said = pusher(CredentialFiles::none()).push_manifest(&place, media::OCI_MANIFEST, referrer.clone().into()).await;
        assert_eq!(said, Ok(want));
    }
}
