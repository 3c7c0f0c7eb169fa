//! `make run` where nobody watches: it shows the mail and its trace, and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
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

/// The program in a build directory of its own, with these services beside it. Links: a file that is being written can't be run.
fn elsewhere(name: &str, services: &[&str]) -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_demo")).parent().unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&target);
    std::fs::create_dir_all(target.join("debug")).unwrap();
    for program in [&["demo"], services].concat() {
        std::fs::hard_link(built.join(program), target.join("debug").join(program)).unwrap();
    }
    target.join("debug/demo")
}

#[test]
fn files_that_somebody_wrote_are_kept_and_a_mistake_in_them_is_told() {
    let demo = elsewhere("mistaken", &["user-api", "mail-api", "email-worker"]);
    let types = demo.ancestors().nth(2).unwrap().join("demo/types");
    std::fs::create_dir_all(&types).unwrap();
    std::fs::write(types.join("order.shipped.toml"), "[fields]\norder = 7\n").unwrap();
    let run = Command::new(demo).output().unwrap();
    let shown = String::from_utf8(run.stdout).unwrap();
    assert_eq!(run.status.code(), Some(1), "{shown}");
    assert!(shown.contains("order.shipped.toml:2: "), "{shown}");
    assert!(types.join("order.shipped.toml").exists(), "it is theirs");
}

#[test]
fn what_is_missing_is_told_in_one_line_and_the_exit_code_is_1() {
    let run = Command::new(elsewhere("alone", &[])).output().unwrap();
    let shown = String::from_utf8(run.stdout).unwrap();
    assert_eq!(run.status.code(), Some(1), "{shown}");
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert!(shown.starts_with("error: ") && shown.contains("user-api is missing: cargo build -p user-api"), "{shown}");
}
