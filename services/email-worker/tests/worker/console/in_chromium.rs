//! The pages in a real browser: for people who see little, who have no mouse, or a phone.

use contract::{TaskId, queue};
use serde_json::Value;
use testkit::{Script, Stage, Visit, eventually, in_chromium, node_is_there};

use super::{ADA, Console, KEY, OPERATOR, VIEWER};
use crate::commands::run;
use crate::helpers::{PATIENCE, World};

const DESK: (u32, u32) = (1200, 800);
const PHONE: (u32, u32) = (360, 740);

/// A way through the pages, with a look at each.
struct Tour {
    about: String,
    visit: Visit,
    /// Of each step what it looks at.
    pages: Vec<Option<String>>,
}

impl Tour {
    fn new(who: &str, locale: &str, size: (u32, u32)) -> Self {
        let about = format!("{who}, {locale}, {} px", size.0);
        Self { about, visit: Visit::new(locale, size), pages: Vec::new() }
    }

    fn does(mut self, step: impl FnOnce(Visit) -> Visit) -> Self {
        self.visit = step(self.visit);
        self.pages.push(None);
        self
    }

    fn looks_at(mut self, page: &str) -> Self {
        self.visit = self.visit.asks_axe().tabs_through().measures_overflow();
        self.pages.extend(std::iter::repeat_n(Some(page.to_owned()), 3));
        self
    }

    fn signs_in(self, console: &Console, token: &str) -> Self {
        let url = format!("http://{}/sign-in", console.addr);
        let at_the_door = self.does(|visit| visit.goes_to(&url)).looks_at("/sign-in");
        at_the_door.does(|visit| visit.fills("#token", token)).does(|visit| visit.clicks("form.card button"))
    }

    fn goes_to(self, console: &Console, path: &str) -> Self {
        let url = format!("http://{}{path}", console.addr);
        self.does(|visit| visit.goes_to(&url)).looks_at(path)
    }

    /// What is wrong with the pages.
    fn faults(&self, came: &[Value]) -> Vec<String> {
        let told = |page: &str, what: &str, found: &Value| format!("{page} ({}): {what}: {found:#}", self.about);
        let mut faults = Vec::new();
        for (page, came) in self.pages.iter().zip(came).filter_map(|(page, came)| Some((page.as_deref()?, came))) {
            for list in ["violations", "missed", "unmarked"] {
                if came[list].as_array().is_some_and(|found| !found.is_empty()) {
                    faults.push(told(page, list, &came[list]));
                }
            }
            if came.as_i64().is_some_and(|wider| wider > 0) {
                faults.push(told(page, "wider than the window by", came));
            }
            let looked = came["passes"].as_i64().unwrap_or(1) > 0 && came["reached"].as_i64().unwrap_or(1) > 0;
            assert!(looked, "{page}: nothing was looked at: {came}");
        }
        faults
    }
}

/// Something of everything that pages show: a mail that is sent, one that is dead, a pause, a limit, a suppressed address, a history.
async fn populated(world: &World) -> TaskId {
    world.smtp.set_script(
        Script::healthy().reply(Stage::Rcpt, "550 5.7.1 blocked: a long explanation of it").for_recipient(ADA),
    );
    let worker = world.worker_with(&[("ADDRESS_HASH_KEY", KEY), ("HOSTNAME", "worker-7")]).await;
    let id = world.register(ADA).await;
    world.register("bob@example.com").await;
    eventually("a dead letter", PATIENCE, async || (world.waiting(queue::DEAD).await == 1).then_some(())).await;
    world.marked(1).await;
    worker.stop().await;
    let variables = [
        ("DATABASE_URL", world.database.url().to_owned()),
        ("ADDRESS_HASH_KEY", KEY.to_owned()),
        ("USER", "grace".to_owned()),
    ];
    for command in [
        &["sending", "pause", "--domain", "gmail.com", "--reason", "they asked us to stop until Monday", "--for", "3h"]
            [..],
        &["sending", "limit", "600/m", "--type", "shop.newsletter", "--at-once", "2", "--reason", "quiet hours"],
        &["suppressions", "add", ADA, "--reason", "asked us to"],
    ] {
        let (code, lines) = run(command, &variables).await;
        assert_eq!(code, 0, "{command:?}: {lines:?}");
    }
    id
}

#[tokio::test]
async fn every_page_holds_for_screen_readers_keyboards_and_phones_in_both_languages() {
    if !node_is_there() {
        return;
    }
    let world = World::new().await;
    let id = populated(&world).await;
    let console = world.console(&[]).await;
    let mut tours = Vec::new();
    for (who, token, locale, size) in [
        ("an operator", OPERATOR, "en", DESK),
        ("an operator", OPERATOR, "en", PHONE),
        ("an operator", OPERATOR, "zh-CN", DESK),
        ("an operator", OPERATOR, "zh-CN", PHONE),
        ("a viewer", VIEWER, "en", PHONE),
    ] {
        let mut tour = Tour::new(who, locale, size).signs_in(&console, token);
        for path in ["/", "/mails", "/dead-letters", "/jobs", "/sending", "/history", "/nowhere"] {
            tour = tour.goes_to(&console, path);
        }
        tour = tour.goes_to(&console, &format!("/mails/{id}")).goes_to(&console, &format!("/dead-letters/{id}"));
        // What only a form leads to.
        tour = tour.goes_to(&console, "/mails").does(|visit| visit.fills("#what", ADA));
        tour = tour.does(|visit| visit.clicks("form.card button")).looks_at("a mail that was found");
        if token == OPERATOR {
            tour = tour.goes_to(&console, &format!("/dead-letters/{id}"));
            tour = tour.does(|visit| visit.clicks("button[value=redrive]")).looks_at("what is to be confirmed");
        }
        tours.push(tour);
    }
    let visits: Vec<_> = tours.iter().map(|tour| tour.visit.clone()).collect();
    let came = in_chromium(&visits).await;
    let faults: Vec<_> = tours.iter().zip(&came).flat_map(|(tour, came)| tour.faults(came)).collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
