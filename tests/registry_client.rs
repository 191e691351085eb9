//! The registry client against a registry on loopback: what is found, what is
//! definitely not there, and what nobody can know.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{fs, io::Write as _, net::TcpListener, path::PathBuf, thread, time::Duration};

use carnet_bundle::{Descriptor, Digest, Reference, media};
use carnet_registry::{
    Answer, Backoff, BlobError, CredentialFiles, ObstacleKind, Options, Patience, Registry,
    testing::{Behaviour, Content, Effect, Fault, Route, TestingRegistry},
};

const REPOSITORY: &str = "demo/app";
const IMAGE: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;

/// A client that waits for no longer than a test may.
fn impatient() -> Registry {
    let moment = Duration::from_millis(400);
    let patience = Patience { connect: Duration::from_secs(5), silence: moment, window: moment, least: 1024 };
    let backoff = Backoff { attempts: 3, first: Duration::from_millis(1), longest: Duration::from_millis(2) };
    let credentials = CredentialFiles::none();
    Registry::new(Options { credentials, backoff, patience, ..Options::default() }).unwrap()
}

struct Served {
    registry: TestingRegistry,
    client: Registry,
    image: Digest,
    blob: Descriptor,
}

fn serve(behaviour: Behaviour) -> Served {
    serve_with(behaviour, CredentialFiles::none())
}

fn serve_with(behaviour: Behaviour, credentials: CredentialFiles) -> Served {
    let mut content = Content::new();
    let image = content.add_manifest(REPOSITORY, Some("v1"), media::OCI_MANIFEST, IMAGE.as_bytes());
    for n in 0..3 {
        content.add_manifest(REPOSITORY, None, media::OCI_MANIFEST, referrer(n, &image).as_bytes());
    }
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let blob = descriptor(&bytes);
    content.add_blob(REPOSITORY, &bytes);
    let registry = TestingRegistry::start(content, behaviour).unwrap();
    let backoff = Backoff { attempts: 3, first: Duration::from_millis(1), longest: Duration::from_millis(2) };
    let client = Registry::new(Options { credentials, backoff, ..Options::default() }).unwrap();
    Served { registry, client, image, blob }
}

impl Served {
    fn reference(&self, rest: &str) -> Reference {
        format!("{}/{REPOSITORY}{rest}", self.registry.host()).parse().unwrap()
    }

    fn paths(&self, part: &str) -> usize {
        self.registry.served().iter().filter(|served| served.path.contains(part)).count()
    }
}

fn referrer(n: u32, subject: &Digest) -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{m}","artifactType":"application/x{n}","config":{{"mediaType":"{e}","digest":"{d}","size":2}},"layers":[],"subject":{{"mediaType":"{m}","digest":"{subject}","size":{size}}}}}"#,
        m = media::OCI_MANIFEST,
        e = media::OCI_EMPTY,
        d = Digest::of(b"{}"),
        size = IMAGE.len(),
    )
}

fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor::of("application/octet-stream", bytes)
}

#[tokio::test]
async fn a_tag_is_resolved_to_bytes_and_their_digest() {
    let served = serve(Behaviour::default());
    let Answer::Found(manifest) = served.client.manifest(&served.reference(":v1")).await else { panic!() };
    assert_eq!((manifest.digest, manifest.bytes.as_ref()), (served.image, IMAGE.as_bytes()));
    assert_eq!((manifest.media_type.as_str(), manifest.status), (media::OCI_MANIFEST, Some(200)));
    let none = served.client.manifest(&served.reference(":v2")).await;
    assert_eq!(none, Answer::None { status: Some(404) });
}

