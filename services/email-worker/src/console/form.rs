//! What a form of ours says.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Body;
use form_urlencoded::parse;
use web::Problem;

use crate::controls::Scope;

/// No form of ours says more, in bytes.
const LIMIT: usize = 16 * 1024;

/// The fields of a form; the last of a name counts.
#[derive(Debug, Default)]
pub(super) struct Form(HashMap<String, String>);

impl Form {
    /// Reads a body.
    pub(super) async fn read(body: Body) -> Result<Self, Problem> {
        Ok(Self::of(&web::body::read(body, LIMIT).await?))
    }

    /// The same of bytes that are here already, or of the query of a URL.
    pub(super) fn of(body: &[u8]) -> Self {
        // No database keeps NUL.
        let value = |value: &str| value.replace('\0', "").trim().to_owned();
        Self(parse(body).map(|(name, text)| (name.into_owned(), value(&text))).collect())
    }

    /// What a field says; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The same, if the field is there at all.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The same, unless it is empty.
    pub(super) fn optional(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// Which mails are meant.
    pub(super) fn scope(&self) -> Result<Scope, String> {
        let name = self.text("name");
        match self.text("scope") {
            "fleet" => Ok(Scope::Fleet),
            "type" => name.parse().map(Scope::Type).map_err(|error| format!("{error}")),
            "domain" => Scope::domain(name).map_err(|error| format!("{error}")),
            other => Err(format!("there is no scope {other:?}")),
        }
    }

    /// For how long; none: until somebody ends it.
    pub(super) fn lasts(&self) -> Result<Option<Duration>, String> {
        let duration = |text| platform::config::duration(text).map_err(|error| format!("{text:?}: {error}"));
        self.optional("for").map(duration).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_browsers_send_it() {
        let form = Form::of(b"scope=domain&name=+GMail.com+&for=30m&reason=a%20b%C3%BC&scope=type&name=shop.receipt");
        assert_eq!((form.text("reason"), form.text("nothing"), form.optional("nothing")), ("a bü", "", None));
        assert_eq!(form.scope().map(|scope| scope.to_string()), Ok("type:shop.receipt".to_owned()));
        assert_eq!(form.lasts(), Ok(Some(Duration::from_secs(1800))));
        assert_eq!(Form::of(b"scope=fleet&for=").lasts(), Ok(None));
        for wrong in ["", "scope=all", "scope=type&name=../x", "scope=domain&name="] {
            assert!(Form::of(wrong.as_bytes()).scope().is_err(), "{wrong}");
        }
    }
}
