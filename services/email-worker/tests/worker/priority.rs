//! Urgent mails go first where the broker knows priorities: RabbitMQ 4 does, 3 overlooks them.

use std::time::{Duration, Instant};

use contract::{TaskId, queue};

use crate::helpers::{PATIENCE, World, registration};

const NORMAL: usize = 100_000;
const URGENT: &str = "urgent";

impl World {
    async fn urgent(&self, n: usize) {
        let properties = registration(TaskId::new()).with_priority(queue::HIGH_PRIORITY);
        self.publish(&format!("{URGENT}-{n}@example.com"), properties).await;
    }

    /// Urgent and normal mails that were taken so far.
    fn taken(&self) -> (usize, usize) {
        let mails = self.smtp.mails();
        let urgent = mails.iter().filter(|mail| mail.to[0].starts_with(URGENT)).count();
        (urgent, mails.len() - urgent)
    }

    /// Waits until so many urgent ones were taken.
    async fn takes_urgent(&self, count: usize) {
        testkit::eventually("the urgent ones", PATIENCE, async || (self.taken().0 >= count).then_some(())).await;
    }
}

/// `SLUICE_RABBITMQ_ROOT=$(scripts/rabbitmq-4)`, then this with `--ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "wants RabbitMQ 4, and prints figures for two minutes"]
async fn an_urgent_mail_overtakes_a_hundred_thousand_and_the_others_still_move() {
    let world = World::new().await;
    world.queue_exists().await;
    world.register_many("normal", NORMAL).await;
    let worker = world.worker().await;
    world.smtp.wait_for_count(1_000, PATIENCE).await;

    let (mut behind, mut waited) = (Vec::new(), Vec::new());
    for n in 0..20 {
        let (before, began) = (world.taken().1, Instant::now());
        world.urgent(n).await;
        world.takes_urgent(n + 1).await;
        behind.push(world.taken().1 - before);
        waited.push(began.elapsed());
    }
    behind.sort_unstable();
    waited.sort_unstable();
    println!("behind {} of {NORMAL} (median; at most {}), {:?}", behind[10], behind[19], waited[10]);

    let (before, began) = (world.taken().1, Instant::now());
    let second = Duration::from_secs(1);
    testkit::eventually("three seconds", PATIENCE, async || (began.elapsed() >= 3 * second).then_some(())).await;
    let rate = (world.taken().1 - before) as f64 / began.elapsed().as_secs_f64();

    // Half of what the worker can do.
    let (mut ticks, began) = (tokio::time::interval(second.div_f64(rate / 2.0)), Instant::now());
    let (mut urgent, (before_urgent, before_normal)) = (20, world.taken());
    while began.elapsed() < 10 * second {
        ticks.tick().await;
        world.urgent(urgent).await;
        urgent += 1;
    }
    let (after_urgent, after_normal) = world.taken();
    let (high, normal) = (after_urgent - before_urgent, after_normal - before_normal);
    println!("{rate:.0} mails/s alone; beside urgent ones in ten seconds: {high} urgent, {normal} normal");

    // More than it can do, for a while.
    world.takes_urgent(urgent).await;
    let (before, flood) = (world.taken().1, 3_000);
    let publishing = (0..flood).map(|n| world.urgent(urgent + n));
    let sent = async {
        use futures_util::StreamExt as _;
        futures_util::stream::iter(publishing).buffer_unordered(200).collect::<Vec<()>>().await;
    };
    tokio::join!(sent, world.takes_urgent(urgent + flood));
    let in_between = world.taken().1 - before;
    println!("{in_between} normal ones while {flood} urgent ones were sent that came at once");
    worker.stop().await;
    assert!(behind[19] < 1_000, "urgent mails wait behind normal ones: {behind:?}");
    assert!(normal > high / 4, "normal mails do not move: {normal} beside {high}");
}
