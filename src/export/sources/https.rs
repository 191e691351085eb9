//! Single files over https.

use std::time::Duration;

use carnet_policy::sources::limits::MAX_BYTES;
use futures_util::StreamExt as _;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest silence within an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a file cannot be had.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HttpsError {
    #[error("cannot download: {0}")]
    Download(String),
    #[error("received non-200 response code: {0}")]
    Status(u16),
    #[error("larger than {0} bytes")]
    TooLarge(u64),
}

/// Makes ring the provider of TLS, for this client and for git's.
pub(super) fn set_up_tls() {
    // An error says that a provider is there already; the process has one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Makes the client. It speaks https only, also where it is redirected.
pub(crate) fn client() -> Result<reqwest::Client, HttpsError> {
    set_up_tls();
    builder().https_only(true).build().map_err(|error| failed(&error))
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("carnet/", env!("CARGO_PKG_VERSION")))
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
}

/// Downloads `url`.
pub(crate) async fn fetch(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, HttpsError> {
    let response = client.get(url).send().await.map_err(|error| failed(&error))?;
    match response.status().as_u16() {
        200 => {}
        status => return Err(HttpsError::Status(status)),
    }
    let mut chunks = response.bytes_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        bytes.extend_from_slice(&chunk.map_err(|error| failed(&error))?);
        if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BYTES) {
            return Err(HttpsError::TooLarge(MAX_BYTES));
        }
    }
    Ok(bytes)
}

/// The innermost cause; the outer ones repeat the URL.
fn failed(error: &reqwest::Error) -> HttpsError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    HttpsError::Download(cause.to_string())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{Ipv4Addr, TcpListener},
        thread,
    };

    use super::*;

    /// Answers one request with `answer` and returns the URL to ask.
    fn serve(answer: &'static str) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}/rules.yml", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        url
    }

    #[tokio::test]
    async fn the_body_is_taken_only_with_status_200() {
        set_up_tls();
        let plain = builder().no_proxy().build().unwrap();
        let url = serve("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na: 1");
        assert_eq!(fetch(&plain, &url).await.unwrap(), b"a: 1");
        let url = serve("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno");
        assert_eq!(fetch(&plain, &url).await, Err(HttpsError::Status(404)));
        let url = serve("HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\na: 1");
        assert!(matches!(fetch(&plain, &url).await, Err(HttpsError::Download(_))));
    }

    #[tokio::test]
    async fn the_client_of_an_export_refuses_plain_http() {
        let error = fetch(&client().unwrap(), "http://127.0.0.1:1/rules.yml").await.unwrap_err();
        assert!(error.to_string().contains("scheme"), "{error}");
    }
}
