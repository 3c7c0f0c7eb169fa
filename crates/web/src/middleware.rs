//! What happens to every request.

pub mod client;
pub mod headers;
pub mod host;
pub mod rate_limit;
pub mod request_id;
pub mod span;
pub mod timeout;