#[tokio::test]
async fn only_404_means_none() {
    for (status, kind, sent) in [
        (401, ObstacleKind::Denied, 1),
        (403, ObstacleKind::Denied, 1),
        (400, ObstacleKind::Malformed, 1),
        (405, ObstacleKind::Malformed, 1),
        (408, ObstacleKind::Unreachable, 3),
        (429, ObstacleKind::Unreachable, 3),
        (500, ObstacleKind::Unreachable, 3),
        (501, ObstacleKind::Unreachable, 1),
        (503, ObstacleKind::Unreachable, 3),
    ] {
        let served = serve(Behaviour::default());
        served.registry.inject(Fault::on(Route::Any, Effect::Status(status)));
        let reference = served.reference(":v1");
        let Answer::CouldNotLook(obstacle) = served.client.manifest(&reference).await else { panic!("{status}") };
        assert_eq!((obstacle.kind, obstacle.status), (kind, Some(status)));
        assert_eq!(served.paths("/manifests/v1"), sent, "{status}");
        let Answer::CouldNotLook(obstacle) = served.client.blob(&reference, &served.blob).await else { panic!("{status}") };
        assert_eq!(obstacle.status, Some(status));
    }
}

#[tokio::test]
async fn a_failure_that_passes_is_not_noticed() {
    for effect in [Effect::Status(503), Effect::TooManyRequests(Duration::ZERO), Effect::CutAfter(10)] {
        let served = serve(Behaviour::default());
        served.registry.inject(Fault::on(Route::Any, effect.clone()).times(2));
        let answer = served.client.manifest(&served.reference(":v1")).await;
        assert!(matches!(answer, Answer::Found(m) if m.digest == served.image), "{effect:?}");
    }
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let served = serve(Behaviour::default());
    let reference = served.reference(":v1");
    drop(served.registry);
    let Answer::CouldNotLook(obstacle) = served.client.manifest(&reference).await else { panic!() };
    assert_eq!((obstacle.kind, obstacle.status), (ObstacleKind::Unreachable, None));
    assert!(obstacle.reason.contains("refused"), "{obstacle}");
}

#[tokio::test]
async fn answers_that_are_not_the_manifest_asked_for_are_malformed() {
    let page = Effect::Answer(200, "text/html".to_owned(), b"<html>sign in</html>".to_vec());
    let twice = br#"{"schemaVersion":2,"schemaVersion":2}"#.to_vec();
    let long = vec![b' '; 9 << 20];
    for (effect, reason) in [
        (page, "not a manifest"),
        (Effect::Corrupt, "digest mismatch"),
        (Effect::Longer, "digest mismatch"),
        (Effect::ContentType(media::OCI_INDEX.to_owned()), "media type mismatch"),
        (Effect::Answer(200, media::OCI_MANIFEST.to_owned(), twice), "duplicate key"),
        (Effect::Answer(200, media::OCI_MANIFEST.to_owned(), long), "longer than"),
    ] {
        let served = serve(Behaviour::default());
        let by_digest = !matches!(effect, Effect::Answer(..));
        served.registry.inject(Fault::on(Route::Manifest, effect));
        let rest = if by_digest { format!("@{}", served.image) } else { ":v1".to_owned() };
        let Answer::CouldNotLook(obstacle) = served.client.manifest(&served.reference(&rest)).await else { panic!() };
        assert_eq!(obstacle.kind, ObstacleKind::Malformed);
        assert!(obstacle.reason.contains(reason), "{obstacle}");
    }
}

#[tokio::test]
async fn a_content_type_that_says_nothing_is_overruled_by_the_document() {
    let served = serve(Behaviour::default());
    served.registry.inject(Fault::on(Route::Manifest, Effect::ContentType("application/json; charset=utf-8".to_owned())));
    let Answer::Found(manifest) = served.client.manifest(&served.reference(":v1")).await else { panic!() };
    assert_eq!(manifest.media_type, media::OCI_MANIFEST);
}

#[tokio::test]
async fn referrers_of_all_pages_are_one_list() {
    for page_size in [0, 1, 2, 3] {
        let served = serve(Behaviour { page_size, ..Behaviour::default() });
        let answer = served.client.referrers(&served.reference(""), &served.image).await;
        let Answer::Found(list) = answer else { panic!("{page_size}") };
        assert_eq!(list.manifests.len(), 3, "pages of {page_size}");
        let none = served.client.referrers(&served.reference(""), &Digest::of(b"")).await;
        assert!(matches!(none, Answer::Found(list) if list.manifests.is_empty()));
    }
}

