//! `carnet-verify`: judges an archive without any network.
//!
//! This file reads the operator's files and the clock, and prints. Everything that
//! decides is in the library.

#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "the program's edge: files, environment, clock and output")]

use std::{
    borrow::Cow,
    env, fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
};

use carnet_bundle::Limits;
use carnet_evidence::TrustParts;
use carnet_policy::images::is_inline;
use carnet_verify::{
    Document, Inputs, Report, TrustInputs, VerifyArgs, VerifyError,
    conformance::{Answer, ConformanceArgs},
    disk::open_container,
    report::{Verdict, escape_line},
    run,
};
use jiff::Timestamp;

/// Characters of a name that are printed: text that was meant to be a document must
/// not fill the screen.
const SHOWN_NAME: usize = 200;
/// Hints behind a report that fails; the report has all of them.
const HINTS: usize = 5;
/// Largest document of the operator that is read: 64 MiB.
const MAX_DOCUMENT: u64 = 64 * 1024 * 1024;

fn main() -> ExitCode {
    let words: Vec<_> = env::args_os().collect();
    match ConformanceArgs::read(&words) {
        Some(Ok(args)) => return conform(&args),
        Some(Err(error)) => return usage(&error),
        None => {}
    }
    let args = match VerifyArgs::read(words) {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    match verify(&args).and_then(|report| write(&args, &report).map(|()| report)) {
        Ok(report) => conclude(&args, &report),
        Err(failure) => failure.conclude(),
    }
}

fn conform(args: &ConformanceArgs) -> ExitCode {
    match args.answer(&|path| read(path), Timestamp::now()) {
        Ok(Answer::Good) => ExitCode::SUCCESS,
        Ok(Answer::Refused(findings)) => {
            findings.iter().for_each(|finding| say(&one_line(&format!("{}: {}", finding.code, finding.message))));
            ExitCode::from(1)
        }
        Ok(Answer::Unreadable(reason)) => {
            say(&one_line(&reason));
            ExitCode::from(1)
        }
        Err(error) => Failure::from(error).conclude(),
    }
}

/// Why there is no verdict, for people.
struct Failure {
    message: String,
    hint: Cow<'static, str>,
}

impl Failure {
    fn conclude(self) -> ExitCode {
        say(&format!("carnet-verify: error: {}", one_line(&self.message)));
        say(&format!("hint: {}", one_line(&self.hint)));
        ExitCode::from(2)
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        Self { message: error.to_string(), hint: error.hint().into() }
    }
}

fn verify(args: &VerifyArgs) -> Result<Report, Failure> {
    args.validate().map_err(VerifyError::from)?;
    let read_any = |path: &Path| read(path);
    let inputs = Inputs {
        images: images(args)?,
        policy: args
            .policy
            .as_deref()
            .filter(|_| !args.policy_is_remote())
            .map(|value| file_or_text(value, "--policy"))
            .transpose()?,
        trusted_root: args.trusted_root.as_deref().map(document).transpose()?,
        trust: TrustInputs {
            policy: args.trust_policy.as_deref().map(document).transpose()?,
            tuf_root: args.tuf_root.as_deref().map(document).transpose()?,
            parts: trust_parts(args)?,
        },
        policy_lock: args.policy_lock.as_deref().map(document).transpose()?,
        sources: &carnet_verify::disk::sources::Disk,
        read: &read_any,
    };
    let mut container = open_container(&args.archive, &Limits::default()).map_err(|e| VerifyError::Open(e.into()))?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    Ok(run(args, &inputs, container.as_mut(), Timestamp::now(), cores.min(args.workers.into()))?)
}

/// The keys and certificates that the environment names, by cosign's variables. A
/// use that it does not name is trusted for nothing then.
fn trust_parts(args: &VerifyArgs) -> Result<Option<(TrustParts, String)>, Failure> {
    if args.trusted_root.is_some() || args.trusted_root_digest.is_some() || args.tuf_root.is_some() {
        return Ok(None);
    }
    let mut sources = Vec::new();
    let mut part = |name: &str| -> Result<Option<Vec<u8>>, Failure> {
        let Some(path) = env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from) else { return Ok(None) };
        let document = document(&path)?;
        sources.push(format!("{name}={}", document.name));
        Ok(Some(document.bytes))
    };
    let parts = TrustParts {
        certificate_authority: part("SIGSTORE_ROOT_FILE")?,
        log_keys: part("SIGSTORE_REKOR_PUBLIC_KEY")?,
        ct_log_keys: part("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE")?,
        timestamp_authority: part("SIGSTORE_TSA_CERTIFICATE_FILE")?,
    };
    Ok((!sources.is_empty()).then(|| (parts, sources.join(", "))))
}

