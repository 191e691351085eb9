//! Which running images are covered, and by what.

use std::{collections::BTreeSet, path::PathBuf};

use carnet_bundle::Digest;
use carnet_import::verifier::Verifier;
use carnet_policy::Images;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    error::ClusterError,
    flags::VerifyFlags,
    image_id::ImageId,
    judge::{Outcome, Relaxation, Verdict, judge},
    running::Running,
    shelf::{Carried, Part, Shelved},
    summary::{MaxAge, Summaries, Summary},
};

/// How a running image stands; the worst first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// A bundle or summary is about what runs, and it does not pass.
    Failed,
    /// There is a bundle for this name, of another digest; or what runs passed too long ago.
    Stale,
    /// Nothing is known about what runs.
    Unknown,
    /// What runs passed.
    Covered,
}

/// One running image.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// How it stands.
    pub(crate) state: State,
    /// What runs.
    pub(crate) running: Running,
    /// What its digest is the digest of, where a bundle says so.
    pub(crate) part: Option<Part>,
    /// The bundle or summary that decided.
    pub(crate) by: Option<By>,
    /// Why, in words.
    pub(crate) reason: String,
}

/// What decided.
#[derive(Clone, Debug)]
pub(crate) enum By {
    /// The bundle at this place of the list.
    Bundle(usize),
    /// A signed verification summary.
    Summary(Summary),
}

/// A bundle and what was found out about it.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    /// The bundle.
    pub(crate) bundle: Shelved,
    /// The verdict; `None` when nothing that it carries runs, or when there is none.
    pub(crate) verdict: Option<Verdict>,
}

/// Everything that was found out.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    /// Running images, the worst first.
    pub(crate) rows: Vec<Row>,
    /// The shelf.
    pub(crate) bundles: Vec<Judged>,
    /// What could not be looked at.
    pub(crate) problems: Vec<String>,
    /// How long ago a summary may have been given.
    max_age: MaxAge,
}

/// The shelf with everything that it is judged by.
pub(crate) struct Shelf<'a> {
    /// Bundles by their paths.
    pub(crate) paths: Vec<PathBuf>,
    /// Expected images, if the operator gave a list.
    pub(crate) images: Option<Images>,
    /// By what bundles are judged.
    pub(crate) flags: &'a VerifyFlags,
    /// Signed summaries.
    pub(crate) summaries: Summaries,
    /// How long ago they may have been given.
    pub(crate) max_age: MaxAge,
    /// When that is asked.
    pub(crate) now: Timestamp,
}

impl Shelf<'_> {
    /// Compares what runs with the shelf. Only bundles that carry something that runs
    /// are judged.
    ///
    /// # Errors
    ///
    /// Returns a [`ClusterError`] when the verifier cannot be started at all.
    pub(crate) fn compare(self, running: Vec<Running>) -> Result<Status, ClusterError> {
        let digests: BTreeSet<Digest> = running.iter().filter_map(Running::digest).copied().collect();
        let mut status = Status { rows: Vec::new(), bundles: Vec::new(), problems: Vec::new(), max_age: self.max_age };
        let mut verifier = None;
        for path in &self.paths {
            let bundle = match Shelved::open(path) {
                Ok(Some(bundle)) => bundle,
                Ok(None) => {
                    status.problems.push(format!("{}: it is damaged, and what it carries is not known", path.display()));
                    continue;
                }
                Err(error) => {
                    status.problems.push(error.to_string());
                    continue;
                }
            };
            let runs = bundle.images.iter().any(|image| digests.iter().any(|digest| image.part(digest).is_some()));
            let mut verdict = None;
            if runs {
                let verifier = match &verifier {
                    Some(verifier) => verifier,
                    None => verifier.insert(Verifier::located()?),
                };
                match judge(verifier, self.flags, &bundle, self.images.as_ref()) {
                    Ok(given) => verdict = Some(given),
                    Err(error) => status.problems.push(error.to_string()),
                }
            }
            status.bundles.push(Judged { bundle, verdict });
        }
        status.rows = running.into_iter().map(|one| self.row(one, &status.bundles)).collect();
        status.rows.sort_by(|a, b| (a.state, &a.running.image, &a.running.id).cmp(&(b.state, &b.running.image, &b.running.id)));
        Ok(status)
    }

    fn row(&self, running: Running, bundles: &[Judged]) -> Row {
        let unknown = |reason: String| (State::Unknown, None, None, reason);
        let (state, part, by, reason) = match running.digest().copied() {
            Some(digest) => self.state(&running, &digest, bundles),
            None => unknown(match (&running.id, running.waiting()) {
                (ImageId::Unknown(text), _) => format!("the runtime calls it {text:?}, which is no digest"),
                (_, Some(reason)) => format!("no digest: it has not been started ({reason})"),
                (_, None) => "no digest: nothing says which image runs".to_owned(),
            }),
        };
        Row { state, running, part, by, reason }
    }

    fn state(&self, running: &Running, digest: &Digest, bundles: &[Judged]) -> (State, Option<Part>, Option<By>, String) {
        let images =
            || bundles.iter().enumerate().flat_map(|(at, one)| one.bundle.images.iter().map(move |image| (at, one, image)));
        let holders: Vec<(usize, &Judged, &Carried)> = images().filter(|(_, _, image)| image.part(digest).is_some()).collect();
        let part = holders.first().and_then(|(_, _, image)| image.part(digest));
        let (mut passed, mut failed, mut silent) = (None, None, None);
        for (at, judged, image) in &holders {
            match judged.verdict.as_ref().map(|verdict| verdict.outcome(image, digest)) {
                Some(Outcome::Passed) => passed = passed.or(Some(*at)),
                Some(Outcome::Failed(reason)) => failed = failed.or(Some((*at, reason))),
                Some(Outcome::NotExpected) => silent = silent.or(Some((*at, "no component of the list of images expects it"))),
                None => silent = silent.or(Some((*at, "there is no verdict on the bundle that carries it"))),
            }
        }
        // What speaks against an image may be in one bundle alone. Today's verdict weighs
        // more than one of another day.
        if let Some((at, reason)) = failed {
            return (State::Failed, part, Some(By::Bundle(at)), reason);
        }
        if let Some(at) = passed {
            return (State::Covered, part, Some(By::Bundle(at)), String::new());
        }
        if let Some(summary) = self.summary(digest, &holders) {
            let (state, reason) = self.weigh(&summary);
            return (state, part, Some(By::Summary(summary)), reason);
        }
        if let Some((at, reason)) = silent {
            return (State::Unknown, part, Some(By::Bundle(at)), reason.to_owned());
        }
        match images().find(|(_, _, image)| running.names().any(|name| image.is_called(name))) {
            Some((at, _, image)) => (State::Stale, None, Some(By::Bundle(at)), format!("the bundle carries {}", image.digest)),
            None => (State::Unknown, None, None, "no bundle carries it".to_owned()),
        }
    }

    /// How an image stands by a summary of another day. A pass grows old; a failure does not.
    fn weigh(&self, summary: &Summary) -> (State, String) {
        let time = summary.statement.time;
        match summary.statement.passed {
            false => (State::Failed, format!("it failed as of {time}")),
            true if self.max_age.is_exceeded(time, self.now) => {
                (State::Stale, format!("it passed as of {time}, longer ago than {} (--max-age)", self.max_age))
            }
            true => (State::Covered, format!("as of {time}")),
        }
    }

    /// A summary about the digest, or about the manifest that it is the configuration
    /// of. One about an index says nothing of a single platform.
    fn summary(&self, digest: &Digest, holders: &[(usize, &Judged, &Carried)]) -> Option<Summary> {
        let manifests = holders
            .iter()
            .filter(|(_, _, image)| image.part(digest) == Some(Part::Config))
            .flat_map(|(_, _, image)| image.within(digest).filter(|within| image.part(within) == Some(Part::Manifest)));
        [digest].into_iter().chain(manifests).find_map(|digest| self.summaries.about(digest)).cloned()
    }
}

