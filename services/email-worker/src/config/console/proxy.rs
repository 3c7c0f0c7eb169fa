//! The variables of signing in by a proxy.

use axum::http::HeaderName;
use clap::Args;
use ipnet::IpNet;

use super::oidc::group;
use crate::console::{Proxy, Roles};

/// A proxy that signs people in.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Signing in by a proxy")]
pub struct ProxyArgs {
    /// Where the proxy's connections come from: networks such as 10.1.2.0/24, separated by commas. What it says is believed, so it must set
    /// both headers itself on each request; not set: no such header is believed
    #[arg(long, env = "CONSOLE_PROXY_NETWORKS", value_delimiter = ',', value_parser = web::network)]
    pub console_proxy_networks: Vec<IpNet>,
    /// The header with the name that the history shows
    #[arg(long, env = "CONSOLE_PROXY_USER_HEADER", default_value = "X-Forwarded-User")]
    pub console_proxy_user_header: HeaderName,
    /// The header with the groups, separated by commas
    #[arg(long, env = "CONSOLE_PROXY_GROUPS_HEADER", default_value = "X-Forwarded-Groups")]
    pub console_proxy_groups_header: HeaderName,
    /// Groups that operate, separated by commas
    #[arg(long, env = "CONSOLE_PROXY_OPERATORS", value_delimiter = ',', value_parser = group)]
    pub console_proxy_operators: Vec<String>,
    /// Groups that look, separated by commas
    #[arg(long, env = "CONSOLE_PROXY_VIEWERS", value_delimiter = ',', value_parser = group)]
    pub console_proxy_viewers: Vec<String>,
}

impl ProxyArgs {
    /// Does anybody sign in so?
    pub fn is_on(&self) -> bool {
        !self.console_proxy_networks.is_empty()
    }

    /// What makes no sense, each with whether it is so.
    pub(super) fn contradictions(&self) -> [(bool, &'static str); 4] {
        let has_roles = !self.roles().are_nobodys();
        [
            (
                !self.is_on() && has_roles,
                "CONSOLE_PROXY_OPERATORS or CONSOLE_PROXY_VIEWERS is set without CONSOLE_PROXY_NETWORKS: no proxy would be believed",
            ),
            (
                self.is_on() && !has_roles,
                "CONSOLE_PROXY_NETWORKS is set without CONSOLE_PROXY_OPERATORS and CONSOLE_PROXY_VIEWERS: nobody would be let in",
            ),
            (
                self.console_proxy_networks.iter().any(|network| network.prefix_len() == 0),
                "CONSOLE_PROXY_NETWORKS has a network of all addresses: anybody could say who they are",
            ),
            (
                self.console_proxy_user_header == self.console_proxy_groups_header,
                "CONSOLE_PROXY_USER_HEADER and CONSOLE_PROXY_GROUPS_HEADER are the same header",
            ),
        ]
    }

    /// All of it, where somebody signs in so.
    pub(crate) fn settings(&self) -> Option<Proxy> {
        self.is_on().then(|| Proxy {
            networks: self.console_proxy_networks.clone(),
            user: self.console_proxy_user_header.clone(),
            groups: self.console_proxy_groups_header.clone(),
            roles: self.roles(),
        })
    }

    fn roles(&self) -> Roles {
        Roles { operators: self.console_proxy_operators.clone(), viewers: self.console_proxy_viewers.clone() }
    }
}
