//! Authorization: what to send with a request after a registry answered 401.
//!
//! oci-client asks the token service for anonymous users. It has no refresh grant
//! and no client certificates, and it would send a password to any realm, one that
//! it has asked for itself. So a secret goes to the realm that was checked here and
//! to no other.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use carnet_bundle::Reference;
use http_auth::{ChallengeRef, parser::ChallengeParser};
use oci_client::{
    RegistryOperation,
    client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol},
    errors::OciDistributionError,
    secrets::RegistryAuth,
};
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use serde::Deserialize;

use crate::{
    answer::{Obstacle, ObstacleKind},
    credentials::{Credential, CredentialFiles},
    endpoint::{Endpoint, is_loopback},
    options::Options,
    transport::{CONNECT_TIMEOUT, READ_TIMEOUT, RegistryError, USER_AGENT, root_cause},
};

/// Longest wait for a credential helper; some ask a smart card or a browser.
const HELPER_TIMEOUT: Duration = Duration::from_secs(60);

/// Largest answer of a token service, in bytes.
const TOKEN_SIZE: usize = 64 * 1024;

/// What goes into the `Authorization` header.
#[derive(Clone, Eq, PartialEq)]
pub(crate) enum Authorization {
    Basic { user: String, password: String },
    Bearer(String),
    Nothing,
}

/// Keeps one authorization per repository.
pub(crate) struct Authorizer {
    over_http: oci_client::Client,
    over_https: oci_client::Client,
    files: CredentialFiles,
    has_identity: bool,
    sessions: Mutex<HashMap<String, Session>>,
}

type Session = Arc<tokio::sync::Mutex<Authorization>>;

