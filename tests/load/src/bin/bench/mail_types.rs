//! What a mail type of files costs the worker: the built-in mail and own ones in turns.

use std::path::{Path, PathBuf};
use std::time::Duration;

use load::{Goal, Report, Servers, median};
use system::{Measured, own_types};
use testkit::{Database, Dir, Service};

use crate::worker::{TASKS, sent_by};

/// They differ by less than two moments of a machine do. A multiple of three and of four: see [`order`].
const ROUNDS: usize = 12;

/// One of those that take turns.
struct Kind {
    name: &'static str,
    mail: Measured,
    /// The worker, where it is of another build, and its database.
    other: Option<(PathBuf, Database)>,
    measured: Vec<(f64, f64)>,
}

impl Kind {
    fn new(mail: Measured) -> Self {
        Self { name: mail.name(), mail, other: None, measured: Vec::new() }
    }

    fn worker(&self, servers: &Servers, types: &str) -> Service {
        match &self.other {
            // What the mail log costs is measured on its own; the worker of before has none.
            None => servers.worker(&[("MAILS_DIR", types), ("MAIL_LOG", "off")]),
            Some((program, ledger)) => servers.worker_of_build(program, ledger),
        }
    }

    fn rates(&self) -> Vec<f64> {
        self.measured.iter().map(|(rate, _)| *rate).collect()
    }

    fn cpu(&self) -> Vec<f64> {
        self.measured.iter().map(|(_, cpu)| *cpu).collect()
    }
}

/// `before` is a worker of another build: it sends the built-in mail.
pub(crate) async fn run(report: &mut Report, before: Option<&Path>) {
    report.measuring("the worker with the built-in mail, and with own types");
    let servers = Servers::start().await;
    let types = own_types();
    let mut kinds: Vec<Kind> = [Measured::BuiltIn, Measured::Layout, Measured::Starter].map(Kind::new).into();
    if let Some(program) = before {
        let ledger = servers.blank().await;
        let migrate =
            Service::spawn_program(program.to_owned(), &["migrate"], &[("DATABASE_URL", ledger.url().to_owned())]);
        assert!(migrate.exited(Duration::from_secs(30)).await.success(), "{:?}", migrate.log_lines());
        kinds.push(Kind {
            name: "the worker of before",
            other: Some((program.to_owned(), ledger)),
            ..Kind::new(Measured::BuiltIn)
        });
    }
    for round in 0..ROUNDS {
        for kind in order(round, kinds.len()) {
            let measured = measure(&servers, &kinds[kind], &types).await;
            report
                .note(&format!("{}: {:.0} mails/s, {:.1} us of CPU a mail", kinds[kind].name, measured.0, measured.1));
            kinds[kind].measured.push(measured);
        }
    }
    let (built_in, others) = kinds.split_first().unwrap();
    report.add("mail types: CPU of the built-in mail", median(built_in.cpu()), "us", Goal::None);
    for own in others {
        let (rate, cpu) = match &own.other {
            None => (ratio(own.rates(), built_in.rates()), ratio(own.cpu(), built_in.cpu())),
            // Of this build to the other one.
            Some(_) => (ratio(built_in.rates(), own.rates()), ratio(built_in.cpu(), own.cpu())),
        };
        let (against, tolerance) = if own.other.is_some() { ("the built-in type / ", 0.05) } else { ("", 0.15) };
        let beside = if own.other.is_some() { "" } else { " / the built-in type" };
        let name = |what: &str| format!("mail types: {what}, {against}{}{beside}", own.name);
        report.add(name("mails a second"), rate, "ratio", Goal::AtLeast(1.0 - tolerance));
        report.add(name("CPU a mail"), cpu, "ratio", Goal::AtMost(1.0 + tolerance));
    }
}

/// Who takes turns in a round. What one leaves behind (rows to vacuum, a queue to tidy up) is felt by the next one: so each follows
/// each other one equally often (E. J. Williams, 1949).
fn order(round: usize, kinds: usize) -> Vec<usize> {
    let zigzag = (0..kinds).map(|turn| if turn % 2 == 0 { kinds - turn / 2 } else { turn.div_ceil(2) });
    let forwards = zigzag.map(|place| (place + round) % kinds);
    // With an odd number half of them go the other way round.
    if kinds.is_multiple_of(2) || (round / kinds).is_multiple_of(2) {
        forwards.collect()
    } else {
        forwards.rev().collect()
    }
}

/// The middle one of the ratios round by round: what the machine does over time falls on both.
fn ratio(of: Vec<f64>, to: Vec<f64>) -> f64 {
    median(of.into_iter().zip(to).map(|(of, to)| of / to).collect())
}

async fn measure(servers: &Servers, kind: &Kind, types: &Dir) -> (f64, f64) {
    servers.publish_tasks(&servers.rabbit, TASKS, |n| kind.mail.task(&format!("user-{n}"))).await;
    // The broker still writes for a moment.
    tokio::time::sleep(Duration::from_secs(2)).await;
    servers.smtp.clear();
    let worker = kind.worker(servers, types.path().to_str().unwrap());
    let measured = sent_by(servers, &worker).await;
    assert!(worker.terminate().await.success(), "the worker drains");
    measured
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn each_follows_each_other_one_equally_often() {
        for kinds in [3, 4] {
            let mut follows = BTreeMap::new();
            for round in 0..ROUNDS {
                let order = order(round, kinds);
                assert_eq!(order.iter().copied().collect::<std::collections::BTreeSet<_>>().len(), kinds, "{order:?}");
                for pair in order.windows(2) {
                    *follows.entry((pair[0], pair[1])).or_insert(0) += 1;
                }
            }
            let counts: Vec<_> = follows.values().copied().collect();
            assert_eq!(counts.len(), kinds * (kinds - 1), "{follows:?}");
            assert!(counts.iter().all(|count| *count == counts[0]), "{kinds}: {follows:?}");
        }
    }
}
