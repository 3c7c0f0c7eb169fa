//! Events as arrays, for the statement that writes them with marks.

use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;

use super::event::Event;

/// Writes events from eight arrays. A statement whose answer was lost is asked again: what stands there is the same.
macro_rules! tell {
    ($row:literal, $id:literal, $mail:literal, $kind:literal, $body:literal, $parent:literal, $state:literal, $at:literal) => {
        concat!(
            "INSERT INTO mail_events (id, event_id, mail_id, event_type, body, traceparent, tracestate, created_at)
             SELECT * FROM unnest(",
            $row,
            "::uuid[], ",
            $id,
            "::uuid[], ",
            $mail,
            "::uuid[], ",
            $kind,
            "::text[], ",
            $body,
            "::bytea[], ",
            $parent,
            "::text[], ",
            $state,
            "::text[], ",
            $at,
            "::timestamptz[])
             ON CONFLICT (id) DO NOTHING"
        )
    };
}
pub(crate) use tell;

/// The rows of events.
pub(crate) struct Rows<'e>(Vec<&'e Event>);

impl<'e> Rows<'e> {
    /// Of these.
    pub(crate) fn of(events: impl IntoIterator<Item = &'e Event>) -> Self {
        Self(events.into_iter().collect())
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Binds the arrays, in the order of [`tell`].
    pub(crate) fn bind<'q>(&self, query: Query<'q, Postgres, PgArguments>) -> Query<'q, Postgres, PgArguments> {
        query
            .bind(self.column(|event| event.row))
            .bind(self.column(|event| event.id))
            .bind(self.column(|event| event.mail))
            .bind(self.column(|event| event.kind.event_type()))
            .bind(self.column(|event| event.body.clone()))
            .bind(self.column(|event| event.trace.traceparent.clone()))
            .bind(self.column(|event| event.trace.tracestate.clone()))
            .bind(self.column(|event| event.at))
    }

    fn column<T>(&self, field: impl FnMut(&Event) -> T) -> Vec<T> {
        self.0.iter().copied().map(field).collect()
    }
}