fn images(args: &VerifyArgs) -> Result<Vec<Document>, Failure> {
    let mut documents = Vec::new();
    if let Some(value) = &args.images {
        documents.push(file_or_text(value, "--images")?);
    }
    if let Some(path) = &args.file_path {
        documents.push(document(path)?);
    }
    if let Some(text) = &args.json_input {
        documents.push(Document { name: "--json-input".to_owned(), bytes: text.clone().into_bytes() });
    }
    Ok(documents)
}

/// A file of that name comes first; text that can be a document is one.
fn file_or_text(value: &str, flag: &str) -> Result<Document, Failure> {
    let path = Path::new(value);
    if !path.is_file() && is_inline(value) {
        return Ok(Document { name: flag.to_owned(), bytes: value.as_bytes().to_vec() });
    }
    document(path)
}

fn document(path: &Path) -> Result<Document, Failure> {
    let name: String = path.display().to_string().chars().take(SHOWN_NAME).collect();
    match read(path) {
        Ok(bytes) => Ok(Document { name, bytes }),
        Err(source) => Err(VerifyError::Read { path: name, source }.into()),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > MAX_DOCUMENT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {MAX_DOCUMENT} bytes")));
    }
    fs::read(path)
}

fn write(args: &VerifyArgs, report: &Report) -> Result<(), Failure> {
    let targets = args.targets().map_err(|e| VerifyError::Flag(e.into()))?;
    report.remarks(&targets).iter().for_each(|remark| say(&format!("carnet-verify: {}", escape_line(remark))));
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    for target in targets {
        let colour = args.colour(set, target.path.is_none() && io::stdout().is_terminal());
        let text = report.render(&target, args.show_successes.0, colour);
        let written = match &target.path {
            Some(path) => fs::write(path, text).inspect_err(|_| discard(path)),
            None => print(&text),
        };
        written.map_err(|error| unwritten(target.path.as_ref(), &error))?;
    }
    Ok(())
}

/// A report that is cut off must not be taken for one.
fn discard(path: &Path) {
    if fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        // The reason why it could not be written is what is said.
        let _ = fs::remove_file(path);
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Writes a line to stderr. Nobody is left to be told when that fails.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn unwritten(path: Option<&PathBuf>, error: &io::Error) -> Failure {
    let place = path.map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
    Failure { message: format!("cannot write the report to {place}: {error}"), hint: "check the path and the free space".into() }
}

fn conclude(args: &VerifyArgs, report: &Report) -> ExitCode {
    match report.verdict() {
        Verdict::Pass => ExitCode::SUCCESS,
        Verdict::Fail => {
            if !args.quiet.0 {
                say("carnet-verify: error: success criteria not met");
                report.remedies().iter().take(HINTS).for_each(|remedy| say(&format!("hint: {}", one_line(remedy))));
            }
            if args.strict.0 { ExitCode::from(1) } else { ExitCode::SUCCESS }
        }
    }
}

/// `--help` and `--version` are no errors.
fn usage(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    if error.use_stderr() {
        return misused(&text).conclude();
    }
    match print(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => unwritten(None, &error).conclude(),
    }
}

/// Of what clap says, what is wrong and its tip; the rest is in `--help`.
fn misused(text: &str) -> Failure {
    let mut paragraphs = text.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let first = paragraphs.next().unwrap_or_default();
    let message = first.strip_prefix("error: ").unwrap_or(&first).to_owned();
    let tip = paragraphs.find_map(|part| part.strip_prefix("tip: ").map(str::to_owned));
    Failure { message, hint: tip.map_or("`carnet-verify --help` lists every flag".into(), Cow::Owned) }
}

/// A message on one line that cannot move the cursor.
fn one_line(message: &str) -> String {
    message.lines().map(escape_line).collect::<Vec<_>>().join("; ")
}
