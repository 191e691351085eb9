//! What a certificate states of a build against what the signed provenance claims
//! of it (`bundle-spec/evidence.md` §7).
//!
//! Fulcio copies source repository, commit, ref, build signer and run out of the
//! token of the CI job; the predicate is written by whatever ran in that job.
//! Where both speak of one thing they have to agree: a job that may sign is not a
//! job that may claim any source. Whatever cannot be compared is said, with the
//! reason, and never counts as agreement.

mod claims;
mod source_url;
#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::verified::CertificateFacts;

use claims::{Claims, Source};
use source_url::{Likeness, SourceUrl};

/// Start of the predicate type of SLSA provenance of any version.
const PROVENANCE: &str = "https://slsa.dev/provenance/";
/// Issuer of GitHub Actions; enterprises may have one of their own below it.
const GITHUB: &str = "https://token.actions.githubusercontent.com";

/// What came of comparing one statement of the certificate with the predicate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Comparison {
    /// Both say the same.
    Consistent,
    /// They say different things: both sides, for messages.
    Contradicts(String),
    /// One of them says nothing, or nothing that can be compared: why.
    NotComparable(String),
}

/// Certificate and provenance, statement by statement.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Provenance {
    /// Source repository (extension 12).
    pub repository: Comparison,
    /// Source commit (extension 13).
    pub commit: Comparison,
    /// Source ref (extension 14).
    pub reference: Comparison,
    /// Build signer (extension 9) and `builder.id`.
    pub builder: Comparison,
    /// Run invocation (extension 21) and the invocation id.
    pub run: Comparison,
}

impl Provenance {
    /// Whether statements of this type are SLSA provenance.
    pub(crate) fn is_read_from(predicate_type: &str) -> bool {
        predicate_type.starts_with(PROVENANCE)
    }

    /// Compares the facts of a certificate with the predicate that it signed; `None`
    /// when that is no SLSA provenance.
    pub(crate) fn compare(facts: &CertificateFacts, predicate_type: &str, predicate: &Value) -> Option<Self> {
        let version = predicate_type.strip_prefix(PROVENANCE)?;
        let stated = Stated::of(facts);
        let claims = Claims::read(version, predicate);
        Some(match claims {
            Some(claims) => Self {
                repository: stated.repository(&claims),
                commit: stated.commit(&claims),
                reference: stated.reference(&claims),
                builder: stated.builder(&claims),
                run: stated.run(&claims),
            },
            None => {
                let unknown = || Comparison::NotComparable(format!("provenance {version:?} is not read"));
                Self { repository: unknown(), commit: unknown(), reference: unknown(), builder: unknown(), run: unknown() }
            }
        })
    }

