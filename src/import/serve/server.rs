//! Connections, from the first to the signal that ends them.

use std::{
    convert::Infallible,
    fs,
    io::{self, Write},
    net::TcpListener as StdListener,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use carnet_verify::report::escape_line;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time,
};
use tokio_rustls::TlsAcceptor;

use super::{answer::Registry, error::ServeError};
use crate::cli::say;

/// Connections at the same time; more wait. Each may have a blob under way.
const CONNECTIONS: usize = 256;
/// Threads that read and hash blobs: two for each connection, and one for the ready file.
const THREADS: usize = 2 * CONNECTIONS + 8;
/// Bytes that a connection may have waiting, and longest head of a request.
const BUFFER: usize = 64 * 1024;
/// How long a client may take over its handshake or the head of a request.
const HEAD: Duration = Duration::from_secs(30);
/// How long pulls that are under way may go on after the signal.
const GRACE: Duration = Duration::from_secs(5);
/// Pause after a connection that could not be accepted, for want of files.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until the process is told to stop. Says whether a blob had changed.
pub(crate) fn block_on(
    listener: StdListener,
    tls: Option<TlsAcceptor>,
    registry: Registry,
    ready: Option<&Path>,
) -> Result<bool, ServeError> {
    let runtime = Builder::new_multi_thread().enable_all().max_blocking_threads(THREADS).build().map_err(ServeError::Runtime)?;
    let registry = Arc::new(registry);
    let outcome = runtime.block_on(listen(listener, tls, Arc::clone(&registry), ready, &runtime));
    // Blobs for clients that read nothing must not hold up the end.
    runtime.shutdown_background();
    outcome.map(|()| registry.has_changed())
}

async fn listen(
    listener: StdListener,
    tls: Option<TlsAcceptor>,
    registry: Arc<Registry>,
    ready: Option<&Path>,
    runtime: &Runtime,
) -> Result<(), ServeError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Runtime)?;
    let listener = TcpListener::from_std(listener).map_err(ServeError::Runtime)?;
    let address = listener.local_addr().map_err(ServeError::Runtime)?;
    for image in registry.images() {
        say(&format!("carnet: serves {address}/{}", escape_line(&image)));
    }
    let url = format!("{}://{address}", if tls.is_some() { "https" } else { "http" });
    let ready = ready.map(|path| Ready::write(path, url.clone(), runtime)).transpose()?;
    say(&format!("carnet: listening on {url}"));
    let stop = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    accept(listener, tls, registry, stop).await;
    drop(ready);
    Ok(())
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, registry: Arc<Registry>, stop: impl Future<Output = ()>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let next = async {
            // The semaphore is never closed.
            let permit = Arc::clone(&permits).acquire_owned().await.map_err(io::Error::other)?;
            listener.accept().await.map(|(stream, _)| (stream, permit))
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, permit)) => {
                let connection = Connection { registry: Arc::clone(&registry), watcher: graceful.watcher(), _permit: permit };
                tokio::spawn(connection.begin(stream, tls.clone()));
            }
            Err(_) => time::sleep(PAUSE).await,
        }
    }
    drop(listener);
    // Who is not through by then is cut off.
    let _ = time::timeout(GRACE, graceful.shutdown()).await;
}

struct Connection {
    registry: Arc<Registry>,
    watcher: Watcher,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    async fn begin(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        // The last piece of a blob must not wait for others.
        let _ = stream.set_nodelay(true);
        match tls {
            None => self.serve(stream).await,
            Some(tls) => {
                if let Ok(Ok(stream)) = time::timeout(HEAD, tls.accept(stream)).await {
                    self.serve(stream).await;
                }
            }
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self { registry, watcher, _permit } = self;
        let stalled = Arc::new(Notify::new());
        let service = service_fn(|request| {
            let (registry, stalled) = (Arc::clone(&registry), Arc::clone(&stalled));
            async move { Ok::<_, Infallible>(registry.answer(request, &stalled).await) }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(BUFFER);
        let connection = watcher.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            // A client that breaks off, or a blob that was cut off.
            _ = connection => {}
            () = stalled.notified() => {}
        }
    }
}

/// The file that says where it listens. A script that reads a named pipe waits until
/// it does.
struct Ready(Option<PathBuf>);

impl Ready {
    fn write(path: &Path, url: String, runtime: &Runtime) -> Result<Self, ServeError> {
        let error = |source| ServeError::ReadyFile { path: path.to_owned(), source };
        let line = format!("{url}\n");
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            let path = path.to_owned();
            // Until somebody reads, which must not keep others from being answered.
            runtime.spawn_blocking(move || fs::write(path, line));
            return Ok(Self(None));
        }
        // Whole, or not there at all.
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(error)?;
        file.write_all(line.as_bytes()).map_err(error)?;
        file.persist(path).map_err(|failed| error(failed.error))?;
        Ok(Self(Some(path.to_owned())))
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Somebody else may have removed it.
            let _ = fs::remove_file(path);
        }
    }
}
