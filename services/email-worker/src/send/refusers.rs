//! Tells the log and the metrics which domains refuse most of our mails, and how many lines the mails themselves may have.

mod law;
mod ranking;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::TaskId;
use opentelemetry::{KeyValue, global};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::send::classify;
use crate::smtp::{SendError, Stage};
use law::{Law, Line, Refusal};
use ranking::{Ranking, Told};

/// How often it is looked at what was left unsaid.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(5);

/// What is known of domains that refuse; shared by all runs. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusers {
    law: Arc<Mutex<Law>>,
    ranking: Arc<Mutex<Ranking>>,
}

impl Refusers {
    /// A mail for this domain was not accepted, by whomever, and that was an attempt of its own; `for_good`: it is its last.
    /// Does it have a line of its own? If not, it is counted in one that will be written.
    pub(crate) fn refused(&self, mail: TaskId, domain: &str, error: &SendError, for_good: bool) -> bool {
        let (reply, now) = (error.to_string(), Instant::now());
        let refusal = Refusal { mail, domain, reply: &reply, counts: for_good || tells_of_the_domain(error) };
        if refusal.counts {
            lock(&self.ranking).refused(domain, now);
        }
        let (has_a_line, line) = self.law().refused(refusal, now);
        line.into_iter().for_each(tell);
        has_a_line
    }

    /// A mail for this domain was taken.
    pub(crate) fn taken(&self, domain: &str) {
        let line = self.law().taken(domain, Instant::now());
        line.into_iter().for_each(tell);
    }

    /// Tells the metrics of the domains that refuse most.
    pub(crate) fn observe(&self) {
        const DOMAIN: &str = "sluice.domain";
        let ranking = Arc::clone(&self.ranking);
        global::meter("email-worker")
            .u64_observable_gauge("sluice.domain.refusals")
            .with_unit("{refusal}")
            .with_description(
                "Refusals of the last hour, by the domains with most of them; those of all others are other.",
            )
            .with_callback(move |gauge| {
                let Told { named, others } = lock(&ranking).told(Instant::now());
                for (domain, refusals) in named {
                    gauge.observe(refusals, &[KeyValue::new(DOMAIN, domain)]);
                }
                gauge.observe(others, &[KeyValue::new(DOMAIN, "other")]);
            })
            .build();
    }

    /// Tells in time what was left unsaid, until the token is cancelled; then the rest.
    pub(crate) async fn run(self, token: CancellationToken) {
        let mut tick = tokio::time::interval(LOOKED_AT_EVERY);
        while token.run_until_cancelled(tick.tick()).await.is_some() {
            let lines = self.law().due(Instant::now());
            lines.into_iter().for_each(tell);
        }
        let lines = self.law().rest();
        lines.into_iter().for_each(tell);
    }

    fn law(&self) -> MutexGuard<'_, Law> {
        lock(&self.law)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under the locks can leave it half changed.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A refusal for now is often greylisting, which passes: it tells only where it gives another reason.
fn tells_of_the_domain(error: &SendError) -> bool {
    use classify::Reason;
    match error {
        SendError::Refused { stage, .. } if *stage > Stage::Mail => {
            !matches!(classify::reason(error), Reason::Greylisted | Reason::Unclear)
        }
        _ => false,
    }
}

fn tell(line: Line) {
    match line {
        Line::Refuses { domain, refused, of, without_a_line, reply } => tracing::warn!(
            domain,
            refused,
            of,
            without_a_line,
            error = reply,
            "a domain refuses most of our mails: they have no lines of their own while it lasts, but at DEBUG"
        ),
        Line::TakesAgain { domain, refused } => tracing::info!(domain, refused, "a domain takes our mails again"),
        Line::Others { without_a_line } => {
            tracing::info!(without_a_line, "mails were not accepted and have no lines of their own, but at DEBUG");
        }
    }
}
