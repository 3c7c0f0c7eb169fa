//! The variables about mail.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use humantime::format_duration;
use mail::{Dkim, DkimKey, DkimName, InvalidDkimKey, MailOptions, ReturnPath, Sender};
use platform::config::{AppEnv, Secret, duration};

use crate::delivery::hold;
use crate::smtp::{Login, SmtpOptions, Tls, Transport};
use crate::tls::TlsError;

/// Where mails go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TransportKind {
    /// To a mail server.
    Smtp,
    /// Into a folder, one .eml a mail; not in production.
    File,
}

/// Mail: who it is from, and which way it goes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Mail")]
pub struct MailArgs {
    /// Where mails go: smtp, or file (one .eml a mail, refused when APP_ENV=production)
    #[arg(long, env = "MAIL_TRANSPORT", value_enum, default_value_t = TransportKind::Smtp)]
    pub mail_transport: TransportKind,
    /// Folder of MAIL_TRANSPORT=file; created when missing
    #[arg(long, env = "MAIL_DIR")]
    pub mail_dir: Option<PathBuf>,
    /// Sender of every mail: "Sluice <no-reply@example.com>" or the address alone
    #[arg(long, env = "MAIL_FROM")]
    pub mail_from: Sender,
    /// Where bounces go, MAIL FROM: bounces@example.com, or bounces+{id}@example.com for an address of each mail's own, with its
    /// task's id (VERP); when not set the address of MAIL_FROM
    #[arg(long, env = "MAIL_RETURN_PATH")]
    pub mail_return_path: Option<ReturnPath>,
    /// Private RSA key that mails are signed with (DKIM), in PEM; not signed here when not set
    #[arg(long, env = "DKIM_PRIVATE_KEY", hide_env_values = true)]
    pub dkim_private_key: Option<DkimKey>,
    /// Where the public key is published: SELECTOR._domainkey.DOMAIN; another key has another selector
    #[arg(long, env = "DKIM_SELECTOR")]
    pub dkim_selector: Option<DkimName>,
    /// Domain that signs; when not set that of MAIL_FROM
    #[arg(long, env = "DKIM_DOMAIN")]
    pub dkim_domain: Option<DkimName>,
    /// What the product calls itself in its mails
    #[arg(long, env = "MAIL_PRODUCT_NAME", default_value = "Sluice", value_parser = product_name)]
    pub mail_product_name: String,
    /// Mail server, name or address; needed by MAIL_TRANSPORT=smtp
    #[arg(long, env = "SMTP_HOST", value_parser = host)]
    pub smtp_host: Option<String>,
    /// Port of the mail server; when not set 25, 587 or 465 for SMTP_TLS none, starttls or implicit
    #[arg(long, env = "SMTP_PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub smtp_port: Option<u16>,
    /// How the connection is secured; with none, a password is sent in the clear
    #[arg(long, env = "SMTP_TLS", value_enum, default_value_t = Tls::Starttls)]
    pub smtp_tls: Tls,
    /// Name at the mail server; no login when not set
    #[arg(long, env = "SMTP_USERNAME")]
    pub smtp_username: Option<String>,
    /// Password at the mail server
    #[arg(long, env = "SMTP_PASSWORD", hide_env_values = true)]
    pub smtp_password: Option<Secret>,
    /// Name in EHLO; when not set the domain of MAIL_FROM
    #[arg(long, env = "SMTP_HELO_NAME", value_parser = helo_name)]
    pub smtp_helo_name: Option<String>,
    /// At most this long to connect, greet and log in
    #[arg(long, env = "SMTP_CONNECT_TIMEOUT", default_value = "20s", value_parser = limit)]
    pub smtp_connect_timeout: Duration,
    /// At most this long for one mail, from MAIL to its last byte
    #[arg(long, env = "SEND_TIMEOUT", default_value = "60s", value_parser = limit)]
    pub send_timeout: Duration,
    /// At most this long for the answer to that last byte, the dot; RFC 5321 asks for ten minutes
    #[arg(long, env = "SMTP_DATA_TIMEOUT", default_value = "10m", value_parser = data_limit)]
    pub smtp_data_timeout: Duration,
}

