//! Clears up behind tests in the shared servers, off their path.

use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

type Chore = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Has it done soon, one after the other, ten seconds each at most. What is left at the end of the process goes with the servers.
pub(crate) fn leave(chore: impl Future<Output = ()> + Send + 'static) {
    static CHORES: LazyLock<Mutex<Sender<Chore>>> = LazyLock::new(|| {
        let (sender, chores) = channel::<Chore>();
        std::thread::Builder::new()
            .name("testkit-janitor".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                for chore in chores {
                    let _ = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10), chore).await });
                }
            })
            .expect("starting a thread");
        Mutex::new(sender)
    });
    let _ = CHORES.lock().unwrap().send(Box::pin(chore));
}
