//! One address in several spellings is one account.

use std::borrow::Cow;

use serde_json::json;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use user_api::db::MIGRATOR;
use uuid::Uuid;

use crate::support::TestApp;

/// The version of the migration that finds twins.
const TWINS: i64 = 20_261_126_190_000;

fn registration(name: &str, email: &str) -> serde_json::Value {
    json!({"username": name, "email": email, "password": "correct horse"})
}

#[tokio::test]
async fn an_address_composed_decomposed_or_in_full_width_is_one_account() {
    let app = TestApp::start(&[]).await;
    let table: &[(&str, &[&str])] = &[
        (
            "j\u{fc}rgen@b\u{fc}cher.example",
            &[
                "ju\u{308}rgen@b\u{fc}cher.example",
                "j\u{fc}rgen@bu\u{308}cher.example",
                "JU\u{308}RGEN@xn--bcher-kva.example",
            ],
        ),
        ("ada@example.com", &["\u{ff21}\u{ff44}\u{ff41}@example.com", "ada@\u{ff45}\u{ff58}\u{ff41}mple\u{ff0e}com"]),
    ];
    for (n, (first, others)) in table.iter().enumerate() {
        assert_eq!(app.register(&registration(&format!("first{n}"), first)).await.status, 201, "{first}");
        for other in *others {
            let answer = app.register(&registration(&format!("other{n}"), other)).await;
            assert_eq!(answer.problem(409), "already-taken", "{other:?} is {first:?}");
            assert_eq!(answer.pointers(), ["/email"], "{other:?}");
        }
    }
}

#[tokio::test]
async fn a_decomposed_address_is_stored_answered_and_mailed_composed() {
    let app = TestApp::start(&[]).await;
    let answer = app.register(&registration("juergen", "ju\u{308}rgen@example.com")).await;
    assert_eq!((answer.status, &answer.json()["email"]), (201, &json!("j\u{fc}rgen@example.com")), "{answer:?}");
    let stored: (String, Vec<u8>) =
        sqlx::query_as("SELECT email, body FROM users, outbox").fetch_one(app.pool()).await.unwrap();
    assert_eq!(stored.0, "j\u{fc}rgen@example.com");
    let task: serde_json::Value = serde_json::from_slice(&stored.1).unwrap();
    assert_eq!(task["email"], "j\u{fc}rgen@example.com");
}

#[tokio::test]
async fn a_refused_address_names_the_character_that_is_at_fault() {
    let app = TestApp::start(&[]).await;
    for (email, name) in [("a(b@example.com", "("), ("a\u{202e}b@example.com", "U+202E"), ("a b@example.com", "U+0020")]
    {
        let answer = app.register(&registration("ada", email)).await;
        assert_eq!(answer.problem(422), "validation-failed");
        let detail = answer.json()["errors"][0]["detail"].as_str().unwrap().to_owned();
        assert!(detail.ends_with(&format!(": {name}")), "{email:?}: {detail}");
    }
}

/// Users as an older version left them, by the last digits of their ids: email, and what it was folded to.
async fn registered_before(pool: &PgPool, users: &[(u128, &str)]) {
    let before: Vec<_> = MIGRATOR.migrations.iter().filter(|one| one.version < TWINS).cloned().collect();
    assert!(before.len() < MIGRATOR.migrations.len(), "no migration {TWINS}");
    let before = Migrator { migrations: Cow::Owned(before), ..Migrator::DEFAULT };
    platform::postgres::migrate(pool, &before).await.unwrap();
    for (id, email) in users {
        register_before(pool, *id, email).await;
    }
}

async fn register_before(pool: &PgPool, id: u128, email: &str) {
    let insert = "INSERT INTO users (id, username, email, email_folded, password_hash) VALUES ($1, $2, $3, $4, '')";
    let user = sqlx::query(insert).bind(Uuid::from_u128(id)).bind(format!("user{id}"));
    user.bind(email).bind(email.to_lowercase()).execute(pool).await.unwrap();
}

