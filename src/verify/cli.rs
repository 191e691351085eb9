//! The command line of carnet-verify.
//!
//! Flags that mean the same as in `ec validate image` have its names, short
//! forms and reading of values; the others are carnet's own. What a flag does to
//! the verdict is decided elsewhere: here it is read, refused when it cannot be
//! honoured, and turned into the types of the other rooms.

mod meaning;
mod switch;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use carnet_bundle::{Digest, Platform};
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use jiff::Timestamp;

pub use meaning::FlagError;
pub use switch::{Switch, SwitchError};

/// Judges exported images offline: from one archive, with the network off.
#[derive(Clone, Debug, Parser)]
#[command(name = "carnet-verify", version, args_override_self = true, max_term_width = 100)]
#[command(after_help = "Exit status: 0 pass; 1 a verdict, and it is fail; 2 no verdict.")]
pub struct VerifyArgs {
    /// Archive (.carnet.tar, .carnet.tar.gz), unpacked directory, or - for standard input
    #[arg(value_name = "ARCHIVE")]
    pub archive: PathBuf,

    /// Image that is expected; gives the component Unnamed
    #[arg(short, long, value_name = "REF", help_heading = "What is expected")]
    pub image: Option<String>,
    /// List of expected images: a file, or the YAML or JSON text itself
    #[arg(long, value_name = "FILE|TEXT", help_heading = "What is expected")]
    pub images: Option<String>,
    /// List of expected images: a file (deprecated in ec: use --images)
    #[arg(short, long, value_name = "FILE", help_heading = "What is expected")]
    pub file_path: Option<PathBuf>,
    /// List of expected images: the text itself (deprecated in ec: use --images)
    #[arg(short, long, value_name = "TEXT", help_heading = "What is expected")]
    pub json_input: Option<String>,
    /// Snapshot in a cluster (refused: nothing is asked of a cluster)
    #[arg(long, value_name = "NAME", help_heading = "What is expected")]
    pub snapshot: Option<String>,
    /// Bundle id that the archive must have, as `carnet export --id-file` wrote it
    #[arg(long, value_name = "DIGEST", help_heading = "What is expected")]
    pub bundle_id: Option<Digest>,

    /// policy.yaml: a file, or the YAML or JSON text itself
    #[arg(short, long, value_name = "FILE|TEXT", help_heading = "Policy")]
    pub policy: Option<String>,
    /// As of when rules apply: now, attestation, an RFC 3339 time or a date
    #[arg(long, value_name = "TIME", default_value = "now", help_heading = "Policy")]
    pub effective_time: String,
    /// Data for rules, key=value; repeatable
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Policy")]
    pub extra_rule_data: Vec<String>,
    /// How rules are selected
    #[arg(long, value_name = "TYPE", default_value = "include-exclude", help_heading = "Policy")]
    pub filter_type: FilterType,
    /// Lock that says which content stands for which source of the policy
    #[arg(long, value_name = "FILE", help_heading = "Policy")]
    pub policy_lock: Option<PathBuf>,
    /// Local directory to use for a source of the policy; repeatable
    #[arg(long, value_name = "URL=DIR", help_heading = "Policy")]
    pub policy_source: Vec<String>,
    /// Reads the documents as Conforma does where carnet is stricter
    #[arg(long, value_name = "WHOSE", help_heading = "Policy")]
    pub compat: Option<Compat>,

