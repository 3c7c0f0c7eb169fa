//! What goes wrong, as clients see it. The only place with status codes of errors, beside the crate `web`.

use axum::http::StatusCode;
use web::Kind;

/// From nobody who is known.
pub const UNAUTHORIZED: Kind = Kind::new(
    StatusCode::UNAUTHORIZED,
    "unauthorized",
    "The request has no key that is good",
    "Send Authorization: Bearer and a key that `mail-api keys add` made, that is not revoked and not expired.",
);

/// The key is for other types.
pub const TYPE_NOT_ALLOWED: Kind = Kind::new(
    StatusCode::FORBIDDEN,
    "type-not-allowed",
    "The key may not ask for mails of this type",
    "Use a key whose types have it, or one that is for all types: `mail-api keys list` shows them.",
);

/// The recipient has had enough.
pub const RECIPIENT_LIMITED: Kind = Kind::new(
    StatusCode::TOO_MANY_REQUESTS,
    "recipient-limited",
    "The recipient was sent too many mails",
    "Nothing was taken. Try again after the seconds in Retry-After, or leave it: nobody wants so many mails.",
);

/// Those that no other service has.
pub const OWN: [Kind; 3] = [UNAUTHORIZED, TYPE_NOT_ALLOWED, RECIPIENT_LIMITED];

/// Every kind that a client can meet here.
pub fn all() -> impl Iterator<Item = Kind> {
    Kind::GENERAL.into_iter().chain(OWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slug_means_one_kind() {
        let mut slugs: Vec<_> = all().map(Kind::slug).collect();
        slugs.sort_unstable();
        let kinds = slugs.len();
        slugs.dedup();
        assert_eq!(slugs.len(), kinds, "two kinds have one slug");
    }
}
