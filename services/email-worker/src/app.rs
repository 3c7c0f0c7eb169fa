//! The worker as a value: built from its configuration, run until a token is cancelled.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amqp::{Broker, Publisher, topology};
use anyhow::Context as _;
use futures_util::future::try_join;
use mail::{Renderer, Source};
use platform::health::{Component, Health, Need};
use platform::service::Base;
use platform::tasks::Tasks;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::circuit_breaker::CircuitBreaker;
use crate::clock::DatabaseClock;
use crate::config::{Config, EventArgs, MailLogArgs, SuppressionArgs};
use crate::consumer::{Consumer, ConsumerError, Supervisor, delivery_limit};
use crate::controls::queues::QueuesApart;
use crate::controls::{ControlsWatch, Follower};
use crate::delivery::{Ends, ExclusiveGate, InFlight, Limits, Processor, UnknownTypes, hold};
use crate::events::{self, Events};
use crate::fleet;
use crate::health_probe;
use crate::ledger::retention::{self, RetentionOptions};
use crate::ledger::{self, Ledger, LedgerOptions};
use crate::mail_log::{MailLog, Mode};
use crate::metrics::Metrics;
use crate::rate::FleetRate;
use crate::send::classify::Doubts;
use crate::send::refusers::Refusers;
use crate::smtp::Transport;
use crate::smtp::pool::ConnectionPool;
use crate::suppressions::Suppressions;

/// Waits between two probes of an open circuit.
const PROBE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// Connections to the database for the relay of events, and for looking at what waits.
const EVENT_CONNECTIONS: u32 = 2;

/// How long background tasks may take to end; each ends by its token, within limits of its own.
const FINISH: Duration = Duration::from_secs(5);

/// A worker, ready to run.
#[derive(Debug)]
pub struct App {
    config: Config,
    base: Base,
    transport: Transport,
    renderer: Renderer,
    types: Source,
}

impl App {
    /// Prepares everything that needs no other server: those are reached, and reached again, while it runs.
    ///
    /// # Errors
    /// A setting that can't work, or the admin port is taken.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        config.check()?;
        hold::warn_of_long(config.flow.hold_limit, config.mail.send_timeout + config.mail.smtp_data_timeout);
        let common = &config.common;
        let transport = config.mail.transport(common.app_env)?;
        let types = Source::open(config.mails_dir.as_deref())?;
        let return_path = config.mail.mail_return_path.clone();
        let renderer = Renderer::with_types(config.mail.mail(), types.types.clone());
        let renderer = renderer.returning_to(return_path).signed_by(config.mail.dkim()?);
        let base = Base::build("email-worker", common).await?;
        Ok(Self { config, base, transport, renderer, types })
    }

    /// Where the admin server listens.
    pub fn admin_addr(&self) -> SocketAddr {
        self.base.admin.addr()
    }

    /// Waits for its database and its mail server, then sends mails until `stop` is cancelled, then drains.
    ///
    /// # Errors
    /// A pooler before the database can't be used, the queues are not what they must be, or a delivery or a background task crashed
    /// the worker.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        Box::pin(self.run_with(Tasks::new(), stop)).await
    }

    /// The same with tasks that a test has prepared.
    #[doc(hidden)]
    pub async fn run_with(self, mut tasks: Tasks, stop: CancellationToken) -> anyhow::Result<()> {
        let Self { config, base: Base { admin, health, pool }, transport, renderer, types } = self;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), admin = %admin.addr(), "started");
        // Outlives the drain: the ledger, the publisher and the connections are needed until the last mail is settled.
        let background = CancellationToken::new();
        // Before anybody can ask: without its parts the worker would call itself ready.
        let parts = Parts::of(&health);
        types.follow(&health, &mut tasks, &background);
        health.observe("email-worker");
        tasks.spawn("admin", admin.run(background.clone()));

        let proof = stop.run_until_cancelled(Box::pin(ledger::prove(&pool, &parts.database)));
        let result = match tasks.guard(&stop, proof).await {
            Err(ended) => Err(ended.into()),
            Ok(None) => Ok(()),
            Ok(Some(Err(unfit))) => Err(unfit).context("the database of DATABASE_URL"),
            Ok(Some(Ok(clock))) => {
                let ends = Ends { drain: stop, settled: background.clone(), ..Ends::default() };
                let sender = Sender { config, pool: pool.clone(), transport, renderer, health, parts, clock };
                Box::pin(sender.run(ends, &mut tasks)).await
            }
        };
        background.cancel();
        let finished = tasks.finish(FINISH).await;
        pool.close().await;
        result?;
        Ok(finished?)
    }
}

/// What a worker says of itself.
struct Parts {
    database: Component,
    sending: Component,
    receiving: Component,
    moving: Component,
}

impl Parts {
    fn of(health: &Health) -> Self {
        Self {
            database: health.component("database", Need::ToStart),
            sending: health.component("sending", Need::ToStart),
            receiving: health.component("broker", Need::Required),
            moving: health.component("publisher", Need::Required),
        }
    }
}