#[tokio::test]
async fn a_page_that_fails_leaves_the_whole_list_unknown() {
    let served = serve(Behaviour { page_size: 1, ..Behaviour::default() });
    for status in [403, 404, 503] {
        served.registry.inject(Fault::on(Route::Referrers, Effect::Status(status)).after(1));
        let answer = served.client.referrers(&served.reference(""), &served.image).await;
        assert!(matches!(answer, Answer::CouldNotLook(o) if o.status == Some(status)), "{status}");
        served.registry.heal();
    }
}

#[tokio::test]
async fn a_registry_without_referrers_is_told_from_one_that_refuses() {
    let page = || Effect::Answer(200, "text/html".to_owned(), b"<html></html>".to_vec());
    let none = Answer::None { status: Some(404) };
    for (effect, want) in [
        (Effect::Status(404), none),
        (Effect::Status(400), Answer::NotOffered { status: Some(400) }),
        (Effect::Status(405), Answer::NotOffered { status: Some(405) }),
        (page(), Answer::NotOffered { status: Some(200) }),
    ] {
        let served = serve(Behaviour::default());
        served.registry.inject(Fault::on(Route::Referrers, effect));
        assert_eq!(served.client.referrers(&served.reference(""), &served.image).await, want);
    }
    let served = serve(Behaviour { referrers_api: false, ..Behaviour::default() });
    let answer = served.client.referrers(&served.reference(""), &served.image).await;
    assert_eq!(answer, Answer::None { status: Some(404) });
    let image = Effect::Answer(200, media::OCI_INDEX.to_owned(), IMAGE.as_bytes().to_vec());
    served.registry.inject(Fault::on(Route::Referrers, image));
    let answer = served.client.referrers(&served.reference(""), &served.image).await;
    assert!(matches!(answer, Answer::CouldNotLook(o) if o.kind == ObstacleKind::Malformed));
}

#[tokio::test]
async fn a_blob_is_streamed_and_checked() {
    let served = serve(Behaviour::default());
    let reference = served.reference("");
    let Answer::Found(stream) = served.client.blob(&reference, &served.blob).await else { panic!() };
    assert_eq!(Digest::of(&stream.read().await.unwrap()), served.blob.digest);
    let missing = served.client.blob(&reference, &descriptor(b"missing")).await;
    assert!(matches!(missing, Answer::None { status: Some(404) }));
}

