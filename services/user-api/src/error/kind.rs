//! The table of problems.

use axum::http::StatusCode;

/// A kind of problem. Its slug is part of the interface: clients compare it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request that the server could not read, for a reason that has no kind of its own.
    BadRequest,
    /// The body is not JSON.
    MalformedJson,
    /// The `Idempotency-Key` is no key.
    InvalidIdempotencyKey,
    /// Nothing there.
    NotFound,
    /// Not with this method.
    MethodNotAllowed,
    /// The request did not arrive in time.
    RequestTimeout,
    /// Name or address belong to somebody already.
    AlreadyTaken,
    /// Over 16 KiB.
    BodyTooLarge,
    /// Not `application/json`.
    UnsupportedMediaType,
    /// JSON, and yet no registration.
    ValidationFailed,
    /// The `Idempotency-Key` stands for another registration.
    IdempotencyKeyReused,
    /// The request line is too long.
    UriTooLong,
    /// Too many requests of one client.
    RateLimited,
    /// Too many connections of one client.
    TooManyConnections,
    /// The headers are too long.
    HeadTooLarge,
    /// A fault of ours.
    InternalError,
    /// Too many passwords wait to be hashed.
    Overloaded,
    /// The database does not answer.
    DatabaseUnavailable,
    /// The answer was not ready in time.
    ServerTimeout,
}

/// What is said about a kind: status, slug, title, advice.
type Row = (StatusCode, &'static str, &'static str, &'static str);

impl Kind {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::BadRequest,
        Self::MalformedJson,
        Self::InvalidIdempotencyKey,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::AlreadyTaken,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::ValidationFailed,
        Self::IdempotencyKeyReused,
        Self::UriTooLong,
        Self::RateLimited,
        Self::TooManyConnections,
        Self::HeadTooLarge,
        Self::InternalError,
        Self::Overloaded,
        Self::DatabaseUnavailable,
        Self::ServerTimeout,
    ];

    /// Its status.
    pub fn status(self) -> StatusCode {
        self.row().0
    }

    /// Its stable name.
    pub fn slug(self) -> &'static str {
        self.row().1
    }

    /// What it is, in a few words.
    pub fn title(self) -> &'static str {
        self.row().2
    }

    /// What a client can do about it.
    pub fn advice(self) -> &'static str {
        self.row().3
    }

    /// Where it is explained: a path on this very service, so that it is the same in every installation.
    pub fn uri(self) -> String {
        format!("/problems/{}", self.slug())
    }

    /// The kind with this slug.
    pub fn by_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.slug() == slug)
    }

    /// For an answer that somebody else made: the framework, mostly.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::REQUEST_TIMEOUT => Self::RequestTimeout,
            StatusCode::PAYLOAD_TOO_LARGE => Self::BodyTooLarge,
            StatusCode::URI_TOO_LONG => Self::UriTooLong,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::HeadTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::UNPROCESSABLE_ENTITY => Self::ValidationFailed,
            status if status.is_client_error() => Self::BadRequest,
            _ => Self::InternalError,
        }
    }

    fn row(self) -> Row {
        type S = StatusCode;
        match self {
            Self::BadRequest => (
                S::BAD_REQUEST,
                "bad-request",
                "The request makes no sense",
                "Correct the request; the detail says what is wrong.",
            ),
            Self::MalformedJson => (
                S::BAD_REQUEST,
                "malformed-json",
                "The body is not JSON",
                "Send one JSON object in UTF-8; the detail says where reading it failed.",
            ),
            Self::InvalidIdempotencyKey => (
                S::BAD_REQUEST,
                "invalid-idempotency-key",
                "The idempotency key is not valid",
                "Send one Idempotency-Key of 1 to 255 visible ASCII characters, such as a UUID, or none.",
            ),
            Self::NotFound => {
                (S::NOT_FOUND, "not-found", "There is nothing here", "Look up the path in /openapi.json.")
            }
            Self::MethodNotAllowed => (
                S::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "The method is not allowed here",
                "Use a method that the Allow header names.",
            ),
            Self::RequestTimeout => (
                S::REQUEST_TIMEOUT,
                "request-timeout",
                "The request did not arrive in time",
                "Send it again on a new connection, all at once.",
            ),
            Self::AlreadyTaken => (
                S::CONFLICT,
                "already-taken",
                "The name or the address belongs to somebody already",
                "The errors name the fields; choose another value for them.",
            ),
            Self::BodyTooLarge => (
                S::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "The body is too large",
                "A registration is far smaller than the limit of 16 KiB.",
            ),
            Self::UnsupportedMediaType => (
                S::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The body has a type that is not accepted here",
                "Send it with Content-Type: application/json.",
            ),
            Self::ValidationFailed => (
                S::UNPROCESSABLE_ENTITY,
                "validation-failed",
                "Some fields are not valid",
                "The errors name every such field, as a JSON pointer (RFC 6901), and say what is wrong with it.",
            ),
            Self::IdempotencyKeyReused => (
                S::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "The idempotency key stands for another registration",
                "Use a new key for each registration, and the same one only to repeat a request unchanged.",
            ),
            Self::RateLimited => (
                S::TOO_MANY_REQUESTS,
                "rate-limited",
                "Too many requests",
                "Wait as long as Retry-After says; RateLimit-Policy tells the limit.",
            ),
            Self::UriTooLong => (
                S::URI_TOO_LONG,
                "uri-too-long",
                "The request line is too long",
                "No path here is longer than a line; all of the head has a limit of 32 KiB.",
            ),
            Self::TooManyConnections => (
                S::TOO_MANY_REQUESTS,
                "too-many-connections",
                "Too many connections of one client",
                "Use the connections that there are for more requests, or close them, and wait as long as Retry-After says.",
            ),
            Self::HeadTooLarge => (
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "head-too-large",
                "The headers are too long",
                "Send less of them: the head of a request has at most 32 KiB and 100 headers.",
            ),
            Self::InternalError => (
                S::INTERNAL_SERVER_ERROR,
                "internal-error",
                "Something went wrong here",
                "It is not your fault. The request id finds it in our logs.",
            ),
            Self::Overloaded => (
                S::SERVICE_UNAVAILABLE,
                "overloaded",
                "Too many registrations at once",
                "Nothing was done. Try again after the seconds in Retry-After.",
            ),
            Self::DatabaseUnavailable => (
                S::SERVICE_UNAVAILABLE,
                "database-unavailable",
                "The database is not available",
                "Try again after the seconds in Retry-After, with the same Idempotency-Key: it may have been done after all.",
            ),
            Self::ServerTimeout => (
                S::SERVICE_UNAVAILABLE,
                "server-timeout",
                "The answer was not ready in time",
                "Try again after the seconds in Retry-After, with the same Idempotency-Key: it may have been done after all.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slug_is_found_and_means_one_kind() {
        for kind in Kind::ALL {
            assert_eq!(Kind::by_slug(kind.slug()), Some(kind), "two kinds are called {}", kind.slug());
            assert!(kind.slug().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
        }
    }
}
