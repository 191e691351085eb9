//! Where pods are looked for: a cluster, or files.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;

use crate::{
    api,
    error::ClusterError,
    manifest::{Found, documents},
};

const HEADING: &str = "Where to look";
/// Largest file of manifests or pods that is read: 512 MiB, the pods of some ten
/// thousand nodes.
const MAX_FILE: u64 = 512 * 1024 * 1024;
/// Names of files that are read when a directory is given, as kubectl does.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// Where pods are looked for. Without -f it is the cluster of the kubeconfig.
#[derive(Args, Clone, Debug)]
pub(crate) struct SourceArgs {
    /// Manifests or the output of `kubectl get pods -o json` instead of a cluster: a file, a directory,
    /// or - for standard input; repeatable
    #[arg(short, long, value_name = "FILE|DIR|-", help_heading = HEADING)]
    #[arg(conflicts_with_all = ["kubeconfig", "context", "namespace", "all_namespaces", "selector", "request_timeout"])]
    pub(crate) filename: Vec<PathBuf>,
    /// Kubeconfig, instead of the one of KUBECONFIG or ~/.kube/config; in a pod, its service account
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    pub(crate) context: Option<String>,
    /// Namespace, instead of the one of the context
    #[arg(short, long, value_name = "NAME", help_heading = HEADING)]
    pub(crate) namespace: Option<String>,
    /// All namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace", help_heading = HEADING)]
    pub(crate) all_namespaces: bool,
    /// Only pods with these labels, such as app=web,tier!=test
    #[arg(short = 'l', long, value_name = "SELECTOR", help_heading = HEADING)]
    pub(crate) selector: Option<String>,
    /// How long one answer of the cluster may take: seconds, or such as 2m; 0 sets no limit
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration, help_heading = HEADING)]
    pub(crate) request_timeout: Duration,
}

/// What was looked at, and what was found there.
pub(crate) struct Looked {
    /// What was found.
    pub(crate) found: Found,
    /// Words for where it was looked for, such as `in namespace x`.
    pub(crate) place: String,
}

impl SourceArgs {
    /// Looks.
    ///
    /// # Errors
    ///
    /// Returns a [`ClusterError`] when that is not possible.
    pub(crate) fn look(&self) -> Result<Looked, ClusterError> {
        if self.filename.is_empty() {
            return api::look(self);
        }
        let mut found = Found::default();
        for path in &self.filename {
            if path != Path::new("-") && path.is_dir() {
                for path in manifests(path)? {
                    found.extend(file(&path)?);
                }
            } else {
                found.extend(file(path)?);
            }
        }
        let names: Vec<_> = self.filename.iter().map(|path| path.display().to_string()).collect();
        Ok(Looked { found, place: format!("in {}", names.join(", ")) })
    }
}

fn file(path: &Path) -> Result<Found, ClusterError> {
    let error = |source| ClusterError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let (name, source): (_, Box<dyn Read>) = match path == Path::new("-") {
        true => ("standard input".to_owned(), Box::new(io::stdin().lock())),
        false => (path.display().to_string(), Box::new(fs::File::open(path).map_err(error)?)),
    };
    source.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(error)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(error(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {MAX_FILE} bytes"))));
    }
    let mut found = Found::default();
    let objects = documents(&bytes).map_err(|reason| ClusterError::Document { name, reason })?;
    objects.iter().for_each(|object| found.add(object));
    Ok(found)
}

/// The manifests of a directory, by name; directories in it are left alone.
fn manifests(dir: &Path) -> Result<Vec<PathBuf>, ClusterError> {
    let error = |source| ClusterError::Read { path: dir.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let is_manifest = path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known));
        if is_manifest && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// A time as kubectl reads it: seconds, or a number with `s`, `m` or `h`.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, factor) = match text.trim_end_matches(['s', 'm', 'h']) {
        number if text == number => (number, 1),
        number => (
            number,
            match &text[number.len()..] {
                "s" => 1,
                "m" => 60,
                "h" => 3600,
                _ => return Err("want a number of seconds, or a number with s, m or h".to_owned()),
            },
        ),
    };
    let number: u32 = number.parse().map_err(|_| "want a number of seconds, or a number with s, m or h".to_owned())?;
    Ok(Duration::from_secs(u64::from(number) * factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_kubectl() {
        for (text, want) in [("0", 0), ("7", 7), ("1s", 1), ("2m", 120), ("3h", 10800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(want)), "{text}");
        }
        for text in ["", "s", "-1", "1x", "1ms", "1.5s", "99999999999"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
