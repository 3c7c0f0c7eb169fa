//! RabbitMQ: private nodes, and vhosts of one's own in a shared one.

use std::fs::{self, File};
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tokio::sync::OnceCell;

use crate::dir::{self, Dir, tail};
use crate::eventually::{eventually, poll};
use crate::port::Port;
use crate::process::{Process, ServerProcess};
use crate::watchdog::Watchdog;

mod client;
mod install;
mod management;
mod raw;
mod vhost;

pub use client::{Client, Taken};
pub use management::{Management, QueueInfo};
pub use raw::RawPublisher;
pub use vhost::Vhost;

use install::Install;

/// Set by `with-servers`: the address of the shared node, and that of its management API.
pub(crate) const SHARED_AMQP: &str = "SLUICE_TEST_RABBITMQ";
pub(crate) const SHARED_MANAGEMENT: &str = "SLUICE_TEST_RABBITMQ_MANAGEMENT";

/// A RabbitMQ node with data, ports and an epmd of its own, which it keeps over restarts. As [`Vhost`] it stands for its vhost `/`,
/// whose default queue type is quorum. Dropping it removes all of it.
///
/// RabbitMQ 3.10.8 killed within some seconds of declaring a quorum queue comes back with that queue leaderless for good:
/// wait for [`queues_written`](Self::queues_written) before a kill.
#[derive(Debug)]
pub struct Rabbit {
    process: ServerProcess,
    root: Vhost,
    amqp: Port,
    management: Port,
    metrics: Port,
    distribution: Port,
    names: Arc<Names>,
    cookie: String,
    install: Install,
    dir: Dir,
}

/// An epmd: where the nodes of a cluster find each other.
#[derive(Debug)]
struct Names {
    port: Port,
    _process: Process,
}

