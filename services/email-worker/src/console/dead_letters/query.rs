//! Which letters somebody means, as a URL or a form says it.

use std::time::Duration;

use form_urlencoded::Serializer;
use platform::config::duration;

use crate::console::form::Form;
use crate::dead_letters::Filter;
use crate::dead_letters::snapshot::From;

/// Letters on a page.
pub(super) const PER_PAGE: usize = 50;

/// What is to be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) filter: Filter,
    pub(super) from: From,
    /// Counted from 0.
    pub(super) page: usize,
}

impl Query {
    /// Reads it; the sentence says what is wrong.
    pub(super) fn of(form: &Form) -> Result<Self, String> {
        let words = |name: &str| {
            let words = form.text(name).split(',').map(str::trim).filter(|word| !word.is_empty());
            words.map(str::to_owned).collect::<Vec<_>>()
        };
        let age = |name: &str| -> Result<Option<Duration>, String> {
            let age =
                form.optional(name).map(|text| duration(text).map_err(|error| format!("{name}: {text:?}: {error}")));
            age.transpose()
        };
        let filter = Filter {
            id: form.optional("id").map(str::to_owned),
            reasons: words("reason"),
            kinds: words("type"),
            domains: words("domain"),
            since: age("since")?,
            older_than: age("older_than")?,
        };
        let from = match form.text("from") {
            "" | "newest" => From::Newest,
            "oldest" => From::Oldest,
            other => return Err(format!("from: {other:?} is neither newest nor oldest")),
        };
        let page = form.optional("page").map_or(Ok(1), str::parse::<usize>).map_err(|_| "page: must be a number")?;
        Ok(Self { filter, from, page: page.saturating_sub(1) })
    }

    /// Its fields, as forms and URLs name them.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        let age = |age: Option<Duration>| age.map(|age| humantime::format_duration(age).to_string().replace(' ', ""));
        let filter = &self.filter;
        let fields = [
            ("id", filter.id.clone()),
            ("reason", Some(filter.reasons.join(","))),
            ("type", Some(filter.kinds.join(","))),
            ("domain", Some(filter.domains.join(","))),
            ("since", age(filter.since)),
            ("older_than", age(filter.older_than)),
            ("from", (self.from == From::Oldest).then(|| "oldest".to_owned())),
        ];
        let fields =
            fields.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)));
        fields.collect()
    }

    /// Where a page of the same letters is.
    pub(super) fn link(&self, page: usize) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(self.fields());
        if page > 0 {
            query.append_pair("page", &(page + 1).to_string());
        }
        let query = query.finish();
        if query.is_empty() { "/dead-letters".to_owned() } else { format!("/dead-letters?{query}") }
    }

    /// Where those of them are that have this, too.
    pub(super) fn link_with(&self, edit: impl FnOnce(&mut Filter)) -> String {
        let mut narrower = Self { page: 0, ..self.clone() };
        edit(&mut narrower.filter);
        narrower.link(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_says_what_the_query_says() {
        for text in [
            "",
            "reason=blocked%2Cmailbox-full&type=none&domain=example.com&since=2h&older_than=30m&from=oldest",
            "id=order+17%2F%26",
        ] {
            let query = Query::of(&Form::of(text.as_bytes())).expect("a query");
            let link = query.link(0);
            assert_eq!(link.trim_start_matches("/dead-letters").trim_start_matches('?'), text);
            let third = query.link(2);
            let again = third.split_once('?').expect("a query").1;
            assert_eq!(Query::of(&Form::of(again.as_bytes())), Ok(Query { page: 2, ..query }));
        }
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (text, said) in [("since=yesterday", "since"), ("from=middle", "newest nor oldest"), ("page=x", "page")] {
            let error = Query::of(&Form::of(text.as_bytes())).expect_err(text);
            assert!(error.contains(said), "{error}");
        }
        assert_eq!(Query::of(&Form::of(b"page=0")).map(|query| query.page), Ok(0));
    }
}
