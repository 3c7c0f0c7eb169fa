//! The steady load: registrations at a constant rate, and tasks of a foreign producer. Both try again as sensible clients do.

use std::sync::Arc;
use std::time::Duration;

use amqp::{Broker, ConfirmChannel, Connection, Outcome, Outgoing, Properties};
use contract::{MailTask, TaskId, queue};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::dice::Dice;
use crate::facts::{Task, Twins};
use crate::stage::Stage;

/// Registrations a second.
const REGISTRATIONS: u32 = 20;
/// Bare tasks a second.
const PUBLISHED: u32 = 2;
/// One address in so many is refused for good.
const REFUSED_ONE_IN: u64 = 50;
/// So many tasks without ids come at once ..
const BURST: usize = 60;
/// .. for so many people in turn ..
const TWINS: usize = 10;
/// .. so often: between two bursts the workers are nearly idle, and the prefetch follows.
const BURSTS_EVERY: Duration = Duration::from_secs(5);
/// How long after the last planned fault clients go on trying: what is broken is healed within ten seconds of it, and the rest
/// is many tries.
const PATIENCE: Duration = Duration::from_secs(45);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What the clients know at the end.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Every address of the load.
    pub(crate) asked: Vec<String>,
    /// Addresses that were answered 201.
    pub(crate) created: Vec<String>,
    /// Requests beyond one for each registration.
    pub(crate) tried_again: usize,
    /// Answers that no client should get.
    pub(crate) odd: Vec<String>,
}

/// How many of something happen within `time`.
fn count(rate: u32, time: Duration) -> u32 {
    u32::try_from(time.as_millis() * u128::from(rate) / 1_000).unwrap_or(u32::MAX)
}

/// Where all mails go.
pub(crate) fn domain(seed: u64) -> String {
    format!("seed-{seed}.example.com")
}

fn address(seed: u64, n: u32) -> String {
    format!("user-{n}@{}", domain(seed))
}

fn foreign_address(seed: u64, n: u32) -> String {
    format!("foreign-{n}@{}", domain(seed))
}

/// The addresses of this load that never take mail.
pub(crate) fn refused(seed: u64, time: Duration) -> Vec<String> {
    let mut dice = Dice::new(seed, 100);
    let users = (0..count(REGISTRATIONS, time)).map(|n| address(seed, n));
    let foreign = (0..count(PUBLISHED, time)).map(|n| foreign_address(seed, n));
    users.chain(foreign).filter(|_| dice.below(REFUSED_ONE_IN) == 0).collect()
}

/// Registers users until `time` is over, each at its moment whatever became of those before.
pub(crate) async fn register(stage: Arc<Stage>, time: Duration) -> Answers {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(8)).build().unwrap();
    let start = Instant::from_std(stage.clock.instant());
    let numbers = 0..count(REGISTRATIONS, time);
    let asked = numbers.clone().map(|n| address(stage.seed, n)).collect();
    let (mut clients, mut answers) = (JoinSet::new(), Answers { asked, ..Answers::default() });
    for n in numbers {
        sleep_until(start + Duration::from_secs(1) * n / REGISTRATIONS).await;
        clients.spawn(one(stage.clone(), client.clone(), n, start + time + PATIENCE));
    }
    while let Some(ended) = clients.join_next().await {
        let (email, end, tries) = ended.unwrap();
        answers.tried_again += tries - 1;
        match end {
            End::Created => answers.created.push(email),
            End::Unknown => {}
            End::Odd(what) => answers.odd.push(format!("{email}: {what}")),
        }
    }
    answers
}

enum End {
    Created,
    /// Out of patience.
    Unknown,
    Odd(String),
}

/// One client: the same key with each try, the other instance next time.
async fn one(stage: Arc<Stage>, client: reqwest::Client, n: u32, deadline: Instant) -> (String, End, usize) {
    let (seed, email) = (stage.seed, address(stage.seed, n));
    let body =
        json!({ "username": format!("u{seed}-{n}"), "email": email, "password": format!("a long enough one {n}") });
    let mut dice = Dice::new(seed, 1_000 + u64::from(n));
    for tries in 1.. {
        let instance = (n as usize + tries) % stage.apis.len();
        let request = client.post(format!("{}/v1/users", stage.apis[instance].base_url()));
        let answer = request.header("Idempotency-Key", format!("chaos-{seed}-{n}")).json(&body).send().await;
        let wait = match answer {
            Ok(response) => match response.status().as_u16() {
                201 => return (email, End::Created, tries),
                408 | 429 | 500..=599 => retry_after(&response),
                status => {
                    let text = response.text().await.unwrap_or_default();
                    return (email, End::Odd(format!("answered {status} to try {tries}: {text}")), tries);
                }
            },
            Err(_) => None,
        };
        let backoff = Duration::from_millis(200) * u32::try_from(tries).unwrap_or(u32::MAX);
        let wait = wait.unwrap_or(backoff).min(LONGEST_WAIT).mul_f64(0.75) + dice.ms(0, 500);
        if Instant::now() + wait > deadline {
            return (email, End::Unknown, tries);
        }
        sleep(wait).await;
    }
    unreachable!("tries are not counted to the end")
}

fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    response.headers().get("retry-after")?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// Publishes bare tasks with ids of their own, each until it is confirmed.
pub(crate) async fn publish(stage: Arc<Stage>, time: Duration) -> Vec<Task> {
    let broker = Broker::new(stage.system.rabbit.amqp_url().parse().unwrap(), "foreign producer");
    let start = Instant::from_std(stage.clock.instant());
    let mut open: Option<(Connection, ConfirmChannel)> = None;
    let mut tasks = Vec::new();
    for n in 0..count(PUBLISHED, time) {
        sleep_until(start + Duration::from_secs(1) * n / PUBLISHED).await;
        let (seed, email) = (stage.seed, foreign_address(stage.seed, n));
        let name = format!("foreign-{seed}-{n}");
        let message = bare(Some(&name), &email);
        let since = stage.clock.now();
        let mut confirmed = false;
        while !confirmed && Instant::now() < start + time + PATIENCE {
            match confirm(&broker, &mut open, &message).await {
                Some(Outcome::Confirmed) => confirmed = true,
                _ => sleep(Duration::from_millis(300)).await,
            }
        }
        tasks.push(Task { id: TaskId::from_message_id(&name), email, since, promised: confirmed });
    }
    tasks
}

/// Publishes the same few tasks, without ids, again and again, in bursts.
pub(crate) async fn publish_twins(stage: Arc<Stage>, time: Duration) -> Vec<Twins> {
    let broker = Broker::new(stage.system.rabbit.amqp_url().parse().unwrap(), "tutorial's producer");
    let start = Instant::from_std(stage.clock.instant());
    let mut open: Option<(Connection, ConfirmChannel)> = None;
    let email = |n| format!("twin-{n}@{}", domain(stage.seed));
    let twins = (0..TWINS).map(|n| Twins { email: email(n), confirmed: 0, tries: 0, put_aside: 0 });
    let mut twins: Vec<Twins> = twins.collect();
    let mut burst = start;
    while burst < start + time {
        sleep_until(burst).await;
        for n in 0..BURST {
            let twin = &mut twins[n % TWINS];
            let message = bare(None, &twin.email);
            loop {
                twin.tries += 1;
                let outcome = confirm(&broker, &mut open, &message).await;
                twin.confirmed += usize::from(outcome == Some(Outcome::Confirmed));
                if outcome == Some(Outcome::Confirmed) || Instant::now() >= start + time + PATIENCE {
                    break;
                }
                sleep(Duration::from_millis(300)).await;
            }
        }
        burst = (burst + BURSTS_EVERY).max(Instant::now());
    }
    twins
}

fn bare(id: Option<&str>, email: &str) -> Outgoing {
    let mail = MailTask::welcome(email.parse().unwrap(), "stranger".to_owned(), None);
    let properties = Properties { message_id: id.map(str::to_owned), ..Properties::default() };
    Outgoing { queue: queue::EMAIL.to_owned(), body: mail.encode(), properties }
}

/// What the broker said to one message; after silence the connection is not used again.
async fn confirm(
    broker: &Broker,
    open: &mut Option<(Connection, ConfirmChannel)>,
    message: &Outgoing,
) -> Option<Outcome> {
    if open.is_none() {
        let connection = broker.connect().await.ok()?;
        let channel = ConfirmChannel::open(&connection, Duration::from_secs(4)).await.ok()?;
        *open = Some((connection, channel));
    }
    let (_, channel) = open.as_mut()?;
    match channel.publish(std::slice::from_ref(message)).await {
        Ok(mut outcomes) => outcomes.pop(),
        Err(_) => {
            *open = None;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_of_a_seed_is_the_same_each_time_and_some_of_it_is_refused() {
        let minute = Duration::from_secs(60);
        assert_eq!(count(REGISTRATIONS, minute), 1_200);
        let refused = |seed| super::refused(seed, minute);
        assert_eq!(refused(5), refused(5));
        assert_ne!(refused(5), refused(6));
        assert!((10..60).contains(&refused(5).len()), "{} of 1,320", refused(5).len());
    }
}
