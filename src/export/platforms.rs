//! Which platforms of an index travel (`--platform`).
//!
//! The bytes of the index stay as they are, so its digest and its signatures do
//! too; what is left out is declared.

use std::fmt;

use carnet_bundle::{Descriptor, Platform, media};

/// The platforms that were asked for; all of them when none was named.
#[derive(Clone, Debug, Default)]
pub(crate) struct Platforms(Vec<Platform>);

impl Platforms {
    pub(crate) fn new(asked: Vec<Platform>) -> Self {
        Self(asked)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Splits the children of an index into what travels and what is left out.
    ///
    /// BuildKit attestations always travel, and so does what says no platform of its
    /// own: nested indexes, whose children say it, and artifacts. A manifest that is
    /// listed for several platforms travels when one of them was asked for.
    pub(crate) fn split(&self, children: &[Descriptor]) -> (Vec<Descriptor>, Vec<Descriptor>) {
        let wants = |child: &Descriptor| match &child.platform {
            _ if self.0.is_empty() || child.is_buildkit_attestation() => true,
            Some(platform) if !is_unknown(platform) => self.0.iter().any(|asked| covers(asked, platform)),
            Some(_) => media::is_index(&child.media_type),
            None => true,
        };
        let travels = |child: &&Descriptor| children.iter().any(|other| other.digest == child.digest && wants(other));
        let (included, omitted): (Vec<_>, Vec<_>) = children.iter().partition(travels);
        (included.into_iter().cloned().collect(), omitted.into_iter().cloned().collect())
    }
}

impl fmt::Display for Platforms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&names.join(", "))
    }
}

/// Reads `os/arch` or `os/arch/variant`.
pub(crate) fn parse(text: &str) -> Result<Platform, String> {
    let parts: Vec<_> = text.split('/').collect();
    let (os, architecture, variant) = match parts.as_slice() {
        [os, architecture] => (os, architecture, None),
        [os, architecture, variant] => (os, architecture, Some(*variant)),
        _ => return Err("want os/arch or os/arch/variant, such as linux/amd64".to_owned()),
    };
    if parts.iter().any(|part| part.is_empty()) {
        return Err("want os/arch or os/arch/variant, such as linux/amd64".to_owned());
    }
    Ok(Platform { os: (*os).to_owned(), architecture: (*architecture).to_owned(), variant: variant.map(str::to_owned) })
}

/// A platform without a variant asks for every variant, as the verifier reads it.
fn covers(asked: &Platform, platform: &Platform) -> bool {
    asked.os == platform.os
        && asked.architecture == platform.architecture
        && (asked.variant.is_none() || asked.variant == platform.variant)
}

fn is_unknown(platform: &Platform) -> bool {
    platform.os == "unknown" || platform.architecture == "unknown"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_have_two_or_three_parts() {
        assert_eq!(parse("linux/arm64/v8").unwrap().to_string(), "linux/arm64/v8");
        assert_eq!(parse("linux/amd64").unwrap().variant, None);
        for text in ["linux", "", "linux/", "/amd64", "a/b/c/d", "linux//v8"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
