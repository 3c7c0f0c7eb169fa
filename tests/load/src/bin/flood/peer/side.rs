//! Either of the two, as far as a comparison has to know.

use std::path::PathBuf;
use std::time::Duration;

use load::{Registrations, Servers};
use testkit::{Database, Service, Vhost, eventually};

/// One of the two: how its parts are started, and where its users and tasks are.
pub(super) trait Side {
    /// What the report calls it.
    const NAME: &'static str;
    /// Starts its API with a hash that costs next to nothing, and waits for it.
    async fn api(&self) -> Service;
    /// Starts its worker, with sixteen mails at once.
    fn worker(&self) -> Service;
    /// Where its tasks are.
    fn vhost(&self) -> &Vhost;
    /// Where its users are, in a table of that name.
    fn users(&self) -> &Database;
}

/// Sluice.
pub(super) struct Ours<'s> {
    servers: &'s Servers,
    vhost: Vhost,
}

impl<'s> Ours<'s> {
    pub(super) async fn new(servers: &'s Servers) -> Self {
        Self { servers, vhost: servers.rabbit.vhost().await }
    }
}

impl Side for Ours<'_> {
    const NAME: &'static str = "ours";

    async fn api(&self) -> Service {
        let broker = ("AMQP_URL", self.vhost.amqp_url());
        self.servers.api(&[broker, ("HASH_COST", "cheap")]).await
    }

    fn worker(&self) -> Service {
        self.servers.worker_of(&self.servers.ledger, &self.vhost, &[])
    }

    fn vhost(&self) -> &Vhost {
        &self.vhost
    }

    fn users(&self) -> &Database {
        &self.servers.users
    }
}

/// The plain service.
pub(super) struct Peer {
    program: PathBuf,
    vhost: Vhost,
    users: Database,
    smtp_port: u16,
}

impl Peer {
    pub(super) async fn new(servers: &Servers, program: PathBuf) -> Self {
        let (vhost, users) = (servers.rabbit.vhost().await, servers.blank().await);
        Self { program, vhost, users, smtp_port: servers.smtp.addr().port() }
    }

    fn spawn(&self, what: &str) -> Service {
        let variables = [
            ("DATABASE_URL", self.users.url().to_owned()),
            ("AMQP_URL", self.vhost.amqp_url().to_owned()),
            ("SMTP_HOST", "127.0.0.1".to_owned()),
            ("SMTP_PORT", self.smtp_port.to_string()),
            ("BCRYPT_COST", "0".to_owned()),
        ];
        Service::spawn_program(self.program.clone(), &[what], &variables)
    }
}

impl Side for Peer {
    const NAME: &'static str = "the plain one";

    async fn api(&self) -> Service {
        let api = self.spawn("serve");
        let probe = Registrations::at(&api.base_url());
        eventually("the plain API answers", Duration::from_secs(30), async || probe.is_up().await.then_some(())).await;
        api
    }

    fn worker(&self) -> Service {
        self.spawn("work")
    }

    fn vhost(&self) -> &Vhost {
        &self.vhost
    }

    fn users(&self) -> &Database {
        &self.users
    }
}
