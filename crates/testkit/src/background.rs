//! Threads with a runtime of their own: a fixture keeps its time whatever the test's runtime does, and outlives none of them.

use std::thread::JoinHandle;

use tokio_util::sync::CancellationToken;

/// A future on a thread of its own; cancelled and joined on drop.
#[derive(Debug)]
pub(crate) struct Background {
    token: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Runs what `make` gives until it ends or this value is dropped; whatever it spawned ends with it.
    pub(crate) fn start<F: Future<Output = ()>>(name: &str, make: impl FnOnce() -> F + Send + 'static) -> Self {
        let token = CancellationToken::new();
        let stop = token.clone();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async { stop.run_until_cancelled(make()).await });
            })
            .expect("starting a thread");
        Self { token, thread: Some(thread) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.token.cancel();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("a fixture's thread panicked: see above");
        }
    }
}
