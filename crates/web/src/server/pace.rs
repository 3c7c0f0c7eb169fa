//! How long a connection may take for what: the clock that hyper's own, one for a head and the time before it, can't be.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The limits. Those of a request's body and of its answer are [`crate::middleware::timeout`]'s.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the first byte of a head, or from the start of a connection, to the head's end.
    pub head: Duration,
    /// From an answer to the next request.
    pub idle: Duration,
    /// From the moment when a client does not take an answer to the answer's last byte.
    pub write: Duration,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    /// The first byte of a request.
    Request,
    /// The rest of a head.
    Head,
    /// Our own answer, or a body: the layers inside see to it.
    Us,
    /// The client, to read.
    Reader,
}

/// What happens on a connection, as seen by whoever sees it: the socket, the service, the conversation. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Pace(Arc<Mutex<State>>);

#[derive(Debug, Clone, Copy)]
struct State {
    limits: Limits,
    awaited: Awaited,
    since: Instant,
    /// Nothing had been asked before.
    new: bool,
    /// When the client first did not take what there was for it.
    stuck: Option<Instant>,
    /// When the service has had enough of clients.
    last: Option<Instant>,
}

impl State {
    fn waits_for(&self) -> Awaited {
        if self.stuck.is_some() { Awaited::Reader } else { self.awaited }
    }

    /// When the client's time is over.
    fn end(&self) -> Option<Instant> {
        let Limits { head, idle, write } = self.limits;
        let end = match (self.waits_for(), self.stuck) {
            (Awaited::Us, _) => return None,
            (Awaited::Reader, stuck) => stuck.unwrap_or(self.since) + write,
            (Awaited::Request, _) if !self.new => self.since + idle,
            (Awaited::Request | Awaited::Head, _) => self.since + head,
        };
        Some(self.last.map_or(end, |last| last.min(end)))
    }
}

impl Pace {
    pub(super) fn new(limits: Limits) -> Self {
        let state =
            State { limits, awaited: Awaited::Request, since: Instant::now(), new: true, stuck: None, last: None };
        Self(Arc::new(Mutex::new(state)))
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn turn(&self, from: &[Awaited], to: Awaited) {
        self.with(|state| {
            if from.contains(&state.awaited) {
                (state.awaited, state.since) = (to, Instant::now());
            }
        });
    }

    /// Bytes of the client came.
    pub(super) fn received(&self) {
        self.turn(&[Awaited::Request], Awaited::Head);
    }

    /// A head is complete.
    pub(super) fn asked(&self) {
        self.with(|state| (state.awaited, state.new) = (Awaited::Us, false));
    }

    /// The answer is there.
    pub(super) fn answered(&self) {
        self.turn(&[Awaited::Us], Awaited::Reader);
    }

    /// The client takes nothing at the moment.
    pub(super) fn stuck(&self) {
        self.with(|state| state.stuck = state.stuck.or_else(|| Some(Instant::now())));
    }

    /// All that was written has gone.
    pub(super) fn flushed(&self) {
        self.with(|state| state.stuck = None);
        self.turn(&[Awaited::Reader], Awaited::Request);
    }

    /// The service ends: clients have until then.
    pub(super) fn leave(&self, last: Instant) {
        self.with(|state| state.last = Some(last));
    }

    pub(super) fn awaited(&self) -> Awaited {
        self.with(|state| state.waits_for())
    }

    fn end(&self) -> Option<Instant> {
        self.with(|state| state.end())
    }
}

/// Tells when a client's time is over. Has to be polled after whatever changes the pace.
pub(super) struct Clock {
    pace: Pace,
    sleep: Pin<Box<Sleep>>,
}

impl Clock {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, sleep: Box::pin(sleep_until(Instant::now())) }
    }

    /// Ready when the client's time is over.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Awaited> {
        let Some(end) = self.pace.end() else { return Poll::Pending };
        if self.sleep.deadline() != end {
            self.sleep.as_mut().reset(end);
        }
        ready!(self.sleep.as_mut().poll(cx));
        Poll::Ready(self.pace.awaited())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LIMITS: Limits =
        Limits { head: Duration::from_secs(10), idle: Duration::from_secs(60), write: Duration::from_secs(30) };

    type Event = fn(&Pace);

    /// What is waited for after these events, a second between each, and for how many seconds from the start.
    async fn after(events: &[Event]) -> (Awaited, Option<u64>) {
        let (start, pace) = (Instant::now(), Pace::new(LIMITS));
        for event in events {
            tokio::time::advance(Duration::from_secs(1)).await;
            event(&pace);
        }
        (pace.awaited(), pace.end().map(|end| end.duration_since(start).as_secs()))
    }

    #[tokio::test(start_paused = true)]
    async fn each_thing_that_a_client_has_to_do_has_a_limit_of_its_own() {
        let [received, asked, answered]: [Event; 3] = [Pace::received, Pace::asked, Pace::answered];
        let [stuck, flushed]: [Event; 2] = [Pace::stuck, Pace::flushed];
        let table: [(&[Event], Awaited, Option<u64>); 10] = [
            (&[], Awaited::Request, Some(10)),
            (&[received], Awaited::Head, Some(11)),
            (&[received, received], Awaited::Head, Some(11)),
            (&[received, asked], Awaited::Us, None),
            (&[received, asked, received, flushed], Awaited::Us, None),
            (&[received, asked, answered], Awaited::Reader, Some(33)),
            (&[received, asked, answered, stuck, stuck], Awaited::Reader, Some(34)),
            (&[received, asked, answered, stuck, flushed], Awaited::Request, Some(65)),
            (&[received, asked, answered, flushed, received], Awaited::Head, Some(15)),
            // The next of several that were sent at once does not give the reader of the first more time.
            (&[received, asked, answered, stuck, asked, answered], Awaited::Reader, Some(34)),
        ];
        for (at, (events, awaited, end)) in table.into_iter().enumerate() {
            assert_eq!(after(events).await, (awaited, end), "row {at} of the table");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_of_the_service_shortens_what_clients_have_and_not_what_we_need() {
        let soon = |pace: &Pace| pace.leave(Instant::now() + Duration::from_secs(5));
        assert_eq!(after(&[Pace::received, Pace::asked, Pace::answered, soon]).await, (Awaited::Reader, Some(9)));
        assert_eq!(after(&[Pace::received, soon]).await, (Awaited::Head, Some(7)));
        assert_eq!(after(&[Pace::received, Pace::asked, soon]).await, (Awaited::Us, None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_follows_a_pace_that_changes() {
        let (start, pace) = (Instant::now(), Pace::new(LIMITS));
        let mut clock = Clock::new(pace.clone());
        tokio::time::advance(Duration::from_secs(9)).await;
        pace.received();
        let over = std::future::poll_fn(|cx| clock.poll_over(cx)).await;
        assert_eq!((over, start.elapsed().as_secs()), (Awaited::Head, 19));
    }
}
