//! Which mail server, and how it is spoken to.

use std::fmt;
use std::time::Duration;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::extension::ClientId;
use platform::config::Secret;

use super::tls::TlsClient;
use crate::tls::TlsError;

/// How the connection to the mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Tls {
    /// Not at all; a login is then sent in the clear.
    None,
    /// Begun in the clear, secured before anything else is said; a server that does not offer it is not used.
    Starttls,
    /// Secured from the first byte.
    Implicit,
}

/// Name and password at the mail server (AUTH PLAIN or LOGIN).
#[derive(Debug, Clone)]
pub struct Login {
    /// The name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// Which mail server, and how to talk to it.
#[derive(Debug, Clone)]
pub struct SmtpOptions {
    /// Name or address; certificates must be for it.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How the connection is secured.
    pub tls: Tls,
    /// Whether to log in.
    pub login: Option<Login>,
    /// What to call ourselves in EHLO.
    pub helo: String,
    /// At most this long for everything before the first mail.
    pub connect_timeout: Duration,
    /// At most this long for one mail, up to its last byte.
    pub send_timeout: Duration,
    /// At most this long for the answer to that.
    pub data_timeout: Duration,
}

/// A mail server.
pub struct Smtp {
    pub(super) options: SmtpOptions,
    pub(super) helo: ClientId,
    pub(super) credentials: Option<Credentials>,
    pub(super) tls: Option<TlsClient>,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Smtp {
    pub(super) fn new(options: SmtpOptions) -> Result<Self, TlsError> {
        Ok(Self {
            helo: ClientId::Domain(options.helo.clone()),
            credentials: options
                .login
                .as_ref()
                .map(|login| Credentials::new(login.username.clone(), login.password.expose().to_owned())),
            tls: match options.tls {
                Tls::None => None,
                Tls::Starttls | Tls::Implicit => Some(TlsClient::new(&options.host)?),
            },
            options,
        })
    }

    pub(super) fn options(&self) -> &SmtpOptions {
        &self.options
    }
}
