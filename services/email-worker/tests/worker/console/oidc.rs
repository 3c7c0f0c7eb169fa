//! Signing in at a real provider.

use std::collections::HashMap;
use std::net::SocketAddr;

use serde_json::Value;
use testkit::{OidcProvider, Port, Visit, eventually, in_chromium, node_is_there};

use super::{Console, VIEWER};
use crate::commands::run;
use crate::helpers::http::{Answer, ask};
use crate::helpers::{PATIENCE, World};

/// A console and its provider.
struct Company {
    world: World,
    provider: OidcProvider,
    port: Port,
}

impl Company {
    async fn new(provider: &[(&str, &str)]) -> Self {
        let (world, port) = (World::new().await, Port::free());
        let provider = OidcProvider::start(&format!("http://{}/sign-in/callback", port.addr()), provider);
        Self { world, provider, port }
    }

    /// Tokens beside it only if they are among the changes.
    async fn console(&self, changes: &[(&'static str, &str)]) -> Console {
        let console = self.world.console(&self.variables(changes)).await;
        eventually("the provider is known", PATIENCE, async || {
            let page = ask(console.addr, "GET /sign-in", &[], "").await;
            page.body.contains("/sign-in/provider").then_some(())
        })
        .await;
        console
    }

    fn variables<'a>(&'a self, changes: &[(&'static str, &'a str)]) -> Vec<(&'static str, &'a str)> {
        // They live as long as the process that reads them needs.
        let leak = |text: String| -> &'static str { text.leak() };
        let own = [
            ("HTTP_ADDR", leak(self.port.addr().to_string())),
            ("CONSOLE_URL", leak(format!("http://{}", self.port.addr()))),
            ("CONSOLE_TOKENS", ""),
            ("CONSOLE_OIDC_ISSUER", leak(self.provider.issuer())),
            ("CONSOLE_OIDC_CLIENT_ID", OidcProvider::CLIENT),
            ("CONSOLE_OIDC_CLIENT_SECRET", OidcProvider::SECRET),
            ("CONSOLE_OIDC_SCOPES", "openid profile groups"),
            ("CONSOLE_OIDC_OPERATORS", "root,mail-ops"),
            ("CONSOLE_OIDC_VIEWERS", "mail-desk"),
        ];
        let kept = own.into_iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        kept.chain(changes.iter().copied()).collect()
    }
}

/// Somebody with a browser: it keeps cookies, and follows where it is led.
#[derive(Default)]
struct Visitor {
    cookies: HashMap<SocketAddr, HashMap<String, String>>,
}

/// Where somebody ended.
struct Page {
    url: String,
    answer: Answer,
}

impl Visitor {
    async fn get(&mut self, url: &str) -> Page {
        self.go("GET", url, "").await
    }

    /// Sends a form, and follows.
    async fn go(&mut self, method: &str, url: &str, form: &str) -> Page {
        let (mut method, mut url, mut form) = (method, url.to_owned(), form);
        for _ in 0..20 {
            let answer = self.once(method, &url, form).await;
            let Some(location) = answer.location().filter(|_| (300..400).contains(&answer.status)) else {
                return Page { url, answer };
            };
            url = if location.starts_with('/') { format!("{}{location}", origin(&url)) } else { location };
            (method, form) = ("GET", "");
        }
        panic!("it leads in circles: {url}");
    }

