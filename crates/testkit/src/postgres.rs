//! PostgreSQL: private servers, and databases of one's own in a shared one.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use tokio::sync::OnceCell;

use crate::dir::{Dir, tail};
use crate::eventually::poll;
use crate::janitor;
use crate::port::Port;
use crate::process::{Process, ServerProcess};

/// Set by `with-servers`: the address of the shared server.
pub(crate) const SHARED_URL: &str = "SLUICE_TEST_POSTGRES";

/// A PostgreSQL server with a data directory and a port of its own, which it keeps over restarts. Dropping it removes all of it.
#[derive(Debug)]
pub struct Postgres {
    process: ServerProcess,
    port: Port,
    durable: bool,
    bin: PathBuf,
    owner: Option<(u32, u32)>,
    dir: Dir,
}

impl Postgres {
    /// Starts one that keeps every commit over a kill (`fsync` on).
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start; the message holds the end of its log.
    pub async fn start() -> Self {
        Self::make(true).await
    }

    /// Starts one that forgets to sync: quicker, for what is never killed.
    #[doc(hidden)]
    pub async fn start_fast() -> Self {
        Self::make(false).await
    }

    async fn make(durable: bool) -> Self {
        let dir = Dir::new("postgres");
        let owner = unprivileged();
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::chown(dir.path(), Some(uid), Some(gid)).expect("giving the data directory away");
        }
        let server =
            Self { process: ServerProcess::default(), port: Port::free(), durable, bin: binaries(), owner, dir };
        server.init().await;
        server.launch().await;
        server
    }

    /// The address of the database `postgres`, with all rights.
    pub fn url(&self) -> String {
        format!("postgres://sluice@127.0.0.1:{}/postgres", self.port.number())
    }

    /// Where it listens, up or down.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// A new, empty database in this server.
    pub async fn database(&self) -> Database {
        Database::create(&self.url(), false, "UTF8").await
    }

    /// Kills the server and all its backends with SIGKILL; returns when they are gone.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Starts it again on the same port and data; one that runs is shut down first. Returns when it answers.
    pub async fn restart(&self) {
        self.process.shut_down(Signal::INT, Duration::from_secs(10)).await;
        self.launch().await;
    }

    /// Stops it where it stands (SIGSTOP): connections stay open, nothing answers.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Lets a paused server go on.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// The end of its log, for messages.
    pub fn log(&self) -> String {
        tail(&self.log_file())
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A program of the server, run as its owner, with its output in the log.
    fn command(&self, program: &str) -> Command {
        let log = File::options().create(true).append(true).open(self.log_file()).expect("opening the server's log");
        let mut command = Command::new(self.bin.join(program));
        command.current_dir(self.dir.path()).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        command.stdin(Stdio::null()).stderr(log.try_clone().unwrap()).stdout(log);
        if let Some((uid, gid)) = self.owner {
            command.uid(uid).gid(gid);
        }
        command
    }

    async fn init(&self) {
        let mut initdb = self.command("initdb");
        initdb.arg("-D").arg(self.data());
        initdb.args(["-U", "sluice", "-A", "trust", "-E", "UTF8", "--no-sync"]);
        let initdb = Process::spawn(&mut initdb).expect("starting initdb");
        let status = initdb.ended(Duration::from_secs(60)).await;
        assert!(status.is_some_and(|s| s.success()), "initdb: {status:?}\n{}", self.log());
    }

    async fn launch(&self) {
        let port = self.port.number();
        let durable = if self.durable { "on" } else { "off" };
        let mut postgres = self.command("postgres");
        postgres.arg("-D").arg(self.data());
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
            "unix_socket_directories=".to_owned(),
            // No segments in /dev/shm that a kill would leave behind.
            "dynamic_shared_memory_type=mmap".to_owned(),
            "max_connections=400".to_owned(),
            "shared_buffers=64MB".to_owned(),
            format!("fsync={durable}"),
            format!("full_page_writes={durable}"),
            format!("synchronous_commit={durable}"),
        ] {
            postgres.args(["-c", &setting]);
        }
        let pid = self.process.start(&mut postgres).expect("starting postgres");
        let up = poll(Duration::from_secs(60), async || {
            let status = self.process.status();
            assert!(status.is_none(), "PostgreSQL ended with {status:?}\n{}", self.log());
            PgConnection::connect(&self.url()).await.ok()?.close().await.ok()
        });
        assert!(up.await.is_some(), "PostgreSQL (pid {pid}, port {port}) does not answer\n{}", self.log());
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Asked to stop it frees its System V segment; killed it would not.
        self.process.stop(Signal::QUIT, Duration::from_secs(2));
    }
}

