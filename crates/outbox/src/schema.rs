//! The outbox in the database of another application: the SQL for its migrations. What it makes is a public contract, see
//! `docs/outbox.md`.

use contract::{MAX_BODY, TYPE_WELCOME, TypeName};

use crate::identifier::Identifier;

/// The version that [`sql`] makes, and that a relay needs at least.
pub const VERSION: i32 = 1;

/// The columns of the table.
pub(crate) const COLUMNS: [&str; 8] =
    ["id", "task_type", "body", "traceparent", "tracestate", "created_at", "expires_at", "priority"];

const TEMPLATE: &str = include_str!("schema.sql");

/// A UUIDv7 (RFC 9562) by what PostgreSQL 13 has. Milliseconds, the version, and 4096ths of a millisecond (there, method 3: what a session
/// asks for is in order), from one look at the clock; then half of a random UUID, whose variant is the same.
const UUIDV7: &str = "(
        overlay(lpad(to_hex(floor(extract(epoch FROM clock_timestamp()) * 4096000)::bigint), 15, '0') PLACING '7' FROM 13 FOR 0)
        || right(replace(gen_random_uuid()::text, '-', ''), 16)
    )::uuid";

/// Longest short string of AMQP, in bytes.
const LONGEST_TYPE: usize = 255;
/// Longest name that a worker takes, in characters.
const LONGEST_NAME: usize = 256;

/// The types of the arguments of `enqueue_mail`: which function is meant.
const SIGNATURE: &str = "text, text, jsonb, text, text, timestamptz, text, text, text, uuid";

/// Who may do what, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The schema that all of it is in.
    pub schema: Identifier,
    /// Roles that may call `enqueue_mail`.
    pub apps: Vec<Identifier>,
    /// Roles that relays have.
    pub relays: Vec<Identifier>,
}

/// The SQL.
pub fn sql(options: &Options) -> String {
    let schema = options.schema.quoted();
    let made = [
        ("{{version}}", VERSION.to_string()),
        ("{{uuidv7}}", UUIDV7.to_owned()),
        ("{{welcome}}", TYPE_WELCOME.to_owned()),
        ("{{longest_type}}", LONGEST_TYPE.to_string()),
        ("{{longest_name_of_type}}", TypeName::MAX.to_string()),
        ("{{longest_name}}", LONGEST_NAME.to_string()),
        ("{{longest_body}}", MAX_BODY.to_string()),
        ("{{signature}}", SIGNATURE.to_owned()),
        // Last: it may look like any of them.
        ("{{schema}}", schema.clone()),
    ];
    let made = made.into_iter().fold(TEMPLATE.to_owned(), |text, (place, value)| text.replace(place, &value));
    format!(
        "{made}\n{}\n{}",
        granted("Who asks for mails needs no other right than these.", &options.apps, |role| may_enqueue(
            &schema, role
        )),
        granted(
            "Who relays. SELECT .. FOR UPDATE wants the right to change one column: the one that matters least.",
            &options.relays,
            |role| may_relay(&schema, role)
        ),
    )
}

/// The statements for each role, or for a person to fill one in.
fn granted(why: &str, roles: &[Identifier], grants: impl Fn(&str) -> [String; 3]) -> String {
    let lines = |role: &str, prefix: &str| {
        let grants = grants(role).into_iter().filter(|grant| !grant.is_empty());
        grants.map(|grant| format!("{prefix}{grant};\n")).collect::<String>()
    };
    let lines = match roles {
        [] => lines("ROLE", "-- "),
        roles => roles.iter().map(|role| lines(&role.quoted(), "")).collect(),
    };
    format!("-- {why}\n{lines}")
}

fn may_enqueue(schema: &str, role: &str) -> [String; 3] {
    let function = format!("GRANT EXECUTE ON FUNCTION {schema}.enqueue_mail({SIGNATURE}) TO {role}");
    [may_use(schema, role), function, String::new()]
}

fn may_relay(schema: &str, role: &str) -> [String; 3] {
    [may_use(schema, role), may_take(schema, role), may_ask_version(schema, role)]
}

pub(crate) fn may_use(schema: &str, role: &str) -> String {
    format!("GRANT USAGE ON SCHEMA {schema} TO {role}")
}

pub(crate) fn may_take(schema: &str, role: &str) -> String {
    format!("GRANT SELECT, DELETE, UPDATE (tracestate) ON {schema}.outbox TO {role}")
}

pub(crate) fn may_ask_version(schema: &str, role: &str) -> String {
    format!("GRANT EXECUTE ON FUNCTION {schema}.outbox_version() TO {role}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn options(schema: &str, apps: &[&str], relays: &[&str]) -> Options {
        let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        Options { schema: schema.parse().unwrap(), apps: names(apps), relays: names(relays) }
    }

    #[test]
    fn nothing_is_left_to_be_filled_in_but_the_roles_that_nobody_named() {
        let sql = sql(&options("sluice", &[], &[]));
        assert!(!sql.contains("{{"), "{sql}");
        assert!(sql.contains("-- GRANT USAGE ON SCHEMA \"sluice\" TO ROLE;"), "{sql}");
        assert!(sql.lines().all(|line| line.len() <= 160), "a line of a migration is read by people");
    }

    #[test]
    fn every_role_gets_its_rights_and_no_more() {
        let sql = sql(&options("sluice", &["shop", "The Blog"], &["relay"]));
        let granted: Vec<_> = sql.lines().filter(|line| line.starts_with("GRANT")).collect();
        let enqueue = format!("GRANT EXECUTE ON FUNCTION \"sluice\".enqueue_mail({SIGNATURE}) TO");
        assert_eq!(
            granted,
            [
                "GRANT USAGE ON SCHEMA \"sluice\" TO \"shop\";",
                &format!("{enqueue} \"shop\";"),
                "GRANT USAGE ON SCHEMA \"sluice\" TO \"The Blog\";",
                &format!("{enqueue} \"The Blog\";"),
                "GRANT USAGE ON SCHEMA \"sluice\" TO \"relay\";",
                "GRANT SELECT, DELETE, UPDATE (tracestate) ON \"sluice\".outbox TO \"relay\";",
                "GRANT EXECUTE ON FUNCTION \"sluice\".outbox_version() TO \"relay\";",
            ]
        );
    }

    #[test]
    fn a_schema_may_be_named_as_a_place_of_the_template() {
        let sql = sql(&options("{{version}}", &[], &[]));
        assert!(sql.contains("CREATE SCHEMA IF NOT EXISTS \"{{version}}\";"), "{sql}");
    }

    #[test]
    fn the_columns_are_those_of_the_table() {
        let sql = sql(&options("sluice", &[], &[]));
        assert!(sql.contains(&format!("PERFORM {} FROM", COLUMNS.join(", "))), "{sql}");
    }
}
