//! Credentials from the files of docker and podman.
//!
//! The first file that knows the registry answers. Helpers (`credHelpers`,
//! `credsStore`) are programs named `docker-credential-<name>`, started directly,
//! never through a shell.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use carnet_bundle::Reference;
use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use serde_json::Value;

/// The key under which docker keeps the credential of Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The files that credentials are read from, in order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CredentialFiles(Vec<PathBuf>);

/// Who we are to a registry.
#[derive(Clone, Eq, PartialEq)]
pub(crate) enum Credential {
    Anonymous,
    IdentityToken(String),
    Password {
        user: String,
        password: String,
    },
    /// What a registry gave out itself; sent as it is.
    RegistryToken(String),
}

/// Why a credential file could not be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum CredentialError {
    #[error("cannot read credentials from {path}: {reason}")]
    File { path: String, reason: String },
    #[error("{path} names the credential helper {helper:?}: only letters, digits, `.`, `_` and `-` are allowed")]
    HelperName { path: String, helper: String },
}

impl CredentialFiles {
    /// The files that docker and podman use: `$REGISTRY_AUTH_FILE`,
    /// `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`,
    /// `$XDG_RUNTIME_DIR/containers/auth.json`, `~/.config/containers/auth.json`.
    pub fn from_env() -> Self {
        Self::from_lookup(|name| env::var_os(name).filter(|value| !value.is_empty()))
    }

    /// No file at all: every request is anonymous.
    pub fn none() -> Self {
        Self::default()
    }

    /// These files, in this order.
    pub fn new(files: Vec<PathBuf>) -> Self {
        Self(files)
    }

    fn from_lookup(var: impl Fn(&str) -> Option<OsString>) -> Self {
        let below = |name: &str, path: &str| var(name).map(|dir| Path::new(&dir).join(path));
        let files = [
            var("REGISTRY_AUTH_FILE").map(PathBuf::from),
            below("DOCKER_CONFIG", "config.json").or_else(|| below("HOME", ".docker/config.json")),
            below("XDG_RUNTIME_DIR", "containers/auth.json"),
            below("XDG_CONFIG_HOME", "containers/auth.json").or_else(|| below("HOME", ".config/containers/auth.json")),
        ];
        Self(files.into_iter().flatten().collect())
    }

    /// Finds the credential for the repository of `reference`. May start a helper,
    /// so it blocks.
    pub(crate) fn find(&self, reference: &Reference) -> Result<Credential, CredentialError> {
        for path in &self.0 {
            let text = match fs::read(path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(file_error(path, error)),
            };
            if let Some(credential) = find_in(path, &text, reference)? {
                return Ok(credential);
            }
        }
        Ok(Credential::Anonymous)
    }
}

fn find_in(path: &Path, text: &[u8], reference: &Reference) -> Result<Option<Credential>, CredentialError> {
    let config: Value = serde_json::from_slice(text).map_err(|error| file_error(path, error))?;
    refuse_odd_helpers(path, &config)?;
    let has = |section: &str, key: &str| config.get(section).and_then(|section| section.get(key)).is_some();
    let key = keys(reference)
        .into_iter()
        .find(|key| has("auths", key) || has("credHelpers", key))
        .unwrap_or_else(|| server(reference).to_owned());
    // docker's file has it; the crate does not read it.
    let token = config.get("auths").and_then(|auths| auths.get(&key)).and_then(|entry| entry.get("registrytoken"));
    if let Some(token) = token.and_then(Value::as_str).filter(|token| !token.is_empty()) {
        return Ok(Some(Credential::RegistryToken(token.to_owned())));
    }
    match get_credential_from_reader(text, &key) {
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Credential::IdentityToken(token))),
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Some(Credential::Password { user, password })),
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        // The protocol of helpers: this sentence on stdout means anonymous.
        Err(CredentialRetrievalError::HelperFailure { stdout, .. }) if stdout.contains("credentials not found") => Ok(None),
        Err(error) => Err(file_error(path, error)),
    }
}

