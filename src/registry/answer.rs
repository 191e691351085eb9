//! What a registry can answer, and what stood in the way of an answer.

/// The answer to one question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer<T> {
    /// Here it is.
    Found(T),
    /// A definite negative: 404 from a registry that let us look, or a layout that
    /// was read in full.
    None {
        /// HTTP status, if a registry said so.
        status: Option<u16>,
    },
    /// The other side has no such method.
    NotOffered {
        /// HTTP status, if a registry said so.
        status: Option<u16>,
    },
    /// Nothing is known.
    CouldNotLook(Obstacle),
}

/// Why nothing is known.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct Obstacle {
    /// What sort of obstacle it is.
    pub kind: ObstacleKind,
    /// HTTP status, if there was an answer at all.
    pub status: Option<u16>,
    /// What was asked for: a URL without query, or a path.
    pub place: String,
    /// What happened, without control characters.
    pub reason: String,
}

/// Sorts of obstacles.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ObstacleKind {
    /// Authentication failed or access was refused.
    Denied,
    /// The answer is not what the protocol allows.
    Malformed,
    /// No answer, or one that says to come back later.
    Unreachable,
}

impl ObstacleKind {
    /// The stable word of receipts (`bundle-spec/bundle.md` §5).
    pub fn word(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Malformed => "malformed",
            Self::Unreachable => "unreachable",
        }
    }
}

impl Obstacle {
    /// Makes an obstacle; `reason` may be text of the other side.
    pub fn new(kind: ObstacleKind, status: Option<u16>, place: impl Into<String>, reason: impl AsRef<str>) -> Self {
        Self { kind, status, place: place.into(), reason: printable(reason.as_ref()) }
    }
}

impl<T> Answer<T> {
    /// Applies `f` to what was found.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Answer<U> {
        self.and_then(|value| Answer::Found(f(value)))
    }

    /// Asks on with what was found.
    pub fn and_then<U>(self, f: impl FnOnce(T) -> Answer<U>) -> Answer<U> {
        match self {
            Self::Found(value) => f(value),
            Self::None { status } => Answer::None { status },
            Self::NotOffered { status } => Answer::NotOffered { status },
            Self::CouldNotLook(obstacle) => Answer::CouldNotLook(obstacle),
        }
    }
}

/// Cuts text of the other side to one short line without control characters.
pub(crate) fn printable(text: &str) -> String {
    let line = text.trim().chars().take(300).map(|c| if c.is_control() { ' ' } else { c });
    line.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_other_side_cannot_steer_a_terminal() {
        let obstacle = Obstacle::new(ObstacleKind::Denied, Some(403), "r", "no\x1b[2J\r\nway\u{9b}31m");
        assert_eq!(obstacle.to_string(), "r: no [2J  way 31m");
    }
}
