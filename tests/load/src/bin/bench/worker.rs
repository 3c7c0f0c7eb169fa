//! email-worker: how fast one process sends, and what each mail costs.

use std::time::{Duration, Instant};

use load::{Goal, Report, Servers, median, process};
use testkit::Service;

use crate::bare::{self, Whose};

/// Tasks published before the worker starts, in each round.
pub(crate) const TASKS: usize = 60_000;
/// Mails before and after the measured stretch: connections open, the prefetch finds its size, the queue runs dry.
const EDGE: usize = 5_000;
/// Worker and bare clients take turns, so that both see the same machine.
const ROUNDS: usize = 3;
/// With the mail log or events, and without: the difference is smaller than that of two moments of a machine.
const PAIRS: usize = 7;
/// Far more than any machine needs.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn run(report: &mut Report) {
    report.measuring("the worker at full rate, beside bare SMTP clients");
    let servers = Servers::start().await;
    let (mut rate, mut cpu, mut ours, mut lettre, mut trips) = (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        servers.publish(TASKS).await;
        // The broker still writes for a moment.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let measured = at_full_rate(&servers, &[]).await;
        let sink = servers.smtp.addr();
        let bare = |whose| tokio::task::spawn_blocking(move || bare::measure(whose, sink, TASKS / 2));
        let (by_us, by_lettre) = (bare(Whose::Ours).await.unwrap(), bare(Whose::Lettre).await.unwrap());
        report.note(&format!(
            "{:.0} mails/s, {:.1} us of CPU a mail; bare client: ours {:.1} us, {:.0}/s; lettre's {:.1} us, {:.0}/s",
            measured.per_second, measured.cpu, by_us.cpu, by_us.per_second, by_lettre.cpu, by_lettre.per_second
        ));
        rate.push(measured.per_second);
        cpu.push(measured.cpu);
        ours.push(measured.cpu / by_us.cpu);
        lettre.push(measured.cpu / by_lettre.cpu);
        trips.push(measured.trips);
    }
    report.add("mails a second from one worker", median(rate), "mails/s", Goal::AtLeast(5_000.0));
    report.add("CPU of the worker a mail", median(cpu), "us", Goal::None);
    report.add("CPU of the worker a mail / of our bare SMTP session", median(ours), "ratio", Goal::AtMost(1.6));
    report.add("CPU of the worker a mail / of lettre's bare connection", median(lettre), "ratio", Goal::None);
    report.add("round trips to the database a mail, at full rate", median(trips), "per mail", Goal::AtMost(0.05));
}

/// What the mail log costs.
pub(crate) async fn mail_log(report: &mut Report) {
    in_turns(report, "mail log", &[("MAIL_LOG", "full")], &[("MAIL_LOG", "off")], Goal::AtMost(1.1)).await;
}

/// What events cost, with their relay and without anybody listening: what they are for is another's work.
pub(crate) async fn events(report: &mut Report) {
    // The relay claims and commits for itself.
    in_turns(report, "events", &[("MAIL_EVENTS", "on")], &[("MAIL_EVENTS", "off")], Goal::None).await;
}

/// One process with a key to hash addresses with, in turns with something and without it.
async fn in_turns(
    report: &mut Report,
    what: &str,
    with: &[(&'static str, &str)],
    without: &[(&'static str, &str)],
    of_trips: Goal,
) {
    report.measuring(&format!("the worker with its {what}, and without"));
    let servers = Servers::start().await;
    let key = ("ADDRESS_HASH_KEY", "0123456789abcdef0123456789abcdef");
    let [mut rate, mut cpu, mut trips] = [vec![], vec![], vec![]];
    for round in 0..PAIRS {
        let mut measured = [None, None];
        // Who goes first changes.
        for turn in [round % 2, (round + 1) % 2] {
            servers.publish(TASKS).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            let mode = if turn == 0 { with } else { without };
            measured[turn] = Some(at_full_rate(&servers, &[&[key], mode].concat()).await);
        }
        let [Some(on), Some(off)] = measured else { unreachable!("both took their turn") };
        report.note(&format!(
            "on {:.0} mails/s, {:.1} us of CPU a mail; off {:.0} mails/s, {:.1} us",
            on.per_second, on.cpu, off.per_second, off.cpu
        ));
        rate.push(on.per_second / off.per_second);
        cpu.push(on.cpu / off.cpu);
        trips.push(on.trips / off.trips);
    }
    let figure = |figure: &str| format!("{figure}, with {what} / without");
    report.add(figure("mails a second"), median(rate), "ratio", Goal::AtLeast(0.9));
    report.add(figure("CPU of the worker a mail"), median(cpu), "ratio", Goal::None);
    report.add(figure("round trips to the database a mail"), median(trips), "ratio", of_trips);
}

struct FullRate {
    per_second: f64,
    /// Microseconds a mail.
    cpu: f64,
    /// Transactions a mail, those of starting and stopping included.
    trips: f64,
}

async fn at_full_rate(servers: &Servers, variables: &[(&'static str, &str)]) -> FullRate {
    let pool = servers.ledger.pool();
    let transactions = load::transactions(pool).await;
    servers.smtp.clear();
    let worker = servers.worker(variables);
    let (per_second, cpu) = sent_by(servers, &worker).await;
    // Its connections end with it: only then are their last transactions in the statistics.
    assert!(worker.terminate().await.success(), "the worker drains");
    let transactions = load::transactions(pool).await - transactions;
    FullRate { per_second, cpu, trips: transactions as f64 / TASKS as f64 }
}

/// Mails a second, and microseconds of CPU a mail, of a worker that has just been started on as many tasks as this knows of.
pub(crate) async fn sent_by(servers: &Servers, worker: &Service) -> (f64, f64) {
    servers.smtp.wait_for_count(EDGE, PATIENCE).await;
    let (began, cpu, mails) = (Instant::now(), process::cpu(worker.pid()), servers.smtp.counts().mails);
    servers.smtp.wait_for_count(TASKS - EDGE, PATIENCE).await;
    let (took, cpu) = (began.elapsed(), process::cpu(worker.pid()) - cpu);
    let mails = (servers.smtp.counts().mails - mails) as f64;
    servers.smtp.wait_for_count(TASKS, PATIENCE).await;
    (mails / took.as_secs_f64(), cpu.as_secs_f64() * 1e6 / mails)
}