/// A worker that has its database.
struct Sender {
    config: Config,
    pool: PgPool,
    transport: Transport,
    renderer: Renderer,
    health: Health,
    parts: Parts,
    clock: DatabaseClock,
}

impl Sender {
    async fn run(self, ends: Ends, tasks: &mut Tasks) -> anyhow::Result<()> {
        let Self { config, pool, transport, renderer, health, parts, clock } = self;
        let (stop, background) = (ends.drain.clone(), ends.settled.clone());
        let following = Follower::start(pool.clone(), background.clone());
        let Some(controls) = stop.run_until_cancelled(following).await else { return Ok(()) };
        let (queues_apart, wanted) = QueuesApart::new();
        let asked = Asked { controls: controls.watch(), queues_apart };
        let telling = Telling::start(&config, &health, &background, tasks)?;
        let mail = Mail { transport, renderer, clock: clock.clone(), telling };
        let processor = Arc::new(assemble(&config, &pool, mail, parts.moving, asked, &ends, tasks));
        let (rate, name) = (processor.rate.clone(), config.mail_log.hostname.clone());
        let breaker = processor.breaker.clone();
        tasks.spawn("controls", controls.run(move || rate.look_again(), move || breaker.close()));
        tasks.spawn(
            "probe",
            health_probe::run(Arc::clone(&processor), parts.sending, parts.database, background.clone()),
        );
        tasks.spawn("database-clock", ledger::keep_time(pool.clone(), clock, background.clone()));
        let (asked, raised) = (broker(&config, "email-worker check"), config.flow.delivery_limit_raised);
        let check = delivery_limit::check(asked, raised, health.clone(), background.clone());
        tasks.spawn_with_end("delivery-limit", check);
        tasks.spawn("connections", processor.pool.clone().tend(background.clone()));
        tasks.spawn("refusers", processor.refusers.clone().run(background.clone()));
        let reports = fleet::report(Arc::clone(&processor), pool.clone(), name, background.clone());
        tasks.spawn("reports", reports);
        let retention = RetentionOptions::new(config.flow.ledger_retention);
        tasks.spawn("retention", retention::run(pool.clone(), retention, background));

        let prepared = processor.mail_log.prepare(&pool, config.mail_log.mail_log_retention);
        stop.run_until_cancelled(prepared).await;
        let slots = config.flow.sending_slots;
        let (url, processor_apart) = (config.broker.amqp_url.clone(), Arc::clone(&processor));
        let consumer = Consumer::new(
            broker(&config, "email-worker consumer"),
            queues(&config),
            processor,
            parts.receiving,
            slots,
            config.flow.prefetch_max(),
        );
        let apart = Supervisor { url, pool, processor: processor_apart, slots, wanted };
        let consuming = try_join(consumer.run(ends.drain.clone()), apart.run(ends.drain.clone()));
        let work = run_bounded(consuming, ends, &health, config.shutdown_grace);
        Box::pin(tasks.guard(&stop, work)).await?
    }
}

/// What operators ask for, and who makes queues for it.
struct Asked {
    controls: ControlsWatch,
    queues_apart: QueuesApart,
}

/// How a mail is made, sent, and told of.
struct Mail {
    transport: Transport,
    renderer: Renderer,
    clock: DatabaseClock,
    telling: Telling,
}

/// How others are told of mails.
#[derive(Debug, Default)]
struct Telling {
    /// Rung whenever events were written.
    written: Arc<Notify>,
    /// To be cancelled once the last one is.
    all_written: CancellationToken,
}

impl Telling {
    /// Starts the relay of events. Where they are off nothing of this is done. It has connections of its own: it keeps one for as long as
    /// the broker takes to confirm, which nothing else may wait for.
    fn start(
        config: &Config,
        health: &Health,
        background: &CancellationToken,
        tasks: &mut Tasks,
    ) -> anyhow::Result<Self> {
        let telling = Self::default();
        let EventArgs { mail_events, mail_events_source } = config.events.clone();
        if mail_events.is_off() {
            return Ok(telling);
        }
        let pool =
            platform::postgres::pool(&config.common.database.database_url, EVENT_CONNECTIONS, "email-worker events")?;
        let (written, all_written) = (Arc::clone(&telling.written), telling.all_written.clone());
        let (broker, part) = (broker(config, "email-worker events"), health.component("events", Need::Informative));
        let ends = (all_written, background.clone());
        let (relaying, watching) = events::start(pool, broker, mail_events_source, written, part, ends);
        tasks.spawn("events", relaying);
        tasks.spawn("events-waiting", watching);
        Ok(telling)
    }
}

/// The part of the grace in which answers are no longer waited for: what has none is counted, published and acknowledged.
fn reserve(grace: Duration) -> Duration {
    (grace / 5).min(Duration::from_secs(5))
}

