//! Which types of mails a key may ask for.

use std::collections::BTreeSet;

use contract::TypeName;

/// All, or some.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope(Option<BTreeSet<TypeName>>);

impl Scope {
    /// These types; none: all of them.
    pub fn of(types: impl IntoIterator<Item = TypeName>) -> Self {
        let types: BTreeSet<_> = types.into_iter().collect();
        Self((!types.is_empty()).then_some(types))
    }

    /// As it was kept. A name that can be none allows nothing.
    pub fn kept(types: Option<&[String]>) -> Self {
        Self(types.map(|types| types.iter().filter_map(|name| name.parse().ok()).collect()))
    }

    /// For keeping, and for people. `None`: all.
    pub fn types(&self) -> Option<Vec<&str>> {
        self.0.as_ref().map(|types| types.iter().map(TypeName::as_str).collect())
    }

    /// Whether this type is one of them.
    pub fn allows(&self, name: &TypeName) -> bool {
        self.0.as_ref().is_none_or(|types| types.contains(name))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_scope_allows_what_it_names_and_an_empty_one_everything() {
        let name = |text: &str| text.parse::<TypeName>().unwrap();
        let some = Scope::of([name("order.paid"), name("order.shipped")]);
        assert!(some.allows(&name("order.paid")) && !some.allows(&name("order")));
        assert_eq!(some.types(), Some(vec!["order.paid", "order.shipped"]));
        assert!(Scope::of([]).allows(&name("anything")) && Scope::kept(None).allows(&name("anything")));
        assert!(!Scope::kept(Some(&["not a name".to_owned()])).allows(&name("anything")), "never more than was meant");
    }
}
