//! The preview of mail types, as the program serves it: `email-worker mails preview`.

mod in_chromium;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use testkit::{Dir, Service, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::commands::run;
use crate::helpers::PATIENCE;

/// A preview that runs, and whoever looks at it.
struct Preview {
    service: Service,
    addr: SocketAddr,
}

impl Preview {
    async fn of(directory: &Path) -> Self {
        let arguments = ["mails", "preview", directory.to_str().unwrap(), "--addr", "127.0.0.1:0"];
        let service = Service::spawn_with("email-worker", &arguments, &[]);
        let line = service.wait_for_log("http://", PATIENCE).await;
        let addr = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
        Self { addr: addr.parse().unwrap(), service }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    async fn get(&self, path: &str) -> Answer {
        self.get_as(&self.addr.to_string(), path).await
    }

    /// The same under another name of the server.
    async fn get_as(&self, host: &str, path: &str) -> Answer {
        let mut stream = self.request(host, path).await;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_ascii_lowercase(), body: body.replace("&#x2f;", "/") }
    }

    async fn request(&self, host: &str, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// The page once it has this.
    async fn shows(&self, path: &str, part: &str) -> String {
        let what = format!("{path} shows {part}");
        let page = async || Some(self.get(path).await.body).filter(|body| body.contains(part));
        eventually(&what, PATIENCE, page).await
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// The files that `mails init` writes.
async fn starter() -> Dir {
    let directory = Dir::new("starter");
    let (code, lines) = run(&["mails", "init", directory.path().to_str().unwrap()], &[]).await;
    assert_eq!(code, 0, "{lines:#?}");
    directory
}

/// A type `note` with one field, `words`, in its HTML.
fn note(html: &str) -> Dir {
    let directory = Dir::new("note");
    for (name, content) in [
        ("note.toml", "[fields]\nwords = \"text\"\n\n[sample]\nwords = \"<script>document.title = 'ran'</script>\"\n"),
        ("note.en.subject", "A note\n"),
        ("note.en.html", html),
    ] {
        fs::write(directory.path().join(name), content).unwrap();
    }
    directory
}

#[tokio::test]
async fn every_type_is_listed_and_shown_with_all_that_its_mail_has() {
    let directory = starter().await;
    let preview = Preview::of(directory.path()).await;
    let list = preview.get("/").await;
    assert_eq!(list.status, 200);
    for part in ["email.welcome", "/mails/order.shipped/de", "/mails/order.shipped/en", "lines, optional"] {
        assert!(list.body.contains(part), "{part} is not in the list:\n{}", list.body);
    }
    let page = preview.get("/mails/order.shipped/en").await;
    assert_eq!(page.status, 200);
    for part in [
        "Sluice &lt;no-reply@example.com&gt;",
        "Your order A-1815 is on its way",
        "Hello Ada Lovelace,",
        "&quot;order&quot;: &quot;A-1815&quot;",
        "Content-Type: multipart/alternative",
        "src=\"/mails/order.shipped/en/html\"",
        "href=\"/mails/order.shipped/en/mail.eml\"",
    ] {
        assert!(page.body.contains(part), "{part} is not on the page:\n{}", page.body);
    }
    let file = preview.get("/mails/order.shipped/de/mail.eml").await;
    assert!(file.head.contains("attachment; filename=\"order.shipped.de.eml\""), "{}", file.head);
    let parsed = mail_parser::MessageParser::default().parse(file.body.as_bytes()).expect("a mail");
    assert_eq!(parsed.subject(), Some("Ihre Bestellung A-1815 ist unterwegs"));
    for path in ["/mails/order.shipped/fr", "/mails/order.lost/en", "/mails/%00/en/html", "/nowhere"] {
        assert_eq!(preview.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn data_that_is_typed_is_shown_and_what_does_not_fit_is_named_on_the_page() {
    let directory = note("<p>{{ words }}</p><p>{{ name }}</p>");
    let preview = Preview::of(directory.path()).await;
    let page = preview.get("/mails/note/en?name=Bob&data=%7B%22words%22%3A%22two%20%26%20two%22%7D").await;
    assert!(page.status == 200 && page.body.contains("Bob &lt;ada@example.com&gt;"), "{}", page.body);
    let frame = page.body.split("src=\"").find(|rest| rest.starts_with("/mails/note/en/html?")).unwrap();
    let frame = frame.split('"').next().unwrap().replace("&amp;", "&");
    let html = preview.get(&frame).await.body;
    assert!(html.contains("two &amp; two") && html.contains("Bob"), "{frame}: {html}");
    for (data, says) in [
        ("%7B%7D", "the field `words` is missing"),
        ("%7B%22words%22%3A1%7D", "the field `words` must be a text"),
        ("%7B", "the data is not JSON"),
        ("%5B%5D", "the data is not a JSON object"),
        ("", "the data is not JSON"),
        ("%FF%00", "the data is not JSON"),
    ] {
        let page = preview.get(&format!("/mails/note/en?data={data}")).await;
        assert!(page.status == 422 && page.body.contains(says), "{data}: {}: {}", page.status, page.body);
        assert!(page.body.contains("<textarea"), "there is nothing to mend it in: {}", page.body);
        assert_eq!(preview.get(&format!("/mails/note/en/html?data={data}")).await.status, 422);
    }
}

#[tokio::test]
async fn mistakes_are_told_on_the_page_while_the_last_good_mails_stay() {
    let directory = Dir::new("mended");
    let file = |name: &str, content: &str| fs::write(directory.path().join(name), content).unwrap();
    file("note.toml", "");
    file("note.en.subject", "Once {{ nobody }}\n");
    file("note.en.txt", "words\n");
    let preview = Preview::of(directory.path()).await;
    let page = preview.get("/").await;
    assert!(page.status == 200 && page.body.contains("note.en.subject:1: `nobody` is not there"), "{}", page.body);
    assert!(page.body.contains("only the built-in types"), "{}", page.body);
    assert_eq!(preview.get("/mails/note/en").await.status, 404);

    file("note.en.subject", "Once mended\n");
    let page = preview.shows("/mails/note/en", "Once mended").await;
    assert!(page.contains("plain text") && !page.contains("<iframe"), "{page}");

    file("note.en.subject", "Twice {{ nobody }}\n");
    let page = preview.shows("/mails/note/en", "note.en.subject:1: `nobody` is not there").await;
    assert!(page.contains("Once mended"), "{page}");
}

#[tokio::test]
async fn a_page_is_told_when_a_file_is_saved() {
    let directory = note("<p>{{ words }}</p>");
    let preview = Preview::of(directory.path()).await;
    let page = preview.get("/mails/note/en").await.body;
    let version = page.split("data-version=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let mut changes = preview.request("localhost", &format!("/changes/{version}")).await;
    fs::write(directory.path().join("note.en.subject"), "Another note\n").unwrap();
    let mut told = String::new();
    let listening = async {
        while !told.contains("data:") {
            let mut piece = [0; 1024];
            let length = changes.read(&mut piece).await.unwrap();
            assert!(length > 0, "it ended before: {told}");
            told += &String::from_utf8_lossy(&piece[..length]);
        }
    };
    tokio::time::timeout(PATIENCE, listening).await.expect("the page is told");
    assert!(told.contains("text/event-stream"), "{told}");
    assert!(preview.get("/mails/note/en").await.body.contains("Another note"));
}

#[tokio::test]
async fn other_names_than_those_of_this_machine_are_refused_and_pages_run_no_foreign_script() {
    let directory = note("<p>{{ words }}</p>");
    let preview = Preview::of(directory.path()).await;
    for host in ["localhost", "localhost:8025", "127.0.0.1", "[::1]:8025"] {
        assert_eq!(preview.get_as(host, "/mails/note/en").await.status, 200, "{host}");
    }
    for host in ["evil.example", "evil.example:8025", "127.0.0.1.evil.example", ""] {
        for path in ["/", "/mails/note/en/html", "/changes/1", "/nowhere"] {
            let answer = preview.get_as(host, path).await;
            assert!(matches!(answer.status, 400 | 403), "{host:?} {path}: {}", answer.status);
            assert!(!answer.body.contains("note"), "{}", answer.body);
        }
    }
    let page = preview.get("/mails/note/en").await;
    assert!(page.head.contains("script-src 'self'") && page.head.contains("frame-ancestors 'none'"), "{}", page.head);
    let html = preview.get("/mails/note/en/html").await;
    assert!(html.head.contains("default-src 'none'") && html.head.contains("sandbox"), "{}", html.head);
}

#[tokio::test]
async fn a_signal_ends_it_at_once_without_a_word_even_while_a_page_listens() {
    let directory = Dir::new("signal");
    for signal in ["-INT", "-TERM"] {
        let preview = Preview::of(directory.path()).await;
        let _listening = preview.request("localhost", "/changes/1").await;
        let sent = Command::new("kill").args([signal, &preview.service.pid().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(preview.service.exited(PATIENCE).await.code(), Some(0));
        let lines = preview.service.log_lines();
        assert!(lines.len() == 1 && lines[0].contains(&preview.url("/")), "{lines:#?}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_one_clear_line() {
    let directory = Dir::new("taken");
    let preview = Preview::of(directory.path()).await;
    let addr = preview.addr.to_string();
    let (code, lines) = run(&["mails", "preview", directory.path().to_str().unwrap(), "--addr", &addr], &[]).await;
    assert!(code == 69 && lines.len() == 1, "{code}: {lines:#?}");
    assert!(lines[0].contains("--addr") && lines[0].contains(&addr), "{lines:#?}");
}
