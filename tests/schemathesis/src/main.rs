//! Runs schemathesis, all its checks and phases, against a user-api and a mail-api of its own, and exits as it does.
//!
//! `SEED=n` repeats a run, `EXAMPLES=n` makes it longer, `ONLY=mail-api` chooses one; further arguments go to `st run`.
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

/// The worst of both; `None`: one of them was ended by a signal.
async fn run(seed: u32, examples: u32) -> Option<i32> {
    let only = std::env::var("ONLY").unwrap_or_default();
    let postgres = Postgres::start_fast().await;
    let mut worst = 0;
    for (name, variables) in [("user-api", &USER_API[..]), ("mail-api", &MAIL_API)] {
        if only.is_empty() || only == name {
            eprintln!("schemathesis: {name}");
            worst = worst.max(hold(name, variables, &postgres, seed, examples).await?);
        }
    }
    Some(worst)
}

const USER_API: [(&str, &str); 4] =
    [("RATE_LIMIT", "0"), ("HASH_COST", "cheap"), ("HASH_MAX_WAIT", "30s"), ("REQUEST_TIMEOUT", "30s")];
const MAIL_API: [(&str, &str); 3] = [("KEY_RATE_LIMIT", "0"), ("RECIPIENT_LIMIT", "0"), ("REQUEST_TIMEOUT", "30s")];

/// Holds a service to its document.
async fn hold(name: &str, own: &[(&str, &str)], postgres: &Postgres, seed: u32, examples: u32) -> Option<i32> {
    let database = postgres.database().await;
    let mut variables: Vec<_> = own.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    variables.extend([
        ("DATABASE_URL", database.url().to_owned()),
        // Nobody listens there: neither service needs the broker to answer.
        ("AMQP_URL", "amqp://guest:guest@127.0.0.1:9/%2f".to_owned()),
        ("LOG_LEVEL", "warn".to_owned()),
    ]);
    done(name, &["migrate"], &variables).await;
    let key = if name == "mail-api" { Some(done(name, &["keys", "add", "st"], &variables).await) } else { None };
    let api = Service::spawn_with(name, &["serve"], &variables);
    api.ready().await;
    let status = st(&api.base_url(), key.as_deref(), seed, examples).await;
    let errors = api.log_lines().into_iter().filter(|line| line.contains("\"ERROR\"")).collect::<Vec<_>>();
    if !errors.is_empty() {
        eprintln!("schemathesis: {name} logged errors:\n{}", errors.join("\n"));
        return Some(1);
    }
    status
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
