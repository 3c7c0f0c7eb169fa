//! What the fleet does and did in the last hour, for the first page.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use contract::queue;
use platform::postgres::{NoAnswer, ask};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::actions;
use super::queues::Depth;
use super::site::Site;
use crate::fleet::{Minute, Minutes, Queued, Read, Worker};
use crate::paper::{rfc3339, value};

/// A statement may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How often it is written down how much waits.
const EVERY: Duration = Duration::from_secs(10);
/// Minutes of a plot.
const HOUR: usize = 60;
/// Of a plot, in its own units.
const HEIGHT: i64 = 60;

/// Kinds of minutes that are the end of a task.
const ENDS: [&str; 5] = ["sent", "duplicate", "expired", "suppressed", "dead"];

/// Messages by kind of queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Waiting {
    /// In the main queue.
    waiting: i64,
    /// In the retry queues.
    retrying: i64,
    /// In those of mails with a speed of their own.
    apart: i64,
    /// Dead letters.
    dead: i64,
}

impl Waiting {
    pub(super) fn of(depths: &[Depth]) -> Self {
        let mut waiting = Self::default();
        for Depth { queue, ready, .. } in depths {
            let sum = match queue.as_str() {
                queue::EMAIL => &mut waiting.waiting,
                queue::DEAD => &mut waiting.dead,
                name if queue::is_apart(name) => &mut waiting.apart,
                _ => &mut waiting.retrying,
            };
            *sum += i64::from(*ready);
        }
        waiting
    }

    fn queued(self) -> Queued {
        let Self { waiting, retrying, apart, dead } = self;
        Queued([("waiting", waiting), ("retrying", retrying), ("apart", apart), ("dead-letters", dead)])
    }
}

/// Writes down every few seconds how much waits. Without an answer of broker or database a moment is left out.
pub(super) async fn keep(site: Arc<Site>, token: CancellationToken) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while token.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = token.run_until_cancelled(look(&site)).await.unwrap_or(Ok(())) {
            tracing::debug!(error = format!("{error:#}"), "how much waits can't be written down");
        }
    }
}

async fn look(site: &Site) -> anyhow::Result<()> {
    let controls = actions::controls(&site.pool).await?;
    let depths = site.queues.depths(&controls).await?;
    Ok(ask(&site.pool, &Waiting::of(&depths).queued(), ANSWER_WITHIN).await?)
}

/// What workers say and the last hour was.
pub(super) async fn fleet(pool: &PgPool) -> Result<Value, NoAnswer> {
    let workers = ask(pool, &Read, ANSWER_WITHIN).await?;
    let minutes = ask(pool, &Minutes, ANSWER_WITHIN).await?;
    Ok(told(&workers, &Hour::of(&minutes)))
}

fn told(workers: &[Worker], hour: &Hour<'_>) -> Value {
    let moment = |at: Option<OffsetDateTime>| at.map(rfc3339);
    let each = workers.iter().map(|worker| WorkerObject {
        name: &worker.name,
        version: &worker.version,
        started_at: rfc3339(worker.started_at),
        circuit: &worker.circuit,
        cause: worker.cause.as_deref(),
        in_flight: worker.in_flight,
        rate: worker.rate.as_deref(),
        throttled: worker.throttled.as_deref(),
        last_delay_seconds: worker.last_delay,
        last_delay_at: moment(worker.last_delay_at),
    });
    let latest =
        workers.iter().filter(|worker| worker.last_delay_at.is_some()).max_by_key(|worker| worker.last_delay_at);
    value(&FleetObject {
        workers: each.collect(),
        in_flight: workers.iter().map(|worker| i64::from(worker.in_flight)).sum(),
        not_sending: workers.iter().filter(|worker| worker.circuit != "closed").count(),
        rate: workers.iter().find_map(|worker| worker.rate.as_deref()),
        throttled: workers.iter().find_map(|worker| worker.throttled.as_deref()),
        last_delay_seconds: latest.and_then(|worker| worker.last_delay),
        last_delay_at: latest.and_then(|worker| moment(worker.last_delay_at)),
        hour: HourObject {
            came_in: hour.came_in(),
            sent: hour.series("sent"),
            refused: hour.series("refused"),
            dead: hour.series("dead"),
            waiting: hour.waiting(),
        },
        refused_by: hour.reasons("refused"),
        dead_by: hour.reasons("dead"),
    })
}

