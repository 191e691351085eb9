//! What runs in a cluster, and which bundles cover it.
//!
//! [`images()`] writes images.yaml from what runs: the list that an export starts
//! from. [`status()`] looks from the other end: which of the running digests belong
//! to an image that a bundle on a shelf carries and that passes today. Verdicts come
//! from the program `carnet-verify` alone, or from verification summaries that a key
//! of the operator signed; no file that merely says "pass" is ever believed.
//!
//! Pods come from the API of a cluster, from manifests, or from the output of
//! `kubectl get pods -o json`. `docs/cluster.md` says what is asked of a cluster and
//! what the forms of `imageID` mean.

#![forbid(unsafe_code)]

mod api;
mod cli;
mod coverage;
mod error;
mod flags;
mod image_id;
mod images_yaml;
mod judge;
mod manifest;
mod pod;
mod running;
mod shelf;
mod source;
mod summary;
mod table;

pub use cli::{ImagesArgs, StatusArgs, images, status};
