//! The whole worker, in this process or as one of its own, against real servers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod delivery;
mod helpers;
mod illness;
mod refusals;
mod suspects;