/// What workers say of themselves, and what the last hour was.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Fleet)]
pub(super) struct FleetObject<'a> {
    /// Each that is there.
    workers: Vec<WorkerObject<'a>>,
    /// Tasks that they hold.
    in_flight: i64,
    /// Those whose circuit is not closed.
    not_sending: usize,
    /// The rate in force over the fleet; none: no limit.
    rate: Option<&'a str>,
    /// Why it is less than might be.
    throttled: Option<&'a str>,
    /// How long the last mail waited.
    last_delay_seconds: Option<f64>,
    /// When that was; RFC 3339.
    last_delay_at: Option<String>,
    /// The last hour.
    hour: HourObject,
    /// Refusals of the last hour.
    refused_by: Vec<ReasonObject<'a>>,
    /// Dead letters of the last hour.
    dead_by: Vec<ReasonObject<'a>>,
}

/// A worker.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Worker)]
pub(super) struct WorkerObject<'a> {
    name: &'a str,
    version: &'a str,
    /// RFC 3339.
    started_at: String,
    /// `closed`, `open` or `half-open`.
    circuit: &'a str,
    /// Why it is not closed.
    cause: Option<&'a str>,
    /// Tasks that it holds.
    in_flight: i32,
    /// The rate in force, as it knows it.
    rate: Option<&'a str>,
    /// Why it is less than might be.
    throttled: Option<&'a str>,
    /// How long its last mail waited.
    last_delay_seconds: Option<f64>,
    /// When that was; RFC 3339.
    last_delay_at: Option<String>,
}

/// Counts of the last hour by the minute, the oldest first; null where nobody knows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hour)]
pub(super) struct HourObject {
    #[serde(rename = "in")]
    came_in: Vec<Option<i64>>,
    sent: Vec<i64>,
    refused: Vec<i64>,
    dead: Vec<i64>,
    waiting: Vec<Option<i64>>,
}

/// How often something was the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Reason)]
pub(super) struct ReasonObject<'a> {
    #[schema(example = "mailbox-full")]
    reason: &'a str,
    count: i64,
}

/// Counts of the last hour, by minute.
#[derive(Debug, Default)]
struct Hour<'a>(BTreeMap<(&'a str, &'a str), BTreeMap<usize, i64>>);

impl<'a> Hour<'a> {
    fn of(minutes: &'a [Minute]) -> Self {
        let mut hour = Self::default();
        for Minute { ago, kind, reason, count } in minutes {
            // One more than is shown: what came in is a difference.
            if let Some(ago) = usize::try_from(*ago).ok().filter(|ago| *ago <= HOUR) {
                hour.0.entry((kind, reason)).or_default().insert(ago, *count);
            }
        }
        hour
    }

    fn at(&self, kind: &str, ago: usize) -> i64 {
        self.0.iter().filter(|((of, _), _)| *of == kind).filter_map(|(_, minutes)| minutes.get(&ago)).sum()
    }

    /// The oldest minute first.
    fn series(&self, kind: &str) -> Vec<i64> {
        (0..HOUR).rev().map(|ago| self.at(kind, ago)).collect()
    }

    /// Before the dead letters; none where nobody looked.
    fn waiting_at(&self, ago: usize) -> Option<i64> {
        let known = self.0.get(&("waiting", "")).is_some_and(|minutes| minutes.contains_key(&ago));
        known.then(|| ["waiting", "retrying", "apart"].into_iter().map(|kind| self.at(kind, ago)).sum())
    }

    fn waiting(&self) -> Vec<Option<i64>> {
        (0..HOUR).rev().map(|ago| self.waiting_at(ago)).collect()
    }

