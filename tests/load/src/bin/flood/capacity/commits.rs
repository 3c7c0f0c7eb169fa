//! What the database's disk bears.

use std::time::{Duration, Instant};

use sqlx::PgPool;

/// Connections that commit.
const COMMITTERS: u32 = 32;

/// How many commits of one small row the database makes durable in a second.
pub(super) async fn a_second(pool: &PgPool) -> f64 {
    sqlx::query("CREATE TABLE commits (n bigserial PRIMARY KEY, text text)").execute(pool).await.unwrap();
    let options = (*pool.connect_options()).clone();
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(COMMITTERS).connect_lazy_with(options);
    let (began, length) = (Instant::now(), Duration::from_secs(5));
    let mut committers = tokio::task::JoinSet::new();
    for _ in 0..COMMITTERS {
        let pool = pool.clone();
        committers.spawn(async move {
            let mut connection = pool.acquire().await.unwrap();
            let mut commits = 0_u32;
            while began.elapsed() < length {
                let insert = sqlx::query("INSERT INTO commits (text) VALUES (repeat('x', 200))");
                insert.execute(&mut *connection).await.unwrap();
                commits += 1;
            }
            commits
        });
    }
    let commits: u32 = committers.join_all().await.iter().sum();
    f64::from(commits) / began.elapsed().as_secs_f64()
}
