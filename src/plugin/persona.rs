//! The name under which the program was started, and what follows from it.
//!
//! One file answers to the names that kubectl, docker and cosign users type. A
//! persona changes how usage lines read, how the host hands over its words, and
//! which short forms of the host are understood; it never changes a verdict.
//!
//! How the hosts find and call plugins: <https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/>,
//! <https://github.com/docker/cli/tree/master/cli-plugins>. cosign has no such thing.

use std::{ffi::OsString, path::Path};

/// Whose words are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Persona {
    /// `carnet`, and every name that is none of the others.
    Carnet,
    /// `cosign-carnet`, called by its own name.
    Cosign,
    /// `docker-carnet`, called by docker with its own name repeated.
    Docker,
    /// `kubectl-carnet`, called by kubectl with the words behind the name.
    Kubectl,
}

/// What one start of the program asks for.
#[derive(Debug, Eq, PartialEq)]
pub enum Call {
    /// A command, its words without the name of the program.
    Command(Persona, Vec<OsString>),
    /// What could come next; the last word is the one being typed.
    Complete(Persona, Vec<OsString>),
    /// The description that docker reads of each plugin.
    DockerMetadata,
    /// Words of docker that cannot be honoured.
    Refused(String),
}

/// Name under which kubectl asks what could come next.
pub(crate) const COMPLETION: &str = "kubectl_complete-carnet";
const DOCKER_METADATA: &str = "docker-cli-plugin-metadata";
/// The word by which Cobra programs, docker among them, ask for completion.
const COBRA_COMPLETE: &str = "__complete";

impl Persona {
    /// What the user typed to get here; usage lines begin with it.
    pub fn called(self) -> &'static str {
        match self {
            Self::Carnet => "carnet",
            Self::Cosign => "cosign-carnet",
            Self::Docker => "docker carnet",
            Self::Kubectl => "kubectl carnet",
        }
    }

    /// File name of the program that has this persona.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Carnet => "carnet",
            Self::Cosign => "cosign-carnet",
            Self::Docker => "docker-carnet",
            Self::Kubectl => "kubectl-carnet",
        }
    }
}

impl Call {
    /// Reads the words of a process, the program's name first.
    pub fn read(words: impl IntoIterator<Item = OsString>) -> Self {
        let mut words = words.into_iter();
        let name = words.next().map(|program| stem(&program)).unwrap_or_default();
        let words: Vec<_> = words.collect();
        if let Some(leading) = leading(&name, COMPLETION) {
            return Self::Complete(Persona::Kubectl, [leading, words].concat());
        }
        if let Some(leading) = leading(&name, Persona::Kubectl.program()) {
            return Self::Command(Persona::Kubectl, [leading, words].concat());
        }
        match name.as_str() {
            "cosign-carnet" => Self::Command(Persona::Cosign, words),
            "docker-carnet" => docker(&words),
            _ => Self::Command(Persona::Carnet, words),
        }
    }
}

/// The file name without the suffix of programs, as the host spells it.
fn stem(program: &OsString) -> String {
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.strip_suffix(".exe").map(str::to_owned).unwrap_or(name)
}

/// The words that kubectl has taken into the name of the plugin: it starts the
/// longest name that there is, with a dash between words and `_` for a dash inside
/// one. `None` when the program has another name.
fn leading(name: &str, plugin: &str) -> Option<Vec<OsString>> {
    let rest = name.strip_prefix(plugin)?;
    if rest.is_empty() {
        return Some(Vec::new());
    }
    let words = rest.strip_prefix('-')?.split('-');
    Some(words.map(|word| word.replace('_', "-").into()).collect())
}

