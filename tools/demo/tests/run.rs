//! `make run` where nobody watches: it shows the mail and its trace, and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;

#[test]
fn without_a_terminal_it_exits_once_the_mail_and_its_trace_are_shown() {
    let services = ["user-api", "email-worker"].map(|name| Path::new(env!("CARGO_BIN_EXE_demo")).with_file_name(name));
    assert!(services.iter().all(|path| path.is_file()), "build them first: cargo build --workspace --bins");
    let run = Command::new(env!("CARGO_BIN_EXE_demo")).output().unwrap();
    let (shown, said) = (String::from_utf8(run.stdout).unwrap(), String::from_utf8_lossy(&run.stderr).into_owned());
    assert!(run.status.success(), "{}\n{shown}\n{said}", run.status);
    let tree = ["\nPOST /v1/users ", "\n└─ send email_queue ", "\n   └─ process email_queue ", "\n      └─ "];
    for part in ["201 Created", "│ To: ada@example.org", "/docs", "RabbitMQ  http://127.0.0.1:"].iter().chain(&tree) {
        assert!(shown.contains(part), "no {part:?} in\n{shown}");
    }
    assert!(!shown.contains('\x1b'), "no colours off a terminal:\n{shown}");
    assert!(said.is_empty(), "{said}");
}

#[test]
fn what_is_missing_is_told_in_one_line_and_the_exit_code_is_1() {
    let alone = Path::new(env!("CARGO_TARGET_TMPDIR")).join("alone/debug");
    std::fs::create_dir_all(&alone).unwrap();
    let demo = alone.join("demo");
    std::fs::copy(env!("CARGO_BIN_EXE_demo"), &demo).unwrap();
    let run = Command::new(demo).output().unwrap();
    let shown = String::from_utf8(run.stdout).unwrap();
    assert_eq!(run.status.code(), Some(1), "{shown}");
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert!(shown.starts_with("error: ") && shown.contains("user-api is missing: cargo build -p user-api"), "{shown}");
}