#[tokio::test]
async fn wrong_bytes_of_a_blob_never_come_to_a_good_end() {
    for effect in [Effect::Corrupt, Effect::Longer] {
        let served = serve(Behaviour::default());
        served.registry.inject(Fault::on(Route::Blob, effect.clone()));
        let Answer::Found(stream) = served.client.blob(&served.reference(""), &served.blob).await else { panic!() };
        let error = stream.read().await.unwrap_err();
        match effect {
            Effect::Corrupt => assert!(matches!(error, BlobError::Digest { want, .. } if want == served.blob.digest)),
            _ => assert!(matches!(error, BlobError::Size { got: 100_001, want: 100_000, .. })),
        }
    }
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_broke() {
    for ranges in [true, false] {
        let served = serve(Behaviour { ranges, ..Behaviour::default() });
        served.registry.inject(Fault::on(Route::Blob, Effect::CutAfter(30_000)).times(1));
        let Answer::Found(stream) = served.client.blob(&served.reference(""), &served.blob).await else { panic!() };
        assert_eq!(Digest::of(&stream.read().await.unwrap()), served.blob.digest);
        let statuses: Vec<u16> = served.registry.served().iter().map(|served| served.status).collect();
        assert_eq!(statuses, [200, if ranges { 206 } else { 200 }]);
    }
}

#[tokio::test]
async fn a_download_that_always_breaks_is_unreachable() {
    let served = serve(Behaviour { ranges: false, ..Behaviour::default() });
    served.registry.inject(Fault::on(Route::Blob, Effect::CutAfter(30_000)));
    let Answer::Found(stream) = served.client.blob(&served.reference(""), &served.blob).await else { panic!() };
    let error = stream.read().await.unwrap_err();
    assert!(matches!(error, BlobError::Obstacle(o) if o.kind == ObstacleKind::Unreachable));
}

#[tokio::test]
async fn credentials_from_a_docker_file_open_the_registry_once_per_repository() {
    let folder = tempfile::tempdir().unwrap();
    let behaviour = Behaviour { credentials: Some(("user".to_owned(), "pw".to_owned())), ..Behaviour::default() };
    let config: PathBuf = folder.path().join("config.json");
    let served = serve_with(behaviour, CredentialFiles::new(vec![config.clone()]));
    // base64 of user:pw
    let text = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpwdw=="}}}}}}"#, served.registry.host());
    fs::write(&config, text).unwrap();
    let reference = served.reference(":v1");
    for _ in 0..3 {
        assert!(matches!(served.client.manifest(&reference).await, Answer::Found(_)));
    }
    assert_eq!(served.paths("/token"), 1);
    assert_eq!(served.paths("/manifests/"), 4);
}

#[tokio::test]
async fn an_identity_token_is_exchanged() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    let behaviour = Behaviour { credentials: Some(("user".to_owned(), "identity".to_owned())), ..Behaviour::default() };
    let served = serve_with(behaviour, CredentialFiles::new(vec![config.clone()]));
    for (token, opened) in [("identity", true), ("other", false)] {
        let text = format!(r#"{{"auths":{{"{}":{{"identitytoken":"{token}"}}}}}}"#, served.registry.host());
        fs::write(&config, text).unwrap();
        let client = Registry::new(Options { credentials: CredentialFiles::new(vec![config.clone()]), ..Options::default() });
        let answer = client.unwrap().manifest(&served.reference(":v1")).await;
        match answer {
            Answer::Found(_) => assert!(opened),
            Answer::CouldNotLook(obstacle) => {
                assert!(!opened && obstacle.reason.contains("identity token was refused"), "{obstacle}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn wrong_or_missing_credentials_are_denied() {
    let behaviour = Behaviour { credentials: Some(("user".to_owned(), "pw".to_owned())), ..Behaviour::default() };
    let served = serve(behaviour);
    let Answer::CouldNotLook(obstacle) = served.client.manifest(&served.reference(":v1")).await else { panic!() };
    assert_eq!((obstacle.kind, obstacle.status), (ObstacleKind::Denied, Some(401)));
}

#[tokio::test]
async fn a_redirect_to_another_host_carries_no_credentials() {
    let behaviour = Behaviour { credentials: Some(("user".to_owned(), "pw".to_owned())), ..Behaviour::default() };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    let served = serve_with(behaviour, CredentialFiles::new(vec![config.clone()]));
    let text = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpwdw=="}}}}}}"#, served.registry.host());
    fs::write(&config, text).unwrap();

    let storage = serve(Behaviour::default());
    let path = format!("/v2/{REPOSITORY}/blobs/{}", served.blob.digest);
    let url = format!("http://{}{path}?signature=secret", storage.registry.host());
    assert!(matches!(served.client.manifest(&served.reference(":v1")).await, Answer::Found(_)));
    served.registry.inject(Fault::on(Route::Blob, Effect::Redirect(url)));
    let Answer::Found(stream) = served.client.blob(&served.reference(""), &served.blob).await else { panic!() };
    assert_eq!(Digest::of(&stream.read().await.unwrap()), served.blob.digest);
    let asked = storage.registry.served();
    assert_eq!((asked.len(), asked[0].authorization.as_str()), (1, ""));
}

#[tokio::test]
async fn pushed_content_is_served_again() {
    let served = serve(Behaviour::default());
    let http = reqwest::Client::new();
    let base = format!("http://{}/v2/new/repo", served.registry.host());
    let digest = Digest::of(b"{}");
    let location = http.post(format!("{base}/blobs/uploads/")).send().await.unwrap();
    assert_eq!(location.status(), 202);
    let put = http.put(format!("{base}/blobs/uploads/1?digest={digest}")).body("{}").send().await.unwrap();
    assert_eq!(put.status(), 201);
    let put = http.put(format!("{base}/manifests/v1")).header("content-type", media::OCI_MANIFEST).body(IMAGE).send();
    assert_eq!(put.await.unwrap().status(), 201);
    let reference: Reference = format!("{}/new/repo:v1", served.registry.host()).parse().unwrap();
    let Answer::Found(manifest) = served.client.manifest(&reference).await else { panic!() };
    assert_eq!(manifest.digest, served.image);
    assert!(matches!(served.client.blob(&reference, &descriptor(b"{}")).await, Answer::Found(_)));
}

/// A server that says nothing, and one that says a byte now and then, hold nobody
/// up: nothing is known, and the blob is asked for again from where it stopped.
#[tokio::test]
async fn who_waits_for_a_slow_server_gives_up() {
    for effect in [Effect::Stall, Effect::Trickle(Duration::from_millis(10))] {
        let mut served = serve(Behaviour::default());
        served.client = impatient();
        served.registry.inject(Fault::on(Route::Any, effect.clone()));
        let reference = served.reference(":v1");
        let Answer::CouldNotLook(obstacle) = served.client.manifest(&reference).await else { panic!("{effect:?}") };
        assert_eq!((obstacle.kind, obstacle.status), (ObstacleKind::Unreachable, None), "{effect:?}: {obstacle}");
        assert_eq!(served.paths("/manifests/v1"), 3, "{effect:?}");
        let Answer::CouldNotLook(obstacle) = served.client.referrers(&reference, &served.image).await else {
            panic!("{effect:?}")
        };
        assert_eq!(obstacle.kind, ObstacleKind::Unreachable, "{effect:?}");

        served.registry.heal();
        served.registry.inject(Fault::on(Route::Blob, effect.clone()));
        let Answer::Found(stream) = served.client.blob(&reference, &served.blob).await else { panic!("{effect:?}") };
        let error = stream.read().await.unwrap_err();
        assert!(matches!(error, BlobError::Obstacle(o) if o.kind == ObstacleKind::Unreachable), "{effect:?}");

        served.registry.heal();
        served.registry.inject(Fault::on(Route::Blob, effect.clone()).times(1));
        let Answer::Found(stream) = served.client.blob(&reference, &served.blob).await else { panic!("{effect:?}") };
        assert_eq!(Digest::of(&stream.read().await.unwrap()), served.blob.digest, "{effect:?}");
        let last = served.registry.served().pop().unwrap();
        assert!(last.status == 206 && last.from > 0, "{effect:?}: {last:?}");
    }
}

/// A head that never ends is silence too.
#[tokio::test]
async fn a_head_that_never_ends_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX-Slow: ");
                while stream.write_all(b"x").is_ok() {
                    thread::park_timeout(Duration::from_millis(5));
                }
            });
        }
    });
    let answer = impatient().manifest(&format!("{address}/demo/app:v1").parse().unwrap()).await;
    assert!(matches!(&answer, Answer::CouldNotLook(o) if o.kind == ObstacleKind::Unreachable), "{answer:?}");
}