/// Runs the consumers; once stopped they have `grace` to drain.
async fn run_bounded(
    consuming: impl Future<Output = Result<((), ()), ConsumerError>>,
    ends: Ends,
    health: &Health,
    grace: Duration,
) -> anyhow::Result<()> {
    let deadline = async {
        ends.drain.cancelled().await;
        health.start_draining();
        tracing::info!("draining: mails being sent are finished, the rest is handed back");
        tokio::time::sleep(grace - reserve(grace)).await;
        ends.cut_off.cancel();
        tokio::time::sleep(reserve(grace)).await;
    };
    tokio::select! {
        ended = consuming => ended.map(drop).context("take tasks from the queue"),
        () = deadline => {
            tracing::warn!(?grace, "the drain took longer than SHUTDOWN_GRACE: what is left is delivered again elsewhere");
            Ok(())
        }
    }
}

fn assemble(
    config: &Config,
    pool: &PgPool,
    Mail { transport, renderer, clock, telling: Telling { written, all_written } }: Mail,
    moving: Component,
    Asked { controls, queues_apart }: Asked,
    ends: &Ends,
    tasks: &mut Tasks,
) -> Processor {
    let background = &ends.settled;
    let flow = &config.flow;
    let lease = lease(config.mail.send_timeout);
    let events = Events::of(config.events.mail_events);
    let options = LedgerOptions {
        marks_suppressed: !events.tell_of_suppressed(),
        events_written: written,
        ..LedgerOptions::new(lease)
    };
    let (ledger, actors) = Ledger::start(pool.clone(), Uuid::now_v7(), options, background.clone());
    tasks.spawn("claims", actors.claims);
    tasks.spawn("marks", async move {
        // Whatever ends it: there are no events after it.
        let _all_written = all_written.drop_guard();
        actors.marks.await;
    });
    let (rate, rate_task) = FleetRate::start(pool.clone(), flow.mail_rate, flow.adapts(), background.clone());
    rate.observe();
    tasks.spawn("rate", rate_task);
    let (publisher, publisher_task) =
        Publisher::start(broker(config, "email-worker publisher"), queues(config), moving, background.clone());
    tasks.spawn("publisher", publisher_task);
    let metrics = Metrics::new();
    let breaker = CircuitBreaker::unproven(PROBE.0, PROBE.1);
    let suppressions = suppressions(&config.suppression, pool, &metrics, &breaker, background, tasks);
    let mail_log = mail_log(&config.mail_log, pool, background, tasks);
    let connections = ConnectionPool::new(flow.sending_slots, transport);
    connections.observe();
    let refusers = Refusers::default();
    refusers.observe();
    Processor {
        ledger,
        rate,
        doubts: Doubts::default(),
        refusers,
        suppressions,
        mail_log,
        events,
        controls,
        queues_apart,
        breaker,
        pool: connections,
        renderer: Arc::new(renderer),
        unknown_types: UnknownTypes::default(),
        clock,
        publisher,
        in_flight: InFlight::default(),
        exclusive: ExclusiveGate::default(),
        limits: Limits {
            retry_schedule: flow.retry_schedule.clone(),
            give_up_after: flow.give_up_after,
            retention: flow.ledger_retention,
            hold: hold::before_mail(flow.hold_limit, config.mail.send_timeout + config.mail.smtp_data_timeout),
            send_timeout: config.mail.send_timeout,
            renew_every: lease / 3,
            unknown_repeats: flow.unknown_repeats,
        },
        metrics,
        ends: ends.clone(),
    }
}

/// Without a key no address is remembered, and nothing of this is done.
fn suppressions(
    args: &SuppressionArgs,
    pool: &PgPool,
    metrics: &Metrics,
    breaker: &CircuitBreaker,
    background: &CancellationToken,
    tasks: &mut Tasks,
) -> Suppressions {
    let Some(keys) = args.keys() else { return Suppressions::default() };
    let (suppressions, writing) =
        Suppressions::start(pool.clone(), keys, args.suppression_ttl, metrics.clone(), background.clone());
    tasks.spawn("suppressions", writing);
    tasks.spawn("suppressions-doubt", suppressions.doubt(breaker, background.clone()));
    suppressions
}

/// Where it is off nothing of this is done.
fn mail_log(args: &MailLogArgs, pool: &PgPool, background: &CancellationToken, tasks: &mut Tasks) -> MailLog {
    let MailLogArgs { mail_log, mail_log_retention, hostname } = args.clone();
    if mail_log == Mode::Off {
        return MailLog::default();
    }
    let (log, writing) = MailLog::start(pool.clone(), mail_log, mail_log_retention, hostname, background.clone());
    tasks.spawn("mail-log", writing);
    log
}

fn broker(config: &Config, name: &str) -> Broker {
    Broker::new(config.broker.amqp_url.clone(), name)
}

fn queues(config: &Config) -> Vec<topology::QueueSpec> {
    let delays = config.flow.retry_schedule.delays().iter().copied().map(topology::retry);
    [topology::main(), topology::dead()].into_iter().chain(delays).collect()
}

/// A claim outlives the longest conversation up to the dot, with room for the wait before it; during the wait for the
/// answer it is renewed.
fn lease(send_timeout: Duration) -> Duration {
    send_timeout + (send_timeout / 4).max(Duration::from_secs(1))
}