/// Variables about mail that do not go together. Each message names the variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailConfigError {
    /// `SMTP_HOST` is not set.
    #[error("SMTP_HOST is missing: MAIL_TRANSPORT=smtp needs it")]
    NoHost,
    /// `MAIL_DIR` is not set.
    #[error("MAIL_DIR is missing: MAIL_TRANSPORT=file needs it")]
    NoFolder,
    /// Users would wait for mails that lie in a folder.
    #[error("MAIL_TRANSPORT=file sends nothing and is refused when APP_ENV=production: use smtp")]
    FileInProduction,
    /// Only the name.
    #[error("SMTP_PASSWORD is missing: SMTP_USERNAME is set")]
    NoPassword,
    /// Only the password.
    #[error("SMTP_USERNAME is missing: SMTP_PASSWORD is set")]
    NoUsername,
    /// Only the key.
    #[error("DKIM_SELECTOR is missing: DKIM_PRIVATE_KEY is set")]
    NoSelector,
    /// Only where the other half of the key is.
    #[error("DKIM_PRIVATE_KEY is missing: {0} is set")]
    NoDkimKey(&'static str),
    /// The domain of the sender can't sign.
    #[error("DKIM_DOMAIN is missing: the domain of MAIL_FROM is none that can sign")]
    NoDkimDomain,
    /// The key is none.
    #[error("DKIM_PRIVATE_KEY: {0}")]
    DkimKey(#[from] InvalidDkimKey),
    /// No secure connection is possible.
    #[error("SMTP_TLS: {0}")]
    Tls(#[from] TlsError),
}

impl MailArgs {
    /// The way mails go.
    ///
    /// # Errors
    /// Variables that do not go together.
    pub fn transport(&self, env: AppEnv) -> Result<Transport, MailConfigError> {
        match self.mail_transport {
            TransportKind::File if env == AppEnv::Production => Err(MailConfigError::FileInProduction),
            TransportKind::File => Ok(Transport::file(self.mail_dir.clone().ok_or(MailConfigError::NoFolder)?)),
            TransportKind::Smtp => Ok(Transport::smtp(self.smtp()?)?),
        }
    }

    /// What all mails have in common.
    pub fn mail(&self) -> MailOptions {
        MailOptions { from: self.mail_from.clone(), product: self.mail_product_name.clone() }
    }

    /// Who signs mails, if anybody does.
    ///
    /// # Errors
    /// Variables that do not go together.
    pub fn dkim(&self) -> Result<Option<Dkim>, MailConfigError> {
        let (key, selector) = match (&self.dkim_private_key, &self.dkim_selector) {
            (Some(key), Some(selector)) => (key, selector),
            (Some(_), None) => return Err(MailConfigError::NoSelector),
            (None, Some(_)) => return Err(MailConfigError::NoDkimKey("DKIM_SELECTOR")),
            (None, None) if self.dkim_domain.is_some() => return Err(MailConfigError::NoDkimKey("DKIM_DOMAIN")),
            (None, None) => return Ok(None),
        };
        let domain = match &self.dkim_domain {
            Some(domain) => domain.clone(),
            None => self.mail_from.ascii_domain().parse().map_err(|_| MailConfigError::NoDkimDomain)?,
        };
        Ok(Some(Dkim::new(key, &domain, selector)?))
    }

    fn smtp(&self) -> Result<SmtpOptions, MailConfigError> {
        let login = match (&self.smtp_username, &self.smtp_password) {
            (None, None) => None,
            (Some(_), None) => return Err(MailConfigError::NoPassword),
            (None, Some(_)) => return Err(MailConfigError::NoUsername),
            (Some(username), Some(password)) => Some(Login { username: username.clone(), password: password.clone() }),
        };
        Ok(SmtpOptions {
            host: self.smtp_host.clone().ok_or(MailConfigError::NoHost)?,
            port: self.smtp_port.unwrap_or(match self.smtp_tls {
                Tls::None => 25,
                Tls::Starttls => 587,
                Tls::Implicit => 465,
            }),
            tls: self.smtp_tls,
            login,
            helo: self.smtp_helo_name.clone().unwrap_or_else(|| self.mail_from.ascii_domain().to_owned()),
            connect_timeout: self.smtp_connect_timeout,
            send_timeout: self.send_timeout,
            data_timeout: self.smtp_data_timeout,
        })
    }
}

pub(super) fn product_name(text: &str) -> Result<String, &'static str> {
    let fits = !text.trim().is_empty() && text.chars().count() <= 64 && !text.chars().any(char::is_control);
    fits.then(|| text.trim().to_owned()).ok_or("not a name of 1 to 64 characters on one line")
}

/// A name or an address, as it is looked up and as a certificate has it.
fn host(text: &str) -> Result<String, &'static str> {
    if text.contains("://") {
        return Err("give the name alone, without smtp://, and SMTP_TLS for how it is secured");
    }
    // An address of version 6 in the brackets of a URL.
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if bare.parse::<IpAddr>().is_ok() {
        return Ok(bare.to_owned());
    }
    if text.contains(':') {
        return Err("give the name alone, and the port as SMTP_PORT");
    }
    let is_name =
        (1..=253).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    is_name.then(|| text.to_owned()).ok_or("not a host name such as smtp.example.com, or an address")
}

