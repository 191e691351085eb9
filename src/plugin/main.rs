//! `carnet`: the front of the suite.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    carnet::front::main()
}
