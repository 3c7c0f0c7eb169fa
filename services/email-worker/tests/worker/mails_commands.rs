//! The commands of whoever writes mails: `email-worker mails`.

use std::fs;

use testkit::Dir;

use crate::commands::run;
use crate::helpers::{PATIENCE, World};

#[tokio::test]
async fn files_to_begin_with_are_written_checked_rendered_and_sent() {
    let (world, directory) = (World::new().await, Dir::new("own"));
    let mails = directory.path().join("mails");
    let path = mails.to_str().unwrap();
    let (code, lines) = run(&["mails", "init", path], &[]).await;
    assert_eq!(code, 0, "{lines:#?}");
    assert!(lines.iter().any(|line| line.ends_with(".toml")), "it says what it wrote: {lines:#?}");
    let (code, lines) = run(&["mails", "init", path], &[]).await;
    assert!(code == 65 && lines.len() == 1 && lines[0].contains("is there already"), "{code}: {lines:#?}");

    let (code, lines) = run(&["mails", "check", path], &[]).await;
    assert_eq!(code, 0, "{lines:#?}");
    assert!(
        lines[0].starts_with("TYPE ") && lines.iter().any(|line| line.contains("email.welcome (built in)")),
        "{lines:#?}"
    );
    let own = lines[1..].iter().find(|line| !line.contains("built in")).expect("a type of its own");
    let own = own.split_whitespace().next().unwrap();

    let variables = [("MAILS_DIR", path.to_owned())];
    for (show, begins) in [("text", "Subject: "), ("html", "<"), ("eml", "From: ")] {
        let (code, lines) = run(&["mails", "render", own, "--show", show], &variables).await;
        assert!(code == 0 && lines[0].starts_with(begins), "{show}: {code}: {lines:#?}");
    }
    let mut variables = world.environment();
    variables.retain(|(name, _)| *name != "ADMIN_ADDR");
    variables.push(("MAILS_DIR", path.to_owned()));
    let (code, lines) = run(&["mails", "send-test", own, "--to", "ada@example.com"], &variables).await;
    assert!(code == 0 && lines[0].starts_with("sent: "), "{code}: {lines:#?}");
    world.smtp.wait_for_mails(1, PATIENCE).await;
    assert_eq!(world.smtp.mails()[0].to, ["ada@example.com"]);
}

#[tokio::test]
async fn each_mistake_is_told_with_its_file_and_line() {
    let directory = Dir::new("wrong");
    let path = directory.path().to_str().unwrap();
    for (name, content) in [
        ("shop.receipt.toml", "[fields]\norder = \"txt\"\n"),
        ("shop.goodbye.toml", "[fields]\nname2 = \"text\"\n\n[sample]\nname2 = \"Ada\"\n"),
        ("shop.goodbye.en.subject", "Goodbye\n"),
        ("shop.goodbye.en.txt", "Goodbye\n\n{{ nobody }}\n"),
        ("notes.md", "not a mail\n"),
    ] {
        fs::write(directory.path().join(name), content).unwrap();
    }
    let (code, lines) = run(&["mails", "check", path], &[]).await;
    assert_eq!(code, 65, "{lines:#?}");
    for place in ["shop.receipt.toml:2: ", "shop.goodbye.en.txt:3: ", "notes.md: "] {
        assert!(
            lines.iter().any(|line| line.starts_with(&format!("{path}/{place}"))),
            "{place} is not told: {lines:#?}"
        );
    }
    let last = lines.iter().find(|line| line.starts_with("error: ")).expect("one line says how it ended");
    assert!(last.contains("mistakes in"), "{last}");
}

#[tokio::test]
async fn what_is_asked_for_and_is_not_there_or_does_not_fit_is_one_clear_line() {
    for (arguments, says) in [
        (vec!["mails", "render", "shop.nothing"], "there is no type `shop.nothing`; there is email.welcome (MAILS_DIR"),
        (vec!["mails", "render", "email.welcome", "--data", "[1]"], "--data is not a JSON object"),
        (vec!["mails", "render", "email.welcome", "--data", "{"], "--data is not JSON"),
        (vec!["mails", "render", "email.welcome", "--data", "{}"], "username"),
        (
            vec!["mails", "render", "email.welcome", "--data", r#"{"a": {"b": 1, "b": 2}}"#],
            "--data has `a.b` more than once",
        ),
    ] {
        let (code, lines) = run(&arguments, &[]).await;
        assert!(code == 65 && lines.len() == 1 && lines[0].contains(says), "{arguments:?}: {code}: {lines:#?}");
    }
    let (code, lines) = run(&["mails", "render", "Not A Type"], &[]).await;
    assert!(code == 64 && lines[0].contains("letters, digits"), "{code}: {lines:#?}");
    for nowhere in ["/nowhere/at/all", "nowhere/at/all"] {
        let (code, lines) = run(&["mails", "check", nowhere], &[]).await;
        let told = format!("{nowhere}: the directory can't be read");
        assert!(code == 65 && lines.iter().any(|line| line.starts_with(&told)), "{code}: {lines:#?}");
    }
}

#[tokio::test]
async fn a_language_that_is_not_there_is_told_beside_the_mail_in_another() {
    for (wanted, told) in [("en", false), ("EN", false), ("zh", false), ("zh-TW", true), ("de", true)] {
        let (code, lines) = run(&["mails", "render", "email.welcome", "--locale", wanted], &[]).await;
        let remark = format!("there is no {wanted:?} of email.welcome: this is ");
        assert_eq!((code, lines.iter().any(|line| line.starts_with(&remark))), (0, told), "{wanted}: {lines:#?}");
    }
}