fn helo_name(text: &str) -> Result<String, &'static str> {
    let fits = !text.is_empty() && text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| text.to_owned()).ok_or("not a host name such as worker.example.com")
}

/// Of a step of a conversation.
const LIMITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));

fn limit(text: &str) -> Result<Duration, String> {
    within(text, LIMITS.0, LIMITS.1)
}

fn within(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let limit = duration(text).map_err(|error| error.to_string())?;
    let fits = (least..=most).contains(&limit);
    fits.then_some(limit).ok_or_else(|| format!("not between {} and {}", format_duration(least), format_duration(most)))
}

/// A task whose mail waits for its answer is held.
fn data_limit(text: &str) -> Result<Duration, String> {
    within(text, LIMITS.0, hold::longest_answer()).map_err(|error| {
        let timeout = format_duration(hold::CONSUMER_TIMEOUT);
        format!("{error}: a task may be held for half of the broker's consumer_timeout, {timeout}")
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use platform::config::{Refused, given, try_parse};

    use super::*;

    #[derive(Debug, Parser)]
    struct Config {
        #[command(flatten)]
        mail: MailArgs,
    }

    fn args(vars: &[(&str, &str)]) -> Result<MailArgs, Refused> {
        let all = [vars, &[("MAIL_FROM", "Sluice <no-reply@example.com>")]].concat();
        try_parse::<Config>(["worker"], given(&all)).map(|config| config.mail)
    }

    #[test]
    fn variables_that_do_not_go_together_are_refused_by_name() {
        use AppEnv::{Development, Production};
        for (vars, env, expected) in [
            (&[][..], Development, Some(MailConfigError::NoHost)),
            (&[("SMTP_HOST", "127.0.0.1"), ("SMTP_TLS", "none")], Production, None),
            (&[("SMTP_HOST", "h"), ("SMTP_USERNAME", "u")], Production, Some(MailConfigError::NoPassword)),
            (&[("SMTP_HOST", "h"), ("SMTP_PASSWORD", "p")], Production, Some(MailConfigError::NoUsername)),
            (&[("MAIL_TRANSPORT", "file")], Development, Some(MailConfigError::NoFolder)),
            (&[("MAIL_TRANSPORT", "file"), ("MAIL_DIR", "/tmp/x")], Development, None),
            (
                &[("MAIL_TRANSPORT", "file"), ("MAIL_DIR", "/tmp/x")],
                Production,
                Some(MailConfigError::FileInProduction),
            ),
        ] {
            let outcome = args(vars).unwrap().transport(env).err();
            assert_eq!(outcome, expected, "{vars:?}");
        }
    }

    #[test]
    fn a_signature_needs_a_key_and_a_selector() {
        for (vars, expected) in [
            (&[][..], None),
            (&[("DKIM_SELECTOR", "s1")], Some(MailConfigError::NoDkimKey("DKIM_SELECTOR"))),
            (&[("DKIM_DOMAIN", "example.com")], Some(MailConfigError::NoDkimKey("DKIM_DOMAIN"))),
        ] {
            assert_eq!(args(vars).unwrap().dkim().err(), expected, "{vars:?}");
        }
        let Err(Refused::Invalid(line)) = args(&[("DKIM_PRIVATE_KEY", "geheim")]) else { panic!("it is taken") };
        assert!(line.contains("DKIM_PRIVATE_KEY") && !line.contains("geheim"), "{line}");
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_nothing_else() {
        for (text, host) in [
            ("mail", "mail"),
            ("smtp.example.com", "smtp.example.com"),
            ("smtp.example.com.", "smtp.example.com."),
            ("sluice_mailbox", "sluice_mailbox"),
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("smtp.example.com\n", "smtp.example.com"),
        ] {
            assert_eq!(args(&[("SMTP_HOST", text)]).unwrap().smtp_host.as_deref(), Some(host), "{text:?}");
        }
        for (text, why) in [
            ("smtp.example.com:587", "SMTP_PORT"),
            ("[2001:db8::1]:25", "SMTP_PORT"),
            ("smtp://smtp.example.com", "without smtp://"),
            ("smtps://smtp.example.com:465", "without smtp://"),
            ("\"smtp.example.com\"", "not a host name"),
            ("'smtp.example.com'", "not a host name"),
            (" ", "not a host name"),
            ("smtp.example.com ", "not a host name"),
            ("user@example.com", "not a host name"),
        ] {
            let Err(Refused::Invalid(line)) = args(&[("SMTP_HOST", text)]) else { panic!("{text:?} is taken") };
            assert!(line.starts_with("SMTP_HOST ") && line.contains(why), "{text:?}: {line}");
        }
    }

    #[test]
    fn invalid_values_are_refused_by_name() {
        for (name, value) in [
            ("MAIL_FROM", "nobody"),
            ("MAIL_FROM", "j\u{fc}rgen@example.com"),
            ("MAIL_FROM", "A\r\nBcc: b@example.com <a@example.com>"),
            ("SMTP_TLS", "maybe"),
            ("SMTP_PORT", "0"),
            ("SMTP_HELO_NAME", "a b"),
            ("SEND_TIMEOUT", "0s"),
            ("SMTP_DATA_TIMEOUT", "0s"),
            ("MAIL_PRODUCT_NAME", " "),
            ("MAIL_RETURN_PATH", "bounces"),
            ("MAIL_RETURN_PATH", "bounces+{task}@example.com"),
        ] {
            let Err(Refused::Invalid(line)) = args(&[(name, value)]) else { panic!("{name}={value:?} was taken") };
            assert!(line.contains(name) && !line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn an_answer_is_waited_for_no_longer_than_a_task_may_be_held() {
        assert!(args(&[("SMTP_DATA_TIMEOUT", "14m")]).is_ok());
        for value in ["14m1s", "2h", "99ms"] {
            let Err(Refused::Invalid(line)) = args(&[("SMTP_DATA_TIMEOUT", value)]) else { panic!("{value} is taken") };
            assert!(line.contains("not between 100ms and 14m:") && line.contains("consumer_timeout, 30m "), "{line}");
        }
        let Err(Refused::Invalid(line)) = args(&[("SEND_TIMEOUT", "2h")]) else { panic!("2h is taken") };
        assert!(line.contains("not between 100ms and 1h "), "{line}");
    }

    #[test]
    fn the_port_follows_the_security() {
        for (tls, port) in [("none", 25), ("starttls", 587), ("implicit", 465)] {
            let args = args(&[("SMTP_HOST", "127.0.0.1"), ("SMTP_TLS", tls)]).unwrap();
            assert_eq!(args.smtp().unwrap().port, port);
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let args = args(&[("SMTP_HOST", "h"), ("SMTP_USERNAME", "u"), ("SMTP_PASSWORD", "geheim")]).unwrap();
        assert!(!format!("{args:?}").contains("geheim"));
    }
}
