//! Runs schemathesis, all its checks and phases, against a user-api of its own, and exits as it does.
//!
//! `SEED=n` repeats a run, `EXAMPLES=n` makes it longer; further arguments go to `st run`.
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

async fn run(seed: u32, examples: u32) -> Option<i32> {
    let postgres = Postgres::start_fast().await;
    let database = postgres.database().await;
    let variables = [
        ("DATABASE_URL", database.url().to_owned()),
        // Nobody listens there: registrations do not need the broker.
        ("AMQP_URL", "amqp://guest:guest@127.0.0.1:9/%2f".to_owned()),
        ("RATE_LIMIT", "0".to_owned()),
        ("HASH_COST", "cheap".to_owned()),
        ("HASH_MAX_WAIT", "30s".to_owned()),
        ("REQUEST_TIMEOUT", "30s".to_owned()),
        ("LOG_LEVEL", "warn".to_owned()),
    ];
    let migrate = Service::spawn_with("user-api", &["migrate"], &variables);
    let migrated = migrate.exited(Duration::from_secs(60)).await;
    assert!(migrated.success(), "user-api migrate: {migrated}\n{}", migrate.log_lines().join("\n"));
    let api = Service::spawn("user-api", &variables);
    api.ready().await;

    let scratch = scratch();
    std::fs::create_dir_all(&scratch).expect("a directory for what schemathesis leaves behind");
    let st = Command::new("st")
        .args(["run", &format!("{}/openapi.json", api.base_url())])
        .args(["--checks", "all", "--phases", "examples,coverage,fuzzing,stateful", "--mode", "all"])
        .args(["--continue-on-failure", "--generation-database", "none", "--request-timeout", "30"])
        .args(["--seed", &seed.to_string(), "--max-examples", &examples.to_string()])
        // The people in these requests do not exist.
        .args(["--output-sanitize", "false"])
        .args(std::env::args_os().skip(1))
        .env("SCHEMATHESIS_HOOKS", HOOKS)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(&scratch)
        .kill_on_drop(true)
        .status()
        .await
        .expect("`st` is on the PATH (scripts/setup schemathesis)");
    let errors = api.log_lines().into_iter().filter(|line| line.contains("\"ERROR\"")).collect::<Vec<_>>();
    if !errors.is_empty() {
        eprintln!("schemathesis: user-api logged errors:\n{}", errors.join("\n"));
        return Some(1);
    }
    st.code()
}

/// `target/schemathesis`: this program lies in `target/debug`.
fn scratch() -> std::path::PathBuf {
    let me = std::env::current_exe().expect("the path of this program");
    me.ancestors().nth(2).unwrap_or(Path::new(".")).join("schemathesis")
}
