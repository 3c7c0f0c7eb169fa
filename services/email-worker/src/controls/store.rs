//! The tables `sending_controls` and `operator_actions`.

use std::time::Duration;

use platform::postgres::Statement;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Apart, Ask, By, Closing, Control, Controls, Kind, MOST, Scope};

/// All that hold.
#[derive(Debug)]
pub struct Read;

#[derive(sqlx::FromRow)]
struct Row {
    kind: String,
    scope: String,
    name: String,
    rate: Option<String>,
    at_once: Option<i16>,
    set_by: String,
    reason: String,
    set_at: OffsetDateTime,
    until: Option<OffsetDateTime>,
}

impl Row {
    /// `None`: of a newer version.
    fn control(self) -> Option<Control> {
        let Self { kind, scope, name, rate, at_once, set_by, reason, set_at, until } = self;
        let ask = match (kind.as_str(), rate) {
            ("pause", _) => Ask::Pause,
            ("limit", Some(rate)) => {
                let at_once = at_once.and_then(|most| u16::try_from(most).ok());
                Ask::Limit { rate: rate.parse().ok()?, at_once }
            }
            _ => return None,
        };
        Some(Control { scope: Scope::from_columns(&scope, &name)?, ask, set_by, reason, set_at, until })
    }
}

impl Statement for Read {
    type Answer = Controls;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Controls> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT kind, scope, name, rate, at_once, set_by, reason, set_at, until FROM sending_controls
             WHERE until IS NULL OR until > now()",
        )
        .fetch_all(&mut *conn)
        .await?;
        let queues: Vec<(String, String)> =
            sqlx::query_as("SELECT mail_type, domain FROM apart_queues").fetch_all(&mut *conn).await?;
        let closing: Option<Closing> =
            sqlx::query_as("SELECT number, asked_by, reason FROM circuit_closings").fetch_optional(conn).await?;
        let queues = queues.iter().filter_map(|(mail_type, domain)| Apart::from_columns(mail_type, domain));
        Ok(rows.into_iter().filter_map(Row::control).collect::<Controls>().with_queues(queues).with_closing(closing))
    }
}

/// Sets a control, in place of the one of its kind that the scope has.
#[derive(Debug)]
pub struct Set {
    /// Of which mails.
    pub scope: Scope,
    /// What is asked for.
    pub ask: Ask,
    /// Who asks.
    pub by: By,
}

/// How setting one ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It holds.
    Set,
    /// There would be more than [`MOST`] queues.
    TooMany,
}

impl Set {
    fn action(&self) -> &'static str {
        self.ask.kind().slug()
    }

    /// For the table of actions.
    fn detail(&self) -> String {
        let what = match self.ask {
            Ask::Pause => String::new(),
            Ask::Limit { rate, at_once: None } => format!("{rate}, "),
            Ask::Limit { rate, at_once: Some(most) } => format!("{rate}, {most} at once, "),
        };
        let lasts = self.by.lasts.map(|lasts| format!("for {}, ", humantime::format_duration(lasts)));
        format!("{what}{}{}", lasts.unwrap_or_default(), self.by.reason)
    }
}

impl Statement for Set {
    type Answer = Done;

    /// What has run out goes on this occasion.
    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Done> {
        if self.scope != Scope::Fleet && Read.ask(conn).await?.queues_with(&self.scope) > MOST {
            return Ok(Done::TooMany);
        }
        let (scope, name) = self.scope.columns();
        let (rate, at_once) = match self.ask {
            Ask::Pause => (None, None),
            Ask::Limit { rate, at_once } => (Some(rate.written()), at_once.and_then(|most| i16::try_from(most).ok())),
        };
        sqlx::query(
            "WITH gone AS (DELETE FROM sending_controls WHERE until <= now() AND (kind, scope, name) <> ($1, $2, $3)),
                  now_set AS (
                      INSERT INTO sending_controls (kind, scope, name, rate, at_once, set_by, reason, until)
                      VALUES ($1, $2, $3, $4, $5, $6, $7, now() + make_interval(secs => $8))
                      ON CONFLICT (kind, scope, name) DO UPDATE SET
                          rate = excluded.rate, at_once = excluded.at_once, set_by = excluded.set_by,
                          reason = excluded.reason, set_at = now(), until = excluded.until
                      RETURNING kind
                  )
             INSERT INTO operator_actions (operator, action, object, detail) SELECT $6, kind, $9, $10 FROM now_set",
        )
        .bind(self.action())
        .bind(scope)
        .bind(name)
        .bind(rate)
        .bind(at_once)
        .bind(&self.by.operator)
        .bind(&self.by.reason)
        .bind(self.by.lasts.map(|lasts| lasts.as_secs_f64()))
        .bind(self.scope.to_string())
        .bind(self.detail())
        .execute(conn)
        .await?;
        Ok(Done::Set)
    }
}

