//! The command line of `carnet import`.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use carnet_bundle::Reference;
use carnet_registry::{NetworkArgs, Options, run_until_stopped};
use carnet_verify::report::escape_line;
use clap::Args;
use jiff::Timestamp;

use crate::{
    arguments::VerifyWords,
    document,
    error::ImportError,
    receipt::Receipt,
    shipment::Shipment,
    signing_key::SigningKey,
    target::{Mapping, Target},
    verdict::judge,
    verifier::Verifier,
};

const PLACE: &str = "Where it goes";
const REACH: &str = "How registries are reached";
/// A verdict, and it is fail.
const REFUSED: u8 = 1;
/// Nothing was imported for another reason.
const NOT_IMPORTED: u8 = 2;

/// Judges an archive and writes what passed to a registry or a file.
///
/// carnet-verify judges first, with every flag of its own. Then each blob is hashed
/// once more while it is written; tags of images are written last, when everything
/// else was read back.
#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
#[command(
    after_help = "Exit status: 0 everything passed and was imported; 1 a verdict, and it is fail: nothing was imported, or \
    with --only-passed the images that passed; 2 no verdict, or not everything could be written."
)]
pub struct ImportArgs {
    /// What carnet-verify is told.
    #[command(flatten)]
    pub(crate) verify: VerifyWords,

    /// Repository (registry/repository[:TAG]), oci:DIR, oci-archive:FILE or docker-archive:FILE, which
    /// holds no evidence
    #[arg(long, value_name = "TARGET", required_unless_present = "map", help_heading = PLACE)]
    pub(crate) to: Option<Target>,
    /// Images of the repository FROM, or of all below it, go to TO; the longest match decides; repeatable
    #[arg(long, value_name = "FROM=TO", help_heading = PLACE)]
    pub(crate) map: Vec<Mapping>,
    /// Tag for the image, instead of the one it was exported under; repeatable
    #[arg(long, value_name = "TAG", value_parser = tag, help_heading = PLACE)]
    pub(crate) tag: Vec<String>,
    /// Imports the images that passed although others did not
    #[arg(long, help_heading = PLACE)]
    pub(crate) only_passed: bool,
    /// Moves tags that stand for something else, and replaces files
    #[arg(long, help_heading = PLACE)]
    pub(crate) force: bool,
    /// Says what would be written, and writes nothing
    #[arg(long, help_heading = PLACE)]
    pub(crate) dry_run: bool,
    /// Writes the import receipt (JSON) to this file
    #[arg(long, value_name = "FILE", help_heading = PLACE)]
    pub(crate) receipt: Option<PathBuf>,
    /// Attaches the verdict to each image that passed, as a signed SLSA verification summary
    #[arg(long, requires = "vsa_key", help_heading = PLACE)]
    pub(crate) attach_vsa: bool,
    /// Private key that signs it (P-256 or Ed25519; as cosign writes it, or PKCS#8 PEM); its password is that of
    /// COSIGN_PASSWORD, or is asked for
    #[arg(long, value_name = "FILE", requires = "attach_vsa", help_heading = PLACE)]
    pub(crate) vsa_key: Option<PathBuf>,

    /// Blobs that are written at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32), help_heading = REACH)]
    pub(crate) parallel: u8,
    /// How registries are reached
    #[command(flatten, next_help_heading = REACH)]
    pub(crate) network: NetworkArgs,
}

impl ImportArgs {
    /// The key that signs the verdict, if it is to be attached.
    ///
    /// # Errors
    ///
    /// Returns an [`ImportError`] when the key cannot be read or opened.
    pub fn key(&self) -> Result<Option<SigningKey>, ImportError> {
        self.vsa_key.as_deref().map(SigningKey::open).transpose()
    }
}

/// Runs `carnet import`.
pub fn import(args: &ImportArgs) -> ExitCode {
    let mut receipt = Receipt::new(Timestamp::now());
    let outcome = run(args, &mut receipt);
    if let Err(error) = &outcome {
        receipt.fail(error);
    }
    let saved = match &args.receipt {
        Some(path) => receipt.save(path),
        None => Ok(()),
    };
    match outcome.and_then(|code| saved.map(|()| code)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say(&format!("carnet: error: {}", escape_line(&error.to_string())));
            say(&format!("hint: {}", error.hint()));
            ExitCode::from(NOT_IMPORTED)
        }
    }
}

fn run(args: &ImportArgs, receipt: &mut Receipt) -> Result<u8, ImportError> {
    refuse(args)?;
    let options = Options { requests_per_host: args.parallel.into(), ..args.network.options(document::read)? };
    // Before the verdict, which may take minutes, and after which it would be late.
    let key = args.key()?;
    let Some(judged) = judge(args, &Verifier::located()?)? else { return Ok(NOT_IMPORTED) };
    receipt.judged(&judged);
    let passes = judged.passes();
    if !passes && !args.only_passed {
        say("carnet: nothing was imported: the verdict is fail");
        return Ok(REFUSED);
    }
    let shipment = Shipment::open(args, judged)?;
    let written = run_until_stopped(shipment.write(args, key.as_ref(), options, receipt)).map_err(ImportError::Runtime)?;
    written.unwrap_or(Err(ImportError::Interrupted))?;
    if !args.verify.quiet {
        let lines: String = receipt.lines().iter().map(|line| format!("{}\n", escape_line(line))).collect();
        // Whoever closed the pipe wants no more lines; it is imported.
        let _ = io::stdout().write_all(lines.as_bytes());
    }
    if !shipment.has_passed() {
        say("carnet: nothing was imported: no image passed");
    }
    Ok(if passes && shipment.has_passed() { 0 } else { REFUSED })
}

/// Flags that contradict each other.
fn refuse(args: &ImportArgs) -> Result<(), ImportError> {
    let is_file = !matches!(args.to, Some(Target::Repository(_)) | None);
    if is_file && !args.map.is_empty() {
        return Err(ImportError::Flags("--map is for registries; a layout keeps the names that images have"));
    }
    if is_file && args.attach_vsa {
        return Err(ImportError::Flags("--attach-vsa is for registries, which list what refers to an image"));
    }
    Ok(())
}

fn tag(text: &str) -> Result<String, String> {
    let wanted = format!("host.example/a:{text}").parse::<Reference>().map_err(|error| error.to_string())?;
    match wanted.tag() {
        Some(tag) if tag == text => Ok(tag.to_owned()),
        _ => Err("not a tag".to_owned()),
    }
}

/// Says a line on stderr. Nobody is left to be told when that fails.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
