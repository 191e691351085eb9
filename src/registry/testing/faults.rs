//! Ways to misbehave.

use std::{collections::BTreeSet, time::Duration};

use carnet_bundle::Digest;

/// A way to misbehave, and for which requests.
#[derive(Clone, Debug)]
pub struct Fault {
    pub(super) route: Route,
    pub(super) text: String,
    pub(super) after: u32,
    pub(super) times: u32,
    pub(super) every: u32,
    pub(super) effect: Effect,
    /// Paths that were struck, when each is to be struck once.
    pub(super) struck: Option<BTreeSet<String>>,
}

/// Sorts of requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Route {
    /// Every request.
    Any,
    /// `/v2/<name>/blobs/`.
    Blob,
    /// `/v2/<name>/manifests/`.
    Manifest,
    /// A write to `/v2/<name>/manifests/`; a refusal writes nothing.
    PutManifest,
    /// `/v2/<name>/referrers/`.
    Referrers,
    /// The token service.
    Token,
    /// A write to `/v2/<name>/blobs/uploads/`; a refusal writes nothing.
    Upload,
}

/// What happens instead of the right answer.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Another answer altogether: status, content type, body.
    Answer(u16, String, Vec<u8>),
    /// The right body under another content type.
    ContentType(String),
    /// The right answer with its last byte flipped.
    Corrupt,
    /// The connection breaks after so many bytes of the right body.
    CutAfter(usize),
    /// The right answer with this header in place of its own.
    Header(&'static str, String),
    /// 429 with `RateLimit-Remaining`, as Docker Hub sends it.
    Limited(String),
    /// The right answer with one byte more.
    Longer,
    /// The manifest of this digest, whatever was asked for.
    Manifest(Digest),
    /// A redirect to this URL.
    Redirect(String),
    /// The first byte of the right body, and then nothing more.
    Stall,
    /// An error document with this status.
    Status(u16),
    /// The right body, one byte after the other with this pause between them.
    Trickle(Duration),
    /// 429 with `Retry-After`.
    TooManyRequests(Duration),
}

impl Fault {
    /// Always and for every path of `route`.
    pub fn on(route: Route, effect: Effect) -> Self {
        Self { route, text: String::new(), after: 0, times: u32::MAX, every: 1, effect, struck: None }
    }

    /// Only for paths that end with `text`.
    #[must_use]
    pub fn ending(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// Not for the first `requests`.
    #[must_use]
    pub fn after(mut self, requests: u32) -> Self {
        self.after = requests;
        self
    }

    /// No more than so many times.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Only for every n-th request.
    #[must_use]
    pub fn every(mut self, n: u32) -> Self {
        self.every = n.max(1);
        self.after = self.every - 1;
        self
    }

    /// Never twice for the same path, so that trying again is enough.
    #[must_use]
    pub fn once_for_each_path(mut self) -> Self {
        self.struck = Some(BTreeSet::new());
        self
    }

    /// Whether a request that meets this effect is refused before anything is done.
    pub(super) fn refuses(effect: Option<&Effect>) -> bool {
        let refusals = [Effect::Status(0), Effect::TooManyRequests(Duration::ZERO), Effect::Answer(0, String::new(), Vec::new())];
        effect.is_some_and(|effect| refusals.iter().any(|one| std::mem::discriminant(one) == std::mem::discriminant(effect)))
    }

    /// The effect on this request, if there is one.
    pub(super) fn strike(&mut self, route: Route, path: &str) -> Option<Effect> {
        let concerns = (self.route == Route::Any || self.route == route) && path.ends_with(&self.text);
        let spared = self.struck.as_ref().is_some_and(|struck| struck.contains(path));
        if !concerns || spared || self.times == 0 {
            return None;
        }
        if self.after > 0 {
            self.after -= 1;
            return None;
        }
        self.after = self.every - 1;
        self.times -= 1;
        if let Some(struck) = &mut self.struck {
            struck.insert(path.to_owned());
        }
        Some(self.effect.clone())
    }
}
