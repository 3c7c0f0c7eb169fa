//! Leasing slots from the fleet's row. That one row bounds the fleet is checked in `tests/models/src/rate.rs`.

use std::time::Duration;

use sqlx::PgConnection;

use crate::ledger::link::Statement;

/// Reserves slots. Answers when the first of them is, or `None` when the fleet is a second ahead already.
///
/// All times are taken from the database's clock, after the row's lock was won. A clock that was set back leaves the next
/// free moment out of reach; that is noticed, and the count starts over.
pub(super) struct Lease {
    /// How many.
    pub(super) slots: u32,
    /// From one to the next.
    pub(super) spacing: Duration,
}

/// Two moments by the database's clock, in seconds since its epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Granted {
    /// The first slot.
    pub(super) first: f64,
    /// The answer.
    pub(super) now: f64,
}

impl Statement for Lease {
    type Answer = Option<Granted>;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Self::Answer> {
        // Looked at first without a lock: where many workers wait, most of them come too early.
        let row: Option<(f64, f64)> = sqlx::query_as(
            "INSERT INTO mail_rate AS rate (next_free)
             SELECT clock_timestamp() + make_interval(secs => $1)
             WHERE NOT EXISTS (
                 SELECT FROM mail_rate
                 WHERE next_free >= clock_timestamp() + interval '1 second'
                   AND next_free <= clock_timestamp() + interval '5 seconds'
             )
             ON CONFLICT (only_row) DO UPDATE SET next_free = make_interval(secs => $1) +
                 CASE WHEN rate.next_free > clock_timestamp() + interval '5 seconds' THEN clock_timestamp()
                      ELSE greatest(rate.next_free, clock_timestamp()) END
             WHERE rate.next_free < clock_timestamp() + interval '1 second'
                OR rate.next_free > clock_timestamp() + interval '5 seconds'
             RETURNING extract(epoch FROM next_free)::float8 - $1, extract(epoch FROM clock_timestamp())::float8",
        )
        .bind(self.spacing.as_secs_f64() * f64::from(self.slots))
        .fetch_optional(conn)
        .await?;
        Ok(row.map(|(first, now)| Granted { first, now }))
    }
}
