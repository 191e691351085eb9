//! Lines of scripts and pages that call carnet, held against the real command line.

use std::{
    fs,
    path::{Path, PathBuf},
};

use carnet::{documented, persona::Persona};
use carnet_verify::VerifyArgs;
use clap::error::ErrorKind;

/// Pages that are made from the command line itself.
const MADE: [&str; 2] = ["flags.md", "findings.md"];

/// A line that calls carnet.
pub(crate) struct Line {
    /// The file that it stands in.
    pub(crate) place: String,
    pub(crate) text: String,
    /// A command that somebody would run as it stands, not a mention in a sentence.
    pub(crate) whole: bool,
}

/// Every line of scripts and pages.
pub(crate) fn of_carnet(root: &Path) -> Vec<Line> {
    let mut found = Vec::new();
    for path in scripts(root).into_iter().chain(pages(root)) {
        let text = fs::read_to_string(&path).unwrap();
        let is_page = path.extension().is_some_and(|extension| extension == "md");
        let mentions = if is_page { spans(&text) } else { Vec::new() };
        let shell = if is_page { all_fenced(&text) } else { text };
        let place = path.strip_prefix(root).unwrap().display().to_string();
        let line = |whole: bool| {
            let place = place.clone();
            move |text: String| Line { place: place.clone(), whole: whole && !text.contains(['…', '[', '<']), text }
        };
        found.extend(mentions.into_iter().map(line(false)));
        found.extend(commands(&shell).into_iter().map(line(true)));
    }
    found
}

/// Says what carnet does not understand in a line: commands and flags that there are
/// not, and, in a whole one, arguments that are missing or wrong.
pub(crate) fn understood(line: &str, is_whole: bool) -> Result<(), String> {
    let mut words: Vec<String> = words(line).into_iter().filter(|word| word != "…").collect();
    let program = words.remove(0);
    if program == "carnet-verify" || words.first().is_some_and(|word| word == "verify") {
        if program != "carnet-verify" {
            words.remove(0);
        }
        known_flags(&VerifyArgs::definition(), &words)?;
        return if is_whole { parsed(VerifyArgs::definition(), &words) } else { Ok(()) };
    }
    let mut command = &documented::definition(Persona::Carnet);
    let mut rest = words.as_slice();
    while let Some((word, more)) = rest.split_first() {
        // `install|check` names two.
        let named: Option<Vec<_>> = word.split('|').map(|name| command.find_subcommand(name)).collect();
        match named.as_deref() {
            Some([below, ..]) => (command, rest) = (below, more),
            _ if command.has_subcommands() && !word.starts_with('-') && !is_placeholder(word) => {
                return Err(format!("{} has no {word}", command.get_name()));
            }
            _ => break,
        }
    }
    known_flags(command, rest)?;
    // The name of a command alone is a mention, too.
    if is_whole && !rest.is_empty() { parsed(documented::definition(Persona::Carnet), &words) } else { Ok(()) }
}

fn is_placeholder(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_uppercase() || c == '…')
}

fn known_flags(command: &clap::Command, words: &[String]) -> Result<(), String> {
    let mut command = command.clone();
    command.build();
    for word in words.iter().filter(|word| word.starts_with('-') && word.len() > 1) {
        let name = word.split('=').next().unwrap_or_default();
        let known = command.get_arguments().any(|arg| match name.strip_prefix("--") {
            Some(long) => arg.get_long() == Some(long) || arg.get_all_aliases().is_some_and(|all| all.contains(&long)),
            None => arg.get_short() == name.chars().nth(1),
        });
        if !known {
            return Err(format!("{} has no {name}", command.get_name()));
        }
    }
    Ok(())
}

