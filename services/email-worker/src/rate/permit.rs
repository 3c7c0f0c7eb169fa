//! Leave to send one mail.

use std::sync::Arc;

use tokio::time::Instant;

use super::lease::Moment;
use super::limiter::Message;
use super::shared::Shared;

/// Leave to send one mail. Wait for its moment with [`SendPermit::wait`], and say how it went. One that is dropped before
/// its moment goes to whoever waits next.
#[derive(Debug)]
#[must_use = "a permit that is not used is a mail less for the fleet"]
pub struct SendPermit {
    // None: nothing holds the fleet back.
    moment: Option<Moment>,
    episode: i64,
    used: bool,
    shared: Arc<Shared>,
}

impl SendPermit {
    pub(super) fn new(moment: Option<Moment>, shared: Arc<Shared>) -> Self {
        let episode = moment.map_or_else(|| shared.episode(), |moment| moment.episode);
        Self { moment, episode, used: false, shared }
    }

    /// Waits for its moment. False: the moment is past, and has expired; wait for another one.
    pub async fn wait(&mut self) -> bool {
        let Some(moment) = self.moment else { return true };
        if moment.at > Instant::now() {
            tokio::time::sleep_until(moment.at).await;
        }
        self.used = true;
        let fresh = Instant::now() <= moment.at + moment.tolerance();
        if !fresh {
            self.shared.counters.expire(1);
        }
        fresh
    }

    /// The server took the mail.
    pub fn accepted(self) {
        self.shared.took(Instant::now());
        self.answered();
    }

    #[cfg(test)]
    pub(super) fn probes(&self) -> bool {
        self.moment.is_some_and(|moment| moment.probe)
    }

    /// Refusals of mails that were let go in an earlier one are no news.
    pub fn episode(&self) -> i64 {
        self.episode
    }

    /// The server answered without a word about speed.
    pub fn answered(self) {
        if let Some(Moment { probe: true, episode, .. }) = self.moment {
            // Lost, another probe follows.
            let _ = self.shared.tell(Message::Answered(episode));
        }
    }

    /// The server said no to the speed, in these words. `perhaps`: whose own limit it may be, as far as anybody knows; none:
    /// it is everyone's.
    pub fn too_fast(self, reason: &str, perhaps: Option<&str>) {
        self.shared.refused(self.episode, reason, perhaps);
    }
}

impl Drop for SendPermit {
    fn drop(&mut self) {
        let (Some(moment), false) = (self.moment, self.used) else { return };
        if self.shared.tell(Message::Back(moment)).is_err() {
            self.shared.counters.expire(1);
        }
    }
}
