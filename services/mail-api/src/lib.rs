//! The way in for applications that are not ours: the SQL of an outbox for their own database, and the relay from there to the queue.

pub mod app;
pub mod config;