    async fn once(&mut self, method: &str, url: &str, form: &str) -> Answer {
        let origin = origin(url);
        let addr: SocketAddr = origin.trim_start_matches("http://").parse().unwrap();
        let jar = self.cookies.entry(addr).or_default();
        let cookies: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let headers = [
            ("Cookie", cookies.join("; ")),
            ("Content-Type", "application/x-www-form-urlencoded".to_owned()),
            ("Sec-Fetch-Site", "same-origin".to_owned()),
        ];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = ask(addr, &format!("{method} {}", &url[origin.len()..]), &headers, form).await;
        for cookie in answer.raw_headers("set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// Through the provider's forms, as far as that leads.
    async fn signs_in(&mut self, console: &Console, name: &str) -> Page {
        let login = self.get(&format!("http://{}/sign-in/provider", console.addr)).await;
        assert!(login.url.contains("/interaction/"), "{}: {:?}", login.url, login.answer);
        let form = format!("prompt=login&login={name}&password=anything");
        let consent = self.go("POST", &login.url, &form).await;
        if !consent.url.contains("/interaction/") {
            return consent;
        }
        self.go("POST", &consent.url, "prompt=consent").await
    }

    async fn sees(&mut self, console: &Console, path: &str) -> Page {
        self.get(&format!("http://{}{path}", console.addr)).await
    }
}

fn origin(url: &str) -> String {
    url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn whoever_the_provider_knows_comes_in_as_their_groups_say() {
    if !node_is_there() {
        return;
    }
    for provider in [&[][..], &[("ALG", "ES256"), ("IN_TOKEN", "yes")]] {
        let company = Company::new(provider).await;
        let console = company.console(&[]).await;
        let mut grace = Visitor::default();
        let welcome = grace.signs_in(&console, "grace").await;
        assert_eq!((welcome.answer.status, welcome.answer.header("refresh")), (200, Some("0; url=/")), "{provider:?}");
        let page = grace.sees(&console, "/sending").await.answer.body;
        assert!(page.contains("grace@corp") && page.contains("form_key"), "an operator has forms: {page}");

        let mut desk = Visitor::default();
        assert_eq!(desk.signs_in(&console, "desk").await.answer.status, 200);
        let page = desk.sees(&console, "/sending").await.answer.body;
        assert!(page.contains("desk@corp") && !page.contains("form_key"), "{page}");

        let mut eve = Visitor::default();
        let refused = eve.signs_in(&console, "eve").await.answer;
        assert!(refused.status == 403 && refused.body.contains("none of the groups"), "{refused:?}");
        assert!(eve.sees(&console, "/").await.url.ends_with("/sign-in"));
        let log = console.service.log_lines().join("\n");
        for secret in [OidcProvider::SECRET, "code=", "eyJ"] {
            assert!(!log.contains(secret), "{secret} is in the log");
        }
    }
}

#[tokio::test]
async fn a_session_of_the_provider_ends_with_signing_out_and_with_the_way_it_came() {
    if !node_is_there() {
        return;
    }
    let company = Company::new(&[]).await;
    let secret = ("CONSOLE_SECRET", "0123456789abcdef0123456789abcdef");
    let console = company.console(&[secret]).await;
    let mut grace = Visitor::default();
    grace.signs_in(&console, "grace").await;
    let out = grace.go("POST", &format!("http://{}/sign-out", console.addr), "").await.answer;
    let way_out = format!("{}/session/end?client_id=console", company.provider.issuer());
    assert!(out.status == 200 && out.body.replace("&#x2f;", "/").contains(&way_out), "{out:?}");
    assert!(grace.sees(&console, "/").await.url.ends_with("/sign-in"));

    // The provider knows her still: no form.
    let back = grace.get(&format!("http://{}/sign-in/provider", console.addr)).await;
    assert!(back.answer.status == 200 && grace.sees(&console, "/").await.answer.status == 200);
    drop(console);
    let console = company.console(&[secret]).await;
    assert!(grace.sees(&console, "/").await.url.ends_with('/'), "another process, the same secret");
    drop(console);
    let closed = [secret, ("CONSOLE_OIDC_ISSUER", ""), ("CONSOLE_OIDC_CLIENT_ID", ""), ("CONSOLE_OIDC_VIEWERS", "")];
    let tokens = [
        ("CONSOLE_OIDC_CLIENT_SECRET", ""),
        ("CONSOLE_OIDC_OPERATORS", ""),
        ("CONSOLE_TOKENS", "a=viewer:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ];
    let console = company.world.console(&company.variables(&[&closed[..], &tokens].concat())).await;
    assert!(grace.sees(&console, "/").await.url.ends_with("/sign-in"), "nobody signs in there any more");
}

#[tokio::test]
async fn what_was_not_begun_here_or_was_changed_on_the_way_lets_nobody_in() {
    if !node_is_there() {
        return;
    }
    let company = Company::new(&[]).await;
    let console = company.console(&[]).await;
    let base = format!("http://{}", console.addr);
    // Another browser's way back: the code is good, and was not asked for here.
    let mut grace = Visitor::default();
    let begun = grace.once("GET", &format!("{base}/sign-in/provider"), "").await;
    let to = begun.location().unwrap();
    for part in ["code_challenge_method=S256", "nonce=", "state=", "response_type=code", "scope=openid+profile+groups"]
    {
        assert!(to.contains(part), "{part}: {to}");
    }
    let mut thief = Visitor::default();
    let strange = thief.get(&format!("{base}/sign-in/callback?code=abc&state=def")).await.answer;
    assert!(strange.status == 400 && strange.body.contains("begun elsewhere"), "{strange:?}");
    let state = to.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let taken = thief.get(&format!("{base}/sign-in/callback?code=abc&state={state}")).await.answer;
    assert_eq!(taken.status, 400, "the state of another browser");

    for (query, status) in [
        (format!("code=abc&state={state}&iss=https%3A%2F%2Fevil.example"), 400),
        (format!("error=access_denied&state={state}"), 403),
        (format!("code=made-up&state={state}"), 502),
    ] {
        let mut copy = Visitor { cookies: grace.cookies.clone() };
        let answer = copy.get(&format!("{base}/sign-in/callback?{query}")).await.answer;
        assert_eq!(answer.status, status, "{query}: {answer:?}");
        assert!(copy.sees(&console, "/").await.url.ends_with("/sign-in"), "{query}");
    }
    for n in 0..20 {
        let answer = thief.get(&format!("{base}/sign-in/callback?code=abc&state=def")).await.answer;
        if answer.status == 429 {
            break;
        }
        assert!(n < 12, "it may be tried without end");
    }
}

#[tokio::test]
async fn a_provider_that_changed_its_key_is_looked_at_again() {
    if !node_is_there() {
        return;
    }
    let company = Company::new(&[]).await;
    let console = company.console(&[]).await;
    assert_eq!(Visitor::default().signs_in(&console, "grace").await.answer.status, 200);
    company.provider.restart();
    let mut grace = Visitor::default();
    eventually("the provider is back", PATIENCE, async || {
        let addr: SocketAddr = company.provider.issuer().trim_start_matches("http://").parse().unwrap();
        tokio::net::TcpStream::connect(addr).await.ok()
    })
    .await;
    assert_eq!(grace.signs_in(&console, "grace").await.answer.status, 200, "{:#?}", console.service.log_lines());
}

#[tokio::test]
async fn a_provider_that_is_away_keeps_nobody_out_who_has_a_token() {
    if !node_is_there() {
        return;
    }
    let company = Company::new(&[]).await;
    company.provider.stop();
    let tokens = format!("desk=viewer:{VIEWER}");
    let console = company.world.console(&company.variables(&[("CONSOLE_TOKENS", &tokens)])).await;
    console.service.wait_for_log("the sign-in provider is not reached", PATIENCE).await;
    console.service.ready().await;
    let page = ask(console.addr, "GET /sign-in", &[], "").await;
    assert!(page.body.contains("does not answer") && page.body.contains("name=\"token\""), "{page:?}");
    assert_eq!(ask(console.addr, "GET /sign-in/provider", &[], "").await.status, 503);
    assert_eq!(console.as_(VIEWER).await.get("/").await.status, 200);
    drop(console);

    // Where it is the only way in, no traffic comes before it was there once.
    let console = company.world.console(&company.variables(&[])).await;
    console.service.wait_for_log("the sign-in provider is not reached", PATIENCE).await;
    let report =
        ask(console.service.admin_url().trim_start_matches("http://").parse().unwrap(), "GET /readyz", &[], "").await;
    assert!(report.status == 503 && report.json()["components"]["sign-in"]["status"] == "down", "{report:?}");
    company.provider.restart();
    console.service.ready().await;
    assert_eq!(Visitor::default().signs_in(&console, "grace").await.answer.status, 200);
}

#[tokio::test]
async fn a_browser_signs_in_at_the_provider_and_acts() {
    if !node_is_there() {
        return;
    }
    let company = Company::new(&[]).await;
    let console = company.console(&[]).await;
    let base = format!("http://{}", console.addr);
    let came = in_chromium(&[Visit::new("en", (1200, 800))
        .goes_to(&base)
        .clicks("a[href='/sign-in/provider']")
        .fills("input[name=login]", "grace")
        .fills("input[name=password]", "anything")
        .clicks("button[type=submit]")
        .clicks("button[type=submit]")
        .waits_for("#queues")
        .clicks("nav a[href='/sending']")
        .fills("#reason", "a browser asks")
        .clicks("form.card button")
        .clicks("nav a[href='/history']")
        .reads("tbody")])
    .await;
    let done = came[0].last().and_then(Value::as_str).unwrap();
    assert!(done.contains("grace@corp") && done.contains("a browser asks"), "{done}");
}

#[tokio::test]
async fn settings_of_a_provider_that_do_not_go_together_are_named() {
    let world = World::new().await;
    let good = [
        ("CONSOLE_TOKENS", ""),
        ("CONSOLE_URL", "https://console.example.com"),
        ("CONSOLE_OIDC_ISSUER", "https://login.example.com"),
        ("CONSOLE_OIDC_CLIENT_ID", "console"),
        ("CONSOLE_OIDC_OPERATORS", "ops"),
    ];
    for (changed, says) in [
        (("CONSOLE_OIDC_ISSUER", ""), "CONSOLE_OIDC_ISSUER is not set"),
        (("CONSOLE_OIDC_ISSUER", "http://login.example.com"), "https://"),
        (("CONSOLE_OIDC_CLIENT_ID", ""), "without CONSOLE_OIDC_CLIENT_ID"),
        (("CONSOLE_URL", ""), "without CONSOLE_URL"),
        (("CONSOLE_URL", "https://console.example.com/console"), "CONSOLE_URL"),
        (("CONSOLE_OIDC_OPERATORS", ""), "nobody would be let in"),
        (("CONSOLE_OIDC_VIEWERS", "a,,b"), "CONSOLE_OIDC_VIEWERS"),
        (("CONSOLE_SESSION_LIFETIME", "1s"), "CONSOLE_SESSION_LIFETIME"),
    ] {
        let kept = good.into_iter().filter(|(name, _)| *name != changed.0);
        let changes: Vec<_> = kept.chain([changed]).collect();
        let (code, lines) = run(&["console"], &world.console_environment(&changes)).await;
        assert!(code == 64 && lines.len() == 1 && lines[0].contains(says), "{changed:?}: {code} {lines:?}");
    }
}
