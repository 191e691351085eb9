//! The names people type: one front for the suite.
//!
//! One program answers to several names ([`persona`]): `carnet`, `kubectl-carnet`,
//! `docker-carnet`, `cosign-carnet`. It judges nothing itself. It collects with the
//! export room and starts the separate program `carnet-verify` for every verdict.

#![forbid(unsafe_code)]

mod answer;
mod attach;
mod check;
pub mod demo;
mod dialect;
mod docker;
pub mod documented;
mod examples;
pub mod front;
mod hosts;
pub mod inspect;
mod install;
mod mistake;
pub mod persona;
mod usage;
pub mod verifier;
mod why;
