//! `carnet trust show`: what a trusted_root.json trusts, how old it is, and what
//! ends when.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::PathBuf,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use carnet_bundle::{Digest, Limits, json};
use carnet_evidence::TrustRoot;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use x509_cert::{Certificate, der::Decode as _};

use crate::{documents, error::ExportError, terminal::Printable, trust::validate};

/// Shows what a trusted_root.json trusts, how old it is, and what ends when.
#[derive(Args, Clone, Debug)]
pub(super) struct ShowArgs {
    /// The file; without it, the root of the public Sigstore instance that is built in
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Form {
    /// For people
    Text,
    /// For programs
    Json,
}

/// A trusted root as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    file: String,
    digest: Digest,
    media_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    newest_entry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_days: Option<i64>,
    services: Vec<Service>,
    not_understood: Vec<String>,
    forecast: Vec<Forecast>,
}

/// One log or authority.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    role: &'static str,
    url: String,
    key: String,
    start: String,
    end: String,
}

/// Something that ends.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
struct Forecast {
    at: String,
    what: String,
}

pub(super) fn run(args: &ShowArgs) -> Result<(), ExportError> {
    let path = args.file.clone().unwrap_or_else(|| "the public Sigstore instance, built in".into());
    let bytes = match &args.file {
        Some(path) => documents::read_up_to(path, Limits::default().manifest_size)?,
        None => TrustRoot::public_good_bytes().to_vec(),
    };
    let root = validate(&path, &bytes)?;
    let document = json::parse(&bytes).unwrap_or_default();
    let now = Timestamp::now();
    let newest = root.newest_entry();
    let shown = Shown {
        file: path.display().to_string(),
        digest: *root.digest(),
        media_type: root.media_type().to_owned(),
        newest_entry: newest.map(|time| time.to_string()),
        age_days: newest.map(|time| now.duration_since(time).as_hours() / 24),
        services: services(&document),
        not_understood: root.skipped().to_vec(),
        forecast: forecast(&document, now),
    };
    let text = match args.output {
        Form::Text => render(&shown),
        Form::Json => serde_json::to_string_pretty(&shown).unwrap_or_default() + "\n",
    };
    io::stdout().write_all(text.as_bytes()).map_err(|source| ExportError::Output { path: "standard output".into(), source })
}

const LISTS: [(&str, &str); 4] = [
    ("certificateAuthorities", "certificate authority"),
    ("tlogs", "transparency log"),
    ("ctlogs", "certificate log"),
    ("timestampAuthorities", "timestamp authority"),
];

fn entries(document: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    LISTS.into_iter().flat_map(move |(list, role)| {
        let entries = document.get(list).and_then(Value::as_array).into_iter().flatten();
        entries.map(move |entry| (role, entry))
    })
}

fn services(document: &Value) -> Vec<Service> {
    let text = |entry: &Value, pointers: [&str; 2]| {
        pointers.iter().find_map(|pointer| entry.pointer(pointer)).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    entries(document)
        .map(|(role, entry)| Service {
            role,
            url: text(entry, ["/baseUrl", "/uri"]),
            key: text(entry, ["/publicKey/keyDetails", "/subject/commonName"]),
            start: text(entry, ["/publicKey/validFor/start", "/validFor/start"]),
            end: text(entry, ["/publicKey/validFor/end", "/validFor/end"]),
        })
        .collect()
}

/// What ends after now: windows, and certificates. Evidence from before stays good;
/// nothing new can be judged by what has ended.
fn forecast(document: &Value, now: Timestamp) -> Vec<Forecast> {
    let mut forecast = Vec::new();
    for (role, entry) in entries(document) {
        let url = entry.get("baseUrl").or(entry.get("uri")).and_then(Value::as_str).unwrap_or_default();
        let end = entry.pointer("/publicKey/validFor/end").or(entry.pointer("/validFor/end")).and_then(Value::as_str);
        let end = end.and_then(|text| text.parse().ok()).map(|time| (time, "its window"));
        let chain = entry.pointer("/certChain/certificates").and_then(Value::as_array).into_iter().flatten();
        let earliest = chain.filter_map(not_after).min().map(|time| (time, "its first certificate"));
        forecast.extend(
            end.into_iter()
                .chain(earliest)
                .filter(|(time, _): &(Timestamp, _)| *time > now)
                .map(|(time, what)| Forecast { at: time.to_string(), what: format!("{role} {url}: {what} ends") }),
        );
    }
    forecast.sort();
    forecast
}

fn not_after(certificate: &Value) -> Option<Timestamp> {
    let der = STANDARD.decode(certificate.get("rawBytes")?.as_str()?).ok()?;
    let seconds = Certificate::from_der(&der).ok()?.tbs_certificate.validity.not_after.to_unix_duration().as_secs();
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

fn render(shown: &Shown) -> String {
    let mut text = String::new();
    let mut line = |line: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", Printable(line));
    };
    line(format_args!("trusted root: {}", shown.file));
    line(format_args!("digest:       {}", shown.digest));
    line(format_args!("media type:   {}", shown.media_type));
    if let (Some(time), Some(days)) = (&shown.newest_entry, shown.age_days) {
        line(format_args!("newest entry: {time}, {days} days ago; of services that came later it knows nothing"));
    }
    for service in &shown.services {
        let end = if service.end.is_empty() { "open".to_owned() } else { format!("to {}", service.end) };
        line(format_args!("{}: {} ({}), from {}, {end}", service.role, service.url, service.key, service.start));
    }
    for skipped in &shown.not_understood {
        line(format_args!("not understood: {skipped}"));
    }
    for ends in &shown.forecast {
        line(format_args!("{}: {}", ends.at, ends.what));
    }
    text
}
