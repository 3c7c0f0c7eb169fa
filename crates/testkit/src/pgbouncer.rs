//! PgBouncer: a pooler before a database.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};

use crate::dir::{Dir, tail};
use crate::eventually::poll;
use crate::port::Port;
use crate::postgres::{Database, unprivileged};
use crate::process::Process;

/// For how long a client has a session of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// As long as it is connected.
    Session,
    /// For one transaction, and for the next perhaps another.
    Transaction,
}

/// A PgBouncer before one database. Dropping it stops it.
#[derive(Debug)]
pub struct PgBouncer {
    url: String,
    // Before the directory and the port, which it uses.
    _process: Process,
    _port: Port,
    _dir: Dir,
}

impl PgBouncer {
    /// Starts one as people set it up for us (docs/operations.md), with these settings on top.
    ///
    /// # Panics
    /// When PgBouncer is not installed or does not start; the message holds the end of its log.
    pub async fn start(database: &Database, pooling: Pooling, settings: &[(&str, &str)]) -> Self {
        let (dir, port) = (Dir::new("pgbouncer"), Port::free());
        let config = dir.path().join("pgbouncer.ini");
        fs::write(&config, configuration(database, port.number(), pooling, settings)).expect("writing pgbouncer.ini");
        let log = dir.path().join("log");
        let output = fs::File::create(&log).expect("making PgBouncer's log");
        let mut command = Command::new(binary());
        command.arg(&config).stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        if let Some((uid, gid)) = unprivileged() {
            command.uid(uid).gid(gid);
        }
        let process = Process::spawn(&mut command).expect("starting pgbouncer");
        let name = database.url().rsplit_once('/').expect("an address with a database").1;
        let url = format!("postgres://sluice@127.0.0.1:{}/{name}", port.number());
        let up = poll(Duration::from_secs(30), async || {
            let status = process.status();
            assert!(status.is_none(), "PgBouncer ended with {status:?}\n{}", tail(&log));
            PgConnection::connect(&url).await.ok()?.close().await.ok()
        });
        assert!(up.await.is_some(), "PgBouncer at {url} does not answer\n{}", tail(&log));
        Self { url, _process: process, _port: port, _dir: dir }
    }

    /// The address of the database through it.
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn configuration(database: &Database, port: u16, pooling: Pooling, settings: &[(&str, &str)]) -> String {
    let address = database.url().strip_prefix("postgres://").and_then(|rest| rest.split_once('@')?.1.split_once('/'));
    let (server, _) = address.expect("an address with a database");
    let (host, server_port) = server.split_once(':').expect("an address with a port");
    let mode = match pooling {
        Pooling::Session => "session",
        Pooling::Transaction => "transaction",
    };
    let mut lines = vec![
        "[databases]".to_owned(),
        format!("* = host={host} port={server_port} user=sluice"),
        "[pgbouncer]".to_owned(),
        "listen_addr = 127.0.0.1".to_owned(),
        format!("listen_port = {port}"),
        "unix_socket_dir =".to_owned(),
        "auth_type = any".to_owned(),
        format!("pool_mode = {mode}"),
        "ignore_startup_parameters = extra_float_digits, options".to_owned(),
    ];
    lines.extend(settings.iter().map(|(name, value)| format!("{name} = {value}")));
    lines.join("\n") + "\n"
}

/// Debian's lies where only root's PATH leads.
fn binary() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]).map(|dir| dir.join("pgbouncer"));
    all.into_iter().find(|file| file.is_file()).expect("PgBouncer is not installed: `apt-get install pgbouncer`")
}
