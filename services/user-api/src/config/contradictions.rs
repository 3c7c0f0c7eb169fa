//! Settings that are right one by one and do not go together, or that leave nothing to be done.

use platform::config::{AppEnv, Contradiction};

use super::ServeConfig;
use crate::hashing::HashCost;

/// The first contradiction, in a sentence that names the variables.
pub(super) fn check(config: &ServeConfig) -> Result<(), Contradiction> {
    let ServeConfig { http, clients, hash, relay, common, shutdown_grace, .. } = config;
    let found = [
        (
            hash.hash_cost == HashCost::Cheap && common.app_env == AppEnv::Production,
            "HASH_COST=cheap protects nobody and is refused when APP_ENV=production: use owasp",
        ),
        (shutdown_grace.is_zero(), "SHUTDOWN_GRACE is 0s: each end would cut off what is under way"),
        (hash.hash_max_wait.is_zero(), "HASH_MAX_WAIT is 0s: every registration would be refused"),
        (
            hash.hash_max_wait > http.request_timeout,
            "HASH_MAX_WAIT is longer than REQUEST_TIMEOUT: requests would end while their passwords still wait to be hashed",
        ),
        (
            clients.rate_limit > 0 && clients.rate_limit_window.is_zero(),
            "RATE_LIMIT_WINDOW is 0s and RATE_LIMIT is not: set RATE_LIMIT=0 for no limit",
        ),
    ];
    Contradiction::first(found.into_iter().chain(http.contradictions()).chain(relay.contradictions()))
}
