//! The rate of the fleet, while the fleet changes.

use std::time::Duration;

use system::{Pulse, System, windows};

const RATE: usize = 200;
const MAILS: usize = 4_000;
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_keeps_its_rate_while_a_worker_joins_and_another_is_killed() {
    let system = System::start_alone().await;
    let settings = [("MAIL_RATE", "200")];
    let first = system.worker(&settings);
    let second = system.worker(&settings);
    first.ready().await;
    second.ready().await;
    system.topology_settled().await;
    let pulse = Pulse::start();
    system.publish(MAILS, "rate").await;

    system.smtp.wait_for_mails(MAILS / 4, Duration::from_secs(60)).await;
    let third = system.worker(&settings);
    third.ready().await;
    system.smtp.wait_for_mails(MAILS / 2, Duration::from_secs(60)).await;
    second.kill();
    system.smtp.wait_for_mails(MAILS - 200, Duration::from_secs(60)).await;

    let arrivals = system.smtp.mail_from_times();
    // A permit that comes too late expires, and is never saved up. Where other programs kept the machine from us, permits do, and what
    // had a slot in time reaches the mail server late: what was sent in those moments says little of the fleet.
    let all = windows(&arrivals, SECOND, |_| true);
    let judged = windows(&arrivals, SECOND, |at| pulse.was_steady(at - SECOND, at));
    let (most, ever) = (judged.last().copied().unwrap_or_default(), all[all.len() - 1]);
    let nearly_all = judged.get((judged.len() * 999).div_ceil(1_000).saturating_sub(1)).copied().unwrap_or_default();
    let took = arrivals[arrivals.len() - 1] - arrivals[0];
    let seconds = (0..u32::try_from(took.as_secs()).unwrap()).map(|n| arrivals[0] + n * SECOND);
    let sent = |from| arrivals.iter().filter(|at| (from..from + SECOND).contains(*at)).count();
    let seconds: Vec<_> = seconds.map(|from| (sent(from), pulse.was_steady(from, from + SECOND))).collect();
    let steady: Vec<usize> = seconds.iter().filter(|(_, steady)| *steady).map(|(sent, _)| *sent).collect();
    println!(
        "{} of {} windows were steady: 99.9 % of them <= {nearly_all}, all <= {most}; any <= {ever}; mails in each second, and whether \
         it was steady: {seconds:?}",
        judged.len(),
        all.len()
    );

    assert!(nearly_all * 100 <= RATE * 105, "99.9 % of the one-second windows hold at most 5 % more: {nearly_all}");
    assert!(most * 100 <= RATE * 110, "no one-second window holds over 10 % more: {most}");
    // Whatever the machine does: without a rate of the fleet, three workers would send thrice as many.
    assert!(ever <= RATE * 3 / 2, "no second holds half as many again: {ever}");
    // Nor does it save up what it could not send. Where no second was steady, all of them together are still judged: what was late
    // at the start is within a second.
    let (mails, due) = (arrivals.len() as f64, |time: Duration| RATE as f64 * time.as_secs_f64());
    assert!(mails <= due(took + SECOND), "{mails} mails in {took:?} are more than the rate");
    assert!(mails >= due(took) / 2.0, "{mails} mails in {took:?} are not half the rate");
    let least = RATE * steady.len() * 95 / 100;
    assert!(steady.iter().sum::<usize>() >= least, "the backlog is sent at the rate, not below it: {seconds:?}");
    first.terminate().await;
    third.terminate().await;
}
