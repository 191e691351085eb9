//! Registries behind TLS: authorities of one's own, client certificates, proxies,
//! and no way from https into the clear.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "collection/image.rs"]
mod image;
#[path = "collection/secure.rs"]
mod secure;
#[path = "export_support.rs"]
mod support;

use std::fs;

use carnet_bundle::media;
use carnet_registry::testing::{Behaviour, Content, Effect, Fault, Route, TestingRegistry};
use image::{Layout, digest};
use secure::Secure;
use serde_json::json;
use support::{Ended, export_with, open_archive, serve, testdata};

struct Stage {
    folder: tempfile::TempDir,
    registry: TestingRegistry,
    secure: Secure,
}

impl Stage {
    fn new(clients: bool, behaviour: Behaviour) -> Self {
        let registry = serve("local-sigstore/app", behaviour);
        let secure = Secure::start(registry.address(), clients);
        Self { folder: tempfile::tempdir().unwrap(), registry, secure }
    }

    fn export(&self, extra: &[&str]) -> Ended {
        let output = self.folder.path().join("out.tar");
        let proxy = format!("http://{}", self.secure.proxy);
        let auth = self.folder.path().join("auth.json");
        let arguments = ["registry.example/demo/app:v1", "-q", "-o", output.to_str().unwrap()];
        let environment = [("HTTPS_PROXY", proxy.as_str()), ("REGISTRY_AUTH_FILE", auth.to_str().unwrap())];
        export_with(&[arguments.as_slice(), extra].concat(), &environment)
    }

    fn written(&self) -> bool {
        let output = self.folder.path().join("out.tar");
        output.exists() && open_archive(&output).0.evidence.len() == 3
    }
}

#[test]
fn an_authority_of_ones_own_is_trusted_when_it_is_named() {
    let stage = Stage::new(false, Behaviour::default());
    let ended = stage.export(&[]);
    assert!(ended.code == 2 && !stage.written(), "{ended:?}");
    assert!(ended.stderr.contains("certificate") || ended.stderr.contains("UnknownIssuer"), "{ended:?}");
    assert_eq!(stage.registry.served(), []);
    let ended = stage.export(&["--registry-cacert", &stage.secure.file("ca.pem")]);
    assert!(ended.code == 0 && stage.written(), "{ended:?}");
    // The proxy sees the name and nothing else.
    for head in stage.secure.heads() {
        assert!(head.starts_with("CONNECT registry.example:443 HTTP/1.1\r\n"), "{head}");
        assert!(!head.to_ascii_lowercase().contains("authorization"), "{head}");
    }
    fs::remove_file(stage.folder.path().join("out.tar")).unwrap();
    let ended = stage.export(&["--allow-insecure-registry"]);
    assert!(ended.code == 0 && stage.written(), "{ended:?}");
    let ended = stage.export(&["--registry-cacert", &stage.secure.file("server.key")]);
    assert!(ended.code == 2 && ended.stderr.contains("no certificate in the file"), "{ended:?}");
}

#[test]
fn a_client_certificate_is_shown_to_whoever_asks_for_one() {
    let stage = Stage::new(true, Behaviour::default());
    let authority = ["--registry-cacert", &stage.secure.file("ca.pem")];
    let ended = stage.export(&authority);
    assert!(ended.code == 2 && !stage.written() && stage.registry.served().is_empty(), "{ended:?}");
    let (certificate, key) = (stage.secure.file("client.pem"), stage.secure.file("client.key"));
    let identity = ["--registry-client-cert", &certificate, "--registry-client-key", &key];
    let ended = stage.export(&[authority.as_slice(), &identity].concat());
    assert!(ended.code == 0 && stage.written(), "{ended:?}");
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    let stage = Stage::new(true, Behaviour::default());
    let ended = stage.export(&["--registry-client-cert", &stage.secure.file("client.pem")]);
    assert_eq!(ended.code, 2, "{ended:?}");
}

#[test]
fn nothing_leads_from_https_into_the_clear() {
    let mut content = Content::new();
    content.add_layout("demo/app", &testdata("layouts/local-sigstore/app")).unwrap();
    let clear = TestingRegistry::start(content, Behaviour::default()).unwrap();
    let stage = Stage::new(false, Behaviour::default());
    let target = format!("http://{}/v2/demo/app/manifests/v1", clear.host());
    stage.registry.inject(Fault::on(Route::Manifest, Effect::Redirect(target)));
    let ended = stage.export(&["--registry-cacert", &stage.secure.file("ca.pem")]);
    assert!(ended.code == 2 && ended.stderr.contains("from https to http"), "{ended:?}");
    assert_eq!(clear.served(), []);
}

