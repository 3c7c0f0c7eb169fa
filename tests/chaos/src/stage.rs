//! The whole system as processes, with a proxy before each server, and hands that break things.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use system::System;
use testkit::{Script, Service, Stage as At_, TcpProxy};
use tokio::time::{sleep, timeout};

use crate::evidence;
use crate::facts::Happened;
use crate::load;
use crate::report::progress;
use crate::schedule::{At, Fault, INSTANCES, Kind, Victim};
use crate::windows::SEND_TIMEOUT;

/// Of the services' connections to the broker, in seconds.
pub(crate) const HEARTBEAT: u8 = 4;
/// Each way.
const LATENCY: Duration = Duration::from_millis(200);
/// Between two cuts of one fault.
const RESET_EVERY: Duration = Duration::from_millis(700);
const ASK: &str = "INSERT INTO sending_controls AS held (kind, scope, name, rate, set_by, reason, until)
     VALUES ($1, $2, $3, $4, 'chaos', 'chaos', now() + make_interval(secs => $5))
     ON CONFLICT (kind, scope, name) DO UPDATE SET until = excluded.until";
/// Slowly: faults come in the middle, and what one of them leaves in two queues is a few letters.
const REDRIVE: &str = r#"INSERT INTO dead_letter_jobs (action, filter, meant, per_second, asked_by, reason)
     VALUES ('redrive', '{"reasons": ["user-unknown"]}', 0, 12, 'chaos', 'chaos')"#;
/// More than any disk has.
const NO_DISK_HAS: &str = "900000GB";
const DISK_LIMIT: &str = "50MB";

/// One moment by both clocks: the run's beginning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    instant: Instant,
    epoch: f64,
}

impl Clock {
    fn start() -> Self {
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        Self { instant: Instant::now(), epoch }
    }

    /// Seconds since the beginning, now.
    pub(crate) fn now(&self) -> f64 {
        self.instant.elapsed().as_secs_f64()
    }

    /// The moment that this instant was.
    pub(crate) fn of(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.instant).as_secs_f64()
    }

    /// The moment that this Unix time was.
    pub(crate) fn of_unix(&self, seconds: f64) -> f64 {
        seconds - self.epoch
    }

    pub(crate) fn instant(&self) -> Instant {
        self.instant
    }
}

/// Everything that runs.
pub(crate) struct Stage {
    pub(crate) seed: u64,
    pub(crate) system: System,
    pub(crate) apis: Vec<Service>,
    pub(crate) workers: Vec<Service>,
    pub(crate) console: Service,
    pub(crate) clock: Clock,
    broker: TcpProxy,
    database: TcpProxy,
    mail: TcpProxy,
    /// What the mail server always does: some recipients are refused for good.
    base: Script,
    happened: Mutex<Vec<Happened>>,
    odd: Mutex<Vec<String>>,
}

impl Stage {
    /// Starts it all; `refused` are the addresses that never take mail.
    pub(crate) async fn set_up(seed: u64, refused: &[String]) -> Self {
        let system = System::start_with_own_broker().await;
        crate::evidence::prepare(&system).await;
        let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let at_broker: SocketAddr = between(system.rabbit.amqp_url(), "@", "/").parse().expect("the broker's address");
        let (broker, database, mail) = tokio::join!(
            TcpProxy::start(at_broker),
            TcpProxy::start(local(system.postgres.port())),
            TcpProxy::start(system.smtp.addr())
        );
        let base = refused.iter().fold(Script::healthy(), |script, address| {
            script.reply(At_::Rcpt, "550 5.1.1 No such user").for_recipient(address)
        });
        system.smtp.set_script(base.clone());

        let amqp = system.rabbit.amqp_url().replace(&at_broker.to_string(), &broker.addr().to_string());
        let amqp = format!("{amqp}?heartbeat={HEARTBEAT}");
        let behind =
            |url: String| url.replace(&local(system.postgres.port()).to_string(), &database.addr().to_string());
        let users = behind(system.database_url("user-api"));
        let ledger = behind(system.database_url("email-worker"));
        let mail_port = mail.addr().port().to_string();
        let (mut apis, mut workers) = (Vec::new(), Vec::new());
        for _ in 0..INSTANCES {
            let settings = [
                ("AMQP_URL", amqp.as_str()),
                ("DATABASE_URL", &users),
                ("HASH_COST", "cheap"),
                ("HASH_MAX_WAIT", "2s"),
                ("REQUEST_TIMEOUT", "6s"),
                ("CONFIRM_TIMEOUT", "3s"),
                ("OTEL_SDK_DISABLED", "true"),
            ];
            apis.push(system.api(&settings).await);
        }
        evidence::listen(&system).await;
        for n in 0..INSTANCES {
            // By its name at the database and in the envelope each worker can be told from the other.
            let ledger = ledger.replace("//sluice@", &format!("//worker_{n}@"));
            let worker = system.worker(&[
                ("AMQP_URL", &amqp),
                ("DATABASE_URL", &ledger),
                ("SMTP_PORT", &mail_port),
                ("MAIL_FROM", &format!("worker-{n}@sluice.example")),
                ("SEND_TIMEOUT", &format!("{SEND_TIMEOUT}s")),
                ("SMTP_DATA_TIMEOUT", &format!("{SEND_TIMEOUT}s")),
                ("SMTP_CONNECT_TIMEOUT", "2s"),
                ("MAIL_RETRY_SCHEDULE", "1s,2s,4s"),
                ("MAIL_EVENTS", "on"),
                ("LOG_LEVEL", "info,email_worker=debug"),
                ("OTEL_SDK_DISABLED", "true"),
            ]);
            worker.ready().await;
            workers.push(worker);
        }
        let console = system.console(&[("AMQP_URL", &amqp), ("DATABASE_URL", &ledger), ("OTEL_SDK_DISABLED", "true")]);
        console.ready().await;
        system.topology_settled().await;
        Self {
            seed,
            system,
            apis,
            workers,
            console,
            clock: Clock::start(),
            broker,
            database,
            mail,
            base,
            happened: Mutex::default(),
            odd: Mutex::default(),
        }
    }

