//! Leasing slots from the fleet's row.

use std::time::Duration;

use sqlx::PgConnection;

use crate::ledger::link::Statement;

/// Reserves slots. Answers how many seconds it is until the first (negative: it has passed while the answer was made), or
/// `None` when the fleet is a second ahead already.
///
/// All times are taken from the database's clock, after the row's lock was won. A clock that was set back leaves the next
/// free moment out of reach; that is noticed, and the count starts over.
pub(super) struct Lease {
    /// How many.
    pub(super) slots: u32,
    /// From one to the next.
    pub(super) spacing: Duration,
}

impl Statement for Lease {
    type Answer = Option<f64>;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Option<f64>> {
        // Looked at first without a lock: where many workers wait, most of them come too early.
        sqlx::query_scalar(
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
             RETURNING extract(epoch FROM next_free - clock_timestamp())::float8 - $1",
        )
        .bind(self.spacing.as_secs_f64() * f64::from(self.slots))
        .fetch_optional(conn)
        .await
    }
}
