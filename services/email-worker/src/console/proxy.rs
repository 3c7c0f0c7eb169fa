//! A proxy that signs people in, and says in headers who they are. Of nobody else such headers are believed.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use web::middleware::client::is_trusted;

use super::roles::Roles;
use super::who::Who;
use crate::paper::one_line;

/// The longest name, in characters.
const LONGEST: usize = 100;

/// Which proxy, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    /// Where its connections come from.
    pub(crate) networks: Vec<IpNet>,
    /// The header with the name.
    pub(crate) user: HeaderName,
    /// The header with the groups, separated by commas.
    pub(crate) groups: HeaderName,
    /// What they may do for them.
    pub(crate) roles: Roles,
}

/// What a proxy says of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// It says nothing, or is not the proxy.
    Nothing,
    /// Somebody with groups that are let in.
    Person(Who),
    /// Somebody with none of them.
    Stranger,
}

impl Proxy {
    /// Who sent a request that came over a connection of this peer's.
    pub(super) fn tells(&self, peer: IpAddr, headers: &HeaderMap) -> Told {
        if !is_trusted(peer, &self.networks) {
            return Told::Nothing;
        }
        let Some(name) = only(headers, &self.user).map(|name| one_line(name, LONGEST)).filter(|name| !name.is_empty())
        else {
            return Told::Nothing;
        };
        let groups = only(headers, &self.groups).unwrap_or_default();
        let groups: Vec<String> = groups.split(',').map(|group| group.trim().to_owned()).collect();
        self.roles.of(&groups).map_or(Told::Stranger, |role| Told::Person(Who { name, role }))
    }
}

/// A header that is there once: of two, one may be the client's invention.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    std::str::from_utf8(value.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::http::HeaderValue;

    use super::*;
    use crate::console::who::Role;

    #[test]
    fn what_the_proxy_says_is_believed_and_what_others_say_is_not() {
        let proxy = Proxy {
            networks: vec!["10.1.0.0/16".parse().unwrap()],
            user: HeaderName::from_static("x-user"),
            groups: HeaderName::from_static("x-groups"),
            roles: Roles { operators: vec!["ops".to_owned()], viewers: vec!["desk".to_owned()] },
        };
        let person = |name: &str, role| Told::Person(Who { name: name.to_owned(), role });
        for (peer, headers, told) in [
            ("10.1.2.3", &[("x-user", "ada"), ("x-groups", "all, ops")][..], person("ada", Role::Operator)),
            ("::ffff:10.1.2.3", &[("x-user", " ada "), ("x-groups", "desk")], person("ada", Role::Viewer)),
            ("10.1.2.3", &[("x-user", "\u{fc}"), ("x-groups", "desk")], person("\u{fc}", Role::Viewer)),
            ("10.1.2.3", &[("x-user", "eve"), ("x-groups", "oops")], Told::Stranger),
            ("10.1.2.3", &[("x-user", "eve")], Told::Stranger),
            ("10.1.2.3", &[("x-groups", "ops")], Told::Nothing),
            ("10.1.2.3", &[("x-user", " "), ("x-groups", "ops")], Told::Nothing),
            ("10.1.2.3", &[("x-user", "eve"), ("x-user", "ada"), ("x-groups", "ops")], Told::Nothing),
            ("10.1.2.3", &[("x-user", "eve"), ("x-groups", "ops"), ("x-groups", "all")], Told::Stranger),
            ("10.2.2.3", &[("x-user", "ada"), ("x-groups", "ops")], Told::Nothing),
            ("127.0.0.1", &[("x-user", "ada"), ("x-groups", "ops"), ("x-forwarded-for", "10.1.2.3")], Told::Nothing),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            assert_eq!(proxy.tells(peer.parse().unwrap(), &map), told, "{peer} {headers:?}");
        }
    }
}
