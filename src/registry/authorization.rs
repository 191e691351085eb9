//! Authorization: what to send with a request after a registry answered 401.
//!
//! The realm of the challenge that came with the 401 is checked, and asked, whether
//! there is a secret or none: whoever answers for a registry must not make this
//! machine ask what only it can reach.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use carnet_bundle::Reference;
use http_auth::{ChallengeRef, parser::ChallengeParser};
use reqwest::{
    header::{HeaderMap, WWW_AUTHENTICATE},
    redirect,
};
use serde::Deserialize;

use crate::{
    answer::{Obstacle, ObstacleKind},
    credentials::{Credential, CredentialFiles},
    endpoint::{Endpoint, leads_inside},
    options::{Options, Patience},
    transport::{Paced, RegistryError, client_builder, root_cause},
};

/// Longest wait for a credential helper; some ask a smart card or a browser.
const HELPER_TIMEOUT: Duration = Duration::from_secs(60);

/// Largest answer of a token service, in bytes.
const TOKEN_SIZE: u64 = 64 * 1024;

/// What goes into the `Authorization` header.
#[derive(Clone, Eq, PartialEq)]
pub(crate) enum Authorization {
    Basic { user: String, password: String },
    Bearer(String),
    Nothing,
}

impl Authorization {
    /// The request with its header.
    pub(crate) fn apply(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match self {
            Self::Basic { user, password } => request.basic_auth(user, Some(password)),
            Self::Bearer(token) => request.bearer_auth(token),
            Self::Nothing => request,
        }
    }
}

/// Keeps one authorization per repository.
pub(crate) struct Authorizer {
    /// Follows no redirect: a form with an identity token in it would be sent on.
    exchange: reqwest::Client,
    files: CredentialFiles,
    patience: Patience,
    actions: &'static str,
    sessions: Mutex<HashMap<String, Session>>,
}

type Session = Arc<tokio::sync::Mutex<Authorization>>;

impl Authorizer {
    pub(crate) fn new(options: &Options) -> Result<Self, RegistryError> {
        let exchange = client_builder(options)?.redirect(redirect::Policy::none()).build();
        Ok(Self {
            exchange: exchange.map_err(|error| RegistryError::Client(root_cause(&error)))?,
            files: options.credentials.clone(),
            patience: options.patience,
            actions: if options.push { "pull,push" } else { "pull" },
            sessions: Mutex::default(),
        })
    }

    /// The authorization known so far.
    pub(crate) async fn current(&self, reference: &Reference) -> Authorization {
        self.session(reference).lock().await.clone()
    }

    /// Answers a 401 to a request that was sent with `used`.
    pub(crate) async fn renew(
        &self,
        http: &reqwest::Client,
        endpoint: &Endpoint,
        reference: &Reference,
        used: &Authorization,
        headers: &HeaderMap,
    ) -> Result<Authorization, Obstacle> {
        let session = self.session(reference);
        let mut session = session.lock().await;
        if *session == *used {
            *session = self.negotiate(http, endpoint, reference, headers).await?;
        }
        Ok(session.clone())
    }

    fn session(&self, reference: &Reference) -> Session {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = || Arc::new(tokio::sync::Mutex::new(Authorization::Nothing));
        Arc::clone(sessions.entry(reference.name()).or_insert_with(nothing))
    }

    async fn negotiate(
        &self,
        http: &reqwest::Client,
        endpoint: &Endpoint,
        reference: &Reference,
        headers: &HeaderMap,
    ) -> Result<Authorization, Obstacle> {
        let credential = match self.credential(reference).await? {
            Credential::RegistryToken(token) => return Ok(Authorization::Bearer(token)),
            credential => credential,
        };
        let Some(challenge) = bearer_challenge(headers) else {
            return Ok(match credential {
                Credential::Password { user, password } => Authorization::Basic { user, password },
                _ => Authorization::Nothing,
            });
        };
        check_realm(endpoint, &challenge)?;
        let service = Service { reference, challenge: &challenge, patience: self.patience, actions: self.actions };
        let token = match credential {
            Credential::IdentityToken(token) => service.exchange(&self.exchange, http, &token).await,
            Credential::Password { user, password } => service.ask(http, Some((&user, &password))).await,
            _ => service.ask(http, None).await,
        };
        token.map(Authorization::Bearer)
    }

    async fn credential(&self, reference: &Reference) -> Result<Credential, Obstacle> {
        let files = self.files.clone();
        let wanted = reference.clone();
        let denied = |reason: String| Obstacle::new(ObstacleKind::Denied, None, reference.registry(), reason);
        let found = tokio::task::spawn_blocking(move || files.find(&wanted));
        match tokio::time::timeout(HELPER_TIMEOUT, found).await {
            Ok(Ok(found)) => found.map_err(|error| denied(error.to_string())),
            Ok(Err(error)) => Err(denied(error.to_string())),
            Err(_) => Err(denied(format!("the credential helper did not answer in {} s", HELPER_TIMEOUT.as_secs()))),
        }
    }
}

/// A `Bearer` challenge (distribution's token authentication specification).
#[derive(Debug, Eq, PartialEq)]
struct Challenge {
    realm: reqwest::Url,
    service: Option<String>,
}

fn bearer_challenge(headers: &HeaderMap) -> Option<Challenge> {
    headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(|value| ChallengeParser::new(value).map_while(Result::ok).find_map(|challenge| Challenge::from_ref(&challenge)))
}

impl Challenge {
    fn from_ref(challenge: &ChallengeRef<'_>) -> Option<Self> {
        if !challenge.scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let param = |name: &str| {
            challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_unescaped())
        };
        Some(Self { realm: param("realm")?.parse().ok()?, service: param("service") })
    }
}

