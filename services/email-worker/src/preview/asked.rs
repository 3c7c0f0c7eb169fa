//! What the form of a page says, as a query.

use form_urlencoded::{Serializer, parse};

/// How the recipient is called until somebody says otherwise.
const NAME: &str = "Ada Lovelace";

/// What a mail is to be written with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// JSON as it was typed; the type's sample without it.
    pub(super) data: Option<String>,
    /// How the recipient is called, if somebody said so; empty for one without a name.
    name: Option<String>,
    /// Whether the mail's pictures are fetched.
    pub(super) pictures: bool,
}

impl Asked {
    /// Parameters that nobody knows are left out.
    pub(super) fn of(query: Option<&str>) -> Self {
        let mut asked = Self::default();
        for (name, value) in parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "data" => asked.data = Some(value.into_owned()),
                "name" => asked.name = Some(value.into_owned()),
                "pictures" => asked.pictures = value == "1",
                _ => {}
            }
        }
        asked
    }

    /// The same as it stands behind a path: empty, or from the question mark on.
    pub(super) fn query(&self) -> String {
        let mut query = Serializer::new(String::new());
        let pictures = self.pictures.then_some("1");
        for (name, value) in [("name", self.name.as_deref()), ("data", self.data.as_deref()), ("pictures", pictures)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        if query.is_empty() { query } else { format!("?{query}") }
    }

    /// How the recipient is called; empty for one without a name.
    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(NAME)
    }

    /// The same with its pictures, or without.
    pub(super) fn with_pictures(&self, pictures: bool) -> Self {
        Self { pictures, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_the_same_again_as_a_query() {
        for query in ["", "?pictures=1", "?name=", "?name=Ada+%26+Co&data=%7B%22a%22%3A+%22%2B%23%22%7D&pictures=1"] {
            let asked = Asked::of(query.strip_prefix('?'));
            assert_eq!(asked.query(), query);
            assert_eq!(Asked::of(asked.query().strip_prefix('?')), asked);
        }
        assert_eq!(Asked::of(Some("x=1&data")).data.as_deref(), Some(""));
        assert_eq!((Asked::of(None).name(), Asked::of(Some("name=")).name()), (NAME, ""));
    }
}
