//! The preview in a real browser.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{StatusCode, Uri};
use testkit::{page_in_chromium, page_in_chromium_once_loaded};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Preview, note};

/// A server elsewhere, which notes what is asked of it.
struct Elsewhere {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Elsewhere {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let noted = Arc::clone(&asked);
        let router = Router::new().fallback(async move |uri: Uri| {
            noted.lock().unwrap().push(uri.path().to_owned());
            StatusCode::NOT_FOUND
        });
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { addr, asked, serving }
    }

    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort();
        asked.dedup();
        asked
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[tokio::test]
async fn a_browser_shows_a_mail_in_two_widths_runs_none_of_its_scripts_and_fetches_only_pictures_when_told_to() {
    let elsewhere = Elsewhere::start().await;
    let addr = elsewhere.addr;
    let directory = note(&format!(
        "<html><head><title>quiet</title><link rel=\"stylesheet\" href=\"http://{addr}/style\"></head>\n\
         <body onload=\"document.title = 'ran'\"><p>The mail's words: {{{{ words }}}}</p>\n\
         <script>document.title = 'ran'; fetch('http://{addr}/script')</script>\n\
         <script src=\"http://{addr}/script\"></script><iframe src=\"http://{addr}/frame\"></iframe>\n\
         <img src=\"http://{addr}/picture\" onerror=\"document.title = 'ran'\"></body></html>\n"
    ));
    let preview = Preview::of(directory.path()).await;

    let page = page_in_chromium_once_loaded(&preview.url("/mails/note/en")).await;
    let frames: Vec<_> = page.split("<iframe ").skip(1).filter_map(|rest| rest.split('>').next()).collect();
    assert_eq!(frames.len(), 2, "{page}");
    for (frame, id, width) in [(frames[0], "phone", "375"), (frames[1], "desk", "700")] {
        for part in [
            format!("id=\"{id}\""),
            format!("width=\"{width}\""),
            "sandbox=\"\"".to_owned(),
            "src=\"/mails/note/en/html\"".to_owned(),
        ] {
            assert!(frame.contains(&part), "{part} is not in {frame}");
        }
    }
    assert_eq!(elsewhere.asked(), Vec::<String>::new(), "a mail fetched something");
    let mail = page_in_chromium(&preview.url("/mails/note/en/html")).await;
    assert!(mail.contains("The mail's words: &lt;script&gt;") && mail.contains("<title>quiet</title>"), "{mail}");
    assert_eq!(elsewhere.asked(), Vec::<String>::new(), "a mail fetched something");

    // The frames are loaded: their pictures are fetched, and nothing else.
    page_in_chromium_once_loaded(&preview.url("/mails/note/en?pictures=1")).await;
    assert_eq!(elsewhere.asked(), ["/picture"]);
}
