//! A policy document that is itself at a URL (`--policy github.com/org/config`).

use carnet_policy::sources::SourceFile;

/// Names of the document, in the order in which Conforma looks for them.
const NAMES: [&str; 6] = [".ec/policy.json", ".ec/policy.yaml", ".ec/policy.yml", "policy.json", "policy.yaml", "policy.yml"];

/// The policy document among `files`.
pub(crate) fn choose(files: &[SourceFile]) -> Option<&SourceFile> {
    NAMES.iter().find_map(|name| files.iter().find(|file| file.path == *name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_name_is_taken() {
        let files = |names: &[&str]| -> Vec<SourceFile> {
            names.iter().map(|name| SourceFile { path: (*name).to_owned(), bytes: b"x".as_slice().into() }).collect()
        };
        let chosen = |names: &[&str]| choose(&files(names)).map(|file| file.path.clone());
        assert_eq!(chosen(&["policy.yaml", ".ec/policy.yml"]).as_deref(), Some(".ec/policy.yml"));
        assert_eq!(chosen(&["policy.yml", "policy.json"]).as_deref(), Some("policy.json"));
        assert_eq!(chosen(&["a/policy.yaml", "POLICY.yaml"]), None);
    }
}