/// A registry on https must not send credentials into the clear, and one elsewhere
/// must not point at this machine or its link (server-side request forgery).
fn check_realm(endpoint: &Endpoint, challenge: &Challenge) -> Result<(), Obstacle> {
    let denied = |reason: String| Err(Obstacle::new(ObstacleKind::Denied, Some(401), endpoint.host.clone(), reason));
    let host = challenge.realm.host_str().unwrap_or_default();
    if leads_inside(&endpoint.host, host) {
        return denied(format!("the token service is on {host}, where the registry has no business"));
    }
    match challenge.realm.scheme() {
        "https" => Ok(()),
        "http" if endpoint.scheme == "http" => Ok(()),
        scheme => denied(format!("the token service is asked over {scheme}, the registry over {}", endpoint.scheme)),
    }
}

/// Both names occur, and some services give both.
#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
}

/// The token service of one challenge, asked for one repository.
struct Service<'a> {
    reference: &'a Reference,
    challenge: &'a Challenge,
    patience: Patience,
    actions: &'static str,
}

impl Service<'_> {
    /// Asks the realm of the challenge for a token (distribution's token
    /// authentication specification).
    async fn ask(&self, http: &reqwest::Client, password: Option<(&str, &str)>) -> Result<String, Obstacle> {
        let mut url = self.challenge.realm.clone();
        url.query_pairs_mut().append_pair("scope", &self.scope());
        if let Some(service) = &self.challenge.service {
            url.query_pairs_mut().append_pair("service", service);
        }
        match password {
            Some((user, password)) => {
                self.token(http.get(url).basic_auth(user, Some(password)), "the credentials were refused").await
            }
            None => self.token(http.get(url), "anonymous access was refused").await,
        }
    }

    /// The refresh grant (distribution's OAuth2 token specification).
    async fn exchange(
        &self,
        without_redirects: &reqwest::Client,
        http: &reqwest::Client,
        token: &str,
    ) -> Result<String, Obstacle> {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("service", self.challenge.service.as_deref().unwrap_or_default()),
            ("scope", &self.scope()),
            ("client_id", "carnet"),
        ];
        let request = without_redirects.post(self.challenge.realm.clone()).form(&form);
        match self.token(request, "the identity token was refused").await {
            // Services without the refresh grant take the token as a password.
            Err(obstacle) if matches!(obstacle.status, Some(404 | 405)) => self.ask(http, Some(("<token>", token))).await,
            answer => answer,
        }
    }

    fn scope(&self) -> String {
        format!("repository:{}:{}", self.reference.repository(), self.actions)
    }

    /// Sends a request to the token service and reads the token.
    async fn token(&self, request: reqwest::RequestBuilder, refusal: &str) -> Result<String, Obstacle> {
        let realm = &self.challenge.realm;
        let place = || format!("{}{}", realm.host_str().unwrap_or_default(), realm.path());
        let unreachable = |error: &reqwest::Error| Obstacle::new(ObstacleKind::Unreachable, None, place(), root_cause(error));
        let answer = request.send().await.map_err(|error| unreachable(&error))?;
        let status = answer.status();
        if !status.is_success() {
            let transient = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
            let kind = if transient { ObstacleKind::Unreachable } else { ObstacleKind::Denied };
            return Err(Obstacle::new(kind, Some(status.as_u16()), place(), refusal));
        }
        let malformed = || Obstacle::new(ObstacleKind::Malformed, Some(status.as_u16()), place(), "the answer holds no token");
        let body = Paced::new(answer, self.patience).read(TOKEN_SIZE).await?;
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| malformed())?;
        answer.token.or(answer.access_token).filter(|token| !token.is_empty()).ok_or_else(malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        bearer_challenge(&headers)
    }

    #[test]
    fn the_bearer_challenge_is_found_among_others() {
        let bearer = r#"bearer realm="https://auth.example/token",service="a, b",scope="x""#;
        let want = Some(Challenge { realm: "https://auth.example/token".parse().unwrap(), service: Some("a, b".to_owned()) });
        assert_eq!(challenge(&[bearer]), want);
        assert_eq!(challenge(&[r#"Basic realm="x""#, bearer]), want);
        assert_eq!(challenge(&[&format!(r#"Basic realm="x", {bearer}"#)]), want);
        for none in [r#"Basic realm="x""#, r#"Bearer service="x""#, r#"Bearer realm="no url""#, ",,=\"", ""] {
            assert_eq!(challenge(&[none]), None, "{none}");
        }
    }

    #[test]
    fn a_registry_on_https_cannot_name_a_realm_in_the_clear() {
        let check_from = |host: &str, scheme, realm: &str| {
            let endpoint = Endpoint { scheme, host: host.to_owned() };
            check_realm(&endpoint, &Challenge { realm: realm.parse().unwrap(), service: None })
        };
        let check = |scheme, realm: &str| check_from("r.example", scheme, realm);
        for realm in
            ["https://127.0.0.1/", "https://169.254.169.254/", "https://[::1]:5000/", "https://[fe80::1]/", "https://0.0.0.0/"]
        {
            assert_eq!(check("https", realm).unwrap_err().kind, ObstacleKind::Denied, "{realm}");
        }
        assert!(check("https", "https://10.0.0.1/").is_ok());
        assert!(check_from("127.0.0.1:5000", "http", "http://127.0.0.1:5001/").is_ok());
        assert!(check("https", "https://auth.example/").is_ok());
        assert!(check("http", "http://auth.example/").is_ok());
        assert_eq!(check("https", "http://auth.example/").unwrap_err().kind, ObstacleKind::Denied);
        assert_eq!(check("http", "file:///etc/passwd").unwrap_err().kind, ObstacleKind::Denied);
    }
}
