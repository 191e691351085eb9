//! Who says what the content of a source is: the decision for one URL.

use std::{borrow::Cow, sync::Arc};

use carnet_bundle::{Code, Finding};

use super::{
    Anchor, Carried, Location, Lock, LockedContent, LockedSource, Operator, ResolvedSource, Revision, SourceFile, SourceUrl,
    SourcesError, UrlError, UsedSource, carried, codes,
};

/// Codes that leave the question open: the operator has to say more.
static OPEN: &[&Code] = &[
    &codes::SOURCE_INSECURE,
    &codes::SOURCE_NOT_ANCHORED,
    &codes::SOURCE_TOO_LARGE,
    &codes::SOURCE_UNREADABLE,
    &codes::SOURCE_UNSUPPORTED,
    &codes::SOURCE_WITHOUT_RULES,
];

pub(super) struct Resolver<'a> {
    carried: &'a dyn Carried,
    operator: &'a Operator<'a>,
    /// The lock of the archive: a map, and no authority.
    map: Option<Result<Lock, Finding>>,
    findings: Vec<Finding>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(carried: &'a dyn Carried, operator: &'a Operator<'a>) -> Self {
        let map = carried.lock().map(|bytes| {
            Lock::parse(bytes)
                .map_err(|error| Finding::new(&codes::LOCK_UNREADABLE, "", format!("the policy lock of the archive: {error}")))
        });
        Self { carried, operator, map, findings: Vec::new() }
    }

    /// Resolves one URL; what speaks against it becomes a finding.
    pub(super) fn source(&mut self, url: &str) -> Result<(ResolvedSource, UsedSource), ()> {
        self.decide(url).map_err(|finding| self.findings.push(finding))
    }

    /// A source of rules without rules would silently judge nothing.
    pub(super) fn require_rules(&mut self, url: &str, source: ResolvedSource) -> Result<ResolvedSource, ()> {
        let is_rego = |file: &SourceFile| file.path.to_ascii_lowercase().ends_with(".rego");
        if source.files.iter().any(is_rego) {
            return Ok(source);
        }
        let message = format!("no rego files found in policy subdirectory: {url}");
        self.findings.push(Finding::new(&codes::SOURCE_WITHOUT_RULES, url, message));
        Err(())
    }

    pub(super) fn finish(self) -> Result<(), SourcesError> {
        if self.findings.is_empty() {
            return Ok(());
        }
        let is_open = |finding: &Finding| OPEN.iter().any(|code| code.name == finding.code);
        Err(match self.findings.iter().any(is_open) {
            true => SourcesError::NoVerdict(self.findings),
            false => SourcesError::Failed(self.findings),
        })
    }

    fn decide(&self, text: &str) -> Result<(ResolvedSource, UsedSource), Finding> {
        if let Some((_, directory)) = self.operator.overrides.iter().find(|(url, _)| url == text) {
            return self.directory(text, directory);
        }
        let url = SourceUrl::parse(text).map_err(|error| unusable(text, &error))?;
        if let Location::Local { path } = url.location() {
            return self.directory(text, path);
        }
        let (anchor, entry) = self.anchored(&url)?;
        let files = carried::files(&url, &entry, self.carried)?;
        Ok(outcome(text, url.conforma_form(entry.revision().as_ref()), anchor, "", files))
    }

    fn directory(&self, text: &str, directory: &str) -> Result<(ResolvedSource, UsedSource), Finding> {
        let unreadable = |reason| Finding::new(&codes::SOURCE_UNREADABLE, text, reason);
        let files = self.operator.local.read(directory).map_err(unreadable)?;
        Ok(outcome(text, format!("file::{directory}"), Anchor::Directory, directory, files))
    }

    /// The entry that says which carried content stands for `url`, and by whose
    /// word: the first of pin, lock, bundle id and acceptance that there is.
    fn anchored(&self, url: &SourceUrl) -> Result<(Anchor, Cow<'_, LockedSource>), Finding> {
        let locked = self.operator.lock.and_then(|lock| lock.entry(url.as_str()));
        if let Some(pin) = url.pin() {
            if let Some(other) = locked.and_then(LockedSource::revision).filter(|revision| *revision != pin) {
                return Err(mismatch(url, &other, &pin, "the policy lock", "policy.yaml"));
            }
            return Ok((Anchor::Pin, self.of_pin(url, &pin)?));
        }
        if let Some(entry) = locked {
            self.refuse_another(url, entry)?;
            return Ok((Anchor::Lock, Cow::Borrowed(entry)));
        }
        let anchor = match (self.operator.bundle_pinned, self.operator.accept) {
            (true, _) => Anchor::BundleId,
            (false, true) => Anchor::Accepted,
            (false, false) => return Err(self.not_anchored(url)),
        };
        let entry = self.map()?.and_then(|map| map.entry(url.as_str())).ok_or_else(|| not_carried(url))?;
        Ok((anchor, Cow::Borrowed(entry)))
    }

    /// Looks up carried content by what the pin fixes; the URL may have been
    /// written in another way at the export.
    fn of_pin(&self, url: &SourceUrl, pin: &Revision) -> Result<Cow<'_, LockedSource>, Finding> {
        let entries = self.map()?.map(Lock::sources).unwrap_or_default();
        let fits = |entry: &&LockedSource| match (url.location(), &entry.content) {
            (Location::Git(git), LockedContent::Git { path, .. }) => entry.revision() == Some(*pin) && git.path == *path,
            (Location::Oci { .. }, LockedContent::Oci { .. }) => entry.revision() == Some(*pin),
            _ => false,
        };
        if let Some(entry) = entries.iter().find(fits) {
            return Ok(Cow::Borrowed(entry));
        }
        // The same URL with other content is not an archive of something else.
        let same_url = self.map()?.and_then(|map| map.entry(url.as_str())).and_then(LockedSource::revision);
        match same_url.filter(|got| got != pin) {
            Some(got) => Err(Finding::new(
                &codes::SOURCE_PIN_MISMATCH,
                url,
                format!("{url}: the archive holds {}, want {}", word(&got), word(pin)),
            )),
            None => Err(not_carried(url)),
        }
    }

    /// The archive may hold what the lock names, or nothing; not something else.
    fn refuse_another(&self, url: &SourceUrl, locked: &LockedSource) -> Result<(), Finding> {
        let Some(Ok(map)) = &self.map else { return Ok(()) };
        let Some(carried) = map.entry(url.as_str()).filter(|carried| carried.content != locked.content) else { return Ok(()) };
        match (carried.revision(), locked.revision()) {
            (Some(got), Some(want)) if got != want => Err(mismatch(url, &got, &want, "the archive", "the policy lock")),
            _ => Err(Finding::new(
                &codes::LOCK_MISMATCH,
                url,
                format!("{url}: the archive holds {}, the policy lock names {}", digest(carried), digest(locked)),
            )),
        }
    }

    fn map(&self) -> Result<Option<&Lock>, Finding> {
        match &self.map {
            Some(Ok(lock)) => Ok(Some(lock)),
            Some(Err(finding)) => Err(finding.clone()),
            None => Ok(None),
        }
    }

    /// Says what to write. The content that the archive holds is named, for the
    /// operator to look at before pinning it.
    fn not_anchored(&self, url: &SourceUrl) -> Finding {
        let entry = self.map().ok().flatten().and_then(|map| map.entry(url.as_str()));
        let line = entry.and_then(LockedSource::revision).and_then(|revision| url.pinned_line(&revision));
        let finding = |message: String| Finding::new(&codes::SOURCE_NOT_ANCHORED, url, message);
        match (line, url.location()) {
            (Some(line), _) => finding(format!(
                "{url} names no exact content, so the archive would choose the rules; the archive holds {line}"
            ))
            .with_hint(format!(
                "write {line} in policy.yaml once you have made sure of it (`carnet policy pin` asks the source itself), or give --policy-lock FILE, --policy-source {url}=DIRECTORY or --bundle-id DIGEST; --accept-bundled-sources takes it on the exporter's word"
            )),
            (None, Location::Https { .. }) => finding(format!(
                "{url} has no form that fixes its content, so the archive would choose it"
            ))
            .with_hint(format!(
                "give --policy-lock FILE, --policy-source {url}=DIRECTORY or --bundle-id DIGEST; --accept-bundled-sources takes it on the exporter's word"
            )),
            (None, _) => finding(format!("{url} names no exact content, so the archive would choose the rules")),
        }
    }
}

