//! Runs schemathesis, all its checks and phases, against a user-api, a mail-api and a console of its own, and exits as it does.
//!
//! `SEED=n` repeats a run, `EXAMPLES=n` makes it longer, `ONLY=mail-api` or `ONLY=console` chooses one; further arguments go to `st run`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a tool for tests, and its messages")]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use testkit::{Postgres, Service};
use tokio::process::Command;

/// Cases that each phase makes at most: a minute's worth on two cores.
const EXAMPLES: u32 = 300;
const HOOKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/hooks.py");

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let number = |name, default| match std::env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        _ => default,
    };
    let (seed, examples) = (number("SEED", rand::random()), number("EXAMPLES", EXAMPLES));
    eprintln!("schemathesis: SEED={seed} EXAMPLES={examples}");
    let status = run(seed, examples).await;
    testkit::stop_everything();
    // Ended by a signal, it has found nothing out.
    ExitCode::from(status.map_or(1, |code| u8::try_from(code).unwrap_or(1)))
}

/// The worst of them; `None`: one of them was ended by a signal.
async fn run(seed: u32, examples: u32) -> Option<i32> {
    let only = std::env::var("ONLY").unwrap_or_default();
    let postgres = Postgres::start_fast().await;
    let mut worst = 0;
    for part in [USER_API, MAIL_API, CONSOLE] {
        if only.is_empty() || only == part.name {
            eprintln!("schemathesis: {}", part.name);
            worst = worst.max(part.hold(&postgres, seed, examples).await?);
        }
    }
    Some(worst)
}

/// Something with a document.
struct Part {
    name: &'static str,
    program: &'static str,
    command: &'static str,
    variables: &'static [(&'static str, &'static str)],
    key: Key,
}

/// What a request needs to be let in.
enum Key {
    None,
    /// One that this command prints.
    Made(&'static [&'static str]),
    Known(&'static str),
}

const USER_API: Part = Part {
    name: "user-api",
    program: "user-api",
    command: "serve",
    variables: &[("RATE_LIMIT", "0"), ("HASH_COST", "cheap"), ("HASH_MAX_WAIT", "30s"), ("REQUEST_TIMEOUT", "30s")],
    key: Key::None,
};
const MAIL_API: Part = Part {
    name: "mail-api",
    program: "mail-api",
    command: "serve",
    variables: &[("KEY_RATE_LIMIT", "0"), ("RECIPIENT_LIMIT", "0"), ("REQUEST_TIMEOUT", "30s")],
    key: Key::Made(&["keys", "add", "st"]),
};
const CONSOLE: Part = Part {
    name: "console",
    program: "email-worker",
    command: "console",
    variables: &[
        ("CONSOLE_TOKENS", "st=operator:the-token-of-schemathesis"),
        ("ADDRESS_HASH_KEY", "0123456789abcdef0123456789abcdef"),
        ("REQUEST_TIMEOUT", "30s"),
    ],
    key: Key::Known("the-token-of-schemathesis"),
};

impl Part {
    /// Holds it to its document.
    async fn hold(&self, postgres: &Postgres, seed: u32, examples: u32) -> Option<i32> {
        // Only the console asks the broker; the others need nobody to answer there.
        let vhost = if self.name == CONSOLE.name { Some(testkit::vhost().await) } else { None };
        let broker = vhost
            .as_ref()
            .map_or_else(|| "amqp://guest:guest@127.0.0.1:9/%2f".to_owned(), |vhost| vhost.amqp_url().to_owned());
        let database = postgres.database().await;
        let mut variables: Vec<_> = self.variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        variables.extend([
            ("DATABASE_URL", database.url().to_owned()),
            ("AMQP_URL", broker),
            ("LOG_LEVEL", "warn".to_owned()),
        ]);
        done(self.program, &["migrate"], &variables).await;
        let key = match self.key {
            Key::None => None,
            Key::Made(command) => Some(done(self.program, command, &variables).await),
            Key::Known(key) => Some(key.to_owned()),
        };
        let api = Service::spawn_with(self.program, &[self.command], &variables);
        api.ready().await;
        let status = st(&api.base_url(), key.as_deref(), seed, examples).await;
        let errors = api.log_lines().into_iter().filter(|line| line.contains("\"ERROR\"")).collect::<Vec<_>>();
        if !errors.is_empty() {
            eprintln!("schemathesis: {} logged errors:\n{}", self.name, errors.join("\n"));
            return Some(1);
        }
        status
    }
}

/// Waits for a command, which must end well; what it printed.
async fn done(name: &str, arguments: &[&str], variables: &[(&str, String)]) -> String {
    let command = Service::spawn_with(name, arguments, variables);
    let ended = command.exited(Duration::from_secs(60)).await;
    let printed = command.log_lines().join("\n");
    assert!(ended.success(), "{name} {}: {ended}\n{printed}", arguments.join(" "));
    printed
}

async fn st(url: &str, key: Option<&str>, seed: u32, examples: u32) -> Option<i32> {
    let scratch = scratch();
    std::fs::create_dir_all(&scratch).expect("a directory for what schemathesis leaves behind");
    let mut st = Command::new("st");
    st.args(["run", &format!("{url}/openapi.json")])
        .args(["--checks", "all", "--phases", "examples,coverage,fuzzing,stateful", "--mode", "all"])
        .args(["--continue-on-failure", "--generation-database", "none", "--request-timeout", "30"])
        .args(["--seed", &seed.to_string(), "--max-examples", &examples.to_string()])
        // The people in these requests do not exist.
        .args(["--output-sanitize", "false"])
        .args(std::env::args_os().skip(1))
        .env("SCHEMATHESIS_HOOKS", HOOKS)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(&scratch)
        .kill_on_drop(true);
    if let Some(key) = key {
        st.args(["--header", &format!("Authorization: Bearer {key}")]);
    }
    st.status().await.expect("`st` is on the PATH (scripts/setup schemathesis)").code()
}

/// `target/schemathesis`: this program lies in `target/debug`.
fn scratch() -> std::path::PathBuf {
    let me = std::env::current_exe().expect("the path of this program");
    me.ancestors().nth(2).unwrap_or(Path::new(".")).join("schemathesis")
}
