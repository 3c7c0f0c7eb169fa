//! Whatever lies in the queue: it is a task that reads back as it was written, or it is refused by a known name.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use contract::{EmailAddress, MAX_BODY, MailTask, TaskId};
use testkit::fuzz::Target;

const REASONS: [&str; 8] =
    ["too-large", "not-json", "repeated-name", "no-email", "bad-email", "no-username", "bad-username", "bad-data"];

/// All that is ever said of an address that was refused: nothing of the address, but for the one character at fault.
const WHYS: [&str; 5] = [
    "must be at most 254 bytes long, of which at most 64 before the @",
    "must have the form name@domain",
    "has a dot before the @ that stands at the start, at the end, or after another dot",
    "has =?..?= before the @, which some programs take for another text",
    "has no valid domain after the @",
];

fn is_known(why: &str) -> bool {
    let character = why.strip_prefix("has a character before the @ that an address can't have there: ");
    let named = |name: &str| name.chars().count() == 1 || (name.starts_with("U+") && name.len() <= 8);
    character
        .map_or_else(|| WHYS.contains(&why), |name| named(name) && !name.contains(|c: char| c.is_control() || c == ' '))
}

#[test]
fn fuzz_tasks() {
    let words: [&[u8]; 15] = [
        br#""email":"#,
        br#""username":"#,
        br#""locale":"#,
        br#""data":{"n":1.5e300}"#,
        br#""data":"#,
        br#""name":"Ada""#,
        br#""ada@example.com""#,
        br#""email":"ada@example.com","username":"ada","#,
        b"null",
        b"{\"a\":",
        b"[[[[",
        b"\\u0000",
        b"\\r\\nBcc: eve@example.com",
        "@b\u{fc}cher.example".as_bytes(),
        b"xn--",
    ];
    let floors = [("read", 7)];
    Target { name: "task", words: &words, runs: 12_000, longest: MAX_BODY + 64, floors: &floors }.fuzz(|body| {
        let task = match MailTask::decode(None, body) {
            Ok(task) => task,
            Err(why) => {
                assert!(REASONS.contains(&why.reason()), "{why:?} has no known name");
                assert_eq!(body.len() > MAX_BODY, why.reason() == "too-large", "{why}");
                return "refused";
            }
        };
        let username = task.name.as_deref().expect("a welcome mail has a name");
        assert!((1..=256).contains(&username.chars().count()) && !username.contains(char::is_control), "{username:?}");
        let tag = |tag: &str| tag.len() <= 35 && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        assert!(task.locale.as_deref().is_none_or(tag), "{:?} is no language tag", task.locale);
        let encoded = task.encode();
        assert_eq!(MailTask::decode(None, &encoded).as_ref(), Ok(&task), "it does not read back as it was written");
        let shown = format!("{task:?}");
        assert!(!shown.contains(task.email.as_str()), "the address shows in {shown}");
        // Another reader, which refuses numbers and depths that nobody here looks at.
        if let Ok(read) = serde_json::from_slice::<serde_json::Value>(body) {
            let sent = read["email"].as_str().unwrap();
            assert!(sent == task.email.as_str() || !sent.is_ascii(), "{sent:?} was read as another address");
            assert_eq!(sent.parse().as_ref(), Ok(&task.email));
            let field = if read["username"].is_string() { "username" } else { "name" };
            assert_eq!(read[field], username);
            assert!(task.locale.is_none() || read["locale"] == *task.locale.as_deref().unwrap());
        }
        address(&task.email);
        "read"
    });
}

#[test]
fn fuzz_compressed_tasks() {
    let words: [&[u8]; 4] = [b"\x1f\x8b\x08\x00", b"\x78\x9c", b"{\"email\":\"ada@example.com\"", b"\xff\xff\x00\x00"];
    let floors = [("gzip", 24), ("deflate", 2)];
    Target { name: "compressed-task", words: &words, runs: 12_000, longest: MAX_BODY + 64, floors: &floors }.fuzz(
        |body| {
            let mut end = "refused";
            for encoding in ["gzip", "deflate", "br"] {
                match MailTask::read(None, Some(encoding), body) {
                    Ok(_) => end = encoding,
                    Err(why) => {
                        let known = REASONS.contains(&why.reason())
                            || ["unknown-encoding", "bad-encoding"].contains(&why.reason());
                        assert!(known, "{why:?} has no known name");
                    }
                }
            }
            end
        },
    );
}

#[test]
fn fuzz_addresses() {
    let words: [&[u8]; 12] = [
        b"@",
        b".",
        b"example.com",
        b"xn--bcher-kva",
        "b\u{fc}cher".as_bytes(),
        "\u{df}".as_bytes(),
        "\u{130}".as_bytes(),
        "\u{3002}".as_bytes(),
        "\u{ff20}".as_bytes(),
        "\u{ff41}".as_bytes(),
        "u\u{308}".as_bytes(),
        b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ];
    let floors = [("read", 38)];
    Target { name: "address", words: &words, runs: 12_000, longest: 600, floors: &floors }.fuzz(|input| {
        match String::from_utf8_lossy(input).parse::<EmailAddress>() {
            Ok(email) => {
                address(&email);
                "read"
            }
            Err(why) => {
                assert!(is_known(&why.to_string()), "{why}");
                "refused"
            }
        }
    });
}

/// What everything behind the contract builds on.
fn address(email: &EmailAddress) {
    let (local, domain) = (email.local_part(), email.ascii_domain());
    let sent = format!("{local}@{domain}");
    assert!(sent.len() <= 254 && local.len() <= 64, "{} bytes", sent.len());
    assert!(domain.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b)), "{domain}");
    let breaks = |c: char| c.is_control() || c.is_whitespace() || "<>()[]\\,:;\"@".contains(c);
    assert!(!local.contains(breaks), "{local:?} ends a path, a line or a list");
    let encoded = local.find("=?").is_some_and(|at| local[at + 2..].contains("?="));
    assert!(!encoded, "{local:?} is another address to those who decode it");
    // The form that is sent is an address too, and the same person's.
    let again: EmailAddress = sent.parse().unwrap_or_else(|why| panic!("{sent:?} {why}"));
    assert_eq!(again.folded(), email.folded());
    assert_eq!((again.local_part(), again.ascii_domain()), (local, domain));
    if let Ok(folded) = email.folded().parse::<EmailAddress>() {
        assert_eq!(folded.folded(), email.folded(), "folding twice is not folding once");
    }
}

#[test]
fn fuzz_message_ids() {
    let words: [&[u8]; 4] =
        [b"0195f0c4-7d4b-7c3a-9a51-3f2b6f1c9e00", b"urn:uuid:", b"{", b"ffffffff-ffff-7fff-bfff-ffffffffffff"];
    let floors = [("as it came", 4), ("derived", 330)];
    Target { name: "message-id", words: &words, runs: 12_000, longest: 300, floors: &floors }.fuzz(|input| {
        let text = String::from_utf8_lossy(input);
        let id = TaskId::from_message_id(&text);
        let shown = id.to_string();
        assert!(shown.len() == 36 && shown.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'), "{shown}");
        assert_eq!(TaskId::from_message_id(&shown), id, "an id of ours is its own message id");
        let as_it_came = shown.eq_ignore_ascii_case(&text);
        assert!(as_it_came || id.as_uuid().get_version_num() == 8, "{text:?} became {shown}");
        assert_ne!(id, TaskId::from_content(input), "a message id is not a content");
        let _ = id.created_at();
        if as_it_came { "as it came" } else { "derived" }
    });
}
