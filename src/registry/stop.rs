//! Work that ends early when the process is told to stop.

use std::{io, pin::pin};

use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

/// Runs `work` on a runtime of its own until it is done, or until SIGINT, SIGTERM or
/// SIGHUP: then it is dropped where it waits, and the answer is `None`.
///
/// # Errors
///
/// Returns the error of the system when no runtime can be made or no signal heard.
pub fn run_until_stopped<T>(work: impl Future<Output = T>) -> io::Result<Option<T>> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        // All three are heard before the first byte of work is done.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let work = pin!(work);
        Ok(tokio::select! {
            done = work => Some(done),
            _ = interrupt.recv() => None,
            _ = terminate.recv() => None,
            _ = hang_up.recv() => None,
        })
    });
    // A credential helper that does not answer must not hold up the end.
    runtime.shutdown_background();
    outcome
}
