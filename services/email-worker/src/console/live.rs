//! What is shown, renewed while somebody looks: server-sent events with the HTML of a page's middle.
//!
//! A page without scripts is whole; its links show it anew.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use web::{Kind, Problem};

use super::door::Asker;
use super::site::Site;
use super::who::Who;

/// How often it is looked what is to be shown.
const EVERY: Duration = Duration::from_secs(2);
/// So many are told at once.
const MOST: usize = 64;

/// Who is told at the moment.
#[derive(Debug)]
pub(super) struct Live {
    places: Arc<Semaphore>,
    end: CancellationToken,
}

impl Live {
    pub(super) fn new(end: CancellationToken) -> Self {
        Self { places: Arc::new(Semaphore::new(MOST)), end }
    }
}

struct Told<F> {
    make: F,
    last: String,
    next: Instant,
    until: Instant,
    asker: Asker,
    site: Arc<Site>,
    _place: OwnedSemaphorePermit,
}

/// Sends what `make` says whenever that is something else, for as long as the session lasts.
pub(super) fn events<F, M>(site: Arc<Site>, asker: Asker, make: F) -> Response
where
    F: Fn(Arc<Site>, Who) -> M + Send + Sync + 'static,
    M: Future<Output = Option<String>> + Send,
{
    let Ok(place) = Arc::clone(&site.live.places).try_acquire_owned() else {
        return Problem::new(Kind::TOO_MANY_CONNECTIONS).retry_after(Duration::from_secs(30)).into_response();
    };
    let (now, lasts) = (Instant::now(), site.sessions.lasts);
    let told = Told { make, last: String::new(), next: now, until: now + lasts, asker, site, _place: place };
    let events = stream::unfold(told, |mut told| async move {
        let html = told.news().await?;
        told.last.clone_from(&html);
        // A carriage return would end a line of the stream.
        Some((Ok::<_, Infallible>(Event::default().data(html.replace('\r', ""))), told))
    });
    Sse::new(events).into_response()
}

impl<F, M> Told<F>
where
    F: Fn(Arc<Site>, Who) -> M + Send + Sync,
    M: Future<Output = Option<String>> + Send,
{
    /// `None`: it ends.
    async fn news(&mut self) -> Option<String> {
        loop {
            let wait = self.next.saturating_duration_since(Instant::now());
            self.site.live.end.clone().run_until_cancelled(sleep(wait)).await?;
            self.next = Instant::now() + EVERY;
            // Whoever was signed out, or has no role any more, sees nothing new.
            let who = self.site.session(&self.asker).filter(|_| Instant::now() < self.until)?;
            match (self.make)(Arc::clone(&self.site), who).await {
                Some(html) if html != self.last => return Some(html),
                _ => {}
            }
        }
    }
}
