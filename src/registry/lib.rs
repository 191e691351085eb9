//! Talks to registries: what does a repository hold, and what does it not hold?
//!
//! Input is a reference or a digest, output is an [`Answer`]: found, none, could
//! not look, or not offered. The four are never merged, because "none" explains
//! why evidence is absent and "could not look" explains nothing.
//!
//! [`oci_client`] gets the tokens of anonymous users. The requests themselves are
//! our own, through one [`reqwest::Client`]: oci-client reports a refusal by the
//! registry's error document and drops the HTTP status (403 and 404 become one),
//! falls from the referrers API to the fallback tag without saying so, reads one
//! page of referrers only, trusts no media type and puts no bound on a body. With
//! those, "none" could not be told from "refused". It also asks for the challenge
//! a second time and sends a password wherever the second one says, so whoever has
//! one goes past it.
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
mod options;
mod referrers;
pub mod testing;
mod transport;

pub use answer::{Answer, Obstacle, ObstacleKind};
pub use blob::{BlobError, BlobStream, Chunks};
pub use credentials::CredentialFiles;
pub use endpoint::is_loopback;
pub use manifest::RemoteManifest;
pub use options::{Backoff, Options};
pub use referrers::Referrers;
pub use transport::{Registry, RegistryError};