impl Authorizer {
    pub(crate) fn new(options: &Options) -> Result<Self, RegistryError> {
        let pem = |data: &Vec<u8>| Certificate { encoding: CertificateEncoding::Pem, data: data.clone() };
        let client = |protocol| {
            let config = ClientConfig {
                protocol,
                accept_invalid_certificates: options.allow_insecure,
                extra_root_certificates: options.authorities.iter().map(pem).collect(),
                user_agent: USER_AGENT,
                connect_timeout: Some(CONNECT_TIMEOUT),
                read_timeout: Some(READ_TIMEOUT),
                ..ClientConfig::default()
            };
            oci_client::Client::try_from(config).map_err(|error| RegistryError::Client(error.to_string()))
        };
        Ok(Self {
            over_http: client(ClientProtocol::Http)?,
            over_https: client(ClientProtocol::Https)?,
            files: options.credentials.clone(),
            has_identity: options.identity.is_some(),
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
        let credential = self.credential(reference).await?;
        let Some(challenge) = bearer_challenge(headers) else {
            return Ok(match credential {
                Credential::Password { user, password } => Authorization::Basic { user, password },
                Credential::Anonymous | Credential::IdentityToken(_) => Authorization::Nothing,
            });
        };
        check_realm(endpoint, &challenge)?;
        match credential {
            Credential::IdentityToken(token) => exchange(http, reference, &challenge, &token).await.map(Authorization::Bearer),
            Credential::Password { user, password } => {
                ask(http, reference, &challenge, Some((&user, &password))).await.map(Authorization::Bearer)
            }
            Credential::Anonymous if self.has_identity => ask(http, reference, &challenge, None).await.map(Authorization::Bearer),
            Credential::Anonymous => self.anonymous(endpoint, reference).await,
        }
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

    async fn anonymous(&self, endpoint: &Endpoint, reference: &Reference) -> Result<Authorization, Obstacle> {
        let client = if endpoint.scheme == "http" { &self.over_http } else { &self.over_https };
        let image = oci_client::Reference::with_tag(
            reference.registry().to_owned(),
            reference.repository().to_owned(),
            "latest".to_owned(),
        );
        match client.auth(&image, &RegistryAuth::Anonymous, RegistryOperation::Pull).await {
            Ok(Some(token)) => Ok(Authorization::Bearer(token)),
            Ok(None) => Ok(Authorization::Nothing),
            Err(OciDistributionError::RequestError(error)) => {
                Err(Obstacle::new(ObstacleKind::Unreachable, None, reference.registry(), root_cause(&error)))
            }
            Err(error) => Err(Obstacle::new(ObstacleKind::Denied, Some(401), reference.registry(), error.to_string())),
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
    if is_local(host) && !is_local(&endpoint.host) {
        return denied(format!("the token service is on {host}, which is this machine or its link"));
    }
    match challenge.realm.scheme() {
        "https" => Ok(()),
        "http" if endpoint.scheme == "http" => Ok(()),
        scheme => denied(format!("the token service is asked over {scheme}, the registry over {}", endpoint.scheme)),
    }
}

/// Whether `host` is this machine, or an address of the link it is on, such as the
/// metadata service of a cloud.
fn is_local(host: &str) -> bool {
    let address = host.trim_start_matches('[').split(']').next().unwrap_or_default();
    let is_link = match address.parse().or_else(|_| address.split(':').next().unwrap_or_default().parse()) {
        Ok(IpAddr::V4(v4)) => v4.is_link_local() || v4.is_unspecified(),
        Ok(IpAddr::V6(v6)) => v6.is_unicast_link_local() || v6.is_unspecified(),
        Err(_) => false,
    };
    is_link || is_loopback(host)
}

/// Both names occur, and some services give both.
#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
}

/// Asks the realm of the challenge for a token (distribution's token
/// authentication specification).
async fn ask(
    http: &reqwest::Client,
    reference: &Reference,
    challenge: &Challenge,
    password: Option<(&str, &str)>,
) -> Result<String, Obstacle> {
    let mut url = challenge.realm.clone();
    url.query_pairs_mut().append_pair("scope", &scope(reference));
    if let Some(service) = &challenge.service {
        url.query_pairs_mut().append_pair("service", service);
    }
    let request = http.get(url);
    let request = match password {
        Some((user, password)) => request.basic_auth(user, Some(password)),
        None => request,
    };
    token(challenge, request, "the credentials were refused").await
}

/// The refresh grant (distribution's OAuth2 token specification).
async fn exchange(
    http: &reqwest::Client,
    reference: &Reference,
    challenge: &Challenge,
    token_text: &str,
) -> Result<String, Obstacle> {
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token_text),
        ("service", challenge.service.as_deref().unwrap_or_default()),
        ("scope", &scope(reference)),
        ("client_id", "carnet"),
    ];
    let answer = token(challenge, http.post(challenge.realm.clone()).form(&form), "the identity token was refused").await;
    match answer {
        // Services without the refresh grant take the token as a password.
        Err(obstacle) if matches!(obstacle.status, Some(404 | 405)) => {
            ask(http, reference, challenge, Some(("<token>", token_text))).await
        }
        answer => answer,
    }
}

fn scope(reference: &Reference) -> String {
    format!("repository:{}:pull", reference.repository())
}

/// Sends a request to a token service and reads the token.
async fn token(challenge: &Challenge, request: reqwest::RequestBuilder, refusal: &str) -> Result<String, Obstacle> {
    let place = || format!("{}{}", challenge.realm.host_str().unwrap_or_default(), challenge.realm.path());
    let unreachable = |error: &reqwest::Error| Obstacle::new(ObstacleKind::Unreachable, None, place(), root_cause(error));
    let mut answer = request.send().await.map_err(|error| unreachable(&error))?;
    let status = answer.status();
    if !status.is_success() {
        let transient = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
        let kind = if transient { ObstacleKind::Unreachable } else { ObstacleKind::Denied };
        return Err(Obstacle::new(kind, Some(status.as_u16()), place(), refusal));
    }
    let malformed = || Obstacle::new(ObstacleKind::Malformed, Some(status.as_u16()), place(), "the answer holds no token");
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| unreachable(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > TOKEN_SIZE {
            return Err(malformed());
        }
    }
    let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| malformed())?;
    answer.token.or(answer.access_token).filter(|token| !token.is_empty()).ok_or_else(malformed)
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
