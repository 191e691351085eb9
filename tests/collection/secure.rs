//! A registry behind TLS under a name that is not loopback: a proxy, as
//! `HTTPS_PROXY` names one, leads to it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    thread,
};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    runtime::Builder,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer},
        server::WebPkiClientVerifier,
    },
};

/// The proxy, what was asked of it, and the certificates of both sides.
pub(crate) struct Secure {
    pub(crate) proxy: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    folder: tempfile::TempDir,
}

/// A certificate authority and what it issued.
struct Certificates {
    authority: CertificateDer<'static>,
    server: CertificateDer<'static>,
    server_key: PrivateKeyDer<'static>,
}

impl Certificates {
    /// An authority, a certificate for `registry.example` and one for a client, made
    /// anew; the files that an operator would have are written to `folder`.
    fn new(folder: &std::path::Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let issue = |name: &str, usage: ExtendedKeyUsagePurpose| {
            let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate().unwrap();
            (params.signed_by(&key, &issuer).unwrap(), key)
        };
        let (server, server_key) = issue("registry.example", ExtendedKeyUsagePurpose::ServerAuth);
        let (client, client_key) = issue("client.example", ExtendedKeyUsagePurpose::ClientAuth);
        for (name, pem) in [
            ("ca.pem", authority.pem()),
            ("server.key", server_key.serialize_pem()),
            ("client.pem", client.pem()),
            ("client.key", client_key.serialize_pem()),
        ] {
            fs::write(folder.join(name), pem).unwrap();
        }
        let server_key = PrivateKeyDer::try_from(server_key.serialize_der()).unwrap();
        Self { authority: authority.der().clone(), server: server.der().clone(), server_key }
    }
}

impl Secure {
    /// Starts TLS before `backend`; with `clients` it wants their certificates.
    pub(crate) fn start(backend: SocketAddr, clients: bool) -> Self {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let folder = tempfile::tempdir().unwrap();
        let config = config(Certificates::new(folder.path()), clients);
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let bind = || runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let (proxy, tls) = (bind(), bind());
        let (address, inner) = (proxy.local_addr().unwrap(), tls.local_addr().unwrap());
        let seen = Arc::clone(&heads);
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::spawn(serve_tls(tls, TlsAcceptor::from(Arc::new(config)), backend));
                loop {
                    let Ok((client, _)) = proxy.accept().await else { return };
                    tokio::spawn(tunnel(client, inner, Arc::clone(&seen)));
                }
            });
        });
        Self { proxy: address, heads, folder }
    }

    /// Path of a file of an operator: `ca.pem`, `client.pem`, `client.key`, `server.key`.
    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Heads of the requests to the proxy.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn config(certificates: Certificates, clients: bool) -> ServerConfig {
    let Certificates { authority, server, server_key } = certificates;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = if clients {
        let mut roots = RootCertStore::empty();
        roots.add(authority).unwrap();
        builder.with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    builder.with_single_cert(vec![server], server_key).unwrap()
}

async fn serve_tls(listener: TcpListener, acceptor: TlsAcceptor, backend: SocketAddr) {
    while let Ok((client, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(mut client) = acceptor.accept(client).await else { return };
            let Ok(mut server) = TcpStream::connect(backend).await else { return };
            // Whichever side closes first, the other sees it.
            let _ = copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

/// Reads the head of a request; CONNECT leads to the TLS server, whatever its name.
async fn tunnel(mut client: TcpStream, inner: SocketAddr, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let connects = head.starts_with("CONNECT ");
    heads.lock().unwrap().push(head);
    if !connects {
        let _ = client.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
        return;
    }
    let Ok(mut server) = TcpStream::connect(inner).await else { return };
    if client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.is_ok() {
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}
