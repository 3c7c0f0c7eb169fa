//! The kinds of problems that user-api has of its own.

use axum::http::StatusCode;
use web::Kind;

/// Name or address belong to somebody already.
pub const ALREADY_TAKEN: Kind = Kind::new(
    StatusCode::CONFLICT,
    "already-taken",
    "The name or the address belongs to somebody already",
    "The errors name the fields; choose another value for them.",
);

/// Too many passwords wait to be hashed.
pub const OVERLOADED: Kind = Kind::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "overloaded",
    "Too many registrations at once",
    "Nothing was done. Try again after the seconds in Retry-After.",
);

/// Every kind that a client can meet here.
pub fn all() -> impl Iterator<Item = Kind> {
    Kind::GENERAL.into_iter().chain(OWN)
}

/// Those that no other service has.
pub const OWN: [Kind; 2] = [ALREADY_TAKEN, OVERLOADED];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slug_means_one_kind() {
        let mut slugs: Vec<_> = all().map(Kind::slug).collect();
        assert!(slugs.iter().all(|slug| slug.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        slugs.sort_unstable();
        let kinds = slugs.len();
        slugs.dedup();
        assert_eq!(slugs.len(), kinds, "two kinds have one slug");
    }
}