impl Names {
    fn start(install: &Install) -> Self {
        let port = Port::free();
        let mut command = install.command("epmd");
        command.args(["-address", "127.0.0.1", "-port", &port.number().to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { port, _process: Process::spawn(&mut command).expect("starting epmd") }
    }
}

impl Deref for Rabbit {
    type Target = Vhost;

    fn deref(&self) -> &Vhost {
        &self.root
    }
}

/// A new vhost in the node that all tests share.
pub async fn vhost() -> Vhost {
    static SHARED: OnceCell<Rabbit> = OnceCell::const_new();
    let (amqp, management) = match (std::env::var(SHARED_AMQP), std::env::var(SHARED_MANAGEMENT)) {
        (Ok(amqp), Ok(management)) => (amqp, management),
        _ => SHARED.get_or_init(Rabbit::start).await.addresses(),
    };
    Vhost::create(&amqp, &management).await
}

impl Rabbit {
    /// Starts one: Debian's, or that of the root directory in `SLUICE_RABBITMQ_ROOT` (see `scripts/rabbitmq-4`).
    ///
    /// # Panics
    /// When RabbitMQ is not installed or does not start; the message holds the end of its log.
    pub async fn start() -> Self {
        let names = Arc::new(Names::start(&Install::find()));
        let node = Self::start_with(names, uuid::Uuid::now_v7().simple().to_string()).await;
        node.makes_quorum_queues().await;
        node
    }

    /// Starts another node, in a cluster with this one: a quorum queue that is declared from now on has a member on each.
    pub async fn start_beside(&self) -> Self {
        let node = Self::start_with(Arc::clone(&self.names), self.cookie.clone()).await;
        for step in [&["stop_app"][..], &["join_cluster", &self.node_name()], &["start_app"], &["await_startup"]] {
            node.ctl(step).await;
        }
        node
    }

    async fn start_with(names: Arc<Names>, cookie: String) -> Self {
        let dir = Dir::new("rabbit");
        let [amqp, management, metrics] = [Port::free(), Port::free(), Port::free()];
        let root = Vhost::root(amqp.addr(), management.addr());
        let node = Self {
            process: ServerProcess::default(),
            root,
            amqp,
            management,
            metrics,
            distribution: Port::free(),
            names,
            cookie,
            install: Install::find(),
            dir,
        };
        node.configure();
        node.launch().await;
        node
    }

    /// Waits until it has made one: a node that has just begun answers before it can ("cluster_not_formed").
    async fn makes_quorum_queues(&self) {
        const FIRST: &str = "the-first-quorum-queue";
        let made = poll(Duration::from_secs(120), async || self.root.try_quorum_queue(FIRST).await).await;
        assert!(made.is_some(), "RabbitMQ makes no quorum queue\n{}", self.log());
        self.root.delete_queue(FIRST).await;
    }

    /// What other nodes call it.
    fn node_name(&self) -> String {
        format!("sluice-{}@localhost", self.amqp.number())
    }

    /// The addresses of its AMQP and management servers, without a vhost.
    #[doc(hidden)]
    pub fn addresses(&self) -> (String, String) {
        let at = |scheme: &str, port: &Port| format!("{scheme}://guest:guest@{}", port.addr());
        (at("amqp", &self.amqp), at("http", &self.management))
    }

    /// Bytes that its data take on disk.
    pub fn disk_usage(&self) -> u64 {
        dir::usage(&self.dir.path().join("data"))
    }

    /// Where it tells its metrics, without a path.
    pub fn metrics_url(&self) -> String {
        format!("http://{}", self.metrics.addr())
    }

    /// A new vhost in this node.
    pub async fn vhost(&self) -> Vhost {
        let (amqp, management) = self.addresses();
        Vhost::create(&amqp, &management).await
    }

    /// Waits until a kill of the node leaves each quorum queue its leader: until the names of all stand in the file that says which log is
    /// whose. A node says that a queue is declared, and writes there when it has a moment.
    ///
    /// # Panics
    /// When it has not after half a minute.
    pub async fn queues_written(&self) {
        let node = self.node_name();
        let file = self.dir.path().join("data").join(&node).join("quorum").join(&node).join("names.dets");
        let mut queues = self.root.management().quorum_queues().await;
        loop {
            let written = async || {
                let file = fs::read(&file).ok()?;
                queues.iter().all(|name| memchr::memmem::find(&file, &erlang(name)).is_some()).then_some(())
            };
            eventually("the broker writes down whose its logs are", Duration::from_secs(30), written).await;
            // What was declared while the others were written.
            match self.root.management().quorum_queues().await {
                now if now == queues => return,
                now => queues = now,
            }
        }
    }

    /// Kills the node with SIGKILL; returns when it is gone.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Starts it again on the same ports and data; one that runs is shut down first. Returns when it answers.
    pub async fn restart(&self) {
        self.process.shut_down(Signal::TERM, Duration::from_secs(30)).await;
        self.launch().await;
    }

    /// Stops it where it stands (SIGSTOP): connections stay open, nothing answers.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Lets a paused node go on.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Raises or lifts the memory alarm: while it is raised, the node reads nothing from connections that publish.
    pub async fn memory_alarm(&self, raised: bool) {
        let watermark = if raised { "0.0000001" } else { "0.4" };
        self.ctl(&["set_vm_memory_high_watermark", watermark]).await;
    }

    /// Stops a quorum queue of the vhost `/` where it stands, or lets it go on: it takes messages, and confirms none of
    /// them, as one that waits for its leader.
    pub async fn silence(&self, queue: &str, silent: bool) {
        let action = if silent { "suspend" } else { "resume" };
        self.ctl(&["eval", &format!("ok = sys:{action}(whereis('%2F_{queue}')).")]).await;
    }

    /// Stops what writes the log of all quorum queues where it stands, or lets it go on: a disk that is far behind. Commands are taken,
    /// and done when they are written; questions are answered.
    pub async fn stall_log(&self, stalled: bool) {
        let action = if stalled { "suspend" } else { "resume" };
        let wal = "#{names := #{wal := Wal}} = ra_system:fetch(quorum_queues)";
        self.ctl(&["eval", &format!("{wal}, ok = sys:{action}(Wal).")]).await;
    }

    /// Runs `rabbitmqctl` on this node and gives what it printed. Takes about a second.
    ///
    /// # Panics
    /// When it fails.
    pub async fn ctl(&self, arguments: &[&str]) -> String {
        let mut command = self.command("rabbitmqctl");
        command.arg("--quiet").args(arguments).stdin(Stdio::null());
        Watchdog::mark(&mut command);
        let output =
            tokio::task::spawn_blocking(move || command.output().expect("starting rabbitmqctl")).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "rabbitmqctl {arguments:?}: {}\n{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// The end of its log, for messages.
    pub fn log(&self) -> String {
        tail(&self.dir.path().join("log"))
    }

    fn configure(&self) {
        let dir = self.dir.path();
        let write =
            |name: &str, text: String| fs::write(dir.join(name), text).expect("writing RabbitMQ's configuration");
        write("enabled_plugins", "[rabbitmq_management,rabbitmq_prometheus].\n".to_owned());
        // Counts of queues are at most a second old.
        write("advanced.config", "[{rabbit, [{quorum_tick_interval, 1000}]}].\n".to_owned());
        let definitions = json!({
            "users": [{"name": "guest", "password": "guest", "tags": "administrator"}],
            "vhosts": [{"name": "/", "metadata": {"default_queue_type": "quorum"}}],
            "permissions": [{"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
        });
        write("definitions.json", definitions.to_string());
        let (amqp, management, metrics) = (self.amqp.addr(), self.management.number(), self.metrics.number());
        write(
            "rabbitmq.conf",
            format!(
                "listeners.tcp.1 = {amqp}\n\
                 management.tcp.ip = 127.0.0.1\n\
                 management.tcp.port = {management}\n\
                 prometheus.tcp.ip = 127.0.0.1\n\
                 prometheus.tcp.port = {metrics}\n\
                 load_definitions = {}\n\
                 collect_statistics_interval = 1000\n\
                 raft.wal_max_size_bytes = 67108864\n\
                 disk_free_limit.absolute = 50MB\n\
                 log.console = true\n\
                 log.file = false\n",
                dir.join("definitions.json").display()
            ),
        );
        let cookie = dir.join(".erlang.cookie");
        fs::write(&cookie, &self.cookie).expect("writing the cookie");
        fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400)).expect("protecting the cookie");
    }

    /// A program of RabbitMQ with the environment of this node.
    fn command(&self, program: &str) -> Command {
        let dir = self.dir.path();
        let mut command = self.install.command(program);
        command.envs([
            ("RABBITMQ_NODENAME", self.node_name()),
            ("RABBITMQ_DIST_PORT", self.distribution.number().to_string()),
            ("ERL_EPMD_PORT", self.names.port.number().to_string()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}".to_owned()),
            // Nothing of the machine's own RabbitMQ: its configuration, its node.
            ("RABBITMQ_CONF_ENV_FILE", "/dev/null".to_owned()),
            // The script becomes the server instead of watching over it: one process to signal.
            ("detached", "1".to_owned()),
            ("LC_ALL", "C.UTF-8".to_owned()),
        ]);
        command.env("HOME", dir).env("RABBITMQ_LOG_BASE", dir).env("RABBITMQ_MNESIA_BASE", dir.join("data"));
        command
            .env("RABBITMQ_CONFIG_FILE", dir.join("rabbitmq"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", dir.join("advanced"));
        command.env("RABBITMQ_ENABLED_PLUGINS_FILE", dir.join("enabled_plugins"));
        command
    }

    async fn launch(&self) {
        let log = File::options().create(true).append(true).open(self.dir.path().join("log")).expect("opening the log");
        let mut command = self.command("rabbitmq-server");
        command.stdin(Stdio::null()).stderr(log.try_clone().unwrap()).stdout(log);
        let pid = self.process.start(&mut command).expect("starting rabbitmq-server");
        let up = poll(Duration::from_secs(120), async || {
            let status = self.process.status();
            assert!(status.is_none(), "RabbitMQ ended with {status:?}\n{}", self.log());
            self.root.management().is_up().await.then_some(())?;
            self.root.try_client().await
        });
        let ports = (self.amqp.number(), self.management.number());
        assert!(up.await.is_some(), "RabbitMQ (pid {pid}, ports {ports:?}) does not answer\n{}", self.log());
    }
}

/// A name as Erlang writes it: its length before it, which no other name has that ends alike.
fn erlang(name: &str) -> Vec<u8> {
    let length = u8::try_from(name.len()).expect("a name that Erlang can have");
    [&[length], name.as_bytes()].concat()
}