/// A blob that breaks more often than it is tried, and gets on each time.
#[tokio::test]
async fn a_download_that_gets_on_may_break_often() {
    let served = serve(Behaviour::default());
    let bytes: Vec<u8> = (0..=255).cycle().take(8 << 20).collect();
    let blob = descriptor(&bytes);
    served.registry.change(|content| {
        content.add_blob(REPOSITORY, &bytes);
    });
    served.registry.inject(Fault::on(Route::Blob, Effect::CutAfter(5 << 18)));
    let Answer::Found(stream) = served.client.blob(&served.reference(""), &blob).await else { panic!() };
    assert_eq!(Digest::of(&stream.read().await.unwrap()), blob.digest);
    assert_eq!(served.paths("/blobs/"), 7);
}

#[tokio::test]
async fn a_token_for_everybody_is_asked_for_without_a_secret() {
    let served = serve(Behaviour { anonymous_tokens: true, ..Behaviour::default() });
    assert!(matches!(served.client.manifest(&served.reference(":v1")).await, Answer::Found(_)));
    let asked: Vec<_> = served.registry.served().into_iter().map(|served| (served.path, served.authorization)).collect();
    let asked: Vec<_> = asked.iter().map(|(path, scheme)| (path.split('?').next().unwrap(), scheme.as_str())).collect();
    assert_eq!(asked, [("/v2/demo/app/manifests/v1", ""), ("/token", ""), ("/v2/demo/app/manifests/v1", "Bearer")]);
    served.registry.inject(Fault::on(Route::Token, Effect::Answer(200, "application/json".to_owned(), vec![b' '; 1 << 20])));
    let reference = format!("{}/other/app:v1", served.registry.host()).parse().unwrap();
    let Answer::CouldNotLook(obstacle) = served.client.manifest(&reference).await else { panic!() };
    assert!(obstacle.kind == ObstacleKind::Malformed && obstacle.reason.contains("longer than 65536 bytes"), "{obstacle}");
}

