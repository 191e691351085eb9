//! The page: it says all that the proof says, nothing in it is loaded or run, and
//! text of others stays text that can be seen.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use carnet_verify::report::{Format, Report};
use html5ever::{parse_document, tendril::TendrilSink};
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use serde_json::Value;

#[path = "report/proofs.rs"]
mod proofs;

use proofs::{EVIL, failing, hostile, nothing, passing, proof, render};

/// Every value of the proof stands on the page; each text of the reports is one of its
/// own, so none stands there by luck.
#[test]
fn the_page_says_every_value_of_the_proof() {
    for (name, report) in [("passing", passing()), ("failing", failing()), ("nothing", nothing())] {
        let text = shown(&page(&report));
        let mut missing = Vec::new();
        leaves(&proof(&report), "", &mut |place, value| {
            if !text.contains(&value) {
                missing.push(format!("{place}: {value}"));
            }
        });
        assert!(missing.is_empty(), "{name}: {missing:#?}");
    }
}

#[test]
fn pages_are_well_formed() {
    for report in [passing(), failing(), hostile(), nothing()] {
        let dom = parsed(&page(&report));
        let errors = dom.errors.borrow();
        assert!(errors.is_empty(), "{errors:?}");
        let mut ids = BTreeSet::new();
        let mut links = Vec::new();
        let mut level = 0;
        walk(&dom.document, &mut |name, attributes| {
            for (attribute, value) in attributes {
                match attribute.as_str() {
                    "id" => assert!(ids.insert(value.clone()), "{value} twice"),
                    "href" => links.push(value.clone()),
                    _ => {}
                }
            }
            if let Some(heading) = name.strip_prefix('h').and_then(|n| n.parse::<u8>().ok()) {
                assert!(heading <= level + 1, "h{heading} after h{level}");
                level = heading;
            }
        });
        for link in links {
            assert!(ids.contains(link.strip_prefix('#').unwrap()), "{link} leads nowhere");
        }
    }
}

#[test]
fn nothing_is_loaded_and_nothing_runs() {
    let allowed = [
        "html", "head", "meta", "title", "style", "body", "header", "p", "h1", "h2", "h3", "h4", "span", "ul", "ol", "li", "b",
        "br", "i", "dl", "div", "dt", "dd", "code", "pre", "time", "a", "section", "nav", "main", "article", "details",
        "summary", "footer",
    ];
    let attributes_allowed =
        ["class", "id", "lang", "charset", "http-equiv", "content", "name", "aria-hidden", "aria-label", "href", "open"];
    for report in [passing(), failing(), hostile(), nothing()] {
        let page = page(&report);
        assert!(!page.contains("<script"));
        let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        assert!(!style.contains("url(") && !style.contains("@import") && !style.contains("://"), "the style sheet loads");
        let mut policy = String::new();
        walk(&parsed(&page).document, &mut |name, attributes| {
            assert!(allowed.contains(&name), "<{name}>");
            for (attribute, value) in attributes {
                assert!(attributes_allowed.contains(&attribute.as_str()), "<{name} {attribute}={value:?}>");
                assert!(!value.contains("://") && !value.contains(EVIL), "<{name} {attribute}={value:?}>");
                if value == "Content-Security-Policy" {
                    policy = attributes.iter().find(|(name, _)| name == "content").unwrap().1.clone();
                }
            }
        });
        assert_eq!(policy, "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'");
    }
}

/// Markup, direction marks, control and invisible characters, endless words.
#[test]
fn hostile_text_stays_text_and_is_seen() {
    let report = hostile();
    let page = page(&report);
    let unseen = |c: &char| {
        *c != '\n' && c.is_control() || "\u{202e}\u{2066}\u{200b}\u{200d}\u{ad}\u{feff}\u{2028}\u{e0041}\u{ffff}".contains(*c)
    };
    assert_eq!(page.chars().find(unseen), None);
    let text = shown(&page);
    let mut missing = Vec::new();
    leaves(&proof(&report), "", &mut |place, value| {
        if !text.contains(&visible(&value)) {
            missing.push(format!("{place}: {value:?}"));
        }
    });
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(text.contains("</dd></details><script>alert(1)</script>"), "markup is shown as it was written");
    assert!(text.contains("U+202E") && text.contains("U+200B") && text.contains("U+001B"));
}

#[test]
fn both_verdicts_are_told_without_colour() {
    for (report, title, symbol, lead) in [
        (passing(), "Pass", "✓", "The image passed every check and every rule that was asked."),
        (failing(), "Fail", "✕", "The image failed: 2 violations."),
    ] {
        let page = page(&report);
        assert!(page.contains(&format!("<title>{title} – carnet verification report</title>")));
        let text = shown(&page);
        let (head, _) = text.split_once("Contents").unwrap_or((&text, ""));
        assert!(head.contains(&format!("{symbol}{title}")), "{head}");
        assert!(head.contains(lead), "{head}");
    }
    // A state has its word everywhere, not its class alone.
    for word in ["failed", "warning", "not-counted", "contradicted", "not-comparable", "could-not-look"] {
        assert!(shown(&page(&failing())).contains(word), "{word}");
    }
}

/// What was relaxed comes before anything that reads as a success.
#[test]
fn relaxations_come_first() {
    let text = shown(&page(&failing()));
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} is missing"));
    assert!(at("Weaker than the default") < at("What holds"));
    assert!(at("Images") < at("What had to be assumed") && at("What had to be assumed") < at("What is not covered"));
}

fn page(report: &Report) -> String {
    render(report, Format::Html)
}

fn parsed(page: &str) -> RcDom {
    parse_document(RcDom::default(), html5ever::ParseOpts::default()).one(page)
}

/// Name and value.
type Attribute = (String, String);

fn walk(node: &Handle, look: &mut dyn FnMut(&str, &[Attribute])) {
    if let NodeData::Element { name, attrs, .. } = &node.data {
        let attributes: Vec<_> = attrs.borrow().iter().map(|a| (a.name.local.to_string(), a.value.to_string())).collect();
        look(&name.local, &attributes);
    }
    node.children.borrow().iter().for_each(|child| walk(child, look));
}

/// The text as a reader sees it, without the style sheet.
fn shown(page: &str) -> String {
    fn text(node: &Handle, out: &mut String) {
        match &node.data {
            NodeData::Text { contents } => out.push_str(&contents.borrow()),
            NodeData::Element { name, .. } if &*name.local == "style" => return,
            _ => {}
        }
        node.children.borrow().iter().for_each(|child| text(child, out));
    }
    let mut out = String::new();
    text(&parsed(page).document, &mut out);
    out
}

/// Every value that is no list and no object, with the place where it stands.
fn leaves(value: &Value, place: &str, look: &mut dyn FnMut(&str, String)) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| leaves(value, &format!("{place}/{name}"), look)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, value)| leaves(value, &format!("{place}/{at}"), look)),
        Value::String(text) => look(place, text.clone()),
        other => look(place, other.to_string()),
    }
}

/// How hostile characters are spelled, written down apart from the program.
fn visible(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\n' => out.push('↵'),
            '\t' => out.push_str("⇥ "),
            c if c.is_control() || "\u{202e}\u{2066}\u{200b}\u{200d}\u{ad}\u{feff}\u{2028}\u{e0041}\u{ffff}".contains(c) => {
                out.push_str(&format!("U+{:04X}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}
