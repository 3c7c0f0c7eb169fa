//! From JSON to a registration, with everything that is wrong with it at once.

use serde::Deserialize;
use utoipa::ToSchema;
use web::json::{self, Fields, invalid};
use web::{Problem, Refused};

use crate::domain::{Password, Registration};

/// A registration as it is sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Registration)]
#[expect(dead_code, reason = "describes what `read` reads; a test holds the two together")]
pub(crate) struct RegistrationBody {
    /// ASCII letters, digits, `_` and `-`. Unique without regard to case.
    #[schema(example = "ada", min_length = 3, max_length = 32, pattern = "^[A-Za-z0-9_-]+$")]
    username: String,
    /// Where the welcome mail goes. At most 254 bytes; unique without regard to case.
    #[schema(example = "ada@example.com", format = "idn-email", max_length = 254)]
    email: String,
    /// Anything but NUL and the well-known worst.
    #[schema(
        example = "correct horse battery staple",
        min_length = 8,
        max_length = 128,
        format = "password",
        pattern = r"^[^\u0000]*$"
    )]
    password: String,
    /// The language of the mail, as a language tag: there is `en` and `zh`; any other is written to in English. Without it the
    /// language that `Accept-Language` wants most.
    #[schema(example = "en", max_length = 35, pattern = "^[A-Za-z]{2,8}([_-][A-Za-z0-9]{1,8})*$")]
    locale: Option<String>,
}

/// Reads a body.
///
/// # Errors
/// [`web::Kind::MALFORMED_JSON`]; [`web::Kind::VALIDATION_FAILED`] with every field that is not valid.
pub(super) fn read(body: &[u8]) -> Result<Registration, Problem> {
    let mut fields = Fields::of(json::value(body)?)?;
    let username = fields.required("username", |text| text.parse());
    let email = fields.required("email", |text| text.parse());
    let password = fields.required("password", Password::parse);
    let locale = fields.optional("locale", |text| text.parse().map_err(Refused::because));
    if password.as_ref().is_some_and(|password| password.repeats(username.as_ref(), email.as_ref())) {
        fields.wrong::<()>("password", "must not be the username or the address");
    }
    let errors = fields.finish();
    match (username, email, password) {
        (Some(username), Some(email), Some(password)) if errors.is_empty() => {
            Ok(Registration { username, email, password, locale, preferred: None })
        }
        _ => Err(invalid(errors)),
    }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::Value;

    use super::*;

    /// Slug, and the pointers in the order in which they are told.
    fn refused(body: &[u8]) -> (String, Vec<String>) {
        let Err(problem) = read(body) else { panic!("{} was taken", String::from_utf8_lossy(body)) };
        let json: Value = serde_json::from_slice(&problem.json("")).unwrap();
        let errors = json["errors"].as_array().cloned().unwrap_or_default();
        let pointers = errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect();
        (problem.kind().slug().to_owned(), pointers)
    }

    #[test]
    fn a_registration_is_read() {
        for body in [
            r#"{"username":"ada","email":"ada@example.com","password":"correct horse","locale":"zh-CN"}"#,
            r#" { "locale": null, "password":"correct horse", "email":"ada@example.com", "username":"ad\u0061" } "#,
        ] {
            let read = read(body.as_bytes()).unwrap();
            assert_eq!((read.username.as_str(), read.email.as_str()), ("ada", "ada@example.com"));
        }
    }

    #[test]
    fn what_is_not_json_is_malformed() {
        let deep = "[".repeat(16_000);
        for body in ["", "  ", "{", "{}x", "{\"a\":}", "{'a':1}", "\u{feff}{}", "[1,", "{\"a\":\"\n\"}", &deep] {
            assert_eq!(refused(body.as_bytes()), ("malformed-json".to_owned(), vec![]), "{body:.20}");
        }
        assert_eq!(refused(b"{\"username\":\"\xff\"}").0, "malformed-json");
    }

    #[test]
    fn every_field_that_is_not_valid_is_named_at_once() {
        let table: &[(&str, &[&str])] = &[
            ("[]", &[""]),
            ("null", &[""]),
            ("\"x\"", &[""]),
            ("{}", &["/username", "/email", "/password"]),
            (
                r#"{"username":1,"email":null,"password":["x"],"locale":{}}"#,
                &["/username", "/email", "/password", "/locale"],
            ),
            (
                r#"{"username":"","email":"","password":"","locale":""}"#,
                &["/username", "/email", "/password", "/locale"],
            ),
            (
                r#"{"username":"a\u0000b","email":"a\u0000@b.cd","password":"12\u00003456789"}"#,
                &["/username", "/email", "/password"],
            ),
            (
                r#"{"username":"ada\ud800","email":"\udc00@b.cd","password":"\ud83d hunter22"}"#,
                &["/username", "/email", "/password"],
            ),
            (r#"{"username":"ada","username":"ada","email":"x","password":"hunter22"}"#, &["/username", "/email"]),
            (r#"{"username":"ada","email":"a@b.cd","password":"hunter22","is~admin/":true}"#, &["/is~0admin~1"]),
            (r#"{"username":"adalovelace","email":"a@b.cd","password":"AdaLovelace"}"#, &["/password"]),
            (r#"{"username":"ada","email":"a@b.cd\r\nBcc: e@b.cd","password":"password"}"#, &["/email", "/password"]),
        ];
        for (body, pointers) in table {
            let (slug, found) = refused(body.as_bytes());
            assert_eq!(slug, "validation-failed", "{body}");
            assert_eq!(found, *pointers, "{body}");
        }
    }

    #[test]
    fn many_unknown_fields_make_a_short_answer() {
        let members: Vec<_> = (0..1_000).map(|n| format!("\"x{n}\":0")).collect();
        let (_, pointers) = refused(format!("{{{}}}", members.join(",")).as_bytes());
        assert_eq!(pointers.len(), 3 + json::UNKNOWN + 1);
    }
}