fn outcome(
    url: &str,
    pinned: String,
    anchor: Anchor,
    directory: &str,
    mut files: Vec<SourceFile>,
) -> (ResolvedSource, UsedSource) {
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let used =
        UsedSource { url: url.to_owned(), pinned: pinned.clone(), anchor, directory: directory.to_owned(), files: files.len() };
    (ResolvedSource { pinned, files: Arc::from(files) }, used)
}

fn unusable(url: &str, error: &UrlError) -> Finding {
    let code = match error {
        UrlError::Insecure(_) => &codes::SOURCE_INSECURE,
        _ => &codes::SOURCE_UNSUPPORTED,
    };
    Finding::new(code, url, error.to_string())
}

fn not_carried(url: &SourceUrl) -> Finding {
    Finding::new(&codes::SOURCE_NOT_CARRIED, url, format!("{url}: the archive does not hold its content"))
}

fn mismatch(url: &SourceUrl, got: &Revision, want: &Revision, holder: &str, authority: &str) -> Finding {
    let message = format!("{url}: {holder} has {}, {authority} names {}", word(got), word(want));
    Finding::new(&codes::LOCK_MISMATCH, url, message)
}

fn word(revision: &Revision) -> String {
    match revision {
        Revision::Commit(id) => format!("commit {id}"),
        Revision::Manifest(digest) => format!("manifest {digest}"),
    }
}

fn digest(entry: &LockedSource) -> String {
    match &entry.content {
        LockedContent::File { content } | LockedContent::Git { content, .. } | LockedContent::Https { content } => {
            content.to_string()
        }
        LockedContent::Oci { manifest, .. } => manifest.to_string(),
    }
}