/// Ends a control. Answers whether there was one.
#[derive(Debug)]
pub struct Clear {
    /// Which kind.
    pub kind: Kind,
    /// Of which mails.
    pub scope: Scope,
    /// Who asks.
    pub by: By,
}

impl Statement for Clear {
    type Answer = bool;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<bool> {
        let (scope, name) = self.scope.columns();
        let action = match self.kind {
            Kind::Pause => "resume",
            Kind::Limit => "unlimit",
        };
        let done = sqlx::query(
            "WITH gone AS (DELETE FROM sending_controls WHERE (kind, scope, name) = ($1, $2, $3) RETURNING until)
             INSERT INTO operator_actions (operator, action, object, detail)
             SELECT $4, $5, $6, $7 FROM gone WHERE until IS NULL OR until > now()",
        )
        .bind(self.kind.slug())
        .bind(scope)
        .bind(name)
        .bind(&self.by.operator)
        .bind(action)
        .bind(self.scope.to_string())
        .bind(&self.by.reason)
        .execute(conn)
        .await?;
        Ok(done.rows_affected() > 0)
    }
}

/// Has the circuits of all workers closed.
#[derive(Debug)]
pub struct CloseCircuits {
    /// Who asks.
    pub by: By,
}

impl Statement for CloseCircuits {
    type Answer = ();

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query(
            "WITH closed AS (
                 INSERT INTO circuit_closings AS known (number, asked_by, reason) VALUES (1, $1, $2)
                 ON CONFLICT (lone) DO UPDATE SET
                     number = known.number + 1, asked_by = excluded.asked_by, reason = excluded.reason, at = now()
             )
             INSERT INTO operator_actions (operator, action, object, detail) VALUES ($1, 'close-circuit', 'fleet', $2)",
        )
        .bind(&self.by.operator)
        .bind(&self.by.reason)
        .execute(conn)
        .await
        .map(drop)
    }
}

/// A queue of its own is there from now on. Answers whether it was not before.
#[derive(Debug)]
pub(crate) struct AddQueue<'a>(pub(crate) &'a Apart);

impl Statement for AddQueue<'_> {
    type Answer = bool;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<bool> {
        let (mail_type, domain) = self.0.columns();
        let added = sqlx::query("INSERT INTO apart_queues (mail_type, domain) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(mail_type)
            .bind(domain)
            .execute(conn)
            .await?;
        Ok(added.rows_affected() > 0)
    }
}

/// Writes down what was done elsewhere.
#[derive(Debug)]
pub struct Record<'a> {
    /// Who did it.
    pub operator: &'a str,
    /// What.
    pub action: &'a str,
    /// To what; no address of a person.
    pub object: &'a str,
    /// How, and why.
    pub detail: &'a str,
}

impl Statement for Record<'_> {
    type Answer = ();

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let Self { operator, action, object, detail } = self;
        sqlx::query("INSERT INTO operator_actions (operator, action, object, detail) VALUES ($1, $2, $3, $4)")
            .bind(operator)
            .bind(action)
            .bind(object)
            .bind(detail)
            .execute(conn)
            .await
            .map(drop)
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Action {
    /// When.
    pub at: OffsetDateTime,
    /// Who did it.
    pub operator: String,
    /// What: pause, resume, limit, unlimit, suppress, unsuppress.
    pub action: String,
    /// To what: a [`Scope`], or the beginning of the hash of an address.
    pub object: String,
    /// How, and why.
    pub detail: String,
}

/// What was done, the latest first.
#[derive(Debug)]
pub struct Actions {
    /// At most so many.
    pub limit: i64,
    /// No older ones.
    pub since: Option<Duration>,
}

impl Statement for Actions {
    type Answer = Vec<Action>;

    async fn ask(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Action>> {
        sqlx::query_as(
            "SELECT at, operator, action, object, detail FROM operator_actions
             WHERE $2::float8 IS NULL OR at >= now() - make_interval(secs => $2) ORDER BY id DESC LIMIT $1",
        )
        .bind(self.limit)
        .bind(self.since.map(|since| since.as_secs_f64()))
        .fetch_all(conn)
        .await
    }
}
