//! Overload: registrations at up to three times what the service can hash. It goes on doing what it can, and says no to the rest
//! at once. The steps are climbed several times, since a machine is not equally fast for minutes: what counts of each is the median.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::scale::Scale;
use load::plot::{Corner, Panel, Picture, Series};
use load::{Answer, Goal, Latencies, OpenLoop, Progress, Registrations, Report, Servers, Timed, median};

/// Registrations of the closed loop that finds the capacity.
const CALIBRATION: usize = 400;
/// Of the capacity.
const STEPS: [f64; 6] = [0.5, 0.8, 1.0, 1.5, 2.0, 3.0];
/// Each step, each time.
const LENGTH: Duration = Duration::from_secs(8);
const ROUNDS: usize = 3;
/// Milliseconds. The service's `HASH_MAX_WAIT` of two seconds, which is an estimate, and the hash itself.
const ACCEPTED_WITHIN: f64 = 2_500.0;

/// What one step came to.
struct Step {
    of_capacity: f64,
    rate: f64,
    /// Registrations accepted a second, in each round.
    goodput: Vec<f64>,
    /// Of all rounds.
    answers: Vec<Timed<(String, Answer)>>,
}

impl Step {
    fn goodput(&self) -> f64 {
        median(self.goodput.clone())
    }

    fn accepted(&self) -> Latencies {
        latencies(&self.answers, |answer| answer == Answer::Created)
    }

    fn refused(&self) -> Latencies {
        latencies(&self.answers, |answer| matches!(answer, Answer::Refused(_)))
    }
}

fn latencies(answers: &[Timed<(String, Answer)>], wanted: fn(Answer) -> bool) -> Latencies {
    Latencies::of(answers.iter().filter(|timed| wanted(timed.outcome.1)).map(|timed| timed.latency))
}

pub(crate) async fn run(report: &mut Report, scale: Scale) {
    report.measuring("overload: registrations at up to three times the capacity");
    let servers = Servers::start().await;
    let api = servers.api(&[("HASH_MAX_WAIT", "2s"), ("REQUEST_TIMEOUT", "15s")]).await;
    let worker = servers.worker(&[]);
    worker.ready().await;
    let client = Registrations::at(&api.base_url());
    let capacity = capacity(&client).await;
    report.add("overload: capacity, found by a closed loop", capacity, "201/s", Goal::None);

    let mut steps: Vec<Step> = STEPS
        .map(|of_capacity| Step { of_capacity, rate: capacity * of_capacity, goodput: Vec::new(), answers: Vec::new() })
        .into();
    for round in 0..scale.rounds(ROUNDS) {
        for step in &mut steps {
            climb(report, &client, step, scale.length(LENGTH), round).await;
        }
    }
    figures(report, &steps);
    everyone_is_mailed(report, &servers, &steps).await;
    picture(report, &steps);
}

/// What the service accepts a second when it always has something to do.
async fn capacity(client: &Registrations) -> f64 {
    client.accept_all("warm", CALIBRATION / 4, 4).await;
    let began = Instant::now();
    client.accept_all("calibration", CALIBRATION, 8).await;
    CALIBRATION as f64 / began.elapsed().as_secs_f64()
}

/// One round of a step.
async fn climb(report: &Report, client: &Registrations, step: &mut Step, length: Duration, round: usize) {
    let load = OpenLoop { rate: step.rate, length };
    let of_capacity = step.of_capacity;
    let progress = Progress::start(&format!("{of_capacity:.1} x the capacity"), load.count());
    let answers = load
        .run(|n| {
            let (client, progress) = (client.clone(), progress.clone());
            async move {
                let name = format!("step-{}-{round}-{n}", (of_capacity * 10.0).round());
                let answer = client.register(&name).await;
                progress.add(1);
                (name, answer)
            }
        })
        .await;
    progress.finish();
    let accepted = latencies(&answers, |answer| answer == Answer::Created);
    let refused = latencies(&answers, |answer| matches!(answer, Answer::Refused(_)));
    // Until the last answer: what was accepted at the end is hashed after the last arrival.
    let ended = answers.iter().map(|timed| timed.intended + timed.latency).max().unwrap_or(length);
    let goodput = accepted.len() as f64 / ended.as_secs_f64();
    report.note(&format!(
        "{of_capacity:.1} x: {:.0}/s asked, {goodput:.0}/s accepted (p50 {:.0} ms, p99 {:.0} ms), {} refused (p50 {:.1} ms, p99 {:.1} ms)",
        step.rate,
        accepted.quantile(0.5),
        accepted.quantile(0.99),
        refused.len(),
        refused.quantile(0.5),
        refused.quantile(0.99)
    ));
    step.goodput.push(goodput);
    step.answers.extend(answers);
}

fn figures(report: &mut Report, steps: &[Step]) {
    let best = steps.iter().map(Step::goodput).fold(0.0, f64::max);
    let worst = &steps[steps.len() - 1];
    report.add("overload: accepted at 3 x the capacity / best", worst.goodput() / best, "ratio", Goal::AtLeast(0.9));
    let refused = worst.refused();
    // Without any, its p99 would be 0 and the goal met.
    assert!(!refused.is_empty(), "three times the capacity was asked for, and nobody was refused");
    report.add("overload: p99 of a refusal at 3 x", refused.quantile(0.99), "ms", Goal::AtMost(50.0));
    let accepted = steps.iter().map(|step| step.accepted().quantile(0.99)).fold(0.0, f64::max);
    report.add("overload: p99 of an accepted registration, any step", accepted, "ms", Goal::AtMost(ACCEPTED_WITHIN));
    let answers = || steps.iter().flat_map(|step| &step.answers).map(|timed| timed.outcome.1);
    let other = answers().filter(|answer| matches!(answer, Answer::Other(_) | Answer::None)).count();
    report.promise("overload: answers other than 201, 429, 503", other);
    let without = answers().filter(|answer| *answer == Answer::Refused(None)).count();
    report.promise("overload: refusals without Retry-After", without);
}

async fn everyone_is_mailed(report: &mut Report, servers: &Servers, steps: &[Step]) {
    let answers = steps.iter().flat_map(|step| &step.answers).map(|timed| &timed.outcome);
    let accepted: HashSet<String> = answers
        .filter(|(_, answer)| *answer == Answer::Created)
        .map(|(name, _)| format!("{name}@example.com"))
        .collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    let missing = loop {
        let mailed: HashSet<String> = servers.smtp.arrivals().into_iter().map(|arrival| arrival.to).collect();
        let missing = accepted.difference(&mailed).count();
        if missing == 0 || Instant::now() > deadline {
            break missing;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    report.promise("overload: registrations answered 201 without a mail", missing);
}

fn picture(report: &Report, steps: &[Step]) {
    let line = |name: &str, of: fn(&Step) -> f64| {
        Series::new(name, steps.iter().map(|step| (step.of_capacity, of(step))).collect())
    };
    let picture = Picture {
        title: "Registrations beyond the capacity".to_owned(),
        x: "asked / capacity".to_owned(),
        panels: vec![
            Panel {
                y: "a second".to_owned(),
                series: vec![line("asked", |step| step.rate), line("accepted", Step::goodput)],
                legend: Corner::Left,
            },
            Panel {
                y: "p99, ms".to_owned(),
                series: vec![
                    line("accepted", |step| step.accepted().quantile(0.99)),
                    line("refused", |step| step.refused().quantile(0.99)),
                ],
                legend: Corner::Left,
            },
        ],
    };
    report.note(&format!("drawn in {}", picture.write("flood", "overload").display()));
}
