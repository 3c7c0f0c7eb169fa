//! The variables of signing in at an OpenID Connect provider.

use std::str::FromStr;

use clap::Args;
use openidconnect::url::{Host, Url};
use openidconnect::{IssuerUrl, RedirectUrl};
use platform::config::Secret;

use crate::console::{Meaning, Roles, Settings};

/// A provider at which people sign in.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Signing in by OpenID Connect")]
pub struct OidcArgs {
    /// The provider, as it names itself in its `/.well-known/openid-configuration`; not set: nobody signs in so
    #[arg(long, env = "CONSOLE_OIDC_ISSUER", value_parser = issuer)]
    pub console_oidc_issuer: Option<IssuerUrl>,
    /// The name of the console there, whose redirect URL is CONSOLE_URL and `/sign-in/callback`
    #[arg(long, env = "CONSOLE_OIDC_CLIENT_ID")]
    pub console_oidc_client_id: Option<String>,
    /// Its secret there; not set: it is a public client
    #[arg(long, env = "CONSOLE_OIDC_CLIENT_SECRET", hide_env_values = true)]
    pub console_oidc_client_secret: Option<Secret>,
    /// What is asked for beside `openid`, separated by spaces
    #[arg(long, env = "CONSOLE_OIDC_SCOPES", default_value = "profile email")]
    pub console_oidc_scopes: String,
    /// The claim with the name that the history shows
    #[arg(long, env = "CONSOLE_OIDC_NAME_CLAIM", default_value = "preferred_username")]
    pub console_oidc_name_claim: String,
    /// The claim with the groups: a text or a list; `realm_access.roles` is one within another
    #[arg(long, env = "CONSOLE_OIDC_ROLE_CLAIM", default_value = "groups")]
    pub console_oidc_role_claim: String,
    /// Groups that operate, separated by commas
    #[arg(long, env = "CONSOLE_OIDC_OPERATORS", value_delimiter = ',', value_parser = group)]
    pub console_oidc_operators: Vec<String>,
    /// Groups that look, separated by commas
    #[arg(long, env = "CONSOLE_OIDC_VIEWERS", value_delimiter = ',', value_parser = group)]
    pub console_oidc_viewers: Vec<String>,
}

impl OidcArgs {
    /// Does anybody sign in so?
    pub fn is_on(&self) -> bool {
        self.console_oidc_issuer.is_some()
    }

    /// What makes no sense, each with whether it is so.
    pub(super) fn contradictions(&self, url: Option<&ConsoleUrl>) -> [(bool, &'static str); 4] {
        let is_on = self.is_on();
        let has_more = self.console_oidc_client_id.is_some()
            || self.console_oidc_client_secret.is_some()
            || !self.roles().are_nobodys();
        [
            (
                !is_on && has_more,
                "CONSOLE_OIDC_ISSUER is not set, and other CONSOLE_OIDC_ variables are: name the provider",
            ),
            (
                is_on && self.console_oidc_client_id.is_none(),
                "CONSOLE_OIDC_ISSUER is set without CONSOLE_OIDC_CLIENT_ID: add the console to the clients of the provider",
            ),
            (
                is_on && url.is_none(),
                "CONSOLE_OIDC_ISSUER is set without CONSOLE_URL: the provider sends people back there",
            ),
            (
                is_on && self.roles().are_nobodys(),
                "CONSOLE_OIDC_ISSUER is set without CONSOLE_OIDC_OPERATORS and CONSOLE_OIDC_VIEWERS: nobody would be let in",
            ),
        ]
    }

    /// All of it, where somebody signs in so.
    pub(crate) fn settings(&self, url: Option<&ConsoleUrl>) -> Option<Settings> {
        let scopes = self.console_oidc_scopes.split_whitespace().filter(|scope| *scope != "openid");
        Some(Settings {
            issuer: self.console_oidc_issuer.clone()?,
            client_id: self.console_oidc_client_id.clone()?,
            client_secret: self.console_oidc_client_secret.clone(),
            redirect: url?.redirect(),
            scopes: scopes.map(str::to_owned).collect(),
            meaning: Meaning {
                name: self.console_oidc_name_claim.clone(),
                role: self.console_oidc_role_claim.clone(),
                roles: self.roles(),
            },
        })
    }

    fn roles(&self) -> Roles {
        Roles { operators: self.console_oidc_operators.clone(), viewers: self.console_oidc_viewers.clone() }
    }
}

/// Where browsers find the console: a host, without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleUrl(Url);

impl ConsoleUrl {
    fn redirect(&self) -> RedirectUrl {
        let mut url = self.0.clone();
        url.set_path("/sign-in/callback");
        RedirectUrl::from_url(url)
    }
}

impl FromStr for ConsoleUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = secure(text)?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err("is more than a scheme and a host: the console is at the root".to_owned());
        }
        Ok(Self(url))
    }
}

fn issuer(text: &str) -> Result<IssuerUrl, String> {
    secure(text)?;
    // As it is written: it is compared so.
    IssuerUrl::new(text.trim().to_owned()).map_err(|error| error.to_string())
}

/// Over TLS, or on this machine.
fn secure(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|_| "is no URL such as https://console.example.com".to_owned())?;
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    let is_fit = url.scheme() == "https" || (url.scheme() == "http" && is_here);
    if !is_fit || url.host().is_none() || !url.username().is_empty() || url.fragment().is_some() {
        return Err("is no https:// URL of a host (http:// is for 127.0.0.1 and localhost)".to_owned());
    }
    Ok(url)
}

/// One of a list.
pub(super) fn group(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.is_empty() { Err("there is an empty entry in the list") } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn addresses_are_secure_or_of_this_machine() {
        for good in ["https://a.example", "https://a.example:8443/", "http://127.0.0.1:8080", "http://[::1]:1"] {
            let url: ConsoleUrl = good.parse().unwrap();
            let back = url.redirect();
            assert!(back.starts_with(good.trim_end_matches('/')) && back.ends_with("/sign-in/callback"), "{back:?}");
            assert_eq!(issuer(good).unwrap().as_str(), good, "as it is written");
        }
        for bad in ["a.example", "http://a.example", "ftp://a.example", "https://", "https://a@b.example", ""] {
            assert!(bad.parse::<ConsoleUrl>().is_err() && issuer(bad).is_err(), "{bad}");
        }
        assert!("https://a.example/console".parse::<ConsoleUrl>().is_err());
        assert_eq!(issuer("https://a.example/realms/staff").unwrap().as_str(), "https://a.example/realms/staff");
    }
}
