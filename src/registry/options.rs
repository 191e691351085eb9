//! How to talk to registries.

use std::time::Duration;

use crate::credentials::CredentialFiles;

/// What an operator may change about the way registries are asked.
#[derive(Clone)]
pub struct Options {
    /// Speak plain http to every registry. Hosts on loopback are always asked
    /// over plain http.
    pub allow_http: bool,
    /// Accept any TLS certificate. Never implied by [`Self::allow_http`].
    pub allow_insecure: bool,
    /// Certificate authorities (PEM) that are trusted besides those of the system.
    pub authorities: Vec<Vec<u8>>,
    /// Certificate and private key (PEM, one after the other) that this client
    /// shows to whoever asks for one.
    pub identity: Option<Vec<u8>>,
    /// Where credentials are read from.
    pub credentials: CredentialFiles,
    /// Requests at the same time to one host.
    pub requests_per_host: usize,
    /// How failed requests are repeated.
    pub backoff: Backoff,
    /// How long the other side is waited for.
    pub patience: Patience,
    /// Ask token services for the right to write too.
    pub push: bool,
}

/// How long the other side is waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Patience {
    /// Longest wait for a connection.
    pub connect: Duration,
    /// Longest silence: until an answer has begun, and within one.
    pub silence: Duration,
    /// Time in which a body must bring [`Self::least`] or end. A server that sends
    /// a byte now and then is never silent, and would hold a request for ever.
    pub window: Duration,
    /// Bytes that a body must bring within [`Self::window`].
    pub least: u64,
}

/// How failed requests are repeated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff {
    /// How often a request is sent at most.
    pub attempts: u32,
    /// Pause before the second attempt; it doubles from one to the next.
    pub first: Duration,
    /// Longest pause, whatever `Retry-After` says.
    pub longest: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allow_http: false,
            allow_insecure: false,
            authorities: Vec::new(),
            identity: None,
            credentials: CredentialFiles::from_env(),
            requests_per_host: 4,
            backoff: Backoff::default(),
            patience: Patience::default(),
            push: false,
        }
    }
}

impl Default for Patience {
    /// A kilobyte each second, as package managers want of their mirrors.
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self { connect: Duration::from_secs(15), silence: minute, window: minute, least: 60 * 1024 }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { attempts: 5, first: Duration::from_millis(250), longest: Duration::from_secs(30) }
    }
}

impl Backoff {
    /// The pause after `attempt` requests have failed.
    pub(crate) fn pause(&self, attempt: u32, retry_after: Option<Duration>) -> Duration {
        let doubled = self.first.saturating_mul(1 << attempt.saturating_sub(1).min(16));
        retry_after.unwrap_or(doubled).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let backoff = Backoff::default();
        let pauses: Vec<u128> = (1..=9).map(|n| backoff.pause(n, None).as_millis()).collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        assert_eq!(backoff.pause(1, Some(Duration::from_secs(3))), Duration::from_secs(3));
        assert_eq!(backoff.pause(1, Some(Duration::from_secs(3600))), backoff.longest);
    }
}
