//! A page of another origin registers a user, in a real browser.

use std::net::SocketAddr;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use testkit::page_in_chromium;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::TestApp;

/// Writes into itself what its script could read of the answer.
fn page(api: &str) -> String {
    format!(
        r#"<!doctype html><title>Sign up</title><p id="answer">waiting</p><script>
const show = text => document.getElementById("answer").textContent = text;
fetch("{api}", {{
  method: "POST",
  headers: {{"content-type": "application/json", "idempotency-key": "a-page-0001"}},
  body: JSON.stringify({{username: "ada", email: "ada@example.com", password: "correct horse battery staple"}}),
}}).then(async answer => {{
  const user = await answer.json();
  show(`read: ${{answer.status}}, ${{user.username}}, request ${{answer.headers.has("x-request-id")}}`);
}}).catch(error => show(`kept from the page: ${{error.name}}`));
</script>"#
    )
}

/// Serves the page until it is dropped.
struct Site {
    addr: SocketAddr,
    serving: JoinHandle<()>,
}

impl Site {
    fn start(listener: TcpListener, api: &str) -> Self {
        let (addr, page) = (listener.local_addr().unwrap(), page(api));
        let router = Router::new().route("/", get(async || Html(page)));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { addr, serving }
    }

    /// What the page says once its script has run, loaded from this host.
    async fn answer(&self, host: &str) -> String {
        let page = page_in_chromium(&format!("http://{host}:{}/", self.addr.port())).await;
        let answer = page.split(r#"<p id="answer">"#).nth(1).and_then(|rest| rest.split("</p>").next());
        answer.unwrap_or_else(|| panic!("the page as it was shown:\n{page}")).to_owned()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[tokio::test]
async fn a_browser_lets_a_page_of_a_named_origin_register_and_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let named = format!("http://{}", listener.local_addr().unwrap());
    let app = TestApp::start(&[("CORS_ALLOWED_ORIGINS", &named)]).await;
    let site = Site::start(listener, &app.url("/v1/users"));

    // The same page and server, by another name: another origin.
    assert_eq!(site.answer("localhost").await, "kept from the page: TypeError");
    assert_eq!(app.count("users").await, 0, "the preflight was refused, so nothing was sent");
    assert_eq!(site.answer("127.0.0.1").await, "read: 201, ada, request true");
    assert_eq!(app.count("users").await, 1);
}