async fn twins(pool: &PgPool) -> Vec<(u128, Option<u128>)> {
    let listed: Vec<(Uuid, Option<Uuid>)> =
        sqlx::query_as("SELECT id, first_id FROM email_twins ORDER BY id").fetch_all(pool).await.unwrap();
    listed.into_iter().map(|(id, first)| (id.as_u128(), first.map(|first| first.as_u128()))).collect()
}

#[tokio::test]
async fn the_migration_keeps_every_account_lists_the_twins_and_lets_no_third_in() {
    let database = testkit::database().await;
    let pool = database.pool();
    let users = [
        // The composed one is the first, although it is younger; of two that are neither, the elder.
        (1, "ju\u{308}rgen@example.com"),
        (2, "j\u{fc}rgen@example.com"),
        (3, "\u{ff21}da@example.com"),
        (4, "a\u{ff24}a@example.com"),
        (5, "Andre\u{301}@example.com"),
        (6, "\u{ff8a}\u{ff9e}@example.com"),
        (7, "\u{9b4f}@example.com"),
        (8, "plain@example.com"),
    ];
    registered_before(pool, &users).await;
    platform::postgres::migrate(pool, &MIGRATOR).await.unwrap();

    assert_eq!(twins(pool).await, [(1, Some(2)), (4, Some(3))]);
    let kept: Vec<(Uuid, String)> =
        sqlx::query_as("SELECT id, email FROM users ORDER BY id").fetch_all(pool).await.unwrap();
    let kept: Vec<_> = kept.iter().map(|(id, email)| (id.as_u128(), email.as_str())).collect();
    assert_eq!(kept, users, "nobody's account is changed but for its fold");

    let app = TestApp::over(database.url(), &[]).await;
    for (n, email) in ["j\u{fc}rgen@example.com", "ada@example.com", "andr\u{e9}@example.com", "\u{30d0}@example.com"]
        .iter()
        .enumerate()
    {
        let answer = app.register(&registration(&format!("third{n}"), email)).await;
        assert_eq!(answer.problem(409), "already-taken", "{email:?}");
    }
}

#[tokio::test]
async fn what_an_older_version_registers_after_the_migration_is_listed_and_can_be_folded() {
    let database = testkit::database().await;
    let pool = database.pool();
    platform::postgres::migrate(pool, &MIGRATOR).await.unwrap();
    register_before(pool, 1, "ju\u{308}rgen@example.com").await;
    assert_eq!(twins(pool).await, [(1, None)]);
    let left: i64 = sqlx::query_scalar("SELECT fold_email_twins()").fetch_one(pool).await.unwrap();
    assert_eq!((left, twins(pool).await), (0, vec![]));
}

/// The characters of another width, each in the database and here.
#[tokio::test]
async fn the_database_folds_every_character_of_another_width_as_the_service_does() {
    let database = testkit::database().await;
    platform::postgres::migrate(database.pool(), &MIGRATOR).await.unwrap();
    let characters: Vec<String> = ('\u{ff00}'..='\u{ffef}').map(|c| format!("a{c}")).collect();
    let lower: Vec<String> = characters.iter().map(|text| text.to_lowercase()).collect();
    let theirs: Vec<String> =
        sqlx::query_scalar("SELECT email_folded_on(t) FROM unnest($1::text[]) WITH ORDINALITY AS u(t, n) ORDER BY n")
            .bind(&lower)
            .fetch_all(database.pool())
            .await
            .unwrap();
    for (text, theirs) in characters.iter().zip(theirs) {
        // What the database knows and an address can't have is no matter.
        if let Ok(address) = format!("{text}@example.com").parse::<contract::EmailAddress>() {
            assert_eq!(format!("{theirs}@example.com"), address.folded(), "{text:?}");
        }
    }
}
