//! Verdicts on several archives that are served as one.
//!
//! Users keep one list of all images, and each archive is judged with all of it: what
//! another archive holds is missing there, and `carnet-verify` says so
//! (`image-not-carried`). That verdict stays what it is. Here a component that one
//! archive lacks is left to the archive that carries it, which answers for it with its
//! own verdict. A component that none carries is nobody's: it fails.

use std::{collections::BTreeSet, path::Path};

use crate::verdict::Judged;

/// Leaves to each archive what it carries. Returns what the operator should know, a
/// line each, and the components that none carries.
pub(crate) fn together(archives: &mut [(&Path, Judged)]) -> (Vec<String>, Vec<String>) {
    let lacks: Vec<BTreeSet<String>> =
        archives.iter().map(|(_, judged)| judged.not_carried().into_iter().map(str::to_owned).collect()).collect();
    let all: BTreeSet<&String> = lacks.iter().flatten().collect();
    let (nowhere, somewhere): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| lacks.iter().all(|lacks| lacks.contains(*one)));
    let mut notes = Vec::new();
    for ((path, judged), lacks) in archives.iter_mut().zip(&lacks) {
        let left: Vec<String> = somewhere.iter().filter(|one| lacks.contains(**one)).map(|one| (*one).clone()).collect();
        if !left.is_empty() {
            notes.push(format!("{} lacks {}, which another archive holds", path.display(), left.join(", ")));
        }
        judged.leave(left);
    }
    let nowhere = nowhere.into_iter().map(|one| format!("no archive holds {one}, which is expected")).collect();
    (notes, nowhere)
}