impl Status {
    /// How many images stand so.
    pub(crate) fn count(&self, state: State) -> usize {
        self.rows.iter().filter(|row| row.state == state).count()
    }

    /// What flags relaxed in any verdict, of today or of a summary that covers.
    pub(crate) fn relaxations(&self) -> BTreeSet<&Relaxation> {
        let of_verdicts =
            self.bundles.iter().filter_map(|judged| judged.verdict.as_ref()).flat_map(|verdict| &verdict.relaxations);
        let of_summaries = self.rows.iter().filter_map(|row| match &row.by {
            Some(By::Summary(summary)) => Some(&summary.statement.relaxations),
            _ => None,
        });
        of_verdicts.chain(of_summaries.flatten()).collect()
    }

    /// Everything, for programs.
    pub(crate) fn document(&self, place: &str) -> Value {
        json!({
            "place": place,
            "summary": {
                "covered": self.count(State::Covered),
                "failed": self.count(State::Failed),
                "stale": self.count(State::Stale),
                "unknown": self.count(State::Unknown),
            },
            "images": self.rows.iter().map(|row| self.row(row)).collect::<Vec<_>>(),
            "bundles": self.bundles.iter().map(bundle).collect::<Vec<_>>(),
            "relaxations": self.relaxations(),
            "problems": self.problems,
        })
    }

    fn row(&self, row: &Row) -> Value {
        let owner = |(owner, containers): (&crate::pod::Owner, BTreeSet<&str>)| {
            json!({
                "namespace": owner.namespace,
                "kind": owner.kind,
                "name": owner.name,
                "containers": containers,
                "pods": row.running.pods(Some(owner)),
            })
        };
        let mut value = json!({
            "status": row.state,
            "image": row.running.image,
            "digest": row.running.digest(),
            "digestOf": row.part,
            "reason": row.reason,
            "owners": row.running.owners().into_iter().map(owner).collect::<Vec<_>>(),
        });
        match &row.by {
            Some(By::Bundle(at)) => {
                value["bundle"] = self.bundles.get(*at).map(|judged| judged.bundle.id.to_string()).into();
            }
            Some(By::Summary(summary)) => {
                value["vsa"] = json!({
                    "path": summary.path.display().to_string(),
                    "subject": summary.statement.subject,
                    "timeVerified": summary.statement.time.to_string(),
                    "maxAge": self.max_age.to_string(),
                });
            }
            None => {}
        }
        value
    }
}

fn bundle(judged: &Judged) -> Value {
    json!({
        "path": judged.bundle.path.display().to_string(),
        "id": judged.bundle.id,
        "images": judged.bundle.images.iter().map(|image| json!({ "reference": image.name, "digest": image.digest })).collect::<Vec<_>>(),
        "verdict": judged.verdict.as_ref().map(|verdict| verdict.word),
        "assumptions": judged.verdict.as_ref().map(|verdict| verdict.assumptions),
    })
}
