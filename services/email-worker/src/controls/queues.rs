//! The way to ask for a queue of the mails that are sent at a speed of their own.

use tokio::sync::mpsc;

use super::Apart;

/// Who wants a queue that has no room here asks again.
const ROOM: usize = 64;

/// Asks for queues.
#[derive(Debug, Clone)]
pub struct QueuesApart(mpsc::Sender<Apart>);

/// What is asked for.
pub(crate) type Wanted = mpsc::Receiver<Apart>;

impl QueuesApart {
    /// A way to ask, and where it is heard.
    pub(crate) fn new() -> (Self, Wanted) {
        let (sender, receiver) = mpsc::channel(ROOM);
        (Self(sender), receiver)
    }

    /// A mail is to go there. Asked for again, it is one queue.
    pub(crate) fn want(&self, apart: &Apart) {
        // Lost, it is asked for once more.
        let _ = self.0.try_send(apart.clone());
    }
}
