//! How registries are reached: the flags that every command with sockets shares.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::options::Options;

/// How registries and logs are reached. Proxies are those of `HTTPS_PROXY`,
/// `HTTP_PROXY` and `NO_PROXY`.
#[derive(Args, Clone, Debug, Default)]
pub struct NetworkArgs {
    /// Ask every registry over plain http; hosts on loopback always are
    #[arg(long)]
    pub allow_http_registry: bool,

    /// Accept any TLS certificate of a registry
    #[arg(long)]
    pub allow_insecure_registry: bool,

    /// Trust the certificate authorities in this PEM file too; may be repeated
    #[arg(long, value_name = "FILE")]
    pub registry_cacert: Vec<PathBuf>,

    /// Show this certificate (PEM) to a registry that asks for one
    #[arg(long, value_name = "FILE", requires = "registry_client_key")]
    pub registry_client_cert: Option<PathBuf>,

    /// Private key (PEM) of the certificate
    #[arg(long, value_name = "FILE", requires = "registry_client_cert")]
    pub registry_client_key: Option<PathBuf>,
}

impl NetworkArgs {
    /// Says how to reach everything; `read` reads a file that was named.
    ///
    /// # Errors
    ///
    /// Returns the first error of `read`.
    pub fn options<E>(&self, read: impl Fn(&Path) -> Result<Vec<u8>, E>) -> Result<Options, E> {
        let authorities = self.registry_cacert.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
        let identity = match (&self.registry_client_cert, &self.registry_client_key) {
            (Some(certificate), Some(key)) => Some([read(certificate)?, b"\n".to_vec(), read(key)?].concat()),
            _ => None,
        };
        Ok(Options {
            allow_http: self.allow_http_registry,
            allow_insecure: self.allow_insecure_registry,
            authorities,
            identity,
            ..Options::default()
        })
    }
}
