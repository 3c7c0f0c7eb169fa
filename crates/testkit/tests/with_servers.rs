//! `with-servers` from outside.

#![allow(clippy::unwrap_used)]

use std::process::Command;

#[test]
fn the_usage_is_told_to_who_asks_and_to_who_names_no_command() {
    for (arguments, code) in [(&["--help"][..], 0), (&["-h"], 0), (&[], 64), (&["--"], 64)] {
        let output = Command::new(env!("CARGO_BIN_EXE_with-servers")).args(arguments).output().unwrap();
        let told = if code == 0 { &output.stdout } else { &output.stderr };
        let told = String::from_utf8_lossy(told);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(
            told.starts_with("usage: with-servers") && told.contains("SLUICE_TEST_POSTGRES"),
            "{arguments:?}: {told}"
        );
    }
}
