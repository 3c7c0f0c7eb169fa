//! Collects the facts: from both databases, the mail server, the broker, and the services' logs.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use contract::{EventKind, TaskId, event, header, queue};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool};
use system::System;
use testkit::lapin::ExchangeKind;
use testkit::lapin::options::ExchangeDeclareOptions;
use testkit::lapin::types::{AMQPValue, FieldTable};
use testkit::{Command, Mail, Stage as At};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::facts::{Acceptance, Dead, Facts, Note, Task, Twins};
use crate::load::Answers;
use crate::schedule::INSTANCES;
use crate::stage::{Clock, Stage};

/// The queue that listens to events: no part of the system.
pub(crate) const LISTENER: &str = "chaos.events";
/// What the worker logs when it has heard the mail server's 250.
const HEARD: &str = "mail sent";

/// Makes the databases remember what the services delete and overwrite: every task that was committed, every mark and whose it was.
pub(crate) async fn prepare(system: &System) {
    let users = system.users_pool();
    for statement in [
        "CREATE TABLE chaos_tasks (
             id uuid PRIMARY KEY, email text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp()
         )",
        "CREATE FUNCTION chaos_task() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO chaos_tasks VALUES (NEW.id, convert_from(NEW.body, 'UTF8')::jsonb ->> 'email');
             RETURN NULL;
         END $$",
        "CREATE TRIGGER chaos_task AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION chaos_task()",
    ] {
        execute(users, statement).await;
    }
    let ledger = system.ledger_pool();
    for worker in 0..INSTANCES {
        execute(ledger, &format!("CREATE ROLE worker_{worker} SUPERUSER LOGIN")).await;
    }
    for statement in [
        "CREATE TABLE chaos_marks (id uuid NOT NULL, worker text NOT NULL, at timestamptz NOT NULL)",
        "CREATE FUNCTION chaos_mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO chaos_marks VALUES (NEW.id, current_user, clock_timestamp());
             RETURN NULL;
         END $$",
        "CREATE TRIGGER chaos_mark_new AFTER INSERT ON ledger FOR EACH ROW
             WHEN (NEW.sent_at IS NOT NULL) EXECUTE FUNCTION chaos_mark()",
        "CREATE TRIGGER chaos_mark_old AFTER UPDATE ON ledger FOR EACH ROW
             WHEN (NEW.sent_at IS DISTINCT FROM OLD.sent_at AND NEW.sent_at IS NOT NULL) EXECUTE FUNCTION chaos_mark()",
    ] {
        execute(ledger, statement).await;
    }
}

async fn execute(pool: &PgPool, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(pool).await.unwrap();
}

/// Binds a queue to the events of mails that were sent, before there is a worker.
pub(crate) async fn listen(system: &System) {
    let client = system.rabbit.client().await;
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let (channel, exchange) = (client.channel(), event::EXCHANGE);
    channel.exchange_declare(exchange.into(), ExchangeKind::Topic, durable, FieldTable::default()).await.unwrap();
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    client.declare(LISTENER, quorum).await.unwrap();
    let sent = EventKind::Sent.event_type();
    let bound =
        channel.queue_bind(LISTENER.into(), exchange.into(), sent.into(), Default::default(), Default::default());
    bound.await.unwrap();
    client.close().await;
}

/// What it heard.
async fn told(system: &System) -> Vec<TaskId> {
    let (client, mut told) = (system.rabbit.client().await, Vec::new());
    while let Some(event) = client.take(LISTENER).await {
        let subject = event.header("cloudEvents:subject").expect("each event names its mail");
        told.push(TaskId::from_message_id(&subject));
    }
    client.close().await;
    told
}

/// Events that wait for the broker.
pub(crate) async fn untold(ledger: &PgPool) -> u64 {
    let untold: i64 = sqlx::query_scalar("SELECT count(*) FROM mail_events").fetch_one(ledger).await.unwrap();
    untold.unsigned_abs()
}

