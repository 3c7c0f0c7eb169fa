//! The program behind `make flood` runs to its end, keeps the product's promises, and leaves what it says it leaves.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::path::Path;
use std::process::Command;

/// A tenth of the dam: 30,000 tasks. How fast that goes says nothing here, where other tests run beside it; what is lost does.
#[test]
fn a_small_flood_loses_no_mail_and_leaves_figures_and_a_picture() {
    let here = Path::new(env!("CARGO_TARGET_TMPDIR")).join("flood");
    std::fs::create_dir_all(&here).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_flood"))
        .args(["--quick", "dam"])
        .current_dir(&here)
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "flood: {}\n{out}\n{err}", output.status);

    let results = std::fs::read(here.join("target/flood/results.json")).expect("figures are written");
    let results: Vec<serde_json::Value> = serde_json::from_slice(&results).unwrap();
    let value = |name: &str| results.iter().find(|row| row["name"] == name).and_then(|row| row["value"].as_f64());
    assert_eq!(value("dam: mails lost"), Some(0.0), "{out}");
    assert_eq!(value("dam: mails sent twice"), Some(0.0), "{out}");
    assert!(value("dam: longest queue").is_some_and(|tasks| tasks > 0.0), "there was a flood to hold back\n{out}");
    let picture = std::fs::read_to_string(here.join("target/flood/dam.svg")).expect("a picture is drawn");
    assert!(picture.contains("mails sent"), "the picture names its lines");
}