    /// Public key that must have signed: a PEM file, or the PEM text itself
    #[arg(short = 'k', long, visible_alias = "key", value_name = "FILE|PEM", help_heading = "Who must have signed")]
    pub public_key: Option<String>,
    /// Subject of the signing certificate
    #[arg(long, value_name = "NAME", help_heading = "Who must have signed")]
    pub certificate_identity: Option<String>,
    /// Subject of the signing certificate, as a regular expression
    #[arg(long, value_name = "REGEXP", help_heading = "Who must have signed")]
    pub certificate_identity_regexp: Option<String>,
    /// Issuer of the token behind the signing certificate
    #[arg(long, value_name = "URL", help_heading = "Who must have signed")]
    pub certificate_oidc_issuer: Option<String>,
    /// Issuer of the token behind the signing certificate, as a regular expression
    #[arg(long, value_name = "REGEXP", help_heading = "Who must have signed")]
    pub certificate_oidc_issuer_regexp: Option<String>,
    /// Trusted root (trusted_root.json) in place of the built-in public one
    #[arg(long, value_name = "FILE", help_heading = "Who must have signed")]
    pub trusted_root: Option<PathBuf>,
    /// Digest of the carried trusted root that is to be trusted
    #[arg(long, value_name = "DIGEST", help_heading = "Who must have signed")]
    pub trusted_root_digest: Option<Digest>,
    /// TUF root.json that you hold: the carried chain is verified from it, and delivers the trusted
    /// root
    #[arg(long, value_name = "FILE", help_heading = "Who must have signed")]
    #[arg(conflicts_with_all = ["trusted_root", "trusted_root_digest"])]
    pub tuf_root: Option<PathBuf>,
    /// Trust policy: evidence rules that policy.yaml has no key for
    #[arg(long, value_name = "FILE", help_heading = "Who must have signed")]
    pub trust_policy: Option<PathBuf>,
    /// Time that freshness is measured at, instead of the clock (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = meaning::time, help_heading = "Who must have signed")]
    pub at: Option<Timestamp>,
    /// Identity of the exporter: its signature over the bundle vouches for assumptions
    #[arg(long, value_name = "NAME", help_heading = "Who must have signed")]
    pub exporter_identity: Option<String>,
    /// Issuer of the token behind the certificate of the exporter
    #[arg(long, value_name = "URL", help_heading = "Who must have signed")]
    pub exporter_issuer: Option<String>,
    /// Public key of the exporter, as --exporter-identity: a PEM file, or the PEM text itself
    #[arg(long, value_name = "FILE|PEM", help_heading = "Who must have signed")]
    pub exporter_key: Option<String>,
    /// Detached attachment beside the archive, as `carnet attach --detached` writes it; repeatable
    #[arg(long, value_name = "FILE", help_heading = "Who must have signed")]
    pub attachment: Vec<PathBuf>,
    /// Certificate chain (PEM) of an authority that must have timestamped the bundle: its root, what is
    /// between, and the certificate that signs unless the timestamp carries it; repeatable
    #[arg(long, value_name = "FILE", help_heading = "Who must have signed")]
    pub timestamp_certificate_chain: Vec<PathBuf>,
    /// URL of a Rekor server: shown in the report, never asked
    #[arg(short, long, value_name = "URL", help_heading = "Who must have signed")]
    pub rekor_url: Option<String>,

    /// Asks for no transparency log entry
    #[arg(long, default_value_t, help_heading = "Relaxations (each stands in every report)")]
    pub ignore_rekor: Switch,
    /// Leaves the image signature out
    #[arg(long, default_value_t, help_heading = "Relaxations (each stands in every report)")]
    pub skip_image_sig_check: Switch,
    /// Leaves the attestation signature out (refused: rules never see unverified claims)
    #[arg(long, default_value_t, help_heading = "Relaxations (each stands in every report)")]
    pub skip_att_sig_check: Switch,
    /// Allows an effective time in the past
    #[arg(long, default_value_t, help_heading = "Relaxations (each stands in every report)")]
    pub allow_past_effective_time: Switch,
    /// Accepts an archive whose collection was not complete
    #[arg(long, default_value_t, help_heading = "Relaxations (each stands in every report)")]
    pub allow_incomplete: Switch,
    /// Accepts carried images that no component expects
    #[arg(long, default_value_t, help_heading = "Relaxations (each stands in every report)")]
    pub allow_unexpected_images: Switch,
    /// Uses images.yaml and policy.yaml of the archive where none is given
    #[arg(long, default_value_t, help_heading = "Relaxations (each stands in every report)")]
    pub accept_bundled_policy: Switch,
    /// Uses rules of the archive that nothing pins
    #[arg(long, default_value_t, help_heading = "Relaxations (each stands in every report)")]
    pub accept_bundled_sources: Switch,
    /// Layers that must be carried: all, or none for evidence only
    #[arg(long, value_name = "WHICH", default_value = "all", help_heading = "Relaxations (each stands in every report)")]
    pub layers: Layers,
    /// Platform that must be carried, os/arch[/variant], instead of all; repeatable
    #[arg(long, value_name = "PLATFORM", value_parser = meaning::platform)]
    #[arg(help_heading = "Relaxations (each stands in every report)")]
    pub platform: Vec<Platform>,

    /// Exits with 1 when the verdict is fail; with =false only no verdict is an error
    #[arg(short, long, default_value_t = Switch(true), help_heading = "Verdict")]
    pub strict: Switch,
    /// Fails when anything had to be taken on the exporter's word
    #[arg(long, default_value_t, help_heading = "Verdict")]
    pub no_assumptions: Switch,

