//! What happens to every request, outermost first.

pub mod client;
pub mod cors;
pub mod headers;
pub mod host;
pub mod rate_limit;
pub mod request_id;
pub mod span;
pub mod timeout;
