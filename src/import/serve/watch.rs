//! Notices that an archive was changed. That is for the operator to know: what is
//! served does not rest on it, because every piece of a blob is checked on its way.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// What an archive's file looked like when it was last looked at.
#[derive(Debug)]
pub(crate) struct Watch {
    archive: PathBuf,
    looked_at: PathBuf,
    seen: Mutex<Stamp>,
}

/// `None` when it cannot be looked at.
type Stamp = Option<Look>;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Look {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
}

impl Watch {
    /// Looks at an archive before it is judged.
    pub(crate) fn new(archive: &Path) -> Self {
        let looked_at = if archive.is_dir() { archive.join("blobs/sha256") } else { archive.to_owned() };
        let seen = Mutex::new(look(&looked_at).ok());
        Self { archive: archive.to_owned(), looked_at, seen }
    }

    /// What has become of it since it was last looked at; each change is told once.
    pub(crate) fn notice(&self) -> Option<String> {
        let now = look(&self.looked_at);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *seen, now.as_ref().ok().copied());
        let what = match (before, now) {
            (_, Err(error)) if before.is_some() => format!("cannot be looked at any more: {error}"),
            (Some(before), Ok(now)) if before.file != now.file => {
                "is another file now; the one that was judged is served on".to_owned()
            }
            (Some(before), Ok(now)) if before.size != now.size => {
                format!("has changed since it was judged: {} bytes, now {}", before.size, now.size)
            }
            (Some(before), Ok(now)) if before != now => "was written to since it was judged".to_owned(),
            _ => return None,
        };
        Some(format!("{} {what}", self.archive.display()))
    }
}

fn look(path: &Path) -> io::Result<Look> {
    let metadata = fs::metadata(path)?;
    Ok(Look {
        file: (metadata.dev(), metadata.ino()),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        fs::write(&path, "one").unwrap();
        let watch = Watch::new(&path);
        assert_eq!(watch.notice(), None);
        let says = |what: &str| {
            let said = watch.notice();
            assert!(said.as_ref().is_some_and(|said| said.contains(what)), "{said:?}, want {what}");
            assert_eq!(watch.notice(), None);
        };
        fs::write(&path, "longer").unwrap();
        says("3 bytes, now 6");
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        says("was written to");
        fs::write(dir.path().join("b.tar"), "other!").unwrap();
        fs::rename(dir.path().join("b.tar"), &path).unwrap();
        says("is another file now");
        fs::remove_file(&path).unwrap();
        says("cannot be looked at");
    }
}
