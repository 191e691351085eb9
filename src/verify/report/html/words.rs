//! Words, symbols and classes of a page: no state is told by colour alone.

use carnet_bundle::{Severity, inventory::LookResult};

use super::super::{
    Verdict,
    proof::{AnchorKind, Held, TimeVoucher},
};

/// How a state is shown: symbol, word, class of the style sheet.
#[derive(Clone, Copy)]
pub(super) struct Shown {
    pub(super) symbol: &'static str,
    pub(super) word: &'static str,
    pub(super) class: &'static str,
}

const fn shown(symbol: &'static str, word: &'static str, class: &'static str) -> Shown {
    Shown { symbol, word, class }
}

pub(super) trait Show {
    fn shown(&self) -> Shown;
}

impl Show for Verdict {
    fn shown(&self) -> Shown {
        match self {
            Self::Pass => shown("✓", "pass", "good"),
            Self::Fail => shown("✕", "fail", "bad"),
        }
    }
}

impl Show for Held {
    fn shown(&self) -> Shown {
        match self {
            Self::Contradicted => shown("≠", "contradicted", "bad"),
            Self::Failed => shown("✕", "failed", "bad"),
            Self::NotComparable => shown("?", "not-comparable", "open"),
            Self::NotCounted => shown("–", "not-counted", "open"),
            Self::Passed => shown("✓", "passed", "good"),
            Self::Warning => shown("!", "warning", "warn"),
        }
    }
}

impl Show for Severity {
    fn shown(&self) -> Shown {
        match self {
            Self::Failure => shown("✕", "failure", "bad"),
            Self::Warning => shown("!", "warning", "warn"),
            Self::Note => shown("·", "note", "open"),
        }
    }
}

impl Show for LookResult {
    fn shown(&self) -> Shown {
        match self {
            Self::Found => shown("✓", "found", "good"),
            Self::None => shown("○", "none", "open"),
            Self::NotLooked => shown("–", "not-looked", "open"),
            Self::CouldNotLook => shown("!", "could-not-look", "warn"),
        }
    }
}

impl Show for AnchorKind {
    fn shown(&self) -> Shown {
        match self {
            Self::Digest => shown("", "digest", ""),
            Self::Policy => shown("", "policy", ""),
            Self::PublicKey => shown("", "public-key", ""),
            Self::TrustRoot => shown("", "trust-root", ""),
        }
    }
}

impl Show for TimeVoucher {
    fn shown(&self) -> Shown {
        match self {
            Self::LogPromise => shown("", "log-promise", ""),
            Self::TimestampAuthority => shown("", "timestamp-authority", ""),
        }
    }
}

/// What an extension of a Fulcio certificate states (`bundle-spec/evidence.md` §6).
pub(super) fn extension(number: &u32) -> &'static str {
    match number {
        1 | 8 => "Issuer",
        9 => "Build signer",
        10 => "Build signer digest",
        11 => "Runner",
        12 => "Source repository",
        13 => "Source commit",
        14 => "Source ref",
        15 => "Source repository id",
        16 => "Source owner",
        17 => "Source owner id",
        18 => "Build config",
        19 => "Build config digest",
        20 => "Build trigger",
        21 => "Run",
        22 => "Source visibility",
        23 => "Deployment environment",
        24 => "Token subject",
        _ => "Extension",
    }
}

/// How old something is, or how far ahead its date lies.
pub(super) fn age(days: &i64) -> String {
    match days {
        1 => "1 day old".to_owned(),
        days if *days < 0 => format!("{} days ahead", days.unsigned_abs()),
        days => format!("{days} days old"),
    }
}
