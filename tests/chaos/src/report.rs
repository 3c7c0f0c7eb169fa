//! What a person reads, and the files beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use contract::TaskId;
use system::results::{self, Figure};

use crate::checker::{CheckResult, Rule};
use crate::evidence::story;
use crate::facts::{Facts, Happened};
use crate::stage::Stage;

/// So many of each rule are told in full.
const SHOWN: usize = 5;
/// The goal of what must not be.
const NONE: &str = "= 0";

/// What is counted, how often, and its unit.
pub(crate) type Count = (String, usize, &'static str);

/// One line of what is going on, at this second of the seed.
pub(crate) fn progress(seed: u64, at: f64, what: &str) {
    println!("seed {seed:<2} {at:>7.1} s  {what}");
}

/// Where the logs of a seed go.
fn logs(seed: u64) -> PathBuf {
    results::folder(&format!("chaos/{seed}"))
}

/// The services' logs, the broker's and the database's last words, and the faults as they happened.
pub(crate) fn write_logs(stage: &Stage, facts: &Facts) {
    let folder = logs(stage.seed);
    for (name, services) in [("user-api", &stage.apis), ("email-worker", &stage.workers)] {
        for (n, service) in services.iter().enumerate() {
            fs::write(folder.join(format!("{name}-{n}.log")), service.log_lines().join("\n")).unwrap();
        }
    }
    fs::write(folder.join("console.log"), stage.console.log_lines().join("\n")).unwrap();
    fs::write(folder.join("faults.txt"), facts.faults.iter().map(fault_line).collect::<String>()).unwrap();
    fs::write(folder.join("rabbitmq.log"), stage.system.rabbit.own().log()).unwrap();
    fs::write(folder.join("postgres.log"), stage.system.postgres.log()).unwrap();
}

fn fault_line(fault: &Happened) -> String {
    let Happened { victim, kind, planned, from, until } = fault;
    let late = if fault.is_late() { "  late" } else { "" };
    format!("planned {planned:>8.3} s, was {from:>8.3} to {until:>8.3} s  {victim:<14}  {kind}{late}\n")
}

/// `target/chaos/results.json`: all seeds of the run.
pub(crate) fn write_results(rows: &[Figure], failed: &[u64]) {
    #[allow(clippy::cast_precision_loss, reason = "a few seeds")]
    let seeds = Figure {
        name: "seeds that failed".to_owned(),
        value: failed.len() as f64,
        unit: "seeds".to_owned(),
        goal: Some(NONE.to_owned()),
        ok: Some(failed.is_empty()),
    };
    let rows: Vec<&Figure> = rows.iter().chain([&seeds]).collect();
    results::write("chaos", &rows);
}

/// What a seed came to, in figures.
pub(crate) fn counts(facts: &Facts, tried_again: usize, result: &CheckResult) -> Vec<Count> {
    let confirmed = facts.published.iter().filter(|task| task.promised).count();
    let mut counts = vec![
        ("faults".to_owned(), facts.faults.len(), "faults"),
        ("faults more than 1 s late".to_owned(), late(facts).count(), "faults"),
        ("registrations".to_owned(), facts.asked.len(), "registrations"),
        ("answered 201".to_owned(), facts.created.len(), "registrations"),
        ("tried again".to_owned(), tried_again, "requests"),
        ("users".to_owned(), facts.users.len(), "rows"),
        ("tasks of a foreign producer".to_owned(), facts.published.len(), "tasks"),
        ("confirmed".to_owned(), confirmed, "tasks"),
        ("bare tasks, of ten contents".to_owned(), facts.twins.iter().map(|twin| twin.confirmed).sum(), "tasks"),
        ("their mails and dead letters".to_owned(), result.twins, "ends"),
        ("mails".to_owned(), facts.mails.len(), "mails"),
        ("events of these".to_owned(), facts.told.len(), "events"),
    ];
    let dead = result.dead.iter().map(|(reason, count)| (format!("dead letters: {reason}"), *count, "tasks"));
    let repeated = result.repeated.iter().map(|(window, count)| (format!("repeated: {window}"), *count, "mails"));
    counts.extend(dead.chain(repeated));
    let ends = &result.ends;
    if ends.letters_twice > 0 {
        counts.push(("dead letters twice".to_owned(), ends.letters_twice, "letters"));
    }
    counts
}

fn late(facts: &Facts) -> impl Iterator<Item = &Happened> {
    facts.faults.iter().filter(|fault| fault.is_late())
}

/// Tasks = mails + dead letters + what is still on its way.
fn sum(facts: &Facts, result: &CheckResult) -> String {
    let ends = &result.ends;
    let left: u64 = facts.left.iter().map(|(_, count)| count).sum();
    let tasks = facts.tasks().count() - ends.unconfirmed;
    let both = match ends.both {
        0 => String::new(),
        both => format!(" + {both} with both"),
    };
    let missing = ends.neither;
    format!(
        "{tasks} tasks = {} mailed + {} dead letters{both} + {missing} neither; {left} on the way",
        ends.mailed, ends.put_aside
    )
}

/// The figures of one seed; what must be none has a goal.
#[allow(clippy::cast_precision_loss, reason = "counts of a run")]
pub(crate) fn rows(seed: u64, counts: &[Count], result: &CheckResult) -> Vec<Figure> {
    let name = |what: &str| format!("seed {seed}: {what}");
    let figures = counts.iter().map(|(what, count, unit)| Figure {
        name: name(what),
        value: *count as f64,
        unit: (*unit).to_owned(),
        goal: None,
        ok: None,
    });
    let rules = Rule::ALL.into_iter().map(|rule| (rule, result.count(rule))).map(|(rule, count)| Figure {
        name: name(rule.name()),
        value: count as f64,
        unit: "cases".to_owned(),
        goal: Some(NONE.to_owned()),
        ok: Some(count == 0),
    });
    figures.chain(rules).collect()
}

/// The closing table; where something does not add up, what and why.
pub(crate) async fn summary(stage: &Stage, facts: &Facts, counts: &[Count], result: &CheckResult) {
    let seed = stage.seed;
    let mut text = format!("\nseed {seed}\n");
    let broken = Rule::ALL.into_iter().map(|rule| (rule.name(), result.count(rule))).filter(|(_, count)| *count > 0);
    let counted = counts.iter().map(|(name, count, _)| (name.as_str(), *count));
    let all: Vec<_> = counted.chain(broken).collect();
    let width = all.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, count) in &all {
        text += &format!("  {name:<width$}  {count:>7}\n");
    }
    for Happened { victim, kind, planned, from, .. } in late(facts) {
        text += &format!("  late: {victim} {kind} at {from:.1} s instead of {planned:.1} s\n");
    }
    text += &format!("  {}\n", sum(facts, result));
    if result.findings.is_empty() {
        text += "  ok: every task is accounted for\n";
        println!("{text}");
        return;
    }
    let mut shown: BTreeMap<Rule, usize> = BTreeMap::new();
    let mut told: Vec<TaskId> = Vec::new();
    for finding in &result.findings {
        let count = shown.entry(finding.rule).or_default();
        *count += 1;
        if *count > SHOWN {
            continue;
        }
        text += &format!("\n  {}: {}\n", finding.rule.name(), finding.what);
        if let Some(id) = finding.task.filter(|id| !told.contains(id)) {
            told.push(id);
            text += &format!("    task {id}\n");
            for line in story(stage, facts, id).await {
                text += &format!("    {line}\n");
            }
        }
    }
    text += &format!("\n  FAILED: logs are in {}\n", logs(seed).display());
    println!("{text}");
}

