//! A proxy that signs people in.

use super::{Console, OPERATOR};
use crate::commands::run;
use crate::helpers::World;
use crate::helpers::http::{Answer, ask};

const NETWORKS: (&str, &str) = ("CONSOLE_PROXY_NETWORKS", "127.0.0.0/8");
const ROLES: [(&str, &str); 2] = [("CONSOLE_PROXY_OPERATORS", "mail-ops"), ("CONSOLE_PROXY_VIEWERS", "desk")];

impl Console {
    async fn by_proxy(&self, line: &str, who: &[(&str, &str)], body: &str) -> Answer {
        let json = [("Content-Type", "application/json")];
        ask(self.addr, line, &[who, &json[..]].concat(), body).await
    }
}

#[tokio::test]
async fn whom_the_proxy_names_is_in_for_as_long_as_it_names_them() {
    let world = World::new().await;
    let console = world.console(&[&[NETWORKS, ("CONSOLE_TOKENS", "")], &ROLES[..]].concat()).await;
    let ada = [("X-Forwarded-User", "ada@corp"), ("X-Forwarded-Groups", "everybody, mail-ops")];
    let page = console.by_proxy("GET /sending", &ada, "").await;
    assert!(page.status == 200 && page.body.contains("ada@corp") && page.body.contains("form_key"), "{page:?}");
    assert_eq!(page.header("set-cookie"), None, "nothing is kept");
    assert!(!page.body.contains("Sign out"), "that is the proxy's affair: {page:?}");
    assert_eq!(console.by_proxy("GET /", &[], "").await.status, 303);
    let page = console.by_proxy("GET /sign-in", &[], "").await;
    assert!(page.status == 200 && page.body.contains("sign in at the proxy"), "{page:?}");
    let eve = [("X-Forwarded-User", "eve"), ("X-Forwarded-Groups", "everybody")];
    assert_eq!(console.by_proxy("GET /", &eve, "").await.status, 303);
    let page = console.by_proxy("GET /sign-in", &eve, "").await;
    assert!(page.status == 403 && page.body.contains("none of the groups"), "{page:?}");

    // The API knows them too, and takes nothing of what a browser sends for another site.
    let pause = "POST /v1/sending/pause";
    assert_eq!(console.by_proxy(pause, &ada, "{}").await.status, 200);
    assert_eq!(console.by_proxy(pause, &eve, "{}").await.status, 401);
    let desk = [("X-Forwarded-User", "desk"), ("X-Forwarded-Groups", "desk")];
    assert_eq!(console.by_proxy(pause, &desk, "{}").await.status, 403);
    for from in [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")] {
        let answer = console.by_proxy("POST /v1/jobs/1/stop", &[&ada[..], &[from]].concat(), "").await;
        assert!(answer.status == 403 && answer.body.contains("sent-by-another-site"), "{from:?}: {answer:?}");
    }
    let done = console.by_proxy("GET /v1/actions", &desk, "").await.json();
    assert_eq!((&done["actions"][0]["by"], &done["actions"][0]["action"]), (&"ada@corp".into(), &"pause".into()));
}

#[tokio::test]
async fn the_same_headers_from_anybody_else_say_nothing() {
    let world = World::new().await;
    let elsewhere = ("CONSOLE_PROXY_NETWORKS", "10.1.0.0/16,192.0.2.7");
    let other = ("CONSOLE_PROXY_USER_HEADER", "Remote-User");
    for changes in [&[elsewhere][..], &[NETWORKS, other]] {
        let console = world.console(&[changes, &ROLES[..], &[("TRUSTED_PROXIES", "127.0.0.0/8")]].concat()).await;
        let claims = [
            ("X-Forwarded-User", "ada"),
            ("X-Forwarded-Groups", "mail-ops"),
            ("X-Forwarded-For", "10.1.2.3"),
            ("Forwarded", "for=10.1.2.3"),
        ];
        assert_eq!(console.by_proxy("GET /", &claims, "").await.status, 303, "{changes:?}");
        assert_eq!(console.by_proxy("GET /v1/sending", &claims, "").await.status, 401, "{changes:?}");
        assert_eq!(console.api("GET /v1/sending", OPERATOR, "").await.status, 200, "tokens are good beside it");
    }
}

#[tokio::test]
async fn a_foreign_page_stops_nothing_where_nobody_has_to_sign_in() {
    let world = World::new().await;
    let console = world.console(&[("CONSOLE_TOKENS", "")]).await;
    let foreign = [("Sec-Fetch-Site", "cross-site"), ("Content-Type", "text/plain")];
    assert_eq!(ask(console.addr, "POST /v1/jobs/1/stop", &foreign, "").await.status, 403);
    assert_eq!(ask(console.addr, "POST /v1/jobs/1/stop", &[], "").await.status, 200, "a program");
}

#[tokio::test]
async fn settings_of_a_proxy_that_do_not_go_together_are_named() {
    let world = World::new().await;
    let good = [&[NETWORKS, ("CONSOLE_TOKENS", "")], &ROLES[..]].concat();
    for (changes, says) in [
        (&[("CONSOLE_PROXY_NETWORKS", "")][..], "without CONSOLE_PROXY_NETWORKS"),
        (&[("CONSOLE_PROXY_NETWORKS", "10.0.0.0/8,0.0.0.0/0")], "anybody could say"),
        (&[("CONSOLE_PROXY_NETWORKS", "proxy.example")], "CONSOLE_PROXY_NETWORKS"),
        (&[("CONSOLE_PROXY_OPERATORS", ""), ("CONSOLE_PROXY_VIEWERS", "")], "nobody would be let in"),
        (&[("CONSOLE_PROXY_GROUPS_HEADER", "x-forwarded-user")], "the same header"),
        (&[("CONSOLE_PROXY_USER_HEADER", "a b")], "CONSOLE_PROXY_USER_HEADER"),
    ] {
        let kept = good.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        let all: Vec<_> = kept.chain(changes).copied().collect();
        let (code, lines) = run(&["console"], &world.console_environment(&all)).await;
        assert!(code == 64 && lines.len() == 1 && lines[0].contains(says), "{changes:?}: {code} {lines:?}");
    }
    let open = [&good[..], &[("HTTP_ADDR", "0.0.0.0:0")]].concat();
    let console = world.console(&open).await;
    assert_ne!(console.addr.port(), 0, "a proxy is a way to sign in");
}
