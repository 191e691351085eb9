//! How a cluster is reached: TLS with the authority of the kubeconfig, client
//! certificates, and programs that a kubeconfig names.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "cluster/api.rs"]
mod api;
#[path = "plugin/installed.rs"]
mod installed;
#[path = "cluster/pods.rs"]
mod pods;

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use api::{Api, page, serve};
use installed::{Ended, program};
use pods::pod;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};

fn images(config: &Path) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carnet"));
    command.env_clear().args(["images", "-A", "--request-timeout", "20", "--kubeconfig"]).arg(config);
    Ended::of(&command.output().unwrap())
}

fn one() -> Vec<serde_json::Value> {
    vec![pod("shop", "a", "r.example/a:1", "")]
}

/// Makes an authority and what it issues, anew: files `NAME.pem` and `NAME.key`.
fn issue(dir: &Path, authority: &str, names: &[(&str, &str, ExtendedKeyUsagePurpose)]) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    fs::write(dir.join(format!("{authority}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    for (file, name, usage) in names {
        let mut params = CertificateParams::new(vec![(*name).to_owned()]).unwrap();
        params.extended_key_usages = vec![usage.clone()];
        let key = KeyPair::generate().unwrap();
        fs::write(dir.join(format!("{file}.pem")), params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
        fs::write(dir.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }
}

/// An API behind TLS that wants the certificates of its clients. Returns its URL.
fn secure(dir: &Path) -> String {
    use rustls::pki_types::pem::PemObject;
    let certificate = |name: &str| CertificateDer::from_pem_file(dir.join(name)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca.pem")).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join("server.key")).unwrap();
    let config = config.with_client_cert_verifier(clients).with_single_cert(vec![certificate("server.pem")], key).unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let answer = |asked: &api::Asked| Some(page(&one(), &asked.target));
            thread::spawn(move || serve(StreamOwned::new(connection, stream), &answer, &Mutex::default()));
        }
    });
    url
}

fn written(dir: &Path, cluster: &str, user: &str) -> std::path::PathBuf {
    let path = dir.join("kubeconfig");
    let text = format!(
        "kind: Config\ncurrent-context: x\nclusters: [{{name: c, cluster: {{{cluster}}}}}]\n\
         contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    );
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_cluster_is_trusted_by_the_authority_of_the_kubeconfig() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (server, client) = (ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth);
    issue(dir, "ca", &[("server", "127.0.0.1", server), ("client", "client", client.clone())]);
    issue(dir, "other", &[("stranger", "client", client)]);
    let url = secure(dir);
    let with = |authority: &str, more: &str, user: &str| {
        let user = format!("client-certificate: {user}.pem, client-key: {user}.key");
        images(&written(dir, &format!("server: '{url}', certificate-authority: {authority}.pem{more}"), &user))
    };
    let said = with("ca", "", "client");
    assert!(said.status == Some(0) && said.out.contains("r.example/a:1"), "{said:?}");
    for (authority, more, user, want) in [
        ("other", "", "client", "certificate"),
        ("ca", ", tls-server-name: elsewhere.example", "client", "certificate"),
        ("ca", "", "stranger", ""),
    ] {
        let said = with(authority, more, user).refused();
        assert!(said.contains(&format!("cannot reach {url}/: ")) && said.contains(want), "{said}");
    }
    let said = images(&written(dir, &format!("server: '{url}'"), "")).refused();
    assert!(said.contains("certificate"), "{said}");
}

#[test]
fn a_program_of_the_kubeconfig_is_started_for_credentials() {
    let api = Api::with_pods(one());
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let server = fs::read_to_string(api.kubeconfig(dir)).unwrap();
    let server = server.lines().find_map(|line| line.split("server: ").nth(1)).unwrap().trim_end_matches('}').to_owned();
    let plugin = dir.join("plugin");
    let user =
        format!("exec: {{apiVersion: client.authentication.k8s.io/v1, command: '{}', interactiveMode: Never}}", plugin.display());
    let config = written(dir, &format!("server: {server}"), &user);
    let credential =
        r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"from-plugin"}}"#;
    program(&plugin, &format!("echo '{credential}'"));
    assert_eq!(images(&config).status, Some(0));
    assert_eq!(api.asked().last().unwrap().authorization, "Bearer from-plugin");
    for script in ["exit 3", "echo junk", "true"] {
        program(&plugin, script);
        images(&config).refused();
    }
    fs::remove_file(&plugin).unwrap();
    let said = images(&config).refused();
    assert!(said.contains("plugin"), "{said}");
}

/// A newcomer's first call: no kubeconfig, and no pod around it.
#[test]
fn without_a_cluster_nobody_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_carnet"));
    command.env_clear().env("HOME", dir.path()).args(["images", "-A"]);
    let said = Ended::of(&command.output().unwrap()).refused();
    assert!(said.contains("no cluster is named: there is no kubeconfig") && said.contains("-f FILE"), "{said}");
    // In a pod without its token the reason is another.
    command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env("KUBERNETES_SERVICE_PORT", "1");
    let said = Ended::of(&command.output().unwrap()).refused();
    assert!(said.contains("there is none, and in this pod: "), "{said}");
}
