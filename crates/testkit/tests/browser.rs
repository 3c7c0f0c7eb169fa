//! A browser that is driven sees what is wrong with a page.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use testkit::{Visit, in_chromium, node_is_there};
use tokio::net::TcpListener;

const GOOD: &str = "<!doctype html><html lang=en><title>t</title><main><h1>h</h1><label>a <input></label>\
                    <a href='/'>b</a></main>";
/// A field without a name, a link without a mark, one that the Tab key does not reach, one out of its order, and no room for it all.
const BAD: &str = "<!doctype html><html lang=en><title>t</title><style>.x:focus{outline:none}</style><main><h1>h</h1><input>\
                   <a class=x href='/'>b</a><a href='/' style='visibility:hidden'>c</a><a href='/' tabindex=1>d</a>\
                   <p style='width:500px'>e</p></main>";

#[tokio::test]
async fn faults_of_a_page_are_found_and_a_good_page_has_none() {
    if !node_is_there() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let pages = Router::new().route("/good", get(async || Html(GOOD))).route("/bad", get(async || Html(BAD)));
    let serving = tokio::spawn(async move { axum::serve(listener, pages).await });
    let visits = ["good", "bad"].map(|page| {
        let visit = Visit::new("en", (360, 700)).goes_to(&format!("{base}/{page}"));
        visit.asks_axe().tabs_through().measures_overflow()
    });
    let came = in_chromium(&visits).await;
    let count = |visit: usize, step: usize, list: &str| came[visit][step][list].as_array().unwrap().len();
    for (list, step, bad) in [("violations", 1, 2), ("missed", 2, 1), ("unmarked", 2, 1)] {
        assert_eq!(count(0, step, list), 0, "{list}: {:#?}", came[0]);
        assert!(count(1, step, list) >= bad, "{list}: {:#?}", came[1]);
    }
    assert_eq!(came[0][3], 0);
    assert!(came[1][3].as_i64().unwrap() > 100, "{:#?}", came[1]);
    serving.abort();
}
