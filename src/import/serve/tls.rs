//! https from a certificate and a key in files.

use std::{path::Path, sync::Arc};

use rustls::{ServerConfig, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::TlsAcceptor;

use super::error::ServeError;
use crate::document::read;

/// Reads both files.
pub(crate) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, ServeError> {
    let refused = |path: &Path, reason: String| ServeError::Tls { path: path.to_owned(), reason };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|error| refused(certificate, error.to_string()))?;
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| refused(key, error.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| refused(certificate, error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
