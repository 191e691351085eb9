//! The API of a cluster: one question, the list of pods, page by page.
//!
//! Asks for nothing but `list pods`, so that a role with that one verb is enough.
//! The kubeconfig is read by kube-client, which also starts the program of an
//! `exec` user and reads the files that it names.

use std::{io, time::Duration};

use carnet_evidence::install_crypto_provider;
use futures_util::AsyncReadExt as _;
use kube_client::{
    Client, Config, Error,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
    core::{Request, params::ListParams},
};
use serde_json::Value;
use tokio::{
    runtime::Builder,
    time::{sleep, timeout},
};

use crate::{
    error::ClusterError,
    manifest::Found,
    pod::text,
    source::{Looked, SourceArgs},
};

/// Pods of one answer: what kubectl asks for.
const PAGE: u32 = 500;
/// Largest answer that is read: 256 MiB. A pod has a few kilobytes, so this is one
/// for an API that does not page at all.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;
/// Answers to one question: 5 million pods, more than clusters can have.
const MAX_PAGES: usize = 10_000;
/// Set where Kubernetes runs a container.
const IN_A_POD: &str = "KUBERNETES_SERVICE_HOST";
const GONE: u16 = 410;
/// What an API that has too much to do says, and how long to wait before asking again.
const BUSY: [u16; 3] = [429, 503, 504];
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];

/// Lists the pods of the cluster.
pub(crate) fn look(args: &SourceArgs) -> Result<Looked, ClusterError> {
    // Several crates bring rustls; one provider serves them all.
    install_crypto_provider().map_err(|error| ClusterError::Client(error.to_string()))?;
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(ClusterError::Runtime)?;
    let looked = runtime.block_on(async {
        let config = config(args).await?;
        Api::new(args, config)?.pods().await
    });
    // An exec plugin that does not answer must not hold up the end.
    runtime.shutdown_background();
    looked
}

/// How the cluster is reached, as kubectl finds out: the kubeconfig, and in a pod
/// without one its service account.
async fn config(args: &SourceArgs) -> Result<Config, ClusterError> {
    let wrong = |name: String, reason: &dyn std::error::Error| ClusterError::Kubeconfig { name, reason: chain(reason) };
    let (name, kubeconfig) = match &args.kubeconfig {
        Some(path) => (path.display().to_string(), Kubeconfig::read_from(path)),
        None => ("the kubeconfig of KUBECONFIG or ~/.kube/config".to_owned(), Kubeconfig::read()),
    };
    let kubeconfig = match kubeconfig {
        Ok(kubeconfig) => kubeconfig,
        Err(error) if args.kubeconfig.is_none() && args.context.is_none() && is_absent(&error) => {
            return Config::incluster_env().map_err(|inside| match std::env::var_os(IN_A_POD) {
                Some(_) => {
                    ClusterError::Kubeconfig { name, reason: format!("there is none, and in this pod: {}", chain(&inside)) }
                }
                None => ClusterError::NoCluster,
            });
        }
        Err(error) => return Err(wrong(name, &error)),
    };
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| wrong(name, &error))
}

fn is_absent(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(source, _) => source.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

struct Api<'a> {
    args: &'a SourceArgs,
    client: Client,
    server: String,
    path: String,
    place: String,
}

/// Why there is no answer to one question.
enum Failure {
    /// The list was cut off by time; it has to be asked for anew.
    Expired,
    Other(ClusterError),
}

impl<'a> Api<'a> {
    fn new(args: &'a SourceArgs, mut config: Config) -> Result<Self, ClusterError> {
        let server = config.cluster_url.to_string();
        let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let (path, place) = match args.all_namespaces {
            true => ("/api/v1/pods".to_owned(), "in all namespaces".to_owned()),
            false if is_name(&namespace) => (format!("/api/v1/namespaces/{namespace}/pods"), format!("in namespace {namespace}")),
            false => {
                let reason = format!("{namespace:?} is no name of a namespace");
                return Err(ClusterError::Client(reason));
            }
        };
        // It would ask for minutes, and hide what the API said.
        config.default_retry = false;
        let started = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
        let client = Client::try_from(config).map_err(|error| {
            let started = started.map(|program| format!(" (its user starts the program {program:?})")).unwrap_or_default();
            ClusterError::Client(format!("{}{started}", chain(&error)))
        })?;
        Ok(Self { args, client, server, path, place })
    }

