//! Whether the outbox of a foreign database is there and may be relayed: asked, never made.

use platform::postgres::{Found, Probe};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::identifier::Identifier;
use crate::schema::{COLUMNS, VERSION, may_ask_version, may_take, may_use};
use crate::table;

/// Looks for the outbox in a schema, its version, and the rights of a relay.
#[derive(Debug, Clone)]
pub struct Fitness {
    schema: Identifier,
}

impl Fitness {
    /// In this schema.
    pub fn of(schema: Identifier) -> Self {
        Self { schema }
    }

    /// The catalogs tell everybody, also of what one may not use.
    fn question(&self) -> String {
        let columns = COLUMNS.map(|name| format!("'{name}'")).join(", ");
        format!(
            "SELECT quote_ident(current_user) AS me,
                    current_setting('transaction_read_only') = 'off' AS writable,
                    n.oid IS NOT NULL AS schema,
                    coalesce(has_schema_privilege(n.oid, 'USAGE'), false) AS usable,
                    c.oid IS NOT NULL AS there,
                    (SELECT count(*) FROM pg_attribute a
                     WHERE a.attrelid = c.oid AND a.attname IN ({columns}) AND NOT a.attisdropped) AS columns,
                    coalesce(has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'DELETE')
                             AND has_any_column_privilege(c.oid, 'UPDATE'), false) AS takable,
                    coalesce(row_security_active(c.oid), false) AS filtered,
                    p.oid IS NOT NULL AS marked,
                    coalesce(has_function_privilege(p.oid, 'EXECUTE'), false) AS tellable
             FROM (SELECT 1) AS asked
             LEFT JOIN pg_namespace n ON n.nspname = {schema}
             LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = '{table}' AND c.relkind IN ('r', 'p')
             LEFT JOIN pg_proc p ON p.pronamespace = n.oid AND p.proname = 'outbox_version' AND p.pronargs = 0",
            schema = self.schema.literal(),
            table = table::NAME,
        )
    }

    /// What of it is missing, as far as the catalogs tell.
    fn missing(&self, seen: &PgRow) -> sqlx::Result<Option<String>> {
        let is = |what: &str| seen.try_get::<bool, _>(what);
        let (schema, me) = (self.schema.quoted(), seen.try_get::<&str, _>("me")?);
        let migrate = format!("run in your migrations what `mail-api schema --schema {}` prints", self.schema);
        let grant = |statement: String| format!("the role {me} lacks a right: {statement}");
        let whole = seen.try_get::<i64, _>("columns")? == i64::try_from(COLUMNS.len()).unwrap_or(i64::MAX);
        Ok(if !is("schema")? {
            Some(format!("there is no schema {schema} (OUTBOX_SCHEMA): {migrate}"))
        } else if !is("there")? {
            Some(format!("there is no table {schema}.outbox: {migrate}"))
        } else if !is("marked")? || !whole {
            Some(format!("{schema}.outbox is not the outbox of Sluice, or only a part of it: {migrate}"))
        } else if !is("usable")? {
            Some(grant(may_use(&schema, me)))
        } else if !is("takable")? {
            Some(grant(may_take(&schema, me)))
        } else if !is("tellable")? {
            Some(grant(may_ask_version(&schema, me)))
        } else if is("filtered")? {
            Some(format!(
                "row-level security hides rows of {schema}.outbox from the role {me}: ALTER TABLE {schema}.outbox DISABLE ROW LEVEL \
                 SECURITY, or give the role BYPASSRLS"
            ))
        } else {
            None
        })
    }

    /// Only once it may be called.
    async fn version(&self, connection: &mut PgConnection) -> sqlx::Result<Option<String>> {
        let (schema, name) = (self.schema.quoted(), &self.schema);
        // Safe: a name that was quoted.
        let asked = sqlx::raw_sql(AssertSqlSafe(format!("SELECT {schema}.outbox_version() AS version")));
        let version: i32 = asked.fetch_one(connection).await?.try_get("version")?;
        Ok((version < VERSION).then(|| {
            format!(
                "{schema}.outbox has version {version}, and this relay needs {VERSION}: run in your migrations what \
                 `mail-api schema --schema {name}` prints"
            )
        }))
    }
}

impl Probe for Fitness {
    const PREPARES: bool = false;

    async fn find(&self, connection: &mut PgConnection) -> sqlx::Result<Found> {
        // Safe: names of ours, and one that was quoted.
        let seen = sqlx::raw_sql(AssertSqlSafe(self.question())).fetch_one(&mut *connection).await?;
        let missing = match self.missing(&seen)? {
            None => self.version(connection).await?,
            missing => missing,
        };
        Ok(match missing {
            Some(what) => Found::Missing(what),
            None if seen.try_get("writable")? => Found::Fit,
            None => Found::ReadOnly,
        })
    }
}
