//! Answers to the questions that rules ask about images.
//!
//! [`Answers`] is what the rule engine asks. It knows two sorts of things:
//!
//! - what a registry says (which digest a tag has, bytes, lists, refusals) comes
//!   from a [`Transport`]: [`Carried`] reads it from the bundle, the exporter from
//!   registries, writing it down;
//! - what follows from bytes (`ec.sigstore.*` above all) is computed here, from
//!   the bytes of the transport and with the operator's trust root, each time. A
//!   record can not say "verified".
//!
//! Nothing here opens a socket; the exporter's transport does, on its own side.
//!
//! The normative text is `bundle-spec/policy.md` §6; steps V15.2 and V16.1 of
//! `bundle-spec/verify.md`.

mod answers;
mod carried;
mod evidence;
mod finding;
mod inquiry;
pub mod record;
mod signer;

pub use answers::{Answers, Operator};
pub use carried::{Carried, CarriedError};
pub use finding::finding;
pub use inquiry::{Assumed, Told, Transport};
