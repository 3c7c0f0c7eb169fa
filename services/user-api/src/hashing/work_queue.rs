//! Who hashes next.
//!
//! Whoever has finished a hash takes the next one from the queue itself. Were it handed back to the async threads first, a core would
//! be idle, or busy with something else, between two hashes, and most of all when there are many.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::argon::Room;
use super::memory::Memory;

type Work = Box<dyn FnOnce(&mut Room) + Send>;

/// A hash that waits. Whoever takes the work out first has it: a thread, or the caller who waits no longer.
#[derive(Clone)]
struct Waiting(Arc<Mutex<Option<Work>>>);

impl Waiting {
    fn take(&self) -> Option<Work> {
        lock(&self.0).take()
    }
}

/// The caller's place in the queue. Dropped before the turn has come, it gives it up.
pub(super) struct QueuedHash(Waiting);

impl QueuedHash {
    /// Gives up. Too late (false) when it has begun.
    pub(super) fn give_up(&self) -> bool {
        self.0.take().is_some()
    }
}

impl Drop for QueuedHash {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// The queue, and how many threads are at it.
#[derive(Debug)]
pub(super) struct WorkQueue {
    threads: usize,
    memory: Arc<Memory>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    working: usize,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("waiting", &self.waiting.len()).field("working", &self.working).finish()
    }
}

impl WorkQueue {
    /// At most so many threads at once.
    pub(super) fn new(threads: usize, memory: Arc<Memory>) -> Self {
        Self { threads, memory, state: Mutex::default() }
    }

    /// Joins the queue. A thread is started unless as many as may be are at work, one of which will come to it.
    pub(super) fn join(self: &Arc<Self>, work: impl FnOnce(&mut Room) + Send + 'static) -> QueuedHash {
        let waiting = Waiting(Arc::new(Mutex::new(Some(Box::new(work)))));
        let mut state = lock(&self.state);
        state.waiting.push_back(waiting.clone());
        if state.working < self.threads {
            state.working += 1;
            drop(state);
            let queue = Arc::clone(self);
            // It ends when nothing waits, and the runtime waits for it: its callers are told by themselves.
            tokio::task::spawn_blocking(move || queue.work());
        }
        QueuedHash(waiting)
    }

    fn work(&self) {
        let mut room = self.memory.take();
        while let Some(waiting) = self.next() {
            if let Some(work) = waiting.take() {
                // The caller hears of a panic by the end of its channel; those who wait behind it are not to suffer.
                let _ = catch_unwind(AssertUnwindSafe(|| work(&mut room)));
            }
        }
        self.memory.put(room);
    }

    /// The next in the queue; `None` ends the thread's work, which is no longer counted.
    fn next(&self) -> Option<Waiting> {
        let mut state = lock(&self.state);
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.working -= 1;
        }
        next
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Duration;

    use tokio::sync::{mpsc, oneshot};

    use super::*;

    fn queue(threads: usize) -> Arc<WorkQueue> {
        Arc::new(WorkQueue::new(threads, Arc::new(Memory::new(Duration::from_secs(3600)))))
    }

    #[tokio::test]
    async fn all_are_done_in_the_order_in_which_they_came() {
        let (queue, (done, mut order)) = (queue(1), mpsc::unbounded_channel());
        let join = |n| {
            let done = done.clone();
            queue.join(move |_| done.send(n).unwrap())
        };
        let _queued: Vec<_> = (0..50).map(join).collect();
        for n in 0..50 {
            assert_eq!(order.recv().await, Some(n));
        }
    }

    #[tokio::test]
    async fn as_many_threads_are_at_it_as_there_may_be_and_no_more() {
        let (queue, (done, mut all)) = (queue(2), mpsc::unbounded_channel());
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        // The first waits for the second: they are done by two threads, or never.
        let both = Arc::new(Barrier::new(2));
        let join = |n| {
            let (done, now, most, both) = (done.clone(), Arc::clone(&now), Arc::clone(&most), Arc::clone(&both));
            queue.join(move |_| {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                if n < 2 {
                    both.wait();
                }
                std::thread::sleep(Duration::from_millis(1));
                now.fetch_sub(1, SeqCst);
                done.send(()).unwrap();
            })
        };
        let _queued: Vec<_> = (0..50).map(join).collect();
        for _ in 0..50 {
            all.recv().await.unwrap();
        }
        assert_eq!(most.load(SeqCst), 2);
    }

    #[tokio::test]
    async fn who_gives_up_or_goes_away_is_passed_over_unless_the_turn_has_come() {
        let queue = queue(1);
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let (begun, beginning) = oneshot::channel();
        let first = queue.join(move |_| {
            begun.send(()).unwrap();
            gate.recv().unwrap();
        });
        let (lost, given_up) = oneshot::channel::<()>();
        let second = queue.join(move |_| lost.send(()).unwrap());
        let (left, gone) = oneshot::channel::<()>();
        let third = queue.join(move |_| left.send(()).unwrap());
        let (done, last) = oneshot::channel();
        let _last = queue.join(move |_| done.send(()).unwrap());
        beginning.await.unwrap();
        assert!(!first.give_up());
        assert!(second.give_up());
        drop(third);
        assert!(given_up.await.is_err() && gone.await.is_err(), "its work was done all the same");
        go.send(()).unwrap();
        last.await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_holds_up_nobody() {
        let queue = queue(1);
        let (lost, told) = oneshot::channel::<()>();
        let _first = queue.join(move |_| {
            let _lost = lost;
            std::panic::resume_unwind(Box::new("broken"));
        });
        let (done, next) = oneshot::channel();
        let _next = queue.join(move |_| done.send(()).unwrap());
        assert!(told.await.is_err());
        next.await.unwrap();
    }
}
