//! The parser: regorus', behind our own errors.

use std::{
    num::NonZeroU32,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use regorus::unstable::{Expr, Module, Parser, Ref, Source, Span};

use super::{
    error::{LoadError, Location, SyntaxError},
    scan::{self, Comment},
};

/// Largest policy file. The largest in the field is a JSON schema of 330 KB.
const MAX_SIZE: usize = 4 * 1024 * 1024;
/// Longest line and longest column the parser takes; ours is on the whole file.
pub(super) const MAX_COLUMN: NonZeroU32 = NonZeroU32::new(u32::MAX / 2).unwrap();

/// Last column up to which the parser can write an error, which it also does to go
/// another way; beyond it panics. Texts may be longer.
const WRITABLE: usize = 65_535;

/// Runs what calls the engine; nothing when the engine panics.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// A policy file as parsed.
pub(super) struct Parsed<'a> {
    pub(super) file: Arc<str>,
    pub(super) text: &'a str,
    pub(super) comments: Vec<Comment<'a>>,
    pub(super) module: Module,
    /// Components of the package path, without `data`.
    pub(super) package: Vec<String>,
}

/// Parses one file as Rego v1.
pub(super) fn parse<'a>(path: &str, bytes: &'a [u8]) -> Result<Parsed<'a>, LoadError> {
    let file: Arc<str> = path.into();
    if bytes.len() > MAX_SIZE {
        return Err(LoadError::LimitExceeded { file, what: "bytes", limit: MAX_SIZE });
    }
    let text = std::str::from_utf8(bytes).map_err(|e| not_utf8(&file, &bytes[..e.valid_up_to()]))?;
    let comments = scan::scan(text, &file)?;
    let module = caught(|| module(path, text)).ok_or_else(|| too_wide(&file, text))?;
    let module = module.map_err(|message| syntax_error(&file, &message))?;
    let package =
        path_of(&module.package.refr).ok_or_else(|| at(&file, &module.package.span, "the package path must be static"))?;
    Ok(Parsed { file, text, comments, module, package })
}

fn module(path: &str, text: &str) -> Result<Module, String> {
    let source = Source::from_contents(path.to_owned(), text.to_owned()).map_err(|e| e.to_string());
    let source = match source {
        Ok(source) => source,
        Err(_) => oversized(path, text)?,
    };
    let mut parser = Parser::new(&source).map_err(|e| e.to_string())?;
    parser.set_max_col(MAX_COLUMN);
    parser.enable_rego_v1().map_err(|e| e.to_string())?;
    parser.parse().map_err(|e| e.to_string())
}

/// A file beyond the parser's own default bounds but within ours.
fn oversized(path: &str, text: &str) -> Result<Source, String> {
    let bound = std::num::NonZeroUsize::new(MAX_SIZE).ok_or("no bound")?;
    Source::from_contents_with_limits(path.to_owned(), text.to_owned(), bound, bound).map_err(|e| e.to_string())
}

/// The components of a reference that has only names and string keys.
pub(super) fn path_of(expr: &Expr) -> Option<Vec<String>> {
    match expr {
        Expr::Var { span, .. } => Some(vec![span.text().to_owned()]),
        Expr::RefDot { refr, field, .. } => {
            let mut path = path_of(refr)?;
            path.push(field.0.text().to_owned());
            Some(path)
        }
        Expr::RefBrack { refr, index, .. } => {
            let mut path = path_of(refr)?;
            path.push(string_value(index)?);
            Some(path)
        }
        _ => None,
    }
}

/// The text of a string literal.
pub(super) fn string_value(expr: &Ref<Expr>) -> Option<String> {
    match expr.as_ref() {
        Expr::String { value, .. } | Expr::RawString { value, .. } => value.as_string().ok().map(|text| text.to_string()),
        _ => None,
    }
}

pub(super) fn at(file: &Arc<str>, span: &Span, reason: &str) -> SyntaxError {
    SyntaxError { at: Location { file: file.clone(), line: span.line, column: span.col }, reason: reason.to_owned() }
}

fn too_wide(file: &Arc<str>, text: &str) -> SyntaxError {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let line = text.lines().position(|line| line.len() > WRITABLE).map_or(0, |at| at + 1);
    let at = Location { file: file.clone(), line: number(line), column: number(WRITABLE) };
    SyntaxError { at, reason: format!("code beyond column {WRITABLE} cannot be read: break the line") }
}

fn not_utf8(file: &Arc<str>, valid: &[u8]) -> SyntaxError {
    let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
    let column = 1 + valid.iter().rev().take_while(|byte| **byte != b'\n').count();
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    SyntaxError {
        at: Location { file: file.clone(), line: number(line), column: number(column) },
        reason: "not UTF-8".to_owned(),
    }
}

fn syntax_error(file: &Arc<str>, message: &str) -> SyntaxError {
    let (line, column, reason) = position(message);
    SyntaxError { at: Location { file: file.clone(), line, column }, reason }
}

/// Takes the engine's `--> file:line:column` and the reason behind the excerpt
/// out of its message.
pub(super) fn position(message: &str) -> (u32, u32, String) {
    let reason = message.rsplit_once("error: ").map_or(message, |(_, reason)| reason).trim().to_owned();
    let head = message.split_once("--> ").and_then(|(_, rest)| rest.lines().next()).unwrap_or_default();
    let mut numbers = head.rsplitn(3, ':').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(column)), Some(Ok(line))) => (line, column, reason),
        _ => (0, 0, reason),
    }
}
