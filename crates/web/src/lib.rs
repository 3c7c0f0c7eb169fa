//! What HTTP services have in common.
//!
//! A [`server`] whose connections have to behave, what happens to every request ([`middleware`]), what goes wrong as clients see it
//! ([`Problem`]), and how a body of JSON is read ([`body`], [`json`]). What a service answers is its own.

mod args;
pub mod body;
pub mod check;
pub mod docs;
mod idempotency_key;
pub mod json;
pub mod middleware;
pub mod openapi;
mod problem;
mod quotas;
mod refused;
pub mod server;

pub use args::{HttpArgs, network};
pub use idempotency_key::{IDEMPOTENCY_REPLAYED, IdempotencyKey};
pub use problem::{FieldError, ItemProblem, Kind, Problem, ProblemBody};
pub use quotas::{Left, Quotas};
pub use refused::Refused;