fn parsed(command: clap::Command, words: &[String]) -> Result<(), String> {
    let words = std::iter::once("carnet".to_owned()).chain(words.iter().cloned());
    match command.try_get_matches_from(words) {
        Err(error) if !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// Fenced blocks of one language.
pub(crate) fn fenced(page: &str, language: &str) -> Vec<String> {
    fences(page).into_iter().filter(|(name, _)| name == language).map(|(_, block)| block).collect()
}

fn all_fenced(page: &str) -> String {
    let shell = |name: &str| matches!(name, "" | "sh" | "bash" | "console");
    fences(page).into_iter().filter(|(name, _)| shell(name)).map(|(_, block)| block).collect()
}

fn fences(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(language), None) => open = Some((language.trim().to_owned(), String::new())),
            (None, Some((_, block))) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

/// Code spans outside of fenced blocks that call carnet.
fn spans(page: &str) -> Vec<String> {
    let mut text = String::new();
    let mut fence = false;
    for line in page.lines() {
        let mark = line.trim_start().starts_with("```");
        fence ^= mark;
        if !fence && !mark {
            text.push_str(line);
            text.push('\n');
        }
    }
    let spans = text.split('`').skip(1).step_by(2).map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "));
    spans.filter(|span| ["carnet ", "carnet-verify "].iter().any(|start| span.starts_with(start))).collect()
}

/// Simple commands of a script that call carnet.
fn commands(script: &str) -> Vec<String> {
    let joined = script.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in joined.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let line = line.split(" #").next().unwrap_or_default();
        for part in line
            .split("&&")
            .flat_map(|part| part.split("||"))
            .flat_map(|part| part.split([';', '(']))
            .flat_map(|part| part.split(" | "))
        {
            let words: Vec<_> = part.split_whitespace().skip_while(|word| is_before(word)).collect();
            let program = words.first().map(|word| word.rsplit('/').next().unwrap_or_default()).unwrap_or_default();
            if words.len() > 1 && matches!(program, "carnet" | "carnet-verify") {
                found.push(format!("{program} {}", words[1..].join(" ")));
            }
        }
    }
    found
}

/// What may stand before a program: prompts, assignments, words of the shell.
fn is_before(word: &str) -> bool {
    let assignment = word
        .split_once('=')
        .is_some_and(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
    assignment || matches!(word, "$" | "!" | "if" | "then" | "do" | "-" | "run:" | "exec" | "sudo")
}

/// The words of a simple command, without redirections. What a variable stands for
/// is not known: a word for it is put there.
fn words(line: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut quote = None;
    let mut word: Option<String> = None;
    for c in line.chars() {
        match (c, quote) {
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(mark)) if c == mark => quote = None,
            (c, None) if c.is_whitespace() || matches!(c, '[' | ']') => found.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    found.extend(word);
    let mut kept = Vec::new();
    let mut words = found.into_iter().peekable();
    while let Some(word) = words.next() {
        let redirected = word.trim_start_matches(|c: char| c.is_ascii_digit());
        if redirected.starts_with(['>', '<']) {
            if redirected.trim_start_matches(['>', '<', '&']).is_empty() {
                words.next();
            }
            continue;
        }
        // Flags that a variable holds, or none.
        if word == "$bound" || word.starts_with("${CARNET_TRUST") {
            continue;
        }
        kept.push(match word.contains('$') {
            true if word.contains("ID") => format!("sha256:{}", "0".repeat(64)),
            true => "registry.example/app".to_owned(),
            false => word,
        });
    }
    kept
}

fn scripts(root: &Path) -> Vec<PathBuf> {
    let named =
        |path: &PathBuf| path.extension().is_some_and(|extension| ["sh", "yml", "yaml"].iter().any(|known| extension == *known));
    walk(&root.join("examples")).into_iter().filter(named).collect()
}

/// Pages of the documentation that people wrote.
pub(crate) fn pages(root: &Path) -> Vec<PathBuf> {
    let folders = ["bundle-spec", "docs", "examples"].into_iter().flat_map(|folder| walk(&root.join(folder)));
    let top = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let all = folders.chain(top);
    let written = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "md")
            && !MADE.iter().any(|made| path.file_name().is_some_and(|name| name == *made))
    };
    all.filter(written).collect()
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
