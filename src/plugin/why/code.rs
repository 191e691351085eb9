//! A finding code, explained.

use carnet_bundle::{Code, Finding, Severity};

/// The normative text of every step, compiled in.
static SPECIFICATION: &str = include_str!("../../../bundle-spec/verify.md");

/// Width that paragraphs are wrapped to, the heading in front of them aside.
const WIDTH: usize = 72;

/// One line for a list.
pub(super) fn line(code: &Code) -> String {
    format!("{}  {} {}  {}", code.name, code.step, severity(code), one_line(code.summary))
}

/// What, where, why it matters, what to do. `found` is what gate 1 found in the
/// archive that was named.
pub(super) fn explain(code: &Code, found: Option<&[Finding]>) -> Vec<String> {
    let mut lines = vec![format!("{} ({}, step {})", code.name, severity(code), code.step), String::new()];
    section(&mut lines, "What", &[code.summary.to_owned()]);
    section(&mut lines, "Where", &places(code, found));
    let step = step(code.step);
    let step = if step.is_empty() { vec![weight(code).to_owned()] } else { vec![step, weight(code).to_owned()] };
    section(&mut lines, "Why", &step);
    let hint = if code.hint.is_empty() { "nothing: it is said for the record" } else { code.hint };
    section(&mut lines, "To do", &[capital(hint)]);
    lines.pop();
    lines
}

/// A heading with paragraphs beside it, and an empty line.
pub(super) fn section(lines: &mut Vec<String>, heading: &str, paragraphs: &[String]) {
    let mut heading = format!("{heading}:");
    for paragraph in paragraphs {
        for line in wrap(paragraph) {
            lines.push(format!("{heading:<7}{line}"));
            heading.clear();
        }
    }
    lines.push(String::new());
}

fn severity(code: &Code) -> &'static str {
    match code.severity {
        Severity::Failure => "failure",
        Severity::Note => "note",
        Severity::Warning => "warning",
    }
}

fn weight(code: &Code) -> &'static str {
    match code.severity {
        Severity::Failure => "It fails the verdict, unless a flag or the trust policy relaxes it; then every report says so.",
        Severity::Note => "It does not change the verdict.",
        Severity::Warning => {
            "It does not fail the verdict by itself. About one piece of evidence it means that this piece does not count, and \
             what then lacks fails."
        }
    }
}

/// Where it was found, or where such a thing can be found.
fn places(code: &Code, found: Option<&[Finding]>) -> Vec<String> {
    let here: Vec<_> = found.into_iter().flatten().filter(|finding| finding.code == code.name).collect();
    if !here.is_empty() {
        let subject = |finding: &Finding| if finding.subject.is_empty() { "the bundle" } else { &finding.subject }.to_owned();
        return here.iter().map(|finding| format!("{}: {}", subject(finding), finding.message)).collect();
    }
    let gate = gate(code.step);
    let whose = match gate {
        1..=4 => "in the archive itself, by every reader of it (gate 1, integrity)",
        5..=11 => "in one piece of evidence, with the operator's trust root and rules (gate 2, authenticity)",
        _ => "by comparing the archive with the operator's images, policy and flags (gate 3, acceptance)",
    };
    match found {
        None if gate <= 4 => vec![format!("Found {whose}."), "`carnet why ARCHIVE CODE` says which part has it.".to_owned()],
        None => vec![format!("Found {whose}."), "The report of `carnet verify` names the image or the evidence.".to_owned()],
        Some(_) if gate <= 4 => vec![
            "Not found when this archive was read.".to_owned(),
            "What depends on flags, such as --bundle-id, only `carnet verify` finds.".to_owned(),
        ],
        Some(_) => vec![
            format!("Found {whose}, so reading this archive does not tell."),
            "`carnet verify ARCHIVE` with your files does, and names the image or the evidence.".to_owned(),
        ],
    }
}

/// `V6.10` is of gate number 6 in the specification's count of steps.
fn gate(step: &str) -> u32 {
    step.trim_start_matches('V').split('.').next().and_then(|gate| gate.parse().ok()).unwrap_or_default()
}

/// The paragraph of a step, or what stands first under its heading; its markup and
/// the list of codes taken away.
fn step(step: &str) -> String {
    let (paragraph, heading) = (format!("**{step} "), format!("## {step} "));
    let mut paragraphs = SPECIFICATION.split("\n\n");
    let found = paragraphs.find(|text| text.starts_with(&paragraph) || text.starts_with(&heading)).unwrap_or_default();
    let text = if found.starts_with(&heading) { paragraphs.next().unwrap_or_default() } else { found };
    let text = text.split("Findings:").next().unwrap_or_default();
    let text = text.strip_prefix(&paragraph).map_or_else(|| text.to_owned(), |text| text.replacen(".**", ".", 1));
    without_links(&text.replace("**", "").replace("*Stops:*", "Stops:").replace('*', ""))
}

/// `[text](target)` as `text`.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        plain += before;
        match link.split_once("](").and_then(|(name, behind)| Some((name, behind.split_once(')')?.1))) {
            Some((name, behind)) => {
                plain += name;
                rest = behind;
            }
            None => {
                plain.push('[');
                rest = link;
            }
        }
    }
    plain + rest
}

fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last > 0 && last + 1 + word.chars().count() > WIDTH {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use carnet_verify::codes;

    use super::*;

    #[test]
    fn every_code_has_a_step_with_a_reason() {
        for code in codes::all() {
            let text = step(code.step);
            assert!(text.len() > 30 && !text.contains("**") && !text.contains("]("), "{} {}: {text:?}", code.name, code.step);
        }
    }

    #[test]
    fn links_and_markup_become_text() {
        assert_eq!(without_links("see [a](b.md#c) and [x] or [y](z"), "see a and [x] or [y](z");
        assert!(step("V3.1").starts_with("Check for a swapped blob. The digest of each member's"), "{}", step("V3.1"));
        assert!(
            step("V3.1").ends_with("Stops: changed layers, configs, evidence.\n")
                || step("V3.1").contains("Stops: changed layers")
        );
    }

    #[test]
    fn long_words_are_not_cut() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let text = format!("one {digest} two");
        assert!(wrap(&text).contains(&digest), "{:?}", wrap(&text));
        assert!(wrap(&"word ".repeat(60)).iter().all(|line| line.len() <= WIDTH));
    }
}