    /// Report: text, json, yaml, appstudio, summary, summary-markdown, junit, sarif, attestation,
    /// policy-input, vsa or slsa-vsa, as FORMAT, FORMAT=FILE or FORMAT=FILE?OPTION=BOOL; repeatable,
    /// comma-separable
    #[arg(long, value_name = "TARGET", help_heading = "Report")]
    pub output: Vec<String>,
    /// Writes a JSON report to this file (deprecated in ec: use --output json=FILE)
    #[arg(short, long, value_name = "FILE", help_heading = "Report")]
    pub output_file: Option<String>,
    /// Lists what passed
    #[arg(long, default_value_t, help_heading = "Report")]
    pub show_successes: Switch,
    /// Lists warnings in text
    #[arg(long, default_value_t = Switch(true), help_heading = "Report")]
    pub show_warnings: Switch,
    /// Ends text with a link to the documentation of Conforma's rules
    #[arg(long, default_value_t, help_heading = "Report")]
    pub show_policy_docs_link: Switch,
    /// Keeps title, description and solution of every result
    #[arg(long, default_value_t, help_heading = "Report")]
    pub info: Switch,
    /// Colours text also where standard output is no terminal
    #[arg(long, default_value_t, help_heading = "Report")]
    pub color: Switch,
    /// Never colours text
    #[arg(long, default_value_t, help_heading = "Report")]
    pub no_color: Switch,

    /// Says only the report and errors
    #[arg(long, default_value_t, help_heading = "Running")]
    pub quiet: Switch,
    /// Says more about what is being done
    #[arg(long, default_value_t, help_heading = "Running")]
    pub verbose: Switch,
    /// Images that are judged at the same time
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u16).range(1..))]
    #[arg(allow_negative_numbers = true, help_heading = "Running")]
    pub workers: u16,
    /// Accepted for ec's sake; nothing here waits for anybody
    #[arg(long, value_name = "DURATION", help_heading = "Running")]
    pub timeout: Option<String>,

    /// The words of the command line, the program's name aside, for reports that keep them
    #[arg(skip)]
    pub words: Vec<String>,

    /// Flags of `ec validate image` for other work, which are read to be refused
    #[command(flatten)]
    pub other: OtherWork,
}

/// Flags of `ec validate image` whose work is not verifying.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct OtherWork {
    /// Makes a verification summary attestation
    #[arg(long, default_value_t, hide = true)]
    pub vsa: Switch,
    /// Form of the verification summary attestation
    #[arg(long, hide = true)]
    pub attestation_format: Option<String>,
    /// Directory for verification summary attestations
    #[arg(long, hide = true)]
    pub attestation_output_dir: Option<String>,
    /// Age of an earlier verification summary attestation that is taken over
    #[arg(long, hide = true)]
    pub vsa_expiration: Option<String>,
    /// Key of an earlier verification summary attestation
    #[arg(long, hide = true)]
    pub vsa_public_key: Option<String>,
    /// Key that signs a verification summary attestation
    #[arg(long, hide = true)]
    pub vsa_signing_key: Option<String>,
    /// Where a verification summary attestation is put
    #[arg(long, hide = true)]
    pub vsa_upload: Vec<String>,
    /// Retries: accepted, for nothing is fetched
    #[arg(long, hide = true)]
    pub retry_duration: Option<String>,
    /// Retries: accepted, for nothing is fetched
    #[arg(long, hide = true)]
    pub retry_factor: Option<String>,
    /// Retries: accepted, for nothing is fetched
    #[arg(long, hide = true)]
    pub retry_jitter: Option<String>,
    /// Retries: accepted, for nothing is fetched
    #[arg(long, hide = true)]
    pub retry_max_retry: Option<String>,
    /// Retries: accepted, for nothing is fetched
    #[arg(long, hide = true)]
    pub retry_max_wait: Option<String>,
}

/// Whose reading of the documents applies.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Compat {
    /// Conforma's
    Ec,
}

/// How rules are selected.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum FilterType {
    /// By the include and exclude criteria of the policy
    IncludeExclude,
    /// By those and the pipeline intention
    EcPolicy,
}

/// Which layers must be carried.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Layers {
    /// All of them
    All,
    /// None: evidence only
    None,
}

impl VerifyArgs {
    /// Reads a command line, the program's name included.
    ///
    /// # Errors
    ///
    /// Returns clap's error for anything that is not this command line; it also
    /// carries `--help` and `--version`.
    pub fn read(words: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Self, clap::Error> {
        let words: Vec<_> = words.into_iter().collect();
        let matches = Self::definition().try_get_matches_from(&words)?;
        let said = words.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        Ok(Self { words: said, ..Self::from_arg_matches(&matches)? })
    }

    /// The command line as clap sees it; documentation is made from it.
    pub fn definition() -> clap::Command {
        Self::command().mut_args(switch::as_in_go)
    }
}
