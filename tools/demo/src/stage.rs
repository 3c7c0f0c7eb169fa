//! Everything that has to run before a registration can become a mail.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use testkit::{OtlpReceiver, Postgres, Rabbit, Service};
use tokio::process::Command;

use crate::inbox::Inbox;
use crate::ui::{Style, Ui};

/// Servers and services, all on ports of their own.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) api: Service,
    pub(crate) mail_api: Service,
    /// A key of mail-api.
    pub(crate) key: String,
    pub(crate) types: Types,
    worker: Service,
    pub(crate) inbox: Inbox,
    pub(crate) telemetry: OtlpReceiver,
    pub(crate) rabbit: Rabbit,
    _postgres: Postgres,
}

/// Files of mail types.
#[derive(Debug)]
pub(crate) struct Types {
    pub(crate) directory: PathBuf,
    /// They were there before.
    pub(crate) kept: bool,
}

/// What has to be built beside this program.
const SERVICES: [&str; 3] = ["user-api", "mail-api", "email-worker"];

/// Starts it all: servers side by side, then migrations, then the services.
pub(crate) async fn set_up(ui: &Ui, target: &Path) -> anyhow::Result<Stage> {
    for service in SERVICES {
        let program = program(service)?;
        anyhow::ensure!(program.is_file(), "{} is missing: cargo build -p {service}", program.display());
    }
    let (postgres, rabbit, inbox, telemetry) = tokio::try_join!(
        ui.step("PostgreSQL", async { Ok(Postgres::start().await) }),
        ui.step("RabbitMQ", async { Ok(Rabbit::start().await) }),
        ui.step("inbox", Inbox::open(ui, target)),
        async { Ok(OtlpReceiver::start().await) },
    )?;
    let (users, ledger, mails) = (postgres.database().await, postgres.database().await, postgres.database().await);
    tokio::try_join!(
        ui.step("migrations of user-api", run("user-api", &["migrate"], users.url())),
        ui.step("migrations of mail-api", run("mail-api", &["migrate"], mails.url())),
        ui.step("migrations of email-worker", run("email-worker", &["migrate"], ledger.url())),
    )?;
    let types = types(target).await?;
    let key = run("mail-api", &["keys", "add", "demo"], mails.url()).await?;

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
    let directory = ("MAILS_DIR", types.directory.display().to_string());
    let mut worker_vars = common(ledger.url());
    worker_vars.extend([
        directory.clone(),
        ("MAIL_TRANSPORT", "smtp".to_owned()),
        ("MAIL_FROM", "Sluice <welcome@sluice.example>".to_owned()),
        ("SMTP_HOST", smtp_host),
        ("SMTP_PORT", smtp_port.to_string()),
        ("SMTP_TLS", "none".to_owned()),
    ]);
    let mut mail_api_vars = common(mails.url());
    mail_api_vars.push(directory);
    let (api, mail_api, worker) = tokio::try_join!(
        ui.step("user-api", start("user-api", &[], common(users.url()))),
        ui.step("mail-api", start("mail-api", &["serve"], mail_api_vars)),
        ui.step("email-worker", start("email-worker", &[], worker_vars)),
    )?;
    Ok(Stage { api, mail_api, key, types, worker, inbox, telemetry, rabbit, _postgres: postgres })
}

/// The starter set, for the person to change. What they have written is theirs, and is there again the next time.
async fn types(target: &Path) -> anyhow::Result<Types> {
    let directory = target.join("demo/types");
    let place = directory.display().to_string();
    let kept = directory.join("order.shipped.toml").exists();
    if !kept {
        run("email-worker", &["mails", "init", &place], "").await?;
    }
    // A service that finds a mistake would end, and say so in a log that nobody looks at here.
    run("email-worker", &["mails", "check", &place], "").await?;
    Ok(Types { directory, kept })
}

async fn start(name: &'static str, arguments: &[&str], vars: Vec<(&'static str, String)>) -> anyhow::Result<Service> {
    let service = Service::spawn_with(name, arguments, &vars);
    service.ready().await;
    Ok(service)
}

/// Runs a command to its end; what it printed.
async fn run(service: &str, arguments: &[&str], database: &str) -> anyhow::Result<String> {
    let ran = Command::new(program(service)?)
        .args(arguments)
        .env("DATABASE_URL", database)
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("running {service} {}", arguments.join(" ")))?;
    let said = String::from_utf8_lossy(&ran.stderr);
    anyhow::ensure!(ran.status.success(), "{service} {}: {}: {}", arguments.join(" "), ran.status, said.trim());
    Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned())
}

/// Services are built beside this program.
fn program(service: &str) -> anyhow::Result<std::path::PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(service))
}

impl Stage {
    /// What the worker has said of the files since it began, as far as a person who changes them wants to know.
    pub(crate) fn said_of_types(&self) -> Vec<String> {
        self.worker.log_lines().iter().filter_map(|line| said_of_types(line)).collect()
    }

    /// Stops the services first, so that what they have in hand is finished; then the servers. With `logs`, what the
    /// services said last is shown.
    pub(crate) async fn take_down(self, ui: &Ui, logs: bool) {
        for service in [&self.api, &self.mail_api, &self.worker].into_iter().filter(|_| logs) {
            for line in service.log_lines().iter().rev().take(5).rev() {
                ui.say(&ui.styled(Style::Dim, &line.to_string()));
            }
        }
        let down = ui.step("shutdown", async {
            let _ = tokio::join!(self.api.terminate(), self.mail_api.terminate(), self.worker.terminate());
            self.inbox.close().await
        });
        if let Err(error) = down.await {
            ui.say(&ui.styled(Style::Dim, &format!("{error:#}")));
        }
    }
}

/// What one line of the worker's log says of the files of mail types.
fn said_of_types(line: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let message = line["message"].as_str().filter(|message| message.starts_with("the mail types "))?;
    Some(match line["problem"].as_str() {
        Some(problem) => format!("{problem} ({message})"),
        None => message.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::said_of_types;

    #[test]
    fn lines_about_mail_types_are_shown_and_no_others() {
        let line = |message, problem: &str| format!(r#"{{"level":"WARN","message":"{message}"{problem}}}"#);
        let told = line("the mail types are not right: those before stay in use", r#","problem":"a.en.txt:1: no""#);
        let shown = "a.en.txt:1: no (the mail types are not right: those before stay in use)";
        assert_eq!(said_of_types(&told).as_deref(), Some(shown));
        let told = line("the mail types were read anew", "");
        assert_eq!(said_of_types(&told).as_deref(), Some("the mail types were read anew"));
        assert_eq!(said_of_types(&line("shutting down", "")), None);
        assert_eq!(said_of_types("no JSON"), None);
    }
}
