//! Growth: what is fast with little must be as fast with much. A million tasks in the queue, a million in the outbox, a million
//! users, five million rows in the ledger.

pub(crate) mod ledger;
pub(crate) mod outbox;
pub(crate) mod queued;
mod turns;
pub(crate) mod users;

use sqlx::{AssertSqlSafe, PgPool};

/// Moments in the order of a backlog's way out, as a rate for its first tenth and for its last. A hundredth at each end is left
/// out: connections open, the prefetch finds its size, the end runs dry.
struct Tenths {
    first: f64,
    last: f64,
}

impl Tenths {
    /// `when(percent)`: seconds after which so much of the backlog was gone.
    fn of(total: usize, when: impl Fn(usize) -> f64) -> Self {
        let rate = |from: usize| total as f64 / 10.0 / (when(from + 10) - when(from));
        Self { first: rate(1), last: rate(89) }
    }
}

async fn execute(pool: &PgPool, sql: String) {
    // One connection and no limit but the server's own: these statements write millions of rows.
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

/// A UUIDv7 of the year 2023 for row `n`: in order, as those that the services make.
const UUID: &str = "(lpad(to_hex(1700000000000 + n), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_drain_has_equal_tenths_and_a_slowing_one_has_not() {
        let steady = Tenths::of(1_000, |percent| percent as f64);
        assert!(
            (steady.first - 10.0).abs() < 1e-6 && (steady.last - 10.0).abs() < 1e-6,
            "{} {}",
            steady.first,
            steady.last
        );
        let slowing = Tenths::of(1_000, |percent| (percent * percent) as f64);
        assert!(slowing.last < slowing.first / 5.0, "{} {}", slowing.first, slowing.last);
    }
}