/// Everything, once it is quiet.
pub(crate) async fn collect(
    stage: &Stage,
    answers: &Answers,
    published: Vec<Task>,
    mut twins: Vec<Twins>,
    left: Vec<(String, u64)>,
    mut odd: Vec<String>,
) -> Facts {
    let system = &stage.system;
    let committed = committed(stage.clock, system.users_pool()).await;
    let commands = system.smtp.commands();
    let dead = dead_letters(system, &mut twins).await;
    let refused = commands.iter().filter(|command| command.answer.starts_with('5') && command.stage != At::Mail);
    odd.extend(answers.odd.iter().cloned());
    odd.extend(unlogged(system.ledger_pool()).await);
    Facts {
        faults: stage.happened(),
        asked: answers.asked.clone(),
        users: system.users().await,
        created: answers.created.iter().cloned().collect(),
        committed,
        published,
        twins,
        mails: acceptances(stage.clock, &system.smtp.mails(), &commands),
        heard: heard(stage),
        marks: marks(stage.clock, system.ledger_pool()).await,
        told: told(system).await,
        dead,
        // In the order of their arrival: the last one stays.
        refused: refused.filter_map(|command| Some((command.recipient.clone()?, stage.clock.of(command.at)))).collect(),
        left,
        odd,
    }
}

/// The ledger and the mail log are written by one statement: where one says sent the other does too.
async fn unlogged(ledger: &PgPool) -> Option<String> {
    let unlogged: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM ledger WHERE sent_at IS NOT NULL
         AND NOT EXISTS (SELECT FROM mail_log WHERE mail_log.id = ledger.id AND mail_log.state = 'sent')",
    )
    .fetch_one(ledger)
    .await
    .unwrap();
    (unlogged > 0).then(|| format!("{unlogged} mails are marked as sent, and the mail log does not say so"))
}

fn acceptances(clock: Clock, mails: &[Mail], commands: &[Command]) -> Vec<Acceptance> {
    let mut named: HashMap<(u64, &str), Vec<Instant>> = HashMap::new();
    let mut unsaid: HashSet<(u64, &str)> = HashSet::new();
    for command in commands {
        let Some(recipient) = command.recipient.as_deref() else { continue };
        let key = (command.connection, recipient);
        match command.stage {
            At::Rcpt => named.entry(key).or_default().push(command.at),
            At::Content if command.answer.starts_with("(taken") => drop(unsaid.insert(key)),
            _ => {}
        }
    }
    let of_mail = |mail: &Mail| {
        let (email, key) = (mail.to[0].clone(), (mail.connection, mail.to[0].as_str()));
        let begun = named.get(&key).into_iter().flatten().filter(|at| **at <= mail.at).max();
        let worker = mail.from.trim_start_matches("worker-").split('@').next().unwrap().parse();
        Acceptance {
            id: system::mail_id(mail),
            email,
            worker: worker.expect("the sender tells which worker it was"),
            begun: clock.of(*begun.expect("a recipient was named before the dot")),
            at: clock.of(mail.at),
            unsaid: unsaid.contains(&key),
        }
    };
    mails.iter().map(of_mail).collect()
}

async fn committed(clock: Clock, pool: &PgPool) -> Vec<Task> {
    let rows: Vec<(Uuid, String, f64)> =
        sqlx::query_as("SELECT id, email, extract(epoch FROM at)::float8 FROM chaos_tasks ORDER BY id")
            .fetch_all(pool)
            .await
            .unwrap();
    let task =
        |(id, email, at): (Uuid, String, f64)| Task { id: id.into(), email, since: clock.of_unix(at), promised: true };
    rows.into_iter().map(task).collect()
}

async fn marks(clock: Clock, pool: &PgPool) -> Vec<Note> {
    let rows: Vec<(Uuid, String, f64)> =
        sqlx::query_as("SELECT id, worker, extract(epoch FROM at)::float8 FROM chaos_marks")
            .fetch_all(pool)
            .await
            .unwrap();
    let note = |(id, worker, at): (Uuid, String, f64)| Note {
        id: id.into(),
        worker: worker.trim_start_matches("worker_").parse().expect("the role tells which worker it was"),
        at: clock.of_unix(at),
    };
    rows.into_iter().map(note).collect()
}

