//! The rate of the fleet, while the fleet changes.

use std::time::Duration;

use system::{System, windows};

const RATE: usize = 200;
const MAILS: usize = 4_000;

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_keeps_its_rate_while_a_worker_joins_and_another_is_killed() {
    let system = System::start_alone().await;
    let settings = [("MAIL_RATE", "200")];
    let first = system.worker(&settings);
    let second = system.worker(&settings);
    first.ready().await;
    second.ready().await;
    system.topology_settled().await;
    system.publish(MAILS, "rate").await;

    system.smtp.wait_for_mails(MAILS / 4, Duration::from_secs(60)).await;
    let third = system.worker(&settings);
    third.ready().await;
    system.smtp.wait_for_mails(MAILS / 2, Duration::from_secs(60)).await;
    second.kill();
    system.smtp.wait_for_mails(MAILS - 200, Duration::from_secs(60)).await;

    let arrivals = system.smtp.mail_from_times();
    let took = arrivals[arrivals.len() - 1] - arrivals[0];
    let mean = (arrivals.len() - 1) as f64 / took.as_secs_f64();
    let windows = windows(&arrivals, Duration::from_secs(1));
    let most = windows[windows.len() - 1];
    let nearly_all = windows[(windows.len() * 999).div_ceil(1_000) - 1];
    println!("rate {RATE}: mean {mean:.1}, 99.9 % of the windows <= {nearly_all}, all <= {most}");
    assert!(nearly_all * 100 <= RATE * 105, "99.9 % of the one-second windows hold at most 5 % more: {nearly_all}");
    assert!(most * 100 <= RATE * 110, "no one-second window holds over 10 % more: {most}");
    assert!(mean >= RATE as f64 * 0.95, "the backlog is sent at the rate, not below it: {mean:.1}/s");
    first.terminate().await;
    third.terminate().await;
}
