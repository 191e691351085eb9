//! The far side: lets in what passed, and nothing else.
//!
//! An import has three parts. [`judge`] starts the program `carnet-verify`, which
//! says whether the archive passes, and what its bundle id is. [`Shipment::open`]
//! opens the archive once more, reads all of it but the image layers, and takes
//! only what belongs to images that passed in a bundle of that id. [`Shipment::write`]
//! hashes every blob again while it streams. So it makes no difference what
//! happens to the file in between: what did not pass is not written.
//!
//! Nobody ever sees an image without its evidence: tags of images are written
//! last, after everything was read back.
//!
//! `docs/import.md` says what is written where, and in which order.

#![forbid(unsafe_code)]

mod arguments;
mod belongings;
mod buffers;
mod cli;
mod delivery;
mod destination;
mod docker_archive;
mod document;
mod encrypted_key;
mod error;
mod fallback;
mod files;
mod layout;
mod members;
mod receipt;
mod serve;
mod shipment;
mod signing_key;
mod target;
mod verdict;
pub mod verifier;
mod vsa;

pub use arguments::VerifyWords;
pub use cli::{ImportArgs, import};
pub use error::ImportError;
pub use receipt::Receipt;
pub use serve::{ServeArgs, ServeError, serve};
pub use shipment::Shipment;
pub use signing_key::SigningKey;
pub use verdict::{Judged, judge};
