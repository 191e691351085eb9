//! A registry on loopback, for `carnet demo` and for tests.
//!
//! It serves what [`Content`] holds over real sockets and misbehaves when told to
//! ([`Fault`]). It keeps nothing: pushed content lives in memory until the
//! registry is dropped.

mod content;
mod faults;
mod push;
mod routes;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
};

use axum::serve::ListenerExt as _;
pub use content::Content;
pub use faults::{Effect, Fault, Route};
use tokio::sync::{Notify, oneshot};

/// How a well-behaved registry differs from another.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Whether `/v2/…/referrers/` exists. Without it pushes do not maintain
    /// fallback tags either; that is the client's task.
    pub referrers_api: bool,
    /// Entries on one page of referrers; 0 puts all on one page.
    pub page_size: usize,
    /// User and password that the token service wants.
    pub credentials: Option<(String, String)>,
    /// Whether a token is wanted that the token service gives to everybody.
    pub anonymous_tokens: bool,
    /// Whether blobs can be asked for from a byte on.
    pub ranges: bool,
    /// Requests that a token is good for; 0 means for ever.
    pub token_uses: u32,
    /// Largest body of an upload; more is 413. 0 takes any.
    pub largest_upload: usize,
    /// Whether a manifest is refused unless everything that it names is there.
    pub complete_only: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            referrers_api: true,
            page_size: 0,
            credentials: None,
            anonymous_tokens: false,
            ranges: true,
            token_uses: 0,
            largest_upload: 0,
            complete_only: false,
        }
    }
}

/// One request that was served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Served {
    /// Method, such as `GET`.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Scheme of the `Authorization` header, such as `Bearer`; empty without one.
    pub authorization: String,
    /// First byte that was asked for (`Range`); 0 without one.
    pub from: u64,
    /// HTTP status of the answer.
    pub status: u16,
}

/// A running registry. It stops when it is dropped.
#[derive(Debug)]
pub struct TestingRegistry {
    address: SocketAddr,
    state: Shared,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    content: Content,
    behaviour: Behaviour,
    faults: Vec<Fault>,
    served: Vec<Served>,
    connections: u64,
    tokens: Tokens,
    hold: Option<Hold>,
    released: Arc<Notify>,
    uploads: Vec<Vec<u8>>,
}

/// How many bytes of blobs may still be sent, and who hears when there are none.
#[derive(Debug)]
struct Hold {
    left: u64,
    reached: Option<mpsc::Sender<()>>,
}

/// The one token that is good now, by its number, and how often it was used.
#[derive(Clone, Copy, Debug, Default)]
struct Tokens {
    number: u32,
    used: u32,
}

type Shared = Arc<Mutex<State>>;

impl TestingRegistry {
    /// Starts a registry on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// Returns the system's error when no port can be bound or no thread started.
    pub fn start(content: Content, behaviour: Behaviour) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let state: Shared = Arc::new(Mutex::new(State {
            content,
            behaviour,
            faults: Vec::new(),
            served: Vec::new(),
            connections: 0,
            tokens: Tokens::default(),
            hold: None,
            released: Arc::default(),
            uploads: Vec::new(),
        }));
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let router = routes::router(Arc::clone(&state));
        let serving = Arc::clone(&state);
        let thread = thread::Builder::new().name("testing-registry".to_owned()).spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                let counting = Shared::clone(&serving);
                let listener = listener.tap_io(move |_| lock(&counting).connections += 1);
                // Not a graceful shutdown: an idle client would hold it up.
                tokio::select! {
                    _ = axum::serve(listener, router).into_future() => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, state, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Registry part of references to it, such as `127.0.0.1:40000`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Misbehaves from now on. Faults that were injected earlier come first.
    pub fn inject(&self, fault: Fault) {
        lock(&self.state).faults.push(fault);
    }

    /// Behaves again.
    pub fn heal(&self) {
        lock(&self.state).faults.clear();
    }

    /// Stops to send after so many bytes of blobs that are files. The receiver hears
    /// when that is; nothing more comes until [`Self::release`].
    pub fn hold_after(&self, bytes: u64) -> mpsc::Receiver<()> {
        let (reached, receiver) = mpsc::channel();
        lock(&self.state).hold = Some(Hold { left: bytes, reached: Some(reached) });
        receiver
    }

    /// Sends on.
    pub fn release(&self) {
        let mut state = lock(&self.state);
        state.hold = None;
        state.released.notify_waiters();
    }

    /// Every request served so far.
    pub fn served(&self) -> Vec<Served> {
        lock(&self.state).served.clone()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        lock(&self.state).connections
    }

    /// Changes what it holds.
    pub fn change(&self, change: impl FnOnce(&mut Content)) {
        change(&mut lock(&self.state).content);
    }
}

impl Drop for TestingRegistry {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic of the server thread has been printed already.
            let _ = thread.join();
        }
    }
}

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
