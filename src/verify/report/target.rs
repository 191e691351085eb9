//! Where a report goes and in which form: the values of `--output`.

use std::path::PathBuf;

/// A form of the report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// Counts on one line, as Konflux' TEST_OUTPUT.
    Appstudio,
    /// The verified statements, one per line.
    Attestation,
    /// The proof as a page.
    Html,
    /// One compact line.
    Json,
    /// JUnit XML.
    Junit,
    /// What rules saw, one component per line.
    PolicyInput,
    /// Why the verdict is what it is, conclusion by conclusion.
    Proof,
    /// SARIF 2.1.0.
    Sarif,
    /// SLSA verification summaries as unsigned in-toto statements, one per line.
    SlsaVsa,
    /// The first message of every code, as JSON.
    Summary,
    /// Counts as a table in Markdown.
    SummaryMarkdown,
    /// For people.
    Text,
    /// Conforma's verification summary.
    Vsa,
    /// The data of JSON.
    Yaml,
}

/// What a report must be filled with for a form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// [`super::Carnet::ledger`].
    Ledger,
    /// [`super::Material::policy_input`].
    PolicyInput,
    /// [`super::Material::statements`].
    Statements,
}

/// One place that a report is written to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// In which form.
    pub format: Format,
    /// The file; standard output when absent.
    pub path: Option<PathBuf>,
    /// What a text report shows.
    pub options: TextOptions,
}

/// What a text report shows; the other formats are not affected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TextOptions {
    /// Lists what passed.
    pub show_successes: bool,
    /// Lists warnings.
    pub show_warnings: bool,
    /// Ends with a link to the documentation of Conforma's rules.
    pub show_policy_docs_link: bool,
}

/// Why a value of `--output` is no target.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// An option that is neither true nor false.
    #[error("--output {target:?}: option {option} must be true or false, got {value:?}")]
    Bool {
        /// The whole target.
        target: String,
        /// Name of the option.
        option: String,
        /// Its value.
        value: String,
    },
    /// Quotes that do not end.
    #[error("--output {value:?}: a quoted part has no end, or text stands behind it")]
    Csv {
        /// The value of the flag.
        value: String,
    },
    /// A format that nobody knows.
    #[error("{format:?} is not a valid report format: known are {}", Format::names())]
    Unknown {
        /// Its name.
        format: String,
    },
}

impl Default for TextOptions {
    fn default() -> Self {
        Self { show_successes: false, show_warnings: true, show_policy_docs_link: false }
    }
}

/// Parses the values of `--output` and `--output-file` before the run, so that a
/// mistyped format costs no verdict. `defaults` are the flags of the run.
///
/// A value is `FORMAT[=PATH][?option=bool&…]`, several are separated by commas. No
/// format means JSON, no path standard output, no value at all one text report.
///
/// # Errors
///
/// Returns a [`TargetError`] for an unknown format or a malformed option.
pub fn parse_targets(values: &[String], output_file: Option<&str>, defaults: TextOptions) -> Result<Vec<Target>, TargetError> {
    let mut targets = Vec::new();
    for value in values {
        for part in split_csv(value)? {
            targets.push(Target::parse(&part, defaults)?);
        }
    }
    if let Some(path) = output_file {
        targets.push(Target { format: Format::Json, path: Some(path.into()), options: defaults });
    }
    if targets.is_empty() {
        targets.push(Target { format: Format::Text, path: None, options: defaults });
    }
    Ok(targets)
}

impl Target {
    fn parse(text: &str, defaults: TextOptions) -> Result<Self, TargetError> {
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let (format, path) = place.split_once('=').unwrap_or((place, ""));
        let mut options = defaults;
        // Of an option that is written twice the first counts.
        for pair in query.split('&').rev() {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            options.set(name, value).map_err(|()| TargetError::Bool {
                target: text.to_owned(),
                option: name.to_owned(),
                value: value.to_owned(),
            })?;
        }
        let path = Some(path).filter(|path| !path.is_empty()).map(PathBuf::from);
        Ok(Self { format: Format::parse(format)?, path, options })
    }
}

