//! What a mail costs in instructions, beside its waiting: reading the task, writing the mail, SMTP. The same each time, and so a figure that
//! CI can hold; another architecture has another. What the whole worker takes is told by `make instructions`: there batches are chance.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test")]

use std::path::Path;
use std::process::{Command, Stdio};

use testkit::{SmtpOptions, SmtpServer};

/// Instructions a mail of a debug build (tokio optimised), with the toolchain of rust-toolchain.toml and the libraries of Cargo.lock.
const MAIL: f64 = 607_900.0;
/// What it may differ by, either way: a gain is worth writing down, too.
const TOLERANCE: f64 = 0.03;
/// Mails of the short and of the long run; what both have in common drops out.
const SHORT: u32 = 100;
const LONG: u32 = 400;

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_takes_as_many_instructions_as_was_written_down() {
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        assert!(std::env::var_os("CI").is_none(), "valgrind is missing: scripts/setup servers");
        eprintln!("valgrind is missing (scripts/setup servers): instructions are not counted");
        return;
    }
    let server = SmtpServer::start(SmtpOptions { keep: false, ..SmtpOptions::default() }).await;
    let count = |mails| instructions(server.addr(), mails);
    let mail = (count(LONG) - count(SHORT)) / f64::from(LONG - SHORT);
    let ratio = mail / MAIL;
    eprintln!("a mail takes {mail:.0} instructions, {ratio:.4} of what was written down");
    assert!(
        (ratio - 1.0).abs() <= TOLERANCE,
        "a mail takes {mail:.0} instructions, {ratio:.3} of the {MAIL:.0} written down in {}. If that is meant (another toolchain, another \
         library, a better way), write the new figure there; if not, `callgrind_annotate target/tmp/costs/path-{LONG}.callgrind` tells where they go",
        file!()
    );
}

/// All instructions of a run.
fn instructions(server: std::net::SocketAddr, mails: u32) -> f64 {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("costs");
    std::fs::create_dir_all(&directory).unwrap();
    let out = directory.join(format!("path-{mails}.callgrind"));
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind"]).arg(format!("--callgrind-out-file={}", out.display()));
    command.arg(env!("CARGO_BIN_EXE_costs")).args([
        "path",
        "--server",
        &server.to_string(),
        "--mails",
        &mails.to_string(),
    ]);
    let output = command.env_remove("RUST_LOG").output().unwrap();
    assert!(output.status.success(), "costs path: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    let told = std::fs::read_to_string(&out).unwrap();
    let total = told.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    total.expect("callgrind tells a total").trim().parse().unwrap()
}
