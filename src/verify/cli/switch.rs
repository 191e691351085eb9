//! Flags that are on or off, as Go's flag library reads them: `--info`,
//! `--info=true`, `--info=0`. Pipelines pass them in all three forms.

use std::{fmt, str::FromStr};

use clap::Arg;

use crate::report::parse_bool;

/// A flag that is on or off.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Switch(pub bool);

/// A value of a switch that is neither on nor off.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("want true or false")]
pub struct SwitchError;

impl FromStr for Switch {
    type Err = SwitchError;

    fn from_str(text: &str) -> Result<Self, SwitchError> {
        parse_bool(text).map(Self).ok_or(SwitchError)
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Lets a switch stand without a value; a value needs `=`, so that the next word
/// is never taken for one.
pub(super) fn as_in_go(arg: Arg) -> Arg {
    let switch = arg.get_default_values().iter().any(|value| value == "true" || value == "false");
    if !switch {
        return arg;
    }
    arg.num_args(0..=1).require_equals(true).default_missing_value("true").hide_default_value(true).value_name("BOOL")
}
