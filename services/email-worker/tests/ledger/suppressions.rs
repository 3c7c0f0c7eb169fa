//! Suppressed addresses, as a claim meets them.

use std::time::Duration;

use contract::TaskId;
use email_worker::ledger::Claim;
use email_worker::ledger::retention::{self, RetentionOptions};
use email_worker::suppressions::store::{Find, Remember, Source};
use email_worker::suppressions::{AddressHashes, AddressKey, AddressKeys};
use sqlx::PgPool;

use crate::support::{Home, Worker};

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const DAY: Duration = Duration::from_secs(86_400);

fn key(letter: &str) -> AddressKey {
    letter.repeat(32).parse().unwrap()
}

fn hashes(email: &str) -> AddressHashes {
    AddressKeys::new(key("b"), Some(key("a"))).hashes(&email.parse().unwrap())
}

async fn suppress(pool: &PgPool, hashes: &[[u8; 32]], ttl: Duration) -> u64 {
    let mut hashes: Vec<Vec<u8>> = hashes.iter().map(|hash| hash.to_vec()).collect();
    hashes.sort();
    let reasons = vec!["5.1.1 user-unknown".to_owned(); hashes.len()];
    let remember = Remember { hashes, reasons, key_id: "01234567".to_owned(), source: Source::Bounce, ttl };
    platform::postgres::ask(pool, &remember, ANSWER_WITHIN).await.unwrap()
}

#[tokio::test]
async fn only_what_is_suppressed_is_not_claimed_whatever_is_claimed_with_it() {
    let pool = Home::shared().await;
    let (ours, theirs) = (Worker::start(&pool), Worker::start(&pool));
    let (gone, by_the_old_key) = (hashes("gone@example.com"), hashes("old@example.com"));
    suppress(&pool, &[gone.now, by_the_old_key.old.unwrap()], DAY).await;
    suppress(&pool, &[hashes("over@example.com").now], Duration::ZERO).await;
    let id = TaskId::new;
    let (sent, elsewhere) = (id(), id());
    ours.ledger.claim(sent).await.unwrap();
    ours.ledger.mark_sent(sent).await.unwrap();
    theirs.ledger.claim(elsewhere).await.unwrap();
    let table = [
        (id(), Some("gone@example.com"), "suppressed"),
        (id(), Some("old@example.com"), "suppressed"),
        (id(), Some("over@example.com"), "ours"),
        (id(), Some("ada@example.com"), "ours"),
        (id(), None, "ours"),
        (sent, Some("gone@example.com"), "sent"),
        (elsewhere, Some("gone@example.com"), "elsewhere"),
    ];
    let claims = table.map(|(id, email, _)| {
        let ledger = &ours.ledger;
        async move {
            match email {
                Some(email) => ledger.claim_unless_suppressed(id, hashes(email)).await.unwrap(),
                None => ledger.claim(id).await.unwrap(),
            }
        }
    });
    for ((_, email, expected), claim) in table.iter().zip(futures_util::future::join_all(claims).await) {
        let word = match claim {
            Claim::Ours { .. } => "ours",
            Claim::Sent => "sent",
            Claim::Elsewhere => "elsewhere",
            Claim::Suppressed => "suppressed",
        };
        assert_eq!(word, *expected, "{email:?}");
    }
    // It is marked, and stays so.
    assert_eq!(ours.ledger.claim(table[0].0).await.unwrap(), Claim::Sent);
    let marked = "SELECT sent_at IS NOT NULL FROM ledger WHERE id = $1";
    let marked: bool = sqlx::query_scalar(marked).bind(elsewhere.as_uuid()).fetch_one(&*pool).await.unwrap();
    assert!(!marked, "a task of another worker was marked");
}

#[tokio::test]
async fn a_suppression_lasts_the_longer_time_and_is_purged_when_it_is_over() {
    let pool = Home::shared().await;
    let (gone, over) = (hashes("gone@example.com"), hashes("over@example.com"));
    assert_eq!(suppress(&pool, &[gone.now, over.now], 2 * DAY).await, 2);
    assert_eq!(suppress(&pool, &[gone.now], DAY).await, 0, "it was suppressed already");
    let find = Find { hashes: gone.all().map(<[u8]>::to_vec).collect() };
    let found = platform::postgres::ask(&pool, &find, ANSWER_WITHIN).await.unwrap().unwrap();
    assert_eq!((found.until - found.since).whole_hours(), 48);
    let end = "UPDATE suppressions SET until = now() - interval '1 second' WHERE hash = $1";
    sqlx::query(end).bind(over.now.as_slice()).execute(&*pool).await.unwrap();
    assert_eq!(retention::purge(&pool, &RetentionOptions::new(7 * DAY)).await.unwrap(), 1);
    let left: Vec<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM suppressions").fetch_all(&*pool).await.unwrap();
    assert_eq!(left, [gone.now.to_vec()]);
}

/// The plan of a statement that is asked often is kept. One from when the table was empty reads it to its end, until the
/// server hears that it has grown.
#[tokio::test]
async fn a_claim_stays_quick_while_the_table_grows() {
    let pool = Home::alone().await;
    let worker = Worker::start(&pool);
    let claim = async |n: u32| {
        let asked = std::time::Instant::now();
        worker.ledger.claim_unless_suppressed(TaskId::new(), hashes(&format!("ada-{n}@example.com"))).await.unwrap();
        asked.elapsed()
    };
    for n in 0..20 {
        claim(n).await;
    }
    let fill = "INSERT INTO suppressions (hash, key_id, reason, source, until)
                SELECT sha256(n::text::bytea), '01234567', 'imported', 'import', now() + interval '1 day'
                FROM generate_series(1, 300000) AS n";
    sqlx::query(fill).execute(&*pool).await.unwrap();
    sqlx::query("ANALYZE suppressions").execute(&*pool).await.unwrap();
    let mut longest = Duration::ZERO;
    for n in 0..50 {
        longest = longest.max(claim(n).await);
    }
    assert!(longest < Duration::from_millis(250), "a claim took {longest:?} beside 300,000 suppressions");
}
