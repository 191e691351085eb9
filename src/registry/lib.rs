//! Talks to registries: what does a repository hold, and what does it not hold?
//!
//! Input is a reference or a digest, output is an [`Answer`]: found, none, could
//! not look, or not offered. The four are never merged, because "none" explains
//! why evidence is absent and "could not look" explains nothing.
//!
//! A thin layer over [`reqwest`], with `docker_credential` for the files of docker
//! and podman and `http_auth` for challenges. The crate `oci-client` cannot carry
//! it: it reports a refusal by the registry's error document and drops the HTTP
//! status (403 and 404 become one), falls from the referrers API to the fallback
//! tag without saying so, reads one page of referrers only, trusts no media type and
//! puts no bound on a body. With those, "none" could not be told from "refused".
//! It also asks for the challenge a second time and follows whatever realm the
//! second one names.
//!
//! Follows the OCI distribution-spec 1.1; `bundle-spec/evidence.md`, "Referrers",
//! says how lists are read.

#![forbid(unsafe_code)]

mod answer;
mod authorization;
mod blob;
mod credentials;
mod document;
mod endpoint;
mod manifest;
mod network;
mod options;
mod push;
mod referrers;
mod stop;
pub mod testing;
mod transport;

pub use answer::{Answer, Obstacle, ObstacleKind};
pub use blob::{BlobError, BlobStream, Chunks};
pub use credentials::CredentialFiles;
pub use endpoint::is_loopback;
pub use manifest::RemoteManifest;
pub use network::NetworkArgs;
pub use options::{Backoff, Options, Patience};
pub use push::{Placed, PushError, Pusher, Upload};
pub use referrers::Referrers;
pub use stop::run_until_stopped;
pub use transport::{Registry, RegistryError};
