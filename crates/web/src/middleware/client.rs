//! Who sent a request, behind proxies or not.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The other end of the connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// One client, as far as can be told: an IPv4 address, or the /64 that one customer gets of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Client(IpAddr);

impl Client {
    /// The client behind an address.
    pub fn of(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
            v4 @ IpAddr::V4(_) => v4,
        })
    }

    /// The network around it: /16 of IPv4, /32 of IPv6. For counting strangers together when there are too many.
    pub fn neighbourhood(self) -> Self {
        Self(match self.0 {
            IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & (u32::MAX << 16)).into()),
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << 96)).into()),
        })
    }
}

/// Is it the address of a proxy that is trusted?
pub fn is_trusted(ip: IpAddr, trusted: &[IpNet]) -> bool {
    let ip = ip.to_canonical();
    trusted.iter().any(|network| network.contains(&ip))
}

/// The address that a request came from: that of the peer, or what trusted proxies say.
///
/// Proxies append the address that they saw, so the list is read from its end, for as long as the sender of each entry is
/// trusted. A client can send either header itself, and a proxy may know only one of them: if both are there and do not
/// agree, neither is believed.
pub fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let walk = |name: &HeaderName, read: fn(&str) -> Option<IpAddr>| {
        let lines: Vec<&str> = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("?")).collect();
        let mut seen = None;
        for entry in lines.iter().flat_map(|line| line.split(',')).rev() {
            let Some(ip) = read(entry.trim()).map(|ip| ip.to_canonical()) else { break };
            seen = Some(ip);
            if !is_trusted(ip, trusted) {
                break;
            }
        }
        seen
    };
    match (walk(&X_FORWARDED_FOR, with_port), walk(&header::FORWARDED, forwarded_for)) {
        (Some(one), Some(other)) if one != other => peer,
        (Some(one), _) | (None, Some(one)) => one,
        (None, None) => peer,
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn with_port(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    text.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip())).or_else(bracketed)
}

/// One element of `Forwarded` (RFC 7239): the value of `for`, quoted or not.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
    with_port(value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::http::HeaderValue;

    use super::*;

    fn from(peer: &str, headers: &[(&'static str, &'static str)]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let pairs = headers.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v)));
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, value);
        }
        address(peer.parse().unwrap(), &map, &trusted).to_string()
    }

    #[test]
    fn headers_count_as_far_as_trusted_proxies_wrote_them() {
        let xff = "x-forwarded-for";
        for (peer, headers, client) in [
            // Nobody vouches for it.
            ("192.0.2.7", &[(xff, "198.51.100.1")][..], "192.0.2.7"),
            ("192.0.2.7", &[], "192.0.2.7"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("::ffff:10.0.0.1", &[(xff, "198.51.100.1")], "198.51.100.1"),
            // The client wrote what stands left of the last hop that is not trusted.
            ("10.0.0.1", &[(xff, "1.1.1.1, 198.51.100.1")], "198.51.100.1"),
            ("10.0.0.1", &[(xff, "1.1.1.1, 198.51.100.1, 10.0.0.2")], "198.51.100.1"),
            ("10.0.0.1", &[(xff, "1.1.1.1"), (xff, "198.51.100.1"), (xff, "10.0.0.2")], "198.51.100.1"),
            ("10.0.0.1", &[(xff, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            ("10.0.0.1", &[(xff, "nonsense")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "198.51.100.1, nonsense, 10.0.0.2")], "10.0.0.2"),
            ("10.0.0.1", &[(xff, "198.51.100.1:4711")], "198.51.100.1"),
            ("fd00::1", &[(xff, "2001:db8::1")], "2001:db8::1"),
            ("10.0.0.1", &[("forwarded", "for=198.51.100.1;proto=https")], "198.51.100.1"),
            ("10.0.0.1", &[("forwarded", "for=1.1.1.1, for=\"[2001:db8::1]:80\"; by=10.0.0.1")], "2001:db8::1"),
            ("10.0.0.1", &[("forwarded", "for=unknown")], "10.0.0.1"),
            // One of the two is the client's invention.
            ("10.0.0.1", &[(xff, "198.51.100.1"), ("forwarded", "for=1.1.1.1")], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "198.51.100.1"), ("forwarded", "for=198.51.100.1")], "198.51.100.1"),
        ] {
            assert_eq!(from(peer, headers), client, "peer {peer}, {headers:?}");
        }
    }

    #[test]
    fn one_customer_of_ipv6_is_one_client() {
        let client = |ip: &str| Client::of(ip.parse().unwrap());
        assert_eq!(client("2001:db8:1:2::1"), client("2001:db8:1:2:ffff::"));
        assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
        assert_eq!(client("192.0.2.1").neighbourhood(), client("192.0.9.9").neighbourhood());
    }
}
