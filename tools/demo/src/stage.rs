//! Everything that has to run before a registration can become a mail.

use std::path::Path;

use anyhow::Context as _;
use testkit::{OtlpReceiver, Postgres, Rabbit, Service};
use tokio::process::Command;

use crate::inbox::Inbox;
use crate::ui::{Style, Ui};

/// Servers and services, all on ports of their own.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) api: Service,
    worker: Service,
    pub(crate) inbox: Inbox,
    pub(crate) telemetry: OtlpReceiver,
    pub(crate) rabbit: Rabbit,
    _postgres: Postgres,
}

/// Starts it all: servers side by side, then migrations, then both services.
pub(crate) async fn set_up(ui: &Ui, target: &Path) -> anyhow::Result<Stage> {
    for service in ["user-api", "email-worker"] {
        let program = program(service)?;
        anyhow::ensure!(program.is_file(), "{} is missing: cargo build -p {service}", program.display());
    }
    let (postgres, rabbit, inbox, telemetry) = tokio::try_join!(
        ui.step("PostgreSQL", async { Ok(Postgres::start().await) }),
        ui.step("RabbitMQ", async { Ok(Rabbit::start().await) }),
        ui.step("inbox", Inbox::open(ui, target)),
        async { Ok(OtlpReceiver::start().await) },
    )?;
    let (users, ledger) = (postgres.database().await, postgres.database().await);
    tokio::try_join!(
        ui.step("migrations of user-api", migrate("user-api", users.url())),
        ui.step("migrations of email-worker", migrate("email-worker", ledger.url())),
    )?;

    let (smtp_host, smtp_port) = inbox.smtp();
    let common = |database: &str| {
        vec![
            ("DATABASE_URL", database.to_owned()),
            ("AMQP_URL", rabbit.amqp_url().to_owned()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", telemetry.endpoint()),
            // Somebody is waiting to see the trace.
            ("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned()),
        ]
    };
    let mut worker_vars = common(ledger.url());
    worker_vars.extend([
        ("MAIL_TRANSPORT", "smtp".to_owned()),
        ("MAIL_FROM", "Sluice <welcome@sluice.example>".to_owned()),
        ("SMTP_HOST", smtp_host),
        ("SMTP_PORT", smtp_port.to_string()),
        ("SMTP_TLS", "none".to_owned()),
    ]);
    let (api, worker) = tokio::try_join!(
        ui.step("user-api", start("user-api", common(users.url()))),
        ui.step("email-worker", start("email-worker", worker_vars)),
    )?;
    Ok(Stage { api, worker, inbox, telemetry, rabbit, _postgres: postgres })
}

async fn start(name: &'static str, vars: Vec<(&'static str, String)>) -> anyhow::Result<Service> {
    let service = Service::spawn(name, &vars);
    service.ready().await;
    Ok(service)
}

async fn migrate(service: &str, database: &str) -> anyhow::Result<()> {
    let run = Command::new(program(service)?)
        .arg("migrate")
        .env("DATABASE_URL", database)
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("running {service} migrate"))?;
    let said = String::from_utf8_lossy(&run.stderr);
    anyhow::ensure!(run.status.success(), "{service} migrate: {}: {}", run.status, said.trim());
    Ok(())
}

/// Services are built beside this program.
fn program(service: &str) -> anyhow::Result<std::path::PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(service))
}

impl Stage {
    /// Stops the services first, so that what they have in hand is finished; then the servers. With `logs`, what the
    /// services said last is shown.
    pub(crate) async fn take_down(self, ui: &Ui, logs: bool) {
        for service in [&self.api, &self.worker].into_iter().filter(|_| logs) {
            for line in service.log_lines().iter().rev().take(5).rev() {
                ui.say(&ui.styled(Style::Dim, &line.to_string()));
            }
        }
        let down = ui.step("shutdown", async {
            let _ = tokio::join!(self.api.terminate(), self.worker.terminate());
            self.inbox.close().await
        });
        if let Err(error) = down.await {
            ui.say(&ui.styled(Style::Dim, &format!("{error:#}")));
        }
    }
}
