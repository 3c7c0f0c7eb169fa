//! Kinds of problems: those that every service has.

use axum::http::StatusCode;

/// A kind of problem. Its slug is part of the interface: clients compare it. Services have some of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    advice: &'static str,
}

impl Kind {
    /// A request that the server could not read, for a reason that has no kind of its own.
    pub const BAD_REQUEST: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "bad-request",
        "The request makes no sense",
        "Correct the request; the detail says what is wrong.",
    );

    /// The body is not JSON.
    pub const MALFORMED_JSON: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "malformed-json",
        "The body is not JSON",
        "Send one JSON object in UTF-8; the detail says where reading it failed.",
    );

    /// The `Idempotency-Key` is no key.
    pub const INVALID_IDEMPOTENCY_KEY: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "invalid-idempotency-key",
        "The idempotency key is not valid",
        "Send one Idempotency-Key of 1 to 255 visible ASCII characters, such as a UUID, or none.",
    );

    /// Nothing there.
    pub const NOT_FOUND: Self =
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here", "Look up the path in /openapi.json.");

    /// Not with this method.
    pub const METHOD_NOT_ALLOWED: Self = Self::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "The method is not allowed here",
        "Use a method that the Allow header names.",
    );

    /// The request did not arrive in time.
    pub const REQUEST_TIMEOUT: Self = Self::new(
        StatusCode::REQUEST_TIMEOUT,
        "request-timeout",
        "The request did not arrive in time",
        "Send it again on a new connection, all at once.",
    );

    /// Larger than anybody needs.
    pub const BODY_TOO_LARGE: Self = Self::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body-too-large",
        "The body is too large",
        "Send less in one request; /openapi.json tells the limit.",
    );

    /// Not `application/json`.
    pub const UNSUPPORTED_MEDIA_TYPE: Self = Self::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "The body has a type that is not accepted here",
        "Send it with Content-Type: application/json.",
    );

    /// JSON, and yet not what is asked for.
    pub const VALIDATION_FAILED: Self = Self::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation-failed",
        "Some fields are not valid",
        "The errors name every such field, as a JSON pointer (RFC 6901), and say what is wrong with it.",
    );

    /// The `Idempotency-Key` stands for another request.
    pub const IDEMPOTENCY_KEY_REUSED: Self = Self::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency-key-reused",
        "The idempotency key stands for another request",
        "Use a new key for each request, and the same one only to repeat a request unchanged.",
    );

    /// Too many requests of one client.
    pub const RATE_LIMITED: Self = Self::new(
        StatusCode::TOO_MANY_REQUESTS,
        "rate-limited",
        "Too many requests",
        "Wait as long as Retry-After says; RateLimit-Policy tells the limit.",
    );

    /// The request line is too long.
    pub const URI_TOO_LONG: Self = Self::new(
        StatusCode::URI_TOO_LONG,
        "uri-too-long",
        "The request line is too long",
        "No path here is longer than a line; all of the head has a limit of 32 KiB.",
    );

    /// Too many connections of one client.
    pub const TOO_MANY_CONNECTIONS: Self = Self::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too-many-connections",
        "Too many connections of one client",
        "Use the connections that there are for more requests, or close them, and wait as long as Retry-After says.",
    );

    /// The headers are too long.
    pub const HEAD_TOO_LARGE: Self = Self::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "head-too-large",
        "The headers are too long",
        "Send less of them: the head of a request has at most 32 KiB and 100 headers.",
    );

    /// A fault of ours.
    pub const INTERNAL_ERROR: Self = Self::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal-error",
        "Something went wrong here",
        "It is not your fault. The request id finds it in our logs.",
    );

    /// The database does not answer.
    pub const DATABASE_UNAVAILABLE: Self = Self::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "database-unavailable",
        "The database is not available",
        "Try again after the seconds in Retry-After, with the same Idempotency-Key: it may have been done after all.",
    );

    /// The answer was not ready in time.
    pub const SERVER_TIMEOUT: Self = Self::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "server-timeout",
        "The answer was not ready in time",
        "Try again after the seconds in Retry-After, with the same Idempotency-Key: it may have been done after all.",
    );

    /// All of these.
    pub const GENERAL: [Self; 17] = [
        Self::BAD_REQUEST,
        Self::MALFORMED_JSON,
        Self::INVALID_IDEMPOTENCY_KEY,
        Self::NOT_FOUND,
        Self::METHOD_NOT_ALLOWED,
        Self::REQUEST_TIMEOUT,
        Self::BODY_TOO_LARGE,
        Self::UNSUPPORTED_MEDIA_TYPE,
        Self::VALIDATION_FAILED,
        Self::IDEMPOTENCY_KEY_REUSED,
        Self::RATE_LIMITED,
        Self::URI_TOO_LONG,
        Self::TOO_MANY_CONNECTIONS,
        Self::HEAD_TOO_LARGE,
        Self::INTERNAL_ERROR,
        Self::DATABASE_UNAVAILABLE,
        Self::SERVER_TIMEOUT,
    ];

    /// A kind of a service's own.
    pub const fn new(status: StatusCode, slug: &'static str, title: &'static str, advice: &'static str) -> Self {
        Self { status, slug, title, advice }
    }

    /// Its status.
    pub fn status(self) -> StatusCode {
        self.status
    }

    /// Its stable name.
    pub fn slug(self) -> &'static str {
        self.slug
    }

    /// What it is, in a few words.
    pub fn title(self) -> &'static str {
        self.title
    }

    /// What a client can do about it.
    pub fn advice(self) -> &'static str {
        self.advice
    }

    /// Where it is explained: a path on this very service, so that it is the same in every installation.
    pub fn uri(self) -> String {
        format!("/problems/{}", self.slug)
    }

    /// For an answer that somebody else made: the framework, mostly.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NOT_FOUND,
            StatusCode::METHOD_NOT_ALLOWED => Self::METHOD_NOT_ALLOWED,
            StatusCode::REQUEST_TIMEOUT => Self::REQUEST_TIMEOUT,
            StatusCode::PAYLOAD_TOO_LARGE => Self::BODY_TOO_LARGE,
            StatusCode::URI_TOO_LONG => Self::URI_TOO_LONG,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::HEAD_TOO_LARGE,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UNSUPPORTED_MEDIA_TYPE,
            StatusCode::UNPROCESSABLE_ENTITY => Self::VALIDATION_FAILED,
            status if status.is_client_error() => Self::BAD_REQUEST,
            _ => Self::INTERNAL_ERROR,
        }
    }
}
