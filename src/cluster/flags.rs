//! Flags of `carnet-verify` that a look at a cluster passes on.

use std::ffi::OsString;

use carnet_verify::VerifyArgs;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, parser::ValueSource};
use jiff::Timestamp;

/// Everything that says by what a bundle is judged. What is not here is about one
/// archive, about reports, or about lists of images.
const PASSED_ON: [&str; 31] = [
    "accept_bundled_policy",
    "accept_bundled_sources",
    "allow_incomplete",
    "allow_past_effective_time",
    "allow_unexpected_images",
    "at",
    "certificate_identity",
    "certificate_identity_regexp",
    "certificate_oidc_issuer",
    "certificate_oidc_issuer_regexp",
    "compat",
    "effective_time",
    "exporter_identity",
    "exporter_issuer",
    "exporter_key",
    "extra_rule_data",
    "filter_type",
    "ignore_rekor",
    "layers",
    "no_assumptions",
    "platform",
    "policy",
    "policy_lock",
    "policy_source",
    "public_key",
    "skip_image_sig_check",
    "trust_policy",
    "trusted_root",
    "trusted_root_digest",
    "tuf_root",
    "workers",
];

/// The words of a command line that are meant for `carnet-verify`, read by its own
/// definition, so that what it would refuse is refused here.
#[derive(Clone, Debug, Default)]
pub(crate) struct VerifyFlags {
    words: Vec<OsString>,
    at: Option<Timestamp>,
}

impl VerifyFlags {
    /// The flags as they are handed over.
    pub(crate) fn as_words(&self) -> &[OsString] {
        &self.words
    }

    /// The time that freshness is measured at (`--at`), here as in carnet-verify.
    pub(crate) fn at(&self) -> Option<Timestamp> {
        self.at
    }
}

fn passed_on() -> impl Iterator<Item = Arg> {
    let definition = VerifyArgs::definition();
    let args: Vec<_> = definition.get_arguments().filter(|arg| PASSED_ON.contains(&arg.get_id().as_str())).cloned().collect();
    args.into_iter()
}

impl Args for VerifyFlags {
    fn augment_args(command: Command) -> Command {
        passed_on().fold(command, Command::arg)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for VerifyFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for arg in passed_on() {
            let id = arg.get_id().as_str();
            let Some(long) = arg.get_long().filter(|_| matches.value_source(id) == Some(ValueSource::CommandLine)) else {
                continue;
            };
            for value in matches.get_raw_occurrences(id).into_iter().flatten().flatten() {
                let mut word = OsString::from(format!("--{long}="));
                word.push(value);
                self.words.push(word);
            }
        }
        self.at = matches.get_one::<Timestamp>("at").copied().or(self.at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A flag of carnet-verify that is renamed is not silently left behind.
    #[test]
    fn every_flag_that_is_passed_on_is_one_of_carnet_verify() {
        assert_eq!(passed_on().count(), PASSED_ON.len());
    }
}
