//! Just enough Markdown to read the specification: fences, headings, links.

use std::path::{Path, PathBuf};

/// One document of the specification.
pub(crate) struct Page {
    /// File name, such as `bundle.md`.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

/// One fenced example.
pub(crate) struct Fence {
    /// Where it starts, for messages.
    pub(crate) place: String,
    /// The info string, such as `json,mediatype=…`.
    pub(crate) info: String,
    /// What stands between the fences.
    pub(crate) body: String,
}

/// The folder of the specification.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bundle-spec")
}

/// Every document, by name.
pub(crate) fn pages() -> Vec<Page> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".md"))
        .collect();
    names.sort();
    names.into_iter().map(|name| page(&name)).collect()
}

/// One document.
pub(crate) fn page(name: &str) -> Page {
    Page { name: name.to_owned(), text: std::fs::read_to_string(folder().join(name)).unwrap() }
}

impl Page {
    /// The fenced examples in their order.
    pub(crate) fn fences(&self) -> Vec<Fence> {
        let mut fences = Vec::new();
        let mut lines = self.text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let Some(info) = line.strip_prefix("```") else { continue };
            let body: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            fences.push(Fence { place: format!("{}:{}", self.name, number + 1), info: info.to_owned(), body: body.join("\n") });
        }
        fences
    }

    /// The lines that are not inside a fence, with their numbers.
    pub(crate) fn prose(&self) -> Vec<(usize, &str)> {
        let mut fenced = false;
        self.text
            .lines()
            .enumerate()
            .filter(|(_, line)| {
                let fence = line.starts_with("```");
                fenced ^= fence;
                !fence && !fenced
            })
            .map(|(number, line)| (number + 1, line))
            .collect()
    }

    /// The anchors of the headings, as GitHub makes them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let headings = self.prose().into_iter().filter_map(|(_, line)| line.split_once("# "));
        headings.filter(|(marks, _)| marks.chars().all(|c| c == '#')).map(|(_, title)| anchor(title)).collect()
    }

    /// The targets of the links in the prose.
    pub(crate) fn links(&self) -> Vec<String> {
        let prose: Vec<&str> = self.prose().into_iter().map(|(_, line)| line).collect();
        let text = prose.join("\n");
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        targets.map(|(target, _)| target.to_owned()).collect()
    }
}

fn anchor(title: &str) -> String {
    let kept = title.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}
