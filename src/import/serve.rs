//! `carnet serve`: a read-only OCI 1.1 registry straight from archives, of what
//! passed and of nothing else.
//!
//! Each archive is judged by `carnet-verify` and opened again as an import opens it
//! ([`Shipment`]). What may be asked for is a closed map made then ([`catalog`]):
//! a request is looked up in it and never becomes a path. Manifests are served from
//! the memory in which they were hashed, blobs from their places in the file, and
//! checked on their way ([`blob`]).
//!
//! `docs/serve.md` says what is answered and what is promised.

mod answer;
mod arguments;
mod blob;
mod catalog;
mod error;
mod listen;
mod listing;
mod range;
mod reply;
mod server;
mod tls;
mod together;
mod watch;

use std::{fs, path::PathBuf, process::ExitCode};

use carnet_verify::report::escape_line;
use clap::Args;

pub use error::ServeError;

use crate::{
    arguments::VerifyWords,
    cli::say,
    shipment::Shipment,
    verdict::{Judged, judge_words},
    verifier::{StartError, Verifier},
};
use answer::Registry;
use arguments::ServeWords;
use catalog::Catalog;
use listen::Address;
use together::together;
use watch::Watch;

const HOW: &str = "How it is served";
/// A verdict, and it is fail.
const REFUSED: u8 = 1;
/// Nothing was served, or not everything as it was judged.
const NOT_SERVED: u8 = 2;

/// Judges archives and serves what passed as a read-only registry.
///
/// carnet-verify judges each archive first, with every flag of its own. Then the
/// images that passed are served under the repository and tag that they were
/// exported under, with their evidence, until the process is told to stop.
#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
#[command(
    after_help = "Exit status: 0 told to stop, and everything passed; 1 a verdict, and it is fail: nothing was served, or \
    with --only-passed the images that passed; 2 no verdict, it could not be served, or a blob changed meanwhile."
)]
pub struct ServeArgs {
    /// What carnet-verify is told.
    #[command(flatten)]
    words: ServeWords,

    /// Where to listen; :PORT is one of 127.0.0.1, and port 0 any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5000", help_heading = HOW)]
    listen: Address,
    /// Allows an address that other machines reach: no login is asked for
    #[arg(long, help_heading = HOW)]
    let_anyone_pull: bool,
    /// Serves the images that passed although others did not
    #[arg(long, help_heading = HOW)]
    only_passed: bool,
    /// Writes the URL to this file once requests are answered, and removes it at the end
    #[arg(long, value_name = "FILE", help_heading = HOW)]
    ready_file: Option<PathBuf>,
    /// Certificate chain (PEM) for https
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = HOW)]
    tls_cert: Option<PathBuf>,
    /// Private key (PEM) of the certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = HOW)]
    tls_key: Option<PathBuf>,
}

/// Runs `carnet serve`.
pub fn serve(args: &ServeArgs) -> ExitCode {
    match run(args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say(&format!("carnet: error: {}", escape_line(&error.to_string())));
            say(&format!("hint: {}", error.hint()));
            ExitCode::from(NOT_SERVED)
        }
    }
}

fn run(args: &ServeArgs) -> Result<u8, ServeError> {
    args.words.refuse()?;
    if !args.listen.is_loopback() && !args.let_anyone_pull {
        return Err(ServeError::Exposed(args.listen.to_string()));
    }
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(tls::acceptor(certificate, key)?),
        _ => None,
    };
    // Before the verdicts, which may take minutes, and after which it would be late.
    let listener = args.listen.bind()?;
    let verifier = Verifier::located()?;
    let each: Vec<VerifyWords> = args.words.each().collect();
    let (mut verdicts, mut watches) = (Vec::new(), Vec::new());
    for words in &each {
        watches.push(Watch::new(&words.archive));
        let Some(judged) = judged(words, &verifier)? else { return Ok(NOT_SERVED) };
        verdicts.push((words.archive.as_path(), judged));
    }
    let (notes, nowhere) = together(&mut verdicts);
    notes.iter().chain(&nowhere).for_each(|note| note_down(note));
    let all_passed = nowhere.is_empty() && verdicts.iter().all(|(_, judged)| judged.passes_beside_others());
    if !all_passed && !args.only_passed {
        say("carnet: nothing is served: the verdict is fail");
        return Ok(REFUSED);
    }
    let mut shipments = Vec::new();
    for (archive, judged) in verdicts {
        shipments.push((archive, Shipment::open_archive(archive, args.only_passed, judged)?));
    }
    let catalog = Catalog::of(shipments)?;
    catalog.notes().iter().for_each(|note| note_down(note));
    if catalog.is_empty() {
        say("carnet: nothing is served: no image passed");
        return Ok(REFUSED);
    }
    let changed = server::block_on(listener, tls, Registry::new(catalog, watches), args.ready_file.as_deref())?;
    Ok(match (changed, all_passed) {
        (true, _) => NOT_SERVED,
        (false, true) => 0,
        (false, false) => REFUSED,
    })
}

/// Judges one archive. `None` when there is no verdict.
fn judged(words: &VerifyWords, verifier: &Verifier) -> Result<Option<Judged>, ServeError> {
    fs::metadata(&words.archive).map_err(|source| ServeError::Read { path: words.archive.clone(), source })?;
    Ok(judge_words(words, false, verifier)?)
}

fn note_down(note: &str) {
    say(&format!("carnet: {}", escape_line(note)));
}

impl From<StartError> for ServeError {
    fn from(error: StartError) -> Self {
        Self::Import(error.into())
    }
}