/// The token service and the list of referrers lead to a server that writes down
/// what it gets: no password, no identity token, and no question about page two.
#[tokio::test]
async fn no_secret_goes_where_a_redirect_or_a_link_leads() {
    let behaviour = || Behaviour { credentials: Some(("user".to_owned(), "pw".to_owned())), ..Behaviour::default() };
    for entry in [r#"{"auth":"dXNlcjpwdw=="}"#, r#"{"identitytoken":"pw"}"#] {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.json");
        let served = serve_with(behaviour(), CredentialFiles::new(vec![config.clone()]));
        fs::write(&config, format!(r#"{{"auths":{{"{}":{entry}}}}}"#, served.registry.host())).unwrap();
        let capture = serve(behaviour());
        let url = format!("http://{}/token", capture.registry.host());
        served.registry.inject(Fault::on(Route::Token, Effect::Redirect(url)));
        let Answer::CouldNotLook(obstacle) = served.client.manifest(&served.reference(":v1")).await else { panic!("{entry}") };
        assert_eq!(obstacle.kind, ObstacleKind::Denied, "{entry}: {obstacle}");
        let captured = capture.registry.served();
        assert!(captured.iter().all(|served| served.method == "GET" && served.authorization.is_empty()), "{entry}: {captured:?}");

        served.registry.heal();
        let link = format!("<http://{}/v2/{REPOSITORY}/referrers/{}>; rel=\"next\"", capture.registry.host(), served.image);
        served.registry.inject(Fault::on(Route::Referrers, Effect::Header("link", link)));
        let answer = served.client.referrers(&served.reference(""), &served.image).await;
        assert!(matches!(answer, Answer::CouldNotLook(o) if o.reason.contains("another host")), "{entry}");
        assert_eq!(capture.registry.served().len(), captured.len(), "{entry}");
    }
}

#[tokio::test]
async fn a_token_of_the_registry_itself_is_sent_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    let behaviour = Behaviour { credentials: Some(("user".to_owned(), "pw".to_owned())), ..Behaviour::default() };
    let served = serve_with(behaviour, CredentialFiles::new(vec![config.clone()]));
    let text = format!(r#"{{"auths":{{"{}":{{"registrytoken":"opaque-token-0"}}}}}}"#, served.registry.host());
    fs::write(&config, text).unwrap();
    assert!(matches!(served.client.manifest(&served.reference(":v1")).await, Answer::Found(_)));
    assert_eq!(served.paths("/token"), 0);
}

#[tokio::test]
async fn how_often_one_may_ask_is_told() {
    let served = serve(Behaviour::default());
    served.registry.inject(Fault::on(Route::Manifest, Effect::Limited("0;w=21600".to_owned())));
    let Answer::CouldNotLook(obstacle) = served.client.manifest(&served.reference(":v1")).await else { panic!() };
    assert!(obstacle.reason.ends_with("(RateLimit-Remaining: 0;w=21600)"), "{obstacle}");
}
