//! A registry behind TLS under a name that is not loopback: a proxy, as
//! `HTTPS_PROXY` names one, leads to it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    runtime::Builder,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
    },
};

/// The proxy, and what was asked of it.
pub(crate) struct Secure {
    pub(crate) proxy: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

pub(crate) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/tls").join(name)
}

impl Secure {
    /// Starts TLS before `backend`; with `clients` it wants their certificates.
    pub(crate) fn start(backend: SocketAddr, clients: bool) -> Self {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let bind = || runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let (proxy, tls) = (bind(), bind());
        let (address, inner) = (proxy.local_addr().unwrap(), tls.local_addr().unwrap());
        let seen = Arc::clone(&heads);
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::spawn(serve_tls(tls, TlsAcceptor::from(Arc::new(config(clients))), backend));
                loop {
                    let Ok((client, _)) = proxy.accept().await else { return };
                    tokio::spawn(tunnel(client, inner, Arc::clone(&seen)));
                }
            });
        });
        Self { proxy: address, heads }
    }

    /// Heads of the requests to the proxy.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn config(clients: bool) -> ServerConfig {
    let certificates = |name: &str| CertificateDer::pem_file_iter(file(name)).unwrap().map(Result::unwrap).collect::<Vec<_>>();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = if clients {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates("ca.pem"));
        builder.with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_slice(&fs::read(file("server.key")).unwrap()).unwrap();
    builder.with_single_cert(certificates("server.pem"), key).unwrap()
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