    /// Repository, commit and ref, by name.
    pub fn source(&self) -> [(&'static str, &Comparison); 3] {
        [("source repository", &self.repository), ("source commit", &self.commit), ("source ref", &self.reference)]
    }

    /// Builder and run, by name.
    pub fn build(&self) -> [(&'static str, &Comparison); 2] {
        [("builder", &self.builder), ("run", &self.run)]
    }
}

/// What the certificate states.
struct Stated {
    repository: Option<String>,
    /// The repository, where that is an address.
    url: Option<SourceUrl>,
    commit: Option<String>,
    reference: Option<String>,
    signer: Option<String>,
    run: Option<String>,
    /// Repository and commit that the workflow itself came from: a predicate may
    /// list them beside the source.
    workflows: Vec<(SourceUrl, String)>,
}

impl Stated {
    fn of(facts: &CertificateFacts) -> Self {
        let get = |number: u32| facts.extensions.get(&number).filter(|text| !text.is_empty()).cloned();
        // Fulcio before 2023 names the repository without its host.
        let github = facts.issuer == GITHUB || facts.issuer.starts_with(&format!("{GITHUB}/"));
        let old = |number: u32| get(number).filter(|_| github && get(12).is_none());
        let workflow = |uri: u32, digest: u32| Some((SourceUrl::of_workflow(&get(uri)?)?, get(digest)?));
        let repository = get(12).or_else(|| old(5).map(|name| format!("https://github.com/{name}")));
        Self {
            url: repository.as_deref().and_then(SourceUrl::parse),
            repository,
            commit: get(13).or_else(|| old(3)),
            reference: get(14).or_else(|| old(6)),
            signer: get(9),
            run: get(21),
            workflows: [workflow(9, 10), workflow(18, 19)].into_iter().flatten().collect(),
        }
    }

    fn repository(&self, claims: &Claims) -> Comparison {
        let Some(stated) = &self.repository else { return silent("certificate", "source repository") };
        let Some(url) = &self.url else {
            return Comparison::NotComparable(format!("the certificate states {stated:?}, which is no address of a repository"));
        };
        let mut tally = Tally::default();
        let named_first: Vec<_> = claims.sources.iter().filter(|source| source.is_primary && source.text.is_some()).collect();
        named_first.iter().for_each(|source| tally.take(compare_repository(url, source)));
        // What is named first and is no address must not hide a list of other sources.
        if named_first.iter().all(|source| source.url.is_none()) {
            // A list names dependencies too: one of them has to be the source.
            let listed: Vec<_> = claims.sources.iter().filter(|source| !source.is_primary).collect();
            let compared: Vec<_> = listed.iter().map(|source| compare_repository(url, source)).collect();
            match compared.iter().find(|one| **one == Comparison::Consistent) {
                Some(_) => tally.take(Comparison::Consistent),
                None => compared.into_iter().for_each(|one| tally.take(one)),
            }
        }
        tally.conclude("source repository")
    }

    fn commit(&self, claims: &Claims) -> Comparison {
        let Some(stated) = &self.commit else { return silent("certificate", "source commit") };
        let mut tally = Tally::default();
        for (source, commit) in self.own_sources(claims).flat_map(|source| source.commits.iter().map(move |c| (source, c))) {
            let place = &source.place;
            tally.take(match (commit == stated, stated.starts_with(commit.as_str()) && !commit.is_empty()) {
                (true, _) => Comparison::Consistent,
                (false, true) => Comparison::NotComparable(format!("{place} has {commit:?}, a part of the commit {stated}")),
                (false, false) => against(stated, place, commit),
            });
        }
        tally.conclude("source commit")
    }

    fn reference(&self, claims: &Claims) -> Comparison {
        let Some(stated) = &self.reference else { return silent("certificate", "source ref") };
        let mut tally = Tally::default();
        for (source, named) in self.own_sources(claims).flat_map(|source| source.references.iter().map(move |r| (source, r))) {
            let short = ["refs/heads/", "refs/tags/"].iter().any(|start| stated.strip_prefix(start) == Some(named));
            tally.take(match short || named == stated {
                true => Comparison::Consistent,
                false => against(stated, &source.place, named),
            });
        }
        tally.conclude("source ref")
    }

    /// What the predicate says of the certificate's own repository: what it names
    /// first, whatever address that has, and entries of lists under that address.
    /// The workflow's own commit may stand in a list beside the source's.
    fn own_sources<'c>(&'c self, claims: &'c Claims) -> impl Iterator<Item = &'c Source> {
        let own = move |source: &&Source| {
            let listed = |url: &SourceUrl| source.url.as_ref().is_some_and(|other| url.likeness(other) != Likeness::Different);
            source.is_primary || self.url.as_ref().is_some_and(listed)
        };
        let workflow = |source: &&Source| {
            let is = |(url, commit): &(SourceUrl, String)| {
                source.url.as_ref().is_some_and(|other| url.likeness(other) == Likeness::Same)
                    && source.commits == [commit.clone()]
            };
            let same_commit = self.commit.as_ref().is_some_and(|commit| source.commits.contains(commit));
            !source.is_primary && !same_commit && self.workflows.iter().any(is)
        };
        claims.sources.iter().filter(own).filter(move |source| !workflow(source))
    }

    /// A GitLab builder is a runner and not the pipeline's file: only what has the
    /// form of a workflow at a ref can be held against one.
    fn builder(&self, claims: &Claims) -> Comparison {
        let Some(stated) = &self.signer else { return silent("certificate", "build signer") };
        let Some(claimed) = &claims.builder else { return silent("predicate", "builder") };
        match claimed == stated {
            true => Comparison::Consistent,
            false if SourceUrl::of_workflow(claimed).is_some() => against(stated, "builder.id", claimed),
            false => Comparison::NotComparable(format!("builder.id {claimed:?} is no workflow at a ref")),
        }
    }

    fn run(&self, claims: &Claims) -> Comparison {
        let Some(stated) = &self.run else { return silent("certificate", "run invocation") };
        let Some(claimed) = &claims.run else { return silent("predicate", "invocation id") };
        // `https://github.com/o/r/actions/runs/7/attempts/1` is 7-1 for older builders.
        let numbers: Vec<_> =
            stated.split('/').filter(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())).collect();
        let is_address = claimed.contains("://");
        let short = !is_address && numbers.len() >= 2 && claimed.contains('-');
        match () {
            () if claimed == stated => Comparison::Consistent,
            () if is_address => against(stated, "the invocation id", claimed),
            () if short && numbers.join("-") == *claimed => Comparison::Consistent,
            () if short && claimed.bytes().all(|b| b.is_ascii_digit() || b == b'-') => {
                against(stated, "the invocation id", claimed)
            }
            () if numbers.last() == Some(&claimed.as_str()) => Comparison::Consistent,
            () => Comparison::NotComparable(format!("the invocation id {claimed:?} is no address of a run")),
        }
    }
}

fn compare_repository(stated: &SourceUrl, source: &Source) -> Comparison {
    let text = source.text.as_deref().unwrap_or_default();
    match source.url.as_ref().map(|url| stated.likeness(url)) {
        Some(Likeness::Same) => Comparison::Consistent,
        Some(Likeness::OtherScheme) => {
            Comparison::NotComparable(format!("{} has {text:?}, the certificate {stated}: two ways to reach it", source.place))
        }
        Some(Likeness::Different) => against(&stated.to_string(), &source.place, text),
        None => Comparison::NotComparable(format!("{} has {text:?}, which is no address of a repository", source.place)),
    }
}

/// What several places of a predicate make together: one contradiction is one, and
/// one that cannot be compared leaves the whole open.
#[derive(Default)]
struct Tally {
    agrees: bool,
    against: Option<Comparison>,
    open: Option<Comparison>,
}

impl Tally {
    fn take(&mut self, one: Comparison) {
        match one {
            Comparison::Consistent => self.agrees = true,
            Comparison::Contradicts(_) => self.against = self.against.take().or(Some(one)),
            Comparison::NotComparable(_) => self.open = self.open.take().or(Some(one)),
        }
    }

    fn conclude(self, what: &str) -> Comparison {
        match (self.against.or(self.open), self.agrees) {
            (Some(comparison), _) => comparison,
            (None, true) => Comparison::Consistent,
            (None, false) => silent("predicate", what),
        }
    }
}

fn against(stated: &str, place: &str, claimed: &str) -> Comparison {
    Comparison::Contradicts(format!("the certificate states {stated:?}, {place} says {claimed:?}"))
}

fn silent(who: &str, what: &str) -> Comparison {
    Comparison::NotComparable(format!("the {who} names no {what}"))
}
