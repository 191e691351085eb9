//! Which known key a misspelt key was meant to be.

/// Returns the known key that `key` resembles without being equal to it: in
/// another case, with other word marks, or a slip of the finger away.
pub(crate) fn meant<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let folded = fold(key);
    let near = |candidate: &&&str| {
        let slips = if candidate.len() < 5 { 1 } else { 2 };
        fold(candidate) == folded || distance(&folded, &fold(candidate)) <= slips
    };
    known.iter().filter(|candidate| **candidate != key).find(near).copied()
}

fn fold(key: &str) -> Vec<char> {
    // A key longer than this resembles none of ours.
    key.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).take(64).collect()
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one
/// text to the other (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (above[j] + usize::from(x != y)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_are_found_and_other_words_are_not() {
        let known = ["containerImage", "name", "source", "git", "url", "revision", "dockerfileUrl", "context"];
        for (key, want) in [
            ("containerimage", Some("containerImage")),
            ("container_image", Some("containerImage")),
            ("containreImage", Some("containerImage")),
            ("Source", Some("source")),
            ("sources", Some("source")),
            ("uri", Some("url")),
            ("revison", Some("revision")),
            ("digest", None),
            ("dockerfile", None),
            ("colour", None),
            ("metadata", None),
            ("name", None),
        ] {
            assert_eq!(meant(key, &known), want, "{key}");
        }
    }
}
