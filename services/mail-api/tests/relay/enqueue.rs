//! The function `enqueue_mail`: what it refuses, what it allows, and to whom.

use sqlx::PgPool;
use uuid::Uuid;

use crate::support::Shop;

async fn ask(pool: &PgPool, arguments: &str) -> Result<Uuid, String> {
    let sql = format!("SELECT sluice.enqueue_mail({arguments})");
    let asked = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(pool).await;
    asked.map_err(|error| {
        let error = error.into_database_error().expect("an error of the database");
        format!("{} {}", error.code().unwrap_or_default(), error.message())
    })
}

#[tokio::test]
async fn what_can_be_no_mail_is_refused_at_once_with_one_clear_error_that_repeats_no_address() {
    let shop = Shop::open().await;
    let app = shop.as_app().await;
    for (arguments, wrong) in [
        ("NULL, 'ada@example.com'", "type is empty"),
        ("' ', 'ada@example.com'", "type is empty"),
        ("repeat('t', 101), 'ada@example.com'", "at most 100 bytes"),
        ("'order paid', 'ada@example.com'", "type is not a name"),
        ("'order..paid', 'ada@example.com'", "type is not a name"),
        ("E'order.paid\\n', 'ada@example.com'", "type is not a name"),
        ("'order.paid', NULL", "email is not one address"),
        ("'order.paid', ''", "email is not one address"),
        ("'order.paid', 'ada'", "email is not one address"),
        ("'order.paid', '@example.com'", "email is not one address"),
        ("'order.paid', 'ada@'", "email is not one address"),
        ("'order.paid', ' ada@example.com'", "email is not one address"),
        ("'order.paid', E'ada@example.com\\r\\nBcc: eve@example.com'", "email is not one address"),
        ("'order.paid', 'ada@example.com', '[]'", "data is not a JSON object"),
        ("'order.paid', 'ada@example.com', '\"text\"'", "data is not a JSON object"),
        ("'order.paid', 'ada@example.com', 'null'", "data is not a JSON object"),
        ("'order.paid', 'ada@example.com', name => repeat('n', 257)", "name is longer than 256 characters"),
        ("'order.paid', 'ada@example.com', name => E'Ada\\nBcc: eve'", "name has control characters"),
        ("'email.welcome', 'ada@example.com'", "email.welcome needs a name"),
        ("'order.paid', 'ada@example.com', expires_at => 'infinity'", "expires_at is not a moment"),
        ("'order.paid', 'ada@example.com', priority => 'urgent'", "priority is neither normal nor high"),
        ("'order.paid', 'ada@example.com', jsonb_build_object('x', repeat('x', 65536))", "larger than 65536 bytes"),
    ] {
        let error = ask(&app, arguments).await.expect_err(arguments);
        assert!(error.starts_with("22023 enqueue_mail: ") && error.contains(wrong), "{arguments}: {error}");
        assert!(!error.contains("example.com") || error.contains("such as ada@example.com"), "{arguments}: {error}");
    }
    assert_eq!(shop.waiting().await, 0);
}

