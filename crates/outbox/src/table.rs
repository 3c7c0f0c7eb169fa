//! Which table is the outbox.

use std::sync::Arc;

use crate::identifier::Identifier;

/// The name of the table in every schema.
pub(crate) const NAME: &str = "outbox";

/// The table, by its name in SQL. Clones share it.
#[derive(Debug, Clone)]
pub struct Table(Arc<str>);

impl Table {
    /// The one that the search path leads to: the application's own.
    pub fn in_search_path() -> Self {
        Self(NAME.into())
    }

    /// Another one that the search path leads to. The name is ours, and needs no quotes.
    pub fn named(name: &'static str) -> Self {
        Self(name.into())
    }

    /// The one in this schema, whatever the search path is.
    pub fn in_schema(schema: &Identifier) -> Self {
        Self(format!("{}.{NAME}", schema.quoted()).into())
    }

    /// In SQL.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_in_a_schema_is_qualified() {
        let schema = "My Mails".parse().expect("a name");
        assert_eq!(Table::in_schema(&schema).name(), r#""My Mails".outbox"#);
        assert_eq!(Table::in_search_path().name(), "outbox");
    }
}