fn heard(stage: &Stage) -> Vec<Note> {
    let of_worker = |(worker, service): (usize, &testkit::Service)| {
        let lines = service.log_lines();
        let note = |line: &String| {
            let line: Value = serde_json::from_str(line).ok()?;
            let id = (line["message"] == HEARD).then(|| line["task"].as_str()).flatten()?;
            Some(Note { id: TaskId::from_message_id(id), worker, at: logged_at(stage.clock, &line)? })
        };
        lines.iter().filter_map(note).collect::<Vec<_>>()
    };
    stage.workers.iter().enumerate().flat_map(of_worker).collect()
}

fn logged_at(clock: Clock, line: &Value) -> Option<f64> {
    let at = OffsetDateTime::parse(line["timestamp"].as_str()?, &Rfc3339).ok()?;
    #[allow(clippy::cast_precision_loss, reason = "microseconds are enough")]
    let seconds = at.unix_timestamp_nanos() as f64 / 1e9;
    Some(clock.of_unix(seconds))
}

/// A worker's line about this task, but for [`HEARD`], which is among the facts.
fn said_about(clock: Clock, worker: usize, id: TaskId, line: &str) -> Option<(f64, String)> {
    let line: Value = line.contains(&id.to_string()).then(|| serde_json::from_str(line).ok()).flatten()?;
    let message = line["message"].as_str().filter(|message| *message != HEARD)?;
    let more = line["error"].as_str().or(line["queue"].as_str()).unwrap_or_default();
    Some((logged_at(clock, &line)?, format!("email-worker {worker}: {message} {more}")))
}

/// Those of twins are counted with them.
async fn dead_letters(system: &System, twins: &mut [Twins]) -> Vec<Dead> {
    let client = system.rabbit.client().await;
    let mut dead = Vec::new();
    while let Some(letter) = client.take(queue::DEAD).await {
        let body: Value = serde_json::from_slice(&letter.body).unwrap_or_default();
        if let Some(twin) = twins.iter_mut().find(|twin| body["email"] == twin.email.as_str()) {
            twin.put_aside += 1;
            continue;
        }
        let id = letter.message_id().map(TaskId::from_message_id);
        dead.push(Dead { id, reason: letter.header(header::DEAD_REASON).filter(|reason| !reason.is_empty()) });
    }
    client.close().await;
    dead
}

/// What happened to a task, line by line, in order.
pub(crate) async fn story(stage: &Stage, facts: &Facts, id: TaskId) -> Vec<String> {
    let email = facts.tasks().find(|task| task.id == id).map(|task| task.email.as_str());
    let mut lines: Vec<(f64, String)> = Vec::new();
    for command in stage.system.smtp.commands() {
        if command.recipient.is_some() && command.recipient.as_deref() == email {
            let text =
                format!("mail server, connection {}: {:?} {}", command.connection, command.stage, command.answer);
            lines.push((stage.clock.of(command.at), text));
        }
    }
    for mail in facts.mails.iter().filter(|mail| mail.id == id) {
        lines.push((mail.at, format!("mail server: took it from email-worker {}", mail.worker)));
    }
    for mark in facts.marks.iter().filter(|mark| mark.id == id) {
        lines.push((mark.at, format!("ledger: marked by email-worker {}", mark.worker)));
    }
    for note in facts.heard.iter().filter(|note| note.id == id) {
        lines.push((note.at, format!("email-worker {}: heard the 250", note.worker)));
    }
    for (worker, service) in stage.workers.iter().enumerate() {
        lines.extend(service.log_lines().iter().filter_map(|line| said_about(stage.clock, worker, id, line)));
    }
    lines.sort_by(|a, b| a.0.total_cmp(&b.0));
    let row: Option<String> = sqlx::query_scalar("SELECT row_to_json(ledger)::text FROM ledger WHERE id = $1")
        .bind(id.as_uuid())
        .fetch_optional(stage.system.ledger_pool())
        .await
        .unwrap();
    let mut story: Vec<String> = lines.into_iter().map(|(at, line)| format!("{at:>8.3} s  {line}")).collect();
    story.push(format!("ledger row: {}", row.as_deref().unwrap_or("none")));
    story
}
