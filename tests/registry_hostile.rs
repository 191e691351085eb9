//! A registry that writes what it likes on the wire: no answer that is not one, no
//! memory that it can fill, nothing asked of others, and an end in any case.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use carnet_bundle::{Descriptor, Digest, Reference, media};
use carnet_registry::{
    Answer, Backoff, BlobError, CredentialFiles, Obstacle, ObstacleKind, Options, Patience, Referrers, Registry, RemoteManifest,
};

const IMAGE: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;

/// `{}` and a hundred spaces as gzip: what a client that unpacks would see.
const PACKED: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0xae, 0x55, 0xa0, 0x03, 0x00, 0x00, 0xf6, 0x24, 0x7c, 0x74,
    0x66, 0x00, 0x00, 0x00,
];

/// Answers each connection with what `answer` says to the head of its one request.
struct Wire {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Wire {
    fn new(answer: impl Fn(&str, usize) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let bytes = answer(&head(&mut stream), count.fetch_add(1, Ordering::Relaxed));
                // The client may have gone.
                let _ = stream.write_all(&bytes);
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn reference(&self, rest: &str) -> Reference {
        format!("{}/demo/app{rest}", self.address).parse().unwrap()
    }

    async fn manifest(&self) -> Answer<RemoteManifest> {
        client().manifest(&self.reference(":v1")).await
    }

    async fn referrers(&self) -> Answer<Referrers> {
        client().referrers(&self.reference(""), &Digest::of(b"subject")).await
    }

    async fn blob(&self, bytes: &[u8]) -> Result<Vec<u8>, BlobError> {
        let descriptor = Descriptor::of("application/octet-stream", bytes);
        match client().blob(&self.reference(""), &descriptor).await {
            Answer::Found(stream) => stream.read().await,
            Answer::CouldNotLook(obstacle) => Err(obstacle.into()),
            other => panic!("{other:?}", other = other.map(|_| ())),
        }
    }
}

fn client() -> Registry {
    let moment = Duration::from_millis(500);
    let patience = Patience { connect: Duration::from_secs(5), silence: moment, window: moment, least: 1024 };
    let backoff = Backoff { attempts: 3, first: Duration::from_millis(1), longest: Duration::from_millis(2) };
    Registry::new(Options { credentials: CredentialFiles::none(), backoff, patience, ..Options::default() }).unwrap()
}

/// Head of a request, up to the empty line.
fn head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (String::new(), [0]);
    while !head.ends_with("\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(char::from(byte[0]));
    }
    head
}

/// An answer with these lines in its head and nothing added but the end.
fn answer(status: &str, lines: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for line in lines {
        write!(head, "{line}\r\n").unwrap();
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

fn could_not_look<T: std::fmt::Debug>(answer: Answer<T>, case: &str) -> Obstacle {
    match answer {
        Answer::CouldNotLook(obstacle) => obstacle,
        other => panic!("{case}: {other:?}"),
    }
}

#[tokio::test]
async fn a_head_that_says_two_things_is_no_answer() {
    let (manifest, index) = (format!("Content-Type: {}", media::OCI_MANIFEST), format!("Content-Type: {}", media::OCI_INDEX));
    let length = format!("Content-Length: {}", IMAGE.len());
    let shorter = format!("Content-Length: {}", IMAGE.len() - 1);
    let untyped = IMAGE.replace(r#""mediaType":"application/vnd.oci.image.manifest.v1+json","config""#, r#""config""#);
    for (lines, body, reason) in [
        ([manifest.as_str(), &index, &length], IMAGE, "media type mismatch"),
        ([&index, &manifest, "X: y"], &untyped, "media type mismatch: the registry says"),
        ([&manifest, &length, &shorter], IMAGE, "content-length"),
    ] {
        let (head, text) = (answer("200 OK", &lines, b""), body.to_owned());
        let wire = Wire::new(move |_, _| [head.as_slice(), text.as_bytes()].concat());
        let obstacle = could_not_look(wire.manifest().await, reason);
        assert!(obstacle.reason.to_lowercase().contains(reason), "{obstacle}");
    }
    // The same twice is one thing.
    let head = answer("200 OK", &[&manifest, &manifest, &length], IMAGE.as_bytes());
    assert!(matches!(Wire::new(move |_, _| head.clone()).manifest().await, Answer::Found(_)));
}

#[tokio::test]
async fn a_length_that_is_a_lie_never_gives_other_bytes() {
    let bytes = vec![7; 5000];
    for (length, size_told) in [("4999", true), ("0", true), ("5001", false), ("9223372036854775807", false)] {
        let (head, body) = (answer("200 OK", &[&format!("Content-Length: {length}")], b""), bytes.clone());
        let wire = Wire::new(move |_, _| [head.as_slice(), &body].concat());
        let error = wire.blob(&bytes).await.unwrap_err();
        // Too short is over at once; too long breaks off, and is asked for again.
        assert_eq!(matches!(error, BlobError::Size { .. }), size_told, "{length}: {error}");
        assert!(wire.asked() <= 3, "{length}");
    }
    let wire = Wire::new(|_, _| answer("200 OK", &["Content-Length: -1"], b"x"));
    assert_eq!(could_not_look(wire.manifest().await, "-1").kind, ObstacleKind::Unreachable);
}

#[tokio::test]
async fn a_body_without_end_is_left_when_it_is_too_long() {
    // More than a manifest may have, in pieces that never say the last.
    let piece = [b"100000\r\n".as_slice(), &vec![b' '; 0x10_0000], b"\r\n"].concat();
    let bomb = move || [answer("200 OK", &["Transfer-Encoding: chunked"], b""), piece.repeat(12)].concat();
    let again = bomb.clone();
    let wire = Wire::new(move |_, _| bomb());
    assert!(could_not_look(wire.manifest().await, "manifest").reason.contains("longer than"));
    assert!(could_not_look(wire.referrers().await, "referrers").reason.contains("longer than"));
    assert_eq!(wire.asked(), 2);
    // A blob ends with the first byte that its descriptor does not have.
    let error = Wire::new(move |_, _| again()).blob(&[b' '; 10]).await.unwrap_err();
    assert!(matches!(error, BlobError::Size { got, want: 10, .. } if got < 2 << 20), "{error}");
    // Extensions of chunks and trailers are no way around.
    let extension = [b"1;".as_slice(), &vec![b'x'; 1 << 20], b"\r\n"].concat();
    for body in [extension, [b"0\r\n".as_slice(), &b"X: y\r\n".repeat(100_000)].concat(), b"fffffffffffffffff\r\n".to_vec()] {
        let bytes = answer("200 OK", &["Transfer-Encoding: chunked"], &body);
        let obstacle = could_not_look(Wire::new(move |_, _| bytes.clone()).manifest().await, "chunks");
        assert_eq!(obstacle.kind, ObstacleKind::Unreachable, "{obstacle}");
    }
}

#[tokio::test]
async fn a_head_without_end_is_left() {
    for line in ["X: ".to_owned() + &"y".repeat(1 << 20), "X: y\r\n".repeat(10_000)] {
        let bytes = answer("200 OK", &[&line], IMAGE.as_bytes());
        let wire = Wire::new(move |_, _| bytes.clone());
        assert_eq!(could_not_look(wire.manifest().await, "head").kind, ObstacleKind::Unreachable);
        assert_eq!(wire.asked(), 3);
    }
}

/// Nothing is unpacked that nobody asked to have packed: a small answer stays small.
#[tokio::test]
async fn what_is_sent_packed_is_taken_as_it_is() {
    let length = format!("Content-Length: {}", PACKED.len());
    let lines = ["Content-Encoding: gzip", &length, &format!("Content-Type: {}", media::OCI_MANIFEST)];
    let bytes = answer("200 OK", &lines, PACKED);
    let wire = Wire::new(move |head, _| {
        assert!(!head.to_lowercase().contains("accept-encoding"), "{head}");
        bytes.clone()
    });
    assert!(could_not_look(wire.manifest().await, "manifest").reason.contains("not a manifest"));
    // A layer that was packed before it was named is what its digest says.
    assert_eq!(wire.blob(PACKED).await.unwrap(), PACKED);
}

#[tokio::test]
async fn another_range_than_the_one_asked_for_is_refused() {
    let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
    for (range, reason) in [
        (Some("bytes 0-4999/5000"), "another range"),
        (Some("bytes 1001-4999/5000"), "another range"),
        (Some("bytes 10000-4999/5000"), "another range"),
        (Some("bytes */5000"), "another range"),
        (Some("items 1000-4999/5000"), "another range"),
        (None, "another range"),
        // The right range by its word, with other bytes.
        (Some("bytes 1000-4999/5000"), "digest mismatch"),
    ] {
        let (first, line) = (bytes[..1000].to_vec(), range.map(|range| format!("Content-Range: {range}")));
        let wire = Wire::new(move |_, n| match n {
            0 => answer("200 OK", &["Content-Length: 5000"], &first),
            _ => {
                let lines: Vec<&str> = ["Content-Length: 4000"].into_iter().chain(line.as_deref()).collect();
                answer("206 Partial Content", &lines, &[0; 4000])
            }
        });
        let error = wire.blob(&bytes).await.unwrap_err();
        assert!(error.to_string().contains(reason), "{range:?}: {error}");
        assert_eq!(wire.asked(), 2, "{range:?}");
    }
    // A part that nobody asked for is not the whole.
    let wire =
        Wire::new(|_, _| answer("206 Partial Content", &["Content-Range: bytes 0-9/5000", "Content-Length: 10"], &[0; 10]));
    assert!(matches!(wire.blob(&bytes).await, Err(BlobError::Size { got: 10, want: 5000, .. })));
    let part = answer("206 Partial Content", &["Content-Range: bytes 0-1/2", "Content-Length: 2"], b"{}");
    assert_eq!(could_not_look(Wire::new(move |_, _| part.clone()).manifest().await, "206").status, Some(206));
}

#[tokio::test]
async fn redirects_come_to_an_end() {
    let away = |status: &'static str| {
        move |_: &str, n: usize| answer(status, &[&format!("Location: /v2/{n}"), "Content-Length: 0"], b"")
    };
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let wire = Wire::new(away(status));
        let obstacle = could_not_look(wire.manifest().await, status);
        assert_eq!((obstacle.kind, wire.asked()), (ObstacleKind::Denied, 11), "{status}: {obstacle}");
        assert!(obstacle.reason.contains("too many redirects"), "{obstacle}");
    }
    for location in ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"] {
        let bytes = answer("302 Found", &[&format!("Location: {location}"), "Content-Length: 0"], b"");
        let wire = Wire::new(move |_, _| bytes.clone());
        let obstacle = could_not_look(wire.manifest().await, location);
        assert!(
            matches!(obstacle.kind, ObstacleKind::Denied | ObstacleKind::Unreachable | ObstacleKind::Malformed),
            "{obstacle}"
        );
    }
}

fn page(digests: impl Iterator<Item = usize>) -> String {
    let entry =
        |n: usize| format!(r#"{{"mediaType":"{}","digest":"{}","size":1}}"#, media::OCI_MANIFEST, Digest::of(&n.to_le_bytes()));
    let entries: Vec<String> = digests.map(entry).collect();
    format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#, media::OCI_INDEX, entries.join(","))
}

#[tokio::test]
async fn lists_are_bounded_and_go_on_in_one_place() {
    let served = |links: Vec<String>, entries: usize| {
        Wire::new(move |_, n| {
            let body = page(n * entries..(n + 1) * entries);
            let lines: Vec<String> = links.iter().map(|link| link.replace('#', &n.to_string())).collect();
            let length = format!("Content-Length: {}", body.len());
            let lines: Vec<&str> = lines.iter().map(String::as_str).chain([length.as_str()]).collect();
            answer("200 OK", &lines, body.as_bytes())
        })
    };
    let next = |target: &str| format!(r#"Link: <{target}>; rel="next""#);
    for (links, entries, reason, asked) in [
        // New pages for ever, each with more.
        (vec![next("?n=#")], 600, "the list goes on after 1200 manifests", 2),
        // The same page for ever.
        (vec![next("?n=0")], 1, "do not come to an end", 2),
        (vec![next("?n=1"), next("?n=2")], 1, "two next pages", 1),
        (vec![format!(r#"{}, <?n=2>; rel="next""#, next("?n=1"))], 1, "two next pages", 1),
        (vec![next("http://127.0.0.2:1/v2/")], 1, "another host", 1),
        (vec![next("//127.0.0.2/v2/")], 1, "another host", 1),
        (vec![next("https://user:pw@[bad/")], 1, "no valid URL", 1),
    ] {
        let wire = served(links.clone(), entries);
        let obstacle = could_not_look(wire.referrers().await, reason);
        assert!(obstacle.reason.contains(reason), "{links:?}: {obstacle}");
        assert_eq!((obstacle.kind, wire.asked()), (ObstacleKind::Malformed, asked), "{links:?}");
    }
    // Twice the same place is one.
    let wire = Wire::new(move |_, n| {
        let (body, link) = (page(n..n + 1), r#"Link: <?n=1>; rel="next""#);
        let length = format!("Content-Length: {}", body.len());
        let lines = [length.as_str(), link, link];
        answer("200 OK", if n == 0 { &lines } else { &lines[..1] }, body.as_bytes())
    });
    assert!(matches!(wire.referrers().await, Answer::Found(list) if list.manifests.len() == 2));
}

/// A token is a header of the next request.
#[tokio::test]
async fn a_token_cannot_write_headers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let realm = format!("http://{}/token", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            head(&mut stream);
            let body = r#"{"token":"a\r\nX-Injected: yes"}"#;
            let _ = stream.write_all(&answer("200 OK", &[&format!("Content-Length: {}", body.len())], body.as_bytes()));
        }
    });
    let challenge = format!(r#"WWW-Authenticate: Bearer realm="{realm}""#);
    let injected = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&injected);
    let wire = Wire::new(move |head, _| {
        seen.fetch_add(usize::from(head.contains("X-Injected")), Ordering::Relaxed);
        answer("401 Unauthorized", &[&challenge, "Content-Length: 0"], b"")
    });
    could_not_look(wire.manifest().await, "token");
    assert!(wire.asked() > 0 && injected.load(Ordering::Relaxed) == 0);
}