#[tokio::test]
async fn what_clients_send_for_nothing_is_nothing() {
    let shop = Shop::open().await;
    let app = shop.as_app().await;
    for arguments in [
        "'order.paid', 'ada@example.com'",
        "'order.paid', 'ada@example.com', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL",
        "'order.paid', '\"quoted name\"@example.com'",
        "'order.paid', '用户@例子.中国', '{\"a\": {\"b\": null}}', name => 'O''Neill'",
    ] {
        let id = ask(&app, arguments).await.unwrap_or_else(|error| panic!("{arguments}: {error}"));
        assert_eq!(id.get_version_num(), 7, "{id}");
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122, "{id}");
    }
    let bodies: Vec<String> = sqlx::query_scalar("SELECT convert_from(body, 'UTF8') FROM sluice.outbox ORDER BY id")
        .fetch_all(shop.pool())
        .await
        .unwrap();
    assert_eq!(bodies[0], r#"{"email": "ada@example.com"}"#);
    assert_eq!(bodies[1], r#"{"email": "ada@example.com"}"#);
    assert!(bodies[3].contains(r#""data": {"a": {"b": null}}"#), "what is in data stays as it is: {}", bodies[3]);
    let priorities: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT priority FROM sluice.outbox").fetch_all(shop.pool()).await.unwrap();
    assert_eq!(priorities, ["normal"]);
}

#[tokio::test]
async fn ids_follow_the_clock_and_the_same_id_again_is_the_same_mail() {
    let shop = Shop::open().await;
    let app = shop.as_app().await;
    let mut before = Uuid::nil();
    for _ in 0..20 {
        let began = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let id = ask(&app, "'order.paid', 'ada@example.com'").await.unwrap();
        let (seconds, nanos) = id.get_timestamp().expect("a moment").to_unix();
        let moment = u128::from(seconds) * 1_000 + u128::from(nanos) / 1_000_000;
        assert!(moment.abs_diff(began) < 5_000, "{id} was made at {moment}, asked for at {began}");
        assert!(id > before, "{before} {id}");
        before = id;
    }
    let again = format!("'order.paid', 'eve@example.com', id => '{before}'");
    assert_eq!(ask(&app, &again).await, Ok(before));
    assert_eq!(shop.waiting().await, 20);
}

#[tokio::test]
async fn a_transaction_that_is_rolled_back_asked_for_nothing() {
    let shop = Shop::open().await;
    let app = shop.as_app().await;
    let mut transaction = app.begin().await.unwrap();
    sqlx::query("INSERT INTO orders (customer) VALUES ('ada')").execute(&mut *transaction).await.unwrap();
    let asked = "SELECT sluice.enqueue_mail('order.paid', 'ada@example.com')";
    sqlx::query(asked).execute(&mut *transaction).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(shop.waiting().await, 0);
}

#[tokio::test]
async fn who_may_ask_for_mails_may_do_nothing_else_and_nobody_else_may_ask() {
    let shop = Shop::open().await;
    let app = shop.as_app().await;
    ask(&app, "'order.paid', 'ada@example.com'").await.unwrap();
    for statement in [
        "SELECT FROM sluice.outbox",
        "DELETE FROM sluice.outbox",
        "UPDATE sluice.outbox SET body = ''",
        "INSERT INTO sluice.outbox (task_type, body) VALUES ('a', '')",
        "CREATE TABLE sluice.mine ()",
        "DROP FUNCTION sluice.outbox_version()",
    ] {
        let refused = sqlx::raw_sql(statement).execute(&app).await.expect_err(statement).to_string();
        assert!(refused.contains("permission denied") || refused.contains("must be owner"), "{statement}: {refused}");
    }
    // A role that may use the schema, as the relay's, may not call the function.
    let relay = PgPool::connect(&shop.relay_url()).await.unwrap();
    let refused = ask(&relay, "'order.paid', 'ada@example.com'").await.expect_err("no right");
    assert!(refused.contains("permission denied for function enqueue_mail"), "{refused}");
}

#[tokio::test]
async fn a_caller_cannot_have_the_function_take_other_functions_or_tables_for_its_own() {
    let shop = Shop::open().await;
    shop.execute(&format!("GRANT CREATE ON SCHEMA public TO {}", shop.app)).await;
    let app = shop.as_app().await;
    let mut session = app.acquire().await.unwrap();
    for statement in [
        "CREATE FUNCTION public.btrim(text) RETURNS text LANGUAGE sql AS $$ SELECT current_user::text $$",
        "CREATE TEMP TABLE outbox (id uuid)",
        "CREATE FUNCTION pg_temp.jsonb_typeof(jsonb) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'mine'; END $$",
        "SET search_path = pg_temp, public, pg_catalog",
        "SET standard_conforming_strings = off",
    ] {
        sqlx::raw_sql(statement).execute(&mut *session).await.unwrap();
    }
    let asked = "SELECT sluice.enqueue_mail('order.paid', 'ada@example.com')";
    sqlx::raw_sql(asked).execute(&mut *session).await.unwrap();
    assert_eq!(shop.waiting().await, 1);
}