    /// What ended, and what waits more than a minute before.
    fn came_in(&self) -> Vec<Option<i64>> {
        let came = |ago| {
            let more = self.waiting_at(ago)? - self.waiting_at(ago + 1)?;
            let ended: i64 = ENDS.into_iter().map(|kind| self.at(kind, ago)).sum();
            Some((more + ended).max(0))
        };
        (0..HOUR).rev().map(came).collect()
    }

    /// The most frequent ones first.
    fn reasons(&self, kind: &str) -> Vec<ReasonObject<'a>> {
        let counts = self.0.iter().filter(|((of, _), _)| *of == kind);
        let mut counts: Vec<(&'a str, i64)> = counts
            .map(|((_, reason), minutes)| (*reason, minutes.range(..HOUR).map(|(_, count)| count).sum()))
            .filter(|(_, count)| *count > 0)
            .collect();
        counts.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
        counts.into_iter().map(|(reason, count)| ReasonObject { reason, count }).collect()
    }
}

/// The bars of a plot, as the path of an SVG: a bar a minute, the highest as high as the plot.
pub(super) fn bars(series: &[Value]) -> String {
    let highest = series.iter().filter_map(Value::as_i64).max().unwrap_or(0).max(1);
    series.iter().enumerate().fold(String::new(), |mut path, (x, count)| {
        let count = count.as_i64().unwrap_or(0);
        // What is there is seen.
        let height = if count > 0 { (count * HEIGHT / highest).max(1) } else { 0 };
        if height > 0 {
            let _ = write!(path, "M{} {HEIGHT}v-{height}h3v{height}z", x * 4);
        }
        path
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn minute(ago: i32, kind: &str, reason: &str, count: i64) -> Minute {
        Minute { ago, kind: kind.to_owned(), reason: reason.to_owned(), count }
    }

    #[test]
    fn what_came_in_is_what_ended_and_what_waits_more_than_before() {
        let minutes = [
            minute(2, "waiting", "", 100),
            minute(1, "waiting", "", 90),
            minute(1, "retrying", "", 5),
            minute(1, "sent", "", 60),
            minute(1, "dead", "blocked", 3),
            minute(1, "dead", "mailbox-full", 2),
            minute(0, "waiting", "", 0),
            minute(0, "sent", "", 40),
            minute(60, "sent", "", 7),
            minute(61, "sent", "", 9),
        ];
        let hour = Hour::of(&minutes);
        let last = |series: Vec<Option<i64>>| series[HOUR - 3..].to_vec();
        // Two minutes ago nobody knows: how much waited before that is not known.
        assert_eq!(last(hour.came_in()), [None, Some(60), Some(0)]);
        assert_eq!(last(hour.waiting()), [Some(100), Some(95), Some(0)]);
        assert_eq!(hour.series("sent")[HOUR - 3..], [0, 60, 40]);
        assert_eq!(hour.series("sent").iter().sum::<i64>(), 100, "an hour ago is not the last hour");
        assert_eq!(
            hour.reasons("dead"),
            [ReasonObject { reason: "blocked", count: 3 }, ReasonObject { reason: "mailbox-full", count: 2 }]
        );
    }

    #[test]
    fn bars_are_as_high_as_their_share_of_the_highest() {
        let series = [json!(0), json!(30), json!(60), json!(null), json!(1)];
        assert_eq!(bars(&series), "M4 60v-30h3v30zM8 60v-60h3v60zM16 60v-1h3v1z");
        assert_eq!(bars(&[json!(0), json!(null)]), "");
    }

    #[test]
    fn queues_are_added_up_by_their_kind() {
        let depth = |queue: &str, ready| Depth { queue: queue.to_owned(), ready, consumers: 0 };
        let depths = [
            depth(queue::EMAIL, 5),
            depth(&queue::retry(Duration::from_secs(5)), 2),
            depth(&queue::retry(Duration::from_secs(30)), 1),
            depth(&queue::apart("domain:gmail.com"), 7),
            depth(queue::DEAD, 9),
        ];
        assert_eq!(Waiting::of(&depths), Waiting { waiting: 5, retrying: 3, apart: 7, dead: 9 });
    }
}