impl Format {
    /// Every format by its name.
    pub const ALL: [(&'static str, Self); 15] = [
        ("appstudio", Self::Appstudio),
        ("attestation", Self::Attestation),
        // The former name of appstudio.
        ("hacbs", Self::Appstudio),
        ("html", Self::Html),
        ("json", Self::Json),
        ("junit", Self::Junit),
        ("policy-input", Self::PolicyInput),
        ("proof", Self::Proof),
        ("sarif", Self::Sarif),
        ("slsa-vsa", Self::SlsaVsa),
        ("summary", Self::Summary),
        ("summary-markdown", Self::SummaryMarkdown),
        ("text", Self::Text),
        ("vsa", Self::Vsa),
        ("yaml", Self::Yaml),
    ];

    fn parse(name: &str) -> Result<Self, TargetError> {
        if name.is_empty() {
            return Ok(Self::Json);
        }
        let known = Self::ALL.iter().find(|(known, _)| *known == name);
        known.map(|(_, format)| *format).ok_or_else(|| TargetError::Unknown { format: name.to_owned() })
    }

    fn names() -> String {
        Self::ALL.map(|(name, _)| name).join(", ")
    }

    /// What the report must be filled with. It costs memory, so it is filled only
    /// when a target needs it.
    pub fn needs(self) -> Option<Need> {
        match self {
            Self::Attestation => Some(Need::Statements),
            Self::Html | Self::Proof => Some(Need::Ledger),
            Self::PolicyInput => Some(Need::PolicyInput),
            _ => None,
        }
    }

    /// Whether the form has a place for what carnet says; the others are documents
    /// of other formats, line by line.
    pub fn has_room(self) -> bool {
        !matches!(self, Self::Attestation | Self::PolicyInput)
    }
}

impl TextOptions {
    /// Unknown options and options without a value change nothing, as in `ec`.
    fn set(&mut self, name: &str, value: &str) -> Result<(), ()> {
        let option = match name {
            "show-successes" => &mut self.show_successes,
            "show-warnings" => &mut self.show_warnings,
            "show-policy-docs-link" => &mut self.show_policy_docs_link,
            _ => return Ok(()),
        };
        if !value.is_empty() {
            *option = parse_bool(value).ok_or(())?;
        }
        Ok(())
    }
}

/// The texts that Go's flags take for a boolean.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Splits at commas; a part in double quotes may hold commas and doubled quotes
/// (RFC 4180 §2).
pub(crate) fn split_csv(value: &str) -> Result<Vec<String>, TargetError> {
    let error = || TargetError::Csv { value: value.to_owned() };
    let mut parts = Vec::new();
    let mut rest = value;
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted).ok_or_else(error)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        parts.push(part);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(parts),
            None => return Err(error()),
        }
    }
}

/// The text up to the closing quote, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(next) => {
                part.push('"');
                rest = next;
            }
            None => return Some((part, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Result<Vec<Target>, TargetError> {
        let values: Vec<_> = values.iter().map(|v| (*v).to_owned()).collect();
        parse_targets(&values, None, TextOptions::default())
    }

    fn shown(values: &[&str]) -> Vec<String> {
        let show = |t: &Target| {
            let o = t.options;
            let path = t.path.as_ref().map_or("-".to_owned(), |p| p.display().to_string());
            format!(
                "{:?} {path} {}{}{}",
                t.format,
                u8::from(o.show_successes),
                u8::from(o.show_warnings),
                u8::from(o.show_policy_docs_link)
            )
        };
        parse(values).unwrap().iter().map(show).collect()
    }

    #[test]
    fn targets_are_read_as_in_ec() {
        assert_eq!(shown(&[]), ["Text - 010"]);
        assert_eq!(shown(&["json,yaml=b.yaml", "=c.json"]), ["Json - 010", "Yaml b.yaml 010", "Json c.json 010"]);
        assert_eq!(
            shown(&["text=a.txt?show-successes=true&show-warnings=false", "text?show-policy-docs-link=1&other=x"]),
            ["Text a.txt 100", "Text - 011"]
        );
        assert_eq!(shown(&["\"text=a,b.txt\",json"]), ["Text a,b.txt 010", "Json - 010"]);
        assert_eq!(shown(&["text?show-successes=t&show-successes=f"]), ["Text - 110"]);
        for (name, format) in Format::ALL {
            assert_eq!(parse(&[name]).unwrap()[0].format, format);
        }
        let targets = parse_targets(&[], Some("old.json"), TextOptions::default()).unwrap();
        assert_eq!((targets.len(), targets[0].format), (1, Format::Json));
    }

    #[test]
    fn mistakes_are_found_before_the_run() {
        assert_eq!(parse(&["json", "jsn"]), Err(TargetError::Unknown { format: "jsn".into() }));
        let message = parse(&["JSON"]).unwrap_err().to_string();
        assert!(
            message.contains("known are appstudio, attestation, hacbs, html, json, junit, policy-input, proof, sarif"),
            "{message}"
        );
        assert!(matches!(parse(&["text?show-successes=maybe"]), Err(TargetError::Bool { .. })));
        assert!(matches!(parse(&["\"text"]), Err(TargetError::Csv { .. })));
        assert!(matches!(parse(&["\"text\"x"]), Err(TargetError::Csv { .. })));
    }
}