/// Keys that may hold the credential, the most specific first: repository,
/// shorter namespaces, host (containers-auth.json(5)).
fn keys(reference: &Reference) -> Vec<String> {
    let mut key = reference.name();
    let mut keys = vec![key.clone()];
    while let Some((shorter, _)) = key.rsplit_once('/') {
        key = shorter.to_owned();
        keys.push(key.clone());
    }
    keys.push(server(reference).to_owned());
    keys
}

fn server(reference: &Reference) -> &str {
    match reference.registry() {
        "docker.io" => DOCKER_HUB,
        registry => registry,
    }
}

fn refuse_odd_helpers(path: &Path, config: &Value) -> Result<(), CredentialError> {
    let store = config.get("credsStore");
    let helpers = config.get("credHelpers").and_then(Value::as_object);
    let names = store.into_iter().chain(helpers.into_iter().flat_map(|map| map.values())).filter_map(Value::as_str);
    for helper in names {
        if !helper.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) {
            return Err(CredentialError::HelperName { path: path.display().to_string(), helper: helper.to_owned() });
        }
    }
    Ok(())
}

fn file_error(path: &Path, error: impl ToString) -> CredentialError {
    CredentialError::File { path: path.display().to_string(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, reference: &str) -> Result<Option<Credential>, CredentialError> {
        find_in(Path::new("config.json"), text.as_bytes(), &reference.parse().unwrap())
    }

    fn password(user: &str) -> Option<Credential> {
        Some(Credential::Password { user: user.to_owned(), password: "pw".to_owned() })
    }

    #[test]
    fn the_most_specific_key_answers() {
        // base64 of host:pw, org:pw, repo:pw, hub:pw
        let text = r#"{"auths":{
            "quay.io": {"auth":"aG9zdDpwdw=="},
            "quay.io/org": {"auth":"b3JnOnB3"},
            "quay.io/org/repo": {"auth":"cmVwbzpwdw=="},
            "https://index.docker.io/v1/": {"auth":"aHViOnB3"},
            "https://legacy.example/v1/": {"auth":"b3JnOnB3"}
        }}"#;
        for (reference, want) in [
            ("quay.io/org/repo:v1", password("repo")),
            ("quay.io/org/other", password("org")),
            ("quay.io/else", password("host")),
            ("alpine", password("hub")),
            ("legacy.example/x", password("org")),
            ("ghcr.io/org/repo", None),
        ] {
            assert!(find(text, reference).unwrap() == want, "{reference}");
        }
    }

    #[test]
    fn identity_tokens_are_told_from_passwords() {
        let text = r#"{"auths":{"acr.example":{"identitytoken":"abc","auth":"aG9zdDpwdw=="}}}"#;
        assert!(find(text, "acr.example/x").unwrap() == Some(Credential::IdentityToken("abc".to_owned())));
        let text = r#"{"auths":{"acr.example":{"registrytoken":"abc"}}}"#;
        assert!(find(text, "acr.example/x").unwrap() == Some(Credential::RegistryToken("abc".to_owned())));
    }

    #[test]
    fn damaged_files_and_odd_helpers_are_errors() {
        assert!(matches!(find("{", "quay.io/x"), Err(CredentialError::File { .. })));
        let text = r#"{"credHelpers":{"quay.io":"../../bin/sh"}}"#;
        assert!(matches!(find(text, "quay.io/x"), Err(CredentialError::HelperName { .. })));
    }

    #[test]
    fn files_are_looked_up_where_docker_and_podman_keep_them() {
        let files = CredentialFiles::from_lookup(|name| match name {
            "REGISTRY_AUTH_FILE" => Some("/auth.json".into()),
            "HOME" => Some("/home/u".into()),
            "XDG_RUNTIME_DIR" => Some("/run/u".into()),
            _ => None,
        });
        let want =
            ["/auth.json", "/home/u/.docker/config.json", "/run/u/containers/auth.json", "/home/u/.config/containers/auth.json"];
        assert_eq!(files, CredentialFiles::new(want.map(PathBuf::from).to_vec()));
    }
}