    async fn pods(self) -> Result<Looked, ClusterError> {
        let found = match self.pages(Some(PAGE)).await {
            // A page may come too late for the list that it belongs to; the whole list
            // in one answer cannot.
            Err(Failure::Expired) => self.pages(None).await,
            other => other,
        };
        match found {
            Ok(found) => Ok(Looked { found, place: self.place }),
            Err(Failure::Other(error)) => Err(error),
            Err(Failure::Expired) => Err(self.junk("the list expires while it is read".to_owned())),
        }
    }

    async fn pages(&self, limit: Option<u32>) -> Result<Found, Failure> {
        let mut found = Found::default();
        let mut params = ListParams {
            label_selector: self.args.selector.clone(),
            // Pods that have ended run nothing.
            field_selector: Some("status.phase!=Succeeded,status.phase!=Failed".to_owned()),
            limit,
            ..ListParams::default()
        };
        for _ in 0..MAX_PAGES {
            let page = self.page(&params).await?;
            if text(&page, "kind") != "PodList" || !page["items"].is_array() {
                return Err(Failure::Other(self.junk(format!("its kind is {:?}", text(&page, "kind")))));
            }
            found.add(&page);
            match page.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default() {
                "" => return Ok(found),
                token if params.continue_token.as_deref() == Some(token) => {
                    return Err(Failure::Other(self.junk("it goes on with the same page again".to_owned())));
                }
                token => params.continue_token = Some(token.to_owned()),
            }
        }
        Err(Failure::Other(self.junk(format!("it has more than {MAX_PAGES} pages"))))
    }

    async fn page(&self, params: &ListParams) -> Result<Value, Failure> {
        for pause in PAUSES {
            match self.asked(params).await {
                Err(Failure::Other(ClusterError::Api { code, .. })) if BUSY.contains(&code) => sleep(pause).await,
                other => return other,
            }
        }
        self.asked(params).await
    }

    async fn asked(&self, params: &ListParams) -> Result<Value, Failure> {
        let request = Request::new(&self.path).list(params);
        let request = request.map_err(|error| Failure::Other(ClusterError::Client(chain(&error))))?;
        let answer = async {
            let stream = self.client.request_stream(request).await.map_err(|error| self.failure(&error))?;
            let mut bytes = Vec::new();
            let read = stream.take(MAX_ANSWER + 1).read_to_end(&mut bytes).await;
            read.map_err(|error| Failure::Other(self.unreachable(&error)))?;
            Ok(bytes)
        };
        let bytes = match self.args.request_timeout {
            limit if limit.is_zero() => answer.await?,
            limit => timeout(limit, answer).await.map_err(|_| Failure::Other(self.late()))??,
        };
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_ANSWER {
            return Err(Failure::Other(self.junk(format!("it is larger than {MAX_ANSWER} bytes"))));
        }
        serde_json::from_slice(&bytes).map_err(|error| Failure::Other(self.junk(error.to_string())))
    }

    fn failure(&self, error: &Error) -> Failure {
        let Error::Api(status) = error else { return Failure::Other(self.unreachable(error)) };
        let (message, place, server) = (status.message.clone(), self.place.clone(), self.server.clone());
        Failure::Other(match status.code {
            GONE => return Failure::Expired,
            401 => ClusterError::Unauthorized { server, message },
            403 => ClusterError::Forbidden { place, message },
            code => ClusterError::Api { place, server, code, message },
        })
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> ClusterError {
        ClusterError::Unreachable { server: self.server.clone(), reason: chain(error) }
    }

    fn junk(&self, reason: String) -> ClusterError {
        ClusterError::Junk { place: self.place.clone(), server: self.server.clone(), reason }
    }

    fn late(&self) -> ClusterError {
        let seconds = self.args.request_timeout.as_secs();
        ClusterError::Timeout { place: self.place.clone(), server: self.server.clone(), seconds }
    }
}

/// A DNS label (RFC 1123): a name of anything else would change the path.
fn is_name(namespace: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&namespace.len()) && namespace.chars().all(plain)
}

/// An error with its reasons, each said once: the crates below repeat some.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        source = error.source();
    }
    text
}