/// The directory of the newest PostgreSQL on this machine.
fn binaries() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path());
    let newest = versions
        .filter(|path| path.join("bin/postgres").exists())
        .max_by_key(|path| path.file_name().and_then(|v| v.to_str()?.parse::<u32>().ok()));
    let in_path = || std::env::split_paths(&std::env::var_os("PATH")?).find(|dir| dir.join("initdb").exists());
    newest
        .map(|path| path.join("bin"))
        .or_else(in_path)
        .expect("PostgreSQL is not installed: `apt-get install postgresql`, or put the directory of initdb into PATH")
}

/// Whom to run PostgreSQL and PgBouncer as when we are root, as which they refuse to run: user and group id of `postgres`, else `nobody`.
pub(crate) fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("reading /etc/passwd");
    let ids = |name: &str| {
        let fields: Vec<&str> = users.lines().map(|l| l.split(':').collect()).find(|f: &Vec<&str>| f[0] == name)?;
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    Some(ids("postgres").or_else(|| ids("nobody")).expect("a user `postgres` or `nobody` to run PostgreSQL as"))
}

/// A database of its own, empty at first; one in the shared server is dropped with this value.
#[derive(Debug)]
pub struct Database {
    name: String,
    url: String,
    server: String,
    shared: bool,
    pool: OnceLock<PgPool>,
}

/// A new, empty database in the server that all tests share.
pub async fn database() -> Database {
    database_encoded("UTF8").await
}

/// The same in another encoding, by PostgreSQL's name for it, such as `LATIN1` or `SQL_ASCII`.
pub async fn database_encoded(encoding: &str) -> Database {
    static SHARED: OnceCell<Postgres> = OnceCell::const_new();
    let url = match std::env::var(SHARED_URL) {
        Ok(url) => url,
        Err(_) => SHARED.get_or_init(Postgres::start_fast).await.url(),
    };
    Database::create(&url, true, encoding).await
}

impl Database {
    async fn create(server: &str, shared: bool, encoding: &str) -> Self {
        let name = format!("test_{}", uuid::Uuid::now_v7().simple());
        let creating = async {
            let mut connection = PgConnection::connect(server).await?;
            // Without syncs, copying files takes a fifth of the time of copying through the log, the only way before 15.
            let copies = shared && connection.server_version_num().is_some_and(|version| version >= 150_000);
            let strategy = if copies { " STRATEGY file_copy" } else { "" };
            // The one locale that goes with every encoding.
            let locale = if encoding == "UTF8" { "" } else { " LC_COLLATE 'C' LC_CTYPE 'C'" };
            let options = format!("TEMPLATE template0 ENCODING '{encoding}'{locale}{strategy}");
            execute(&mut connection, format!("CREATE DATABASE {name} {options}")).await?;
            connection.close().await
        };
        creating.await.unwrap_or_else(|e: sqlx::Error| panic!("creating a database in {server}: {e}"));
        let url = format!("{}/{name}", server.rsplit_once('/').expect("an address with a database").0);
        Self { name, url, server: server.to_owned(), shared, pool: OnceLock::new() }
    }

    /// Its address, with all rights.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The tables and views that there are.
    pub async fn tables(&self) -> Vec<String> {
        let named =
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')";
        sqlx::query_scalar(named).fetch_all(self.pool()).await.unwrap()
    }

    /// A pool of at most ten connections, for what the test itself asks; always the same one.
    pub fn pool(&self) -> &PgPool {
        self.pool.get_or_init(|| {
            let options: PgConnectOptions = self.url.parse().unwrap();
            PgPoolOptions::new().max_connections(10).acquire_timeout(Duration::from_secs(10)).connect_lazy_with(options)
        })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.shared {
            let (server, name) = (std::mem::take(&mut self.server), std::mem::take(&mut self.name));
            janitor::leave(async move {
                if let Ok(mut connection) = PgConnection::connect(&server).await {
                    let _ = execute(&mut connection, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
                }
            });
        }
    }
}

async fn execute(connection: &mut PgConnection, sql: String) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}