    /// Plays the faults of one victim, one after the other: where one takes long to heal, the next comes later than planned.
    pub(crate) async fn play(&self, faults: &[Fault]) {
        for fault in faults {
            tokio::time::sleep_until((self.clock.instant() + fault.start).into()).await;
            let from = self.clock.now();
            let length = fault.length.as_secs_f64();
            progress(self.seed, from, &format!("{:<14}  {}, {length:.1} s", fault.victim, fault.kind));
            let until = self.happen(fault).await;
            let planned = fault.start.as_secs_f64();
            lock(&self.happened).push(Happened { victim: fault.victim, kind: fault.kind, planned, from, until });
        }
    }

    /// The faults so far, in order.
    pub(crate) fn happened(&self) -> Vec<Happened> {
        let mut happened = lock(&self.happened).clone();
        happened.sort_by(|a, b| a.from.total_cmp(&b.from));
        happened
    }

    /// What nobody ordered, so far.
    pub(crate) fn odd(&self) -> Vec<String> {
        let mut odd = lock(&self.odd).clone();
        for (n, service) in self.apis.iter().enumerate() {
            odd.extend(service.status().map(|status| format!("user-api {n} ended by itself: {status}")));
        }
        odd.extend(self.console.status().map(|status| format!("the console ended by itself: {status}")));
        for (n, service) in self.workers.iter().enumerate() {
            odd.extend(service.status().map(|status| format!("email-worker {n} ended by itself: {status}")));
        }
        odd
    }

    /// One fault from its beginning to the end of its healing; returns when it was over.
    async fn happen(&self, fault: &Fault) -> f64 {
        match (fault.victim, fault.kind) {
            (Victim::Api(n), kind) => self.service(&self.apis[n], fault, kind).await,
            (Victim::Worker(n), kind) => self.service(&self.workers[n], fault, kind).await,
            (Victim::Console, kind) => self.service(&self.console, fault, kind).await,
            (Victim::Broker, Kind::Resets | Kind::Latency | Kind::Blackhole) => self.network(&self.broker, fault).await,
            (Victim::Database, Kind::Resets | Kind::Latency | Kind::Blackhole) => {
                self.network(&self.database, fault).await;
            }
            (Victim::MailServer, Kind::Resets | Kind::Latency | Kind::Blackhole) => {
                self.network(&self.mail, fault).await;
            }
            (Victim::Broker, _) => self.broker(fault).await,
            (Victim::Database, Kind::Kill) => {
                self.system.postgres.kill();
                sleep(fault.length).await;
                self.system.postgres.restart().await;
            }
            (Victim::Database, _) => {
                self.system.postgres.pause();
                sleep(fault.length).await;
                self.system.postgres.resume();
            }
            (Victim::MailServer, Kind::RefusesConnections) => {
                self.system.smtp.stop_listening().await;
                sleep(fault.length).await;
                self.system.smtp.listen_again().await;
            }
            (Victim::Operators, Kind::RedriveTheRefused) => self.redrive(fault).await,
            (Victim::Operators, kind) => self.operators(fault, kind).await,
            (Victim::MailServer, kind) => {
                self.system.smtp.set_script(script(self.base.clone(), kind));
                sleep(fault.length).await;
                self.system.smtp.set_script(self.base.clone());
            }
        }
        self.clock.now()
    }