/// The realm that the registry names is on plain http, so the password stays here.
#[test]
fn no_password_goes_to_a_realm_in_the_clear() {
    let credentials = Some(("user".to_owned(), "secret".to_owned()));
    let stage = Stage::new(false, Behaviour { credentials, ..Behaviour::default() });
    fs::write(stage.folder.path().join("auth.json"), r#"{"auths":{"registry.example":{"auth":"dXNlcjpzZWNyZXQ="}}}"#).unwrap();
    let ended = stage.export(&["--registry-cacert", &stage.secure.file("ca.pem")]);
    assert!(
        ended.code == 2 && ended.stderr.contains("the token service is asked over http, the registry over https"),
        "{ended:?}"
    );
    assert!(stage.registry.served().iter().all(|served| served.authorization.is_empty()), "{:?}", stage.registry.served());
}

#[test]
fn no_proxy_is_honoured_and_plain_http_goes_by_its_own_proxy() {
    let stage = Stage::new(false, Behaviour::default());
    let proxy = format!("http://{}", stage.secure.proxy);
    let output = stage.folder.path().join("out.tar");
    let arguments = ["registry.invalid/demo/app:v1", "-q", "--allow-http-registry", "-o", output.to_str().unwrap()];
    let ended = export_with(&arguments, &[("HTTP_PROXY", &proxy)]);
    assert!(ended.code == 2 && ended.stderr.contains("does not exist"), "{ended:?}");
    assert!(
        stage.secure.heads()[0].starts_with("GET http://registry.invalid/v2/demo/app/manifests/v1 "),
        "{:?}",
        stage.secure.heads()
    );
    let before = stage.secure.heads().len();
    let ended = export_with(&arguments, &[("HTTP_PROXY", &proxy), ("NO_PROXY", "registry.invalid")]);
    assert!(ended.code == 2 && !ended.stderr.contains("does not exist"), "{ended:?}");
    assert_eq!(stage.secure.heads().len(), before);
}

/// A layer that the registry does not hold and that lies elsewhere, behind another
/// port of the same name: it is fetched when it is asked for, and nobody there is
/// told who asks.
#[test]
fn foreign_layers_are_fetched_when_they_are_wanted_and_without_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = Layout::new(&folder.path().join("layout"));
    let mut foreign = layout.blob("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", b"licensed");
    let elsewhere = format!("/v2/elsewhere/blobs/{}", digest(&foreign));
    foreign["urls"] = json!([format!("https://registry.example:8443{elsewhere}")]);
    let config = layout.blob(media::OCI_CONFIG, b"{}");
    let image = layout.manifest(json!({ "config": config, "layers": [foreign] }));
    layout.tag("v1", &image);
    let layout_content = || {
        let mut content = Content::new();
        content.add_layout("demo/app", &layout.path).unwrap();
        content.remove_blob("demo/app", &digest(&foreign));
        content.add_blob("elsewhere", b"licensed");
        content
    };
    let credentials = Some(("user".to_owned(), "secret".to_owned()));
    for (behaviour, code) in [(Behaviour::default(), 0), (Behaviour { credentials, ..Behaviour::default() }, 2)] {
        let registry = TestingRegistry::start(layout_content(), behaviour).unwrap();
        let secure = Secure::start(registry.address(), false);
        // Its token service is on plain http, so the token is given out already.
        let auths = r#"{"auths":{"registry.example":{"registrytoken":"opaque-token-0"}}}"#;
        let stage = Stage { folder: tempfile::tempdir().unwrap(), registry, secure };
        fs::write(stage.folder.path().join("auth.json"), auths).unwrap();
        let ended = stage.export(&["--registry-cacert", &stage.secure.file("ca.pem"), "--include-foreign"]);
        assert_eq!(ended.code, code, "{ended:?}");
        let served = stage.registry.served();
        let asked: Vec<_> = served.iter().filter(|served| served.path == elsewhere).collect();
        assert!(!asked.is_empty() && asked.iter().all(|served| served.authorization.is_empty()), "{served:?}");
        let output = stage.folder.path().join("out.tar");
        if code == 0 {
            let (inventory, findings) = open_archive(&output);
            assert_eq!((inventory.absent, findings), (vec![], vec![]));
        } else {
            assert!(served.iter().any(|served| served.authorization == "Bearer"), "{served:?}");
            assert!(!output.exists() && ended.stderr.contains("401"), "{ended:?}");
        }
    }
}
