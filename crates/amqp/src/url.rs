//! Where the broker is.

use std::fmt;
use std::str::FromStr;

use lapin::uri::AMQPUri;

/// `amqp[s]://user:password@host:port/vhost`. Neither Debug nor Display shows the password.
#[derive(Clone)]
pub struct BrokerUrl(AMQPUri);

/// The text is no such URL. It is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have the form amqp[s]://user:password@host:port/vhost")]
pub struct InvalidBrokerUrl;

impl BrokerUrl {
    pub(crate) fn uri(&self) -> &AMQPUri {
        &self.0
    }

    /// The broker's host name, for spans.
    pub fn host(&self) -> &str {
        &self.0.authority.host
    }

    /// The broker's port, for spans.
    pub fn port(&self) -> u16 {
        self.0.authority.port
    }
}

impl FromStr for BrokerUrl {
    type Err = InvalidBrokerUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(InvalidBrokerUrl);
        }
        let mut uri: AMQPUri = text.parse().map_err(|_| InvalidBrokerUrl)?;
        if uri.vhost.is_empty() {
            // As in the URLs of most clients, and of the README: nobody means a vhost without a name.
            "/".clone_into(&mut uri.vhost);
        }
        Ok(Self(uri))
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri { scheme, authority, vhost, .. } = &self.0;
        write!(f, "{scheme}://{}:{}/{vhost}", authority.host, authority.port)
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        let url: BrokerUrl = "amqp://ada:s3cret@broker.example:5673/mail".parse().expect("valid");
        assert_eq!(url.to_string(), "amqp://broker.example:5673/mail");
        assert!(!format!("{url:?}").contains("s3cret"));
    }

    #[test]
    fn a_url_without_a_vhost_means_the_first_one() {
        for (text, vhost) in [
            ("amqp://u:p@broker:5672", "/"),
            ("amqp://u:p@broker:5672/", "/"),
            ("amqp://u:p@broker:5672/?heartbeat=5", "/"),
            ("amqp://u:p@broker:5672/%2f", "/"),
            ("amqp://u:p@broker:5672/%2F", "/"),
            ("amqps://u:p@broker/mail", "mail"),
            ("amqps://u:p@broker/a%2fb", "a/b"),
        ] {
            let url: BrokerUrl = text.parse().expect(text);
            assert_eq!(url.uri().vhost, vhost, "{text}");
        }
    }

    #[test]
    fn what_is_no_broker_url_is_refused() {
        for text in ["", "broker", "http://broker", "amqp://ada:pw@broker:port/", "amqp://bro ker/"] {
            assert_eq!(text.parse::<BrokerUrl>().map(|url| url.to_string()), Err(InvalidBrokerUrl), "{text:?}");
        }
    }
}
