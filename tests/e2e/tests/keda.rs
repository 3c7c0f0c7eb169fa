//! KEDA takes the workers from none to some and back, by the length of the queue.

use std::time::{Duration, Instant};

use e2e::{EMAIL_WORKER, Endings, Load, Run, SlowMail, Sluice, check, merged, pods, register, registered, until};
use serde_json::json;

/// How often KEDA looks, as in the suite's values.
const POLLING: Duration = Duration::from_secs(2);
/// From KEDA's look to the mail server: a pod is placed and started, the worker connects, the mail is handed over.
const START: Duration = Duration::from_secs(5);
const TRIES: usize = 3;
/// How long a pod that does nothing takes, from its creation to its end, on a cluster with time to spare.
const BARE_POD: Duration = Duration::from_secs(2);
/// How long the mail server takes to accept a mail.
const DELAY: Duration = Duration::from_secs(2);
const TASKS: usize = 200;
const WORKERS: i32 = 3;

pub(crate) async fn tests(run: &mut Run) {
    let autoscaling = json!({ "maxReplicas": WORKERS, "tasksPerReplica": 20 });
    let values = json!({ "emailWorker": { "autoscaling": autoscaling, "sendingSlots": 4 } });
    let sluice = Sluice::install(&run.cluster, "keda", merged(values, SlowMail::values())).await;
    SlowMail::start(&sluice, DELAY).await;
    check!(run, without_a_backlog_there_is_no_worker(&sluice));
    check!(run, the_first_mail_from_zero_comes_within_a_look_of_keda_and_five_seconds(&sluice));
    check!(run, a_backlog_takes_the_workers_up_and_its_end_takes_them_down_and_no_mail_is_lost_or_doubled(&sluice));
    check!(run, switched_off_again_autoscaling_leaves_the_replicas_that_were_there_before_it(&sluice));
    sluice.remove().await;
}

async fn without_a_backlog_there_is_no_worker(sluice: &Sluice) {
    sluice.settled(EMAIL_WORKER, 0, Duration::from_secs(60)).await;
}

async fn the_first_mail_from_zero_comes_within_a_look_of_keda_and_five_seconds(sluice: &Sluice) {
    // The inbox has a mail before the slow server says that it is accepted: its delay does not count here. What this cluster needs
    // for any pod, beyond the usual, is not the system's doing either.
    let began = Instant::now();
    pods::run_script(&sluice.pods, "bare", &json!({ pods::OURS: "bare" }), "true", &[]).await;
    pods::finished(&sluice.pods, "bare", Duration::from_secs(60)).await;
    let bare = began.elapsed();
    let limit = POLLING + START + bare.saturating_sub(BARE_POD);
    let inbox = sluice.inbox().await;
    let mut took = Vec::new();
    // A machine that does much else may be late now and then: the best of a few counts.
    for n in 0..TRIES {
        sluice.settled(EMAIL_WORKER, 0, Duration::from_secs(60)).await;
        let name = format!("first-{n}");
        register(sluice, &name, &[]).await;
        let began = Instant::now();
        inbox.has_mail_to(&format!("{name}@example.com"), Duration::from_secs(60)).await;
        took.push(began.elapsed());
        if began.elapsed() <= limit {
            break;
        }
    }
    assert!(took.iter().any(|took| *took <= limit), "the first mail took {took:?}, a pod that does nothing {bare:?}");
    sluice.settled(EMAIL_WORKER, 0, Duration::from_secs(60)).await;
}

async fn a_backlog_takes_the_workers_up_and_its_end_takes_them_down_and_no_mail_is_lost_or_doubled(sluice: &Sluice) {
    let endings =
        Endings::of(sluice.pods.clone(), "app.kubernetes.io/component=email-worker,app.kubernetes.io/name=sluice");
    let answers = Load::of(sluice, "backlog", TASKS, 8).await.finished(Duration::from_secs(60)).await;
    let users = registered(&answers);
    assert_eq!(users.len(), TASKS, "every registration is answered 201: {answers:?}");

    sluice.settled(EMAIL_WORKER, WORKERS, Duration::from_secs(90)).await;
    let inbox = sluice.inbox().await;
    inbox.has_mail_for(&users, Duration::from_secs(150)).await;
    sluice.settled(EMAIL_WORKER, 0, Duration::from_secs(90)).await;

    assert_eq!(inbox.repeated().await, Vec::<String>::new(), "nobody is mailed twice");
    let codes = until("the end of each worker is seen", Duration::from_secs(20), async || {
        let codes = endings.codes();
        if codes.len() >= WORKERS as usize { Ok(codes) } else { Err(format!("{codes:?}")) }
    })
    .await;
    assert!(codes.values().all(|code| *code == 0), "each worker ends by itself, its mails done: {codes:?}");
}

async fn switched_off_again_autoscaling_leaves_the_replicas_that_were_there_before_it(sluice: &Sluice) {
    sluice.upgrade(json!({ "emailWorker": { "autoscaling": { "enabled": false } } })).await;
    // A deployment that says nothing has one.
    sluice.settled(EMAIL_WORKER, 1, Duration::from_secs(60)).await;
    register(sluice, "afterwards", &[]).await;
    sluice.inbox().await.has_mail_to("afterwards@example.com", Duration::from_secs(30)).await;
}
