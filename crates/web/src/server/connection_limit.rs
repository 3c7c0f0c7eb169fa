//! How many connections there may be: in all, and of one client.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

use crate::middleware::client::{Client, is_trusted};

/// Counts the connections of each client. Clones share the counts.
#[derive(Debug, Clone)]
pub(super) struct ConnectionLimit {
    each: usize,
    trusted: Arc<[IpNet]>,
    taken: Arc<Mutex<HashMap<Client, usize>>>,
}

/// A connection that counts, until it is dropped.
#[derive(Debug)]
pub(super) struct CountedConnection(Option<(ConnectionLimit, Client)>);

impl ConnectionLimit {
    /// `each` connections of a client; 0: any number. Proxies that are trusted are no clients.
    pub(super) fn new(each: usize, trusted: Vec<IpNet>) -> Self {
        Self { each, trusted: trusted.into(), taken: Arc::default() }
    }

    /// None: the client has as many as it may have.
    pub(super) fn take(&self, peer: IpAddr) -> Option<CountedConnection> {
        if self.each == 0 || is_trusted(peer, &self.trusted) {
            return Some(CountedConnection(None));
        }
        let client = Client::of(peer);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(client).or_default();
        if *count >= self.each {
            return None;
        }
        *count += 1;
        Some(CountedConnection(Some((self.clone(), client))))
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        let Some((limit, client)) = self.0.take() else { return };
        let mut taken = limit.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_has_so_many_connections_and_gets_one_back_for_each_that_it_leaves() {
        let limit = ConnectionLimit::new(2, vec!["10.0.0.0/8".parse().unwrap()]);
        let (first, _second) = (limit.take(ip("192.0.2.1")).unwrap(), limit.take(ip("::ffff:192.0.2.1")).unwrap());
        assert!(limit.take(ip("192.0.2.1")).is_none(), "the third of two");
        let _other = limit.take(ip("192.0.2.2")).expect("another client has its own");
        let v6: Vec<_> = ["2001:db8::1", "2001:db8::2"].map(|text| limit.take(ip(text)).unwrap()).into();
        assert!(limit.take(ip("2001:db8::3")).is_none(), "one /64 is one client");
        let proxied: Vec<_> = (0..5).map(|_| limit.take(ip("10.0.0.1")).expect("a proxy is no client")).collect();
        drop(first);
        let again = limit.take(ip("192.0.2.1")).expect("one has left");
        drop((again, _second, _other, v6, proxied));
        assert!(limit.taken.lock().unwrap().is_empty(), "who has left is forgotten");
    }

    #[test]
    fn there_may_be_no_limit() {
        let limit = ConnectionLimit::new(0, Vec::new());
        let all: Vec<_> = (0..100).map(|_| limit.take(ip("192.0.2.1"))).collect();
        assert!(all.iter().all(Option::is_some));
    }
}
