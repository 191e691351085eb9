//! Why nobody could look.

use std::{io, path::PathBuf};

use carnet_bundle::{Digest, OpenError};
use carnet_evidence::{KeyError, VerifierError};
use carnet_import::verifier::StartError;
use carnet_policy::ImagesError;

/// Why there is no answer (exit code 2).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ClusterError {
    /// The API answered with an error of its own.
    #[error("cannot list pods {place}: {server} answered {code}: {message}")]
    Api {
        /// `in namespace x` or `in all namespaces`.
        place: String,
        /// URL of the API.
        server: String,
        /// HTTP status.
        code: u16,
        /// What the API said.
        message: String,
    },
    /// A bundle cannot be opened.
    #[error("{}: {source}", path.display())]
    Bundle {
        /// Its file or directory.
        path: PathBuf,
        /// What is wrong with it.
        source: OpenError,
    },
    /// The file holds another bundle than a moment ago.
    #[error("{} has changed while it was judged: it was {opened}, then {judged}", path.display())]
    Changed {
        /// Its file or directory.
        path: PathBuf,
        /// Bundle id when it was opened.
        opened: Digest,
        /// Bundle id of the verdict.
        judged: Digest,
    },
    /// The client cannot be made from the kubeconfig.
    #[error("cannot use the kubeconfig: {0}")]
    Client(String),
    /// A file that is neither a manifest nor a list of pods.
    #[error("{name}: neither a Kubernetes manifest nor a list of pods: {reason}")]
    Document {
        /// Path, or `standard input`.
        name: String,
        /// Why not.
        reason: String,
    },
    /// RBAC refuses.
    #[error("not allowed to list pods {place} (403): {message}")]
    Forbidden {
        /// `in namespace x` or `in all namespaces`.
        place: String,
        /// What the API said.
        message: String,
    },
    /// images.yaml cannot be read.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// What the API answered is no list of pods.
    #[error("cannot list pods {place}: the answer of {server} is no list of pods: {reason}")]
    Junk {
        /// `in namespace x` or `in all namespaces`.
        place: String,
        /// URL of the API.
        server: String,
        /// Why not.
        reason: String,
    },
    /// A key that cannot verify.
    #[error("{}: {source}", path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// Why not.
        source: KeyError,
    },
    /// The kubeconfig cannot be read, or has no such context.
    #[error("cannot use {name}: {reason}")]
    Kubeconfig {
        /// The file, or where it was looked for.
        name: String,
        /// Why not.
        reason: String,
    },
    /// Neither a kubeconfig nor a pod.
    #[error("no cluster is named: there is no kubeconfig (KUBECONFIG, ~/.kube/config), and this is no pod")]
    NoCluster,
    /// Nothing on the shelf.
    #[error("no bundle in {}", .0.display())]
    NoBundles(PathBuf),
    /// No container at all.
    #[error("no image runs {0}")]
    Nothing(String),
    /// A bundle without a verdict.
    #[error("no verdict on {}: carnet-verify said why", .0.display())]
    NoVerdict(PathBuf),
    /// A file that cannot be read or written.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A report that is not one of carnet-verify.
    #[error("cannot use the report on {}: {reason}", path.display())]
    Report {
        /// The bundle.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The async runtime cannot be started.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// The verifier cannot be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A verification summary file that is none.
    #[error("{}: {reason}", path.display())]
    Summary {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// No answer in time.
    #[error("cannot list pods {place}: {server} did not answer within {seconds} s")]
    Timeout {
        /// `in namespace x` or `in all namespaces`.
        place: String,
        /// URL of the API.
        server: String,
        /// `--request-timeout`.
        seconds: u64,
    },
    /// The API does not accept who asks.
    #[error("{server} does not accept the credentials (401): {message}")]
    Unauthorized {
        /// URL of the API.
        server: String,
        /// What the API said.
        message: String,
    },
    /// No connection.
    #[error("cannot reach {server}: {reason}")]
    Unreachable {
        /// URL of the API.
        server: String,
        /// The chain of reasons.
        reason: String,
    },
    /// The verifier of summaries cannot be made.
    #[error("cannot verify summaries: {0}")]
    Verifier(#[from] VerifierError),
}

impl ClusterError {
    /// What the operator can do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Api { .. } | Self::Junk { .. } => "look with `kubectl get pods` at the same context",
            Self::Bundle { .. } => "give archives that `carnet export` wrote, or take this file off the shelf",
            Self::Changed { .. } => "run this again when nobody writes the file",
            Self::Client(_) | Self::NoCluster => "give --kubeconfig and --context as kubectl knows them, or -f FILE",
            Self::Kubeconfig { .. } => {
                "`kubectl config get-contexts` lists what --context can name; -f FILE looks at files instead"
            }
            Self::Document { .. } => "give manifests, or what `kubectl get pods -o json` printed",
            Self::Forbidden { .. } => "ask for a role with the verb list on the resource pods; -n NAMESPACE needs less than -A",
            Self::Images(_) => "correct the list of images",
            Self::Key { .. } => "give a public key in PEM",
            Self::NoBundles(_) => "give archives, unpacked archives, or a directory that holds some",
            Self::Nothing(_) => {
                "look with `kubectl get pods`; -n, -A and -l say which pods are meant, and -f takes manifests of pods"
            }
            Self::NoVerdict(_) => "run carnet-verify on it with the same flags",
            Self::Read { .. } => "check the path",
            Self::Report { .. } => "install carnet and carnet-verify of one release into one directory",
            Self::Runtime(_) => "check the limits of the system",
            Self::Start(error) => error.hint(),
            Self::Summary { .. } | Self::Verifier(_) => "give what `carnet import --attach-vsa` attached to an image",
            Self::Timeout { .. } | Self::Unreachable { .. } => {
                "check the network and `kubectl cluster-info`, or wait longer with --request-timeout"
            }
            Self::Unauthorized { .. } => "log in again; `kubectl auth whoami` says who the cluster takes you for",
        }
    }
}