/// docker passes on its whole command line: its own flags, then the plugin's name,
/// then the plugin's words. `docker help carnet` puts `help` before the name.
fn docker(words: &[OsString]) -> Call {
    if words.first().is_some_and(|word| word == DOCKER_METADATA) {
        return Call::DockerMetadata;
    }
    let mut rest = words;
    let mut asked = Vec::new();
    let mut complete = false;
    while let Some((word, behind)) = rest.split_first() {
        rest = behind;
        let text = word.to_string_lossy();
        match text.as_ref() {
            "carnet" => break,
            COBRA_COMPLETE => complete = true,
            "help" | "--help" | "-h" => asked.push(word.clone()),
            flag => match own_flag(flag) {
                Some(Flag::Alone) => {}
                Some(Flag::WithValue) => rest = rest.get(1..).unwrap_or_default(),
                Some(Flag::OtherCredentials) => {
                    return Call::Refused("docker's --config is not passed on; set DOCKER_CONFIG to that directory".to_owned());
                }
                // Started by hand, without docker.
                None => return Call::Command(Persona::Docker, words.to_vec()),
            },
        }
    }
    let words = [asked, rest.to_vec()].concat();
    if complete { Call::Complete(Persona::Docker, words) } else { Call::Command(Persona::Docker, words) }
}

/// A flag of docker itself, which speaks of a daemon that carnet does not ask.
enum Flag {
    Alone,
    WithValue,
    /// It would choose the credentials that registries get.
    OtherCredentials,
}

fn own_flag(word: &str) -> Option<Flag> {
    let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
    let flag = match name {
        "--config" => Flag::OtherCredentials,
        "-D" | "--debug" | "--tls" | "--tlsverify" => Flag::Alone,
        "-c" | "--context" | "-H" | "--host" | "-l" | "--log-level" | "--tlscacert" | "--tlscert" | "--tlskey" => {
            if value.is_some() { Flag::Alone } else { Flag::WithValue }
        }
        _ => return None,
    };
    Some(flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Call {
        Call::read(line.split(' ').map(OsString::from))
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn the_name_decides_who_is_asked() {
        for (line, persona, want) in [
            ("carnet verify a", Persona::Carnet, "verify a"),
            ("/usr/bin/carnet-1.2 verify", Persona::Carnet, "verify"),
            ("kubectl-carnetx verify", Persona::Carnet, "verify"),
            ("/x/kubectl-carnet verify a -o json", Persona::Kubectl, "verify a -o json"),
            ("kubectl-carnet.exe tree a", Persona::Kubectl, "tree a"),
            ("kubectl-carnet-verify a", Persona::Kubectl, "verify a"),
            ("kubectl-carnet-trust-show a", Persona::Kubectl, "trust show a"),
            ("kubectl-carnet-two_words a", Persona::Kubectl, "two-words a"),
            ("cosign-carnet export a", Persona::Cosign, "export a"),
            ("docker-carnet carnet export carnet", Persona::Docker, "export carnet"),
            ("docker-carnet export a", Persona::Docker, "export a"),
            ("docker-carnet -D --context x --log-level=debug -H unix:///a carnet tree a", Persona::Docker, "tree a"),
            ("docker-carnet help carnet export", Persona::Docker, "help export"),
            ("docker-carnet --help carnet", Persona::Docker, "--help"),
        ] {
            assert_eq!(read(line), Call::Command(persona, words(want)), "{line}");
        }
    }

    #[test]
    fn completion_is_asked_by_name_or_by_word() {
        for (line, persona, want) in [
            ("kubectl_complete-carnet verify --im", Persona::Kubectl, "verify --im"),
            ("kubectl_complete-carnet-trust sh", Persona::Kubectl, "trust sh"),
            ("docker-carnet __complete carnet verify --im", Persona::Docker, "verify --im"),
        ] {
            assert_eq!(read(line), Call::Complete(persona, words(want)), "{line}");
        }
    }

    #[test]
    fn docker_is_told_who_is_here_and_what_is_refused() {
        assert_eq!(read("docker-carnet docker-cli-plugin-metadata"), Call::DockerMetadata);
        for line in ["docker-carnet --config /x carnet export a", "docker-carnet --config=/x carnet export a"] {
            assert!(matches!(read(line), Call::Refused(reason) if reason.contains("DOCKER_CONFIG")), "{line}");
        }
    }
}
