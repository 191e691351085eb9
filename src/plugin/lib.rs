//! The names people type: one front for the suite.
//!
//! `carnet` itself judges nothing. It collects with the export room and starts
//! the separate program `carnet-verify` for every verdict.

#![forbid(unsafe_code)]

pub mod demo;
pub mod front;
pub mod inspect;
pub mod verifier;