/// One line of the table that closes a run of several seeds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closing {
    faults: usize,
    late: usize,
    tasks: usize,
    mails: usize,
    put_aside: usize,
    repeated: usize,
    findings: usize,
}

impl Closing {
    pub(crate) fn new(facts: &Facts, result: &CheckResult) -> Self {
        Self {
            faults: facts.faults.len(),
            late: late(facts).count(),
            tasks: facts.tasks().count(),
            mails: facts.mails.len(),
            put_aside: facts.dead.len(),
            repeated: result.repeated.values().sum(),
            findings: result.findings.len(),
        }
    }
}

/// All seeds, one below the other; `None` where the run broke off.
pub(crate) fn closing(seeds: &[(u64, Option<Closing>)]) -> String {
    let mut rows = vec![["seed", "faults", "late", "tasks", "mails", "dead letters", "repeated"].map(str::to_owned)];
    let mut ends = vec![String::new()];
    for (seed, closing) in seeds {
        let figures =
            closing.map(|c| [c.faults, c.late, c.tasks, c.mails, c.put_aside, c.repeated].map(|n| n.to_string()));
        let [faults, late, tasks, mails, put_aside, repeated] = figures.unwrap_or_default();
        rows.push([seed.to_string(), faults, late, tasks, mails, put_aside, repeated]);
        ends.push(match closing.map(|closing| closing.findings) {
            None => "  broke off".to_owned(),
            Some(0) => "  ok".to_owned(),
            Some(findings) => format!("  FAILED: {findings} findings"),
        });
    }
    let widths: Vec<usize> =
        (0..rows[0].len()).map(|n| rows.iter().map(|row| row[n].len()).max().unwrap_or(0)).collect();
    let line = |(row, end): (&[String; 7], &String)| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        format!("{}{end}\n", cells.join("  "))
    };
    rows.iter().zip(&ends).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Kind, Victim};

    #[test]
    fn the_figures_of_several_seeds_line_up() {
        let good = Closing { faults: 31, late: 0, tasks: 1_320, mails: 1_301, put_aside: 25, repeated: 6, findings: 0 };
        let bad = Closing { faults: 8, late: 2, findings: 3, ..good };
        let table = closing(&[(9, Some(good)), (10, Some(bad)), (11, None)]);
        let expected = "\
seed  faults  late  tasks  mails  dead letters  repeated
   9      31     0   1320   1301            25         6  ok
  10       8     2   1320   1301            25         6  FAILED: 3 findings
  11                                                      broke off
";
        assert_eq!(table, expected);
    }

    #[test]
    fn a_fault_that_slipped_is_told_of() {
        let fault = |from| Happened { victim: Victim::Broker, kind: Kind::Kill, planned: 10.0, from, until: 20.0 };
        assert_eq!(
            fault_line(&fault(10.002)),
            "planned   10.000 s, was   10.002 to   20.000 s  broker          killed\n"
        );
        assert!(fault_line(&fault(11.5)).ends_with("  killed  late\n"));
    }
}
