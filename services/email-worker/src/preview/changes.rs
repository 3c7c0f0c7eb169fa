//! Tells pages that files were saved.

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use mail::State;
use time::OffsetDateTime;
use tokio::sync::watch;

/// Which files a page was made of.
#[derive(Debug)]
pub(super) struct Changes {
    state: watch::Receiver<State>,
    /// A page of an earlier process is not one of ours, however often its files were read.
    start: i128,
}

impl Changes {
    pub(super) fn new(state: watch::Receiver<State>) -> Self {
        Self { state, start: OffsetDateTime::now_utc().unix_timestamp_nanos() }
    }

    /// The files as they are now, and the word for them.
    pub(super) fn now(&self) -> (State, String) {
        let state = self.state.borrow().clone();
        let version = version(self.start, &state);
        (state, version)
    }

    /// An event as soon as the files are others than those of this word, and one for each change from then on. A browser that
    /// loses the connection asks again.
    pub(super) fn since(&self, seen: &str) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
        let (start, seen) = (self.start, seen.to_owned());
        let events = unfold((self.state.clone(), seen), move |(mut state, seen)| async move {
            let now = version(start, &*state.wait_for(|now| version(start, now) != seen).await.ok()?);
            Some((Ok(Event::default().data(&now)), (state, now)))
        });
        Sse::new(events).keep_alive(KeepAlive::default())
    }
}

fn version(start: i128, state: &State) -> String {
    format!("{start}-{}", state.reads)
}
