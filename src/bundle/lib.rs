//! What a bundle is: one OCI index, everything it reaches, and the container
//! that holds it.
//!
//! Input is bytes from an `impl Read`, output is a bundle or findings; the
//! writer goes the other way. Nothing here opens a file, a socket or a clock.
//!
//! The normative text is `bundle-spec/bundle.md`; step numbers such as `V3.2`
//! refer to `bundle-spec/verify.md`.
//!
//! Gate 1 over an archive on standard input:
//!
//! ```no_run
//! use carnet_bundle::{Archive, Limits, open};
//!
//! let limits = Limits::default();
//! let opened = open(&mut Archive::new(std::io::stdin().lock(), &limits)?, &limits)?;
//! assert!(opened.findings.is_empty(), "{} was changed: {:?}", opened.id, opened.findings);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod archive;
pub mod assembly;
pub mod attachment;
pub mod codes;
pub mod container;
pub mod derive;
pub mod digest;
pub mod finding;
pub mod inventory;
pub mod json;
pub mod limits;
pub mod lookups;
pub mod manifest;
pub mod media;
pub mod open;
pub mod plan;
mod reader;
mod recheck;
pub mod reference;
pub mod tree;

pub use archive::Archive;
pub use assembly::{Assembly, Document};
pub use attachment::{Attachment, AttachmentError, AttachmentKind};
pub use digest::{Digest, DigestError, Digester};
pub use finding::{Code, Finding, Severity};
pub use inventory::Inventory;
pub use limits::Limits;
pub use lookups::{Lookup, Lookups, LookupsError};
pub use manifest::{Descriptor, Manifest, ManifestError, Platform};
pub use open::{Bundle, CarriedDocument, OpenError, Opened, open};
pub use plan::{Content, Plan, PlanError, PlannedMember};
pub use reference::{Reference, ReferenceError};