    /// As the command asks for it, with an end; as often as it takes while the database is away.
    async fn operators(&self, fault: &Fault, kind: Kind) {
        let end = tokio::time::Instant::now() + fault.length;
        let domain = load::domain(self.seed);
        let (what, scope, name, rate) = match kind {
            Kind::PauseTheType => ("pause", "type", "email.welcome", None),
            Kind::LimitTheDomain => ("limit", "domain", domain.as_str(), Some("5/s")),
            _ => ("pause", "fleet", "", None),
        };
        while tokio::time::Instant::now() < end {
            let left = end - tokio::time::Instant::now();
            let asked = sqlx::query(ASK).bind(what).bind(scope).bind(name).bind(rate).bind(left.as_secs_f64());
            let asked = timeout(RESET_EVERY, asked.execute(self.system.ledger_pool())).await;
            if matches!(asked, Ok(Ok(_))) {
                break;
            }
            sleep(LATENCY).await;
        }
        tokio::time::sleep_until(end).await;
    }

    /// As `redrive --background` asks for it.
    async fn redrive(&self, fault: &Fault) {
        let end = tokio::time::Instant::now() + fault.length;
        let asked = timeout(fault.length, sqlx::query(REDRIVE).execute(self.system.ledger_pool())).await;
        if !matches!(asked, Ok(Ok(_))) {
            progress(self.seed, self.clock.now(), "the database took no job");
        }
        tokio::time::sleep_until(end).await;
    }

    /// Jobs that are not done.
    pub(crate) async fn jobs(&self) -> i64 {
        let open = "SELECT count(*) FROM dead_letter_jobs WHERE ended_at IS NULL";
        sqlx::query_scalar(open).fetch_one(self.system.ledger_pool()).await.unwrap()
    }

    async fn service(&self, service: &Service, fault: &Fault, kind: Kind) {
        if let Some(status) = service.status() {
            lock(&self.odd).push(format!("{} ended by itself: {status}", fault.victim));
        }
        if kind == Kind::Freeze {
            service.pause();
            sleep(fault.length).await;
            service.resume();
        } else {
            service.kill();
            sleep(fault.length).await;
            service.restart();
        }
    }

    async fn network(&self, way: &TcpProxy, fault: &Fault) {
        let end = tokio::time::Instant::now() + fault.length;
        match fault.kind {
            Kind::Latency => way.latency(LATENCY),
            Kind::Blackhole => way.blackhole(),
            _ => {
                while tokio::time::Instant::now() < end {
                    way.cut_connections();
                    sleep(RESET_EVERY).await;
                }
            }
        }
        tokio::time::sleep_until(end).await;
        way.latency(Duration::ZERO);
        way.heal();
    }

    async fn broker(&self, fault: &Fault) {
        let rabbit = self.system.rabbit.own();
        match fault.kind {
            Kind::Kill => {
                rabbit.kill();
                sleep(fault.length).await;
                rabbit.restart().await;
            }
            Kind::Freeze => {
                rabbit.pause();
                sleep(fault.length).await;
                rabbit.resume();
            }
            Kind::DiskAlarm => {
                rabbit.ctl(&["set_disk_free_limit", NO_DISK_HAS]).await;
                sleep(fault.length).await;
                rabbit.ctl(&["set_disk_free_limit", DISK_LIMIT]).await;
            }
            _ => {
                rabbit.memory_alarm(true).await;
                sleep(fault.length).await;
                rabbit.memory_alarm(false).await;
            }
        }
    }
}

fn script(base: Script, kind: Kind) -> Script {
    let stage = |at| match at {
        At::Greeting => At_::Connect,
        At::Sender => At_::Mail,
        At::Recipient => At_::Rcpt,
        At::Dot => At_::Content,
    };
    match kind {
        Kind::RefusesForNow => base.reply(At_::Rcpt, "451 4.3.0 Try again later"),
        Kind::RefusesSome => base.reply(At_::Rcpt, "550 5.7.1 Not for us").times(5),
        Kind::DropsAt(at) => base.drop_at(stage(at)),
        Kind::HangsAt(at) => base.hang_at(stage(at)),
        Kind::AcceptsThenDrops => base.accept_then_drop(),
        Kind::Slow => {
            let (late, too_late) = (Duration::from_millis(300), Duration::from_secs_f64(SEND_TIMEOUT + 0.3));
            base.delay(late).delay(too_late).times(5)
        }
        Kind::Greylists => base.greylisting(1),
        _ => base,
    }
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let rest = text.split_once(from).map_or(text, |(_, rest)| rest);
    rest.split_once(to).map_or(rest, |(part, _)| part)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
