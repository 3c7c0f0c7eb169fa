//! What is said where no secure connection comes about.

/// Begins all that is said of it, so that it is told from a server that is away.
const NO_SECURE_CONNECTION: &str = "no secure connection (tls)";

/// Words of the library, or of others about it, that are about TLS.
const WORDS: [&str; 8] = [
    "invalid peer certificate",
    "received corrupt message",
    "received fatal alert",
    "peer is incompatible",
    "peer misbehaved",
    "tls handshake",
    "no encryption",
    "TLS",
];

/// What can be done where the library says something in words of its own.
const HELP: [(&str, &str); 6] = [
    (
        "CaUsedAsEndEntity",
        "the server shows the certificate of an authority, as `openssl req -x509` makes it; make one with \
         -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:<its name>, and trust that",
    ),
    ("BadSignature", "another certificate of the same name is trusted (SSL_CERT_FILE, SSL_CERT_DIR): trust this one"),
    ("UnknownIssuer", "none of the certificates that are trusted (SSL_CERT_FILE, SSL_CERT_DIR) has signed it"),
    ("UnsupportedCertVersion", "it is of version 1, without the names it is for; make one with subjectAltName"),
    ("no encryption", "the server wants TLS: sslmode=verify-full in DATABASE_URL"),
    (
        "does not support TLS",
        "switch it on at the server, or ask for none (sslmode=disable) where the way there is safe",
    ),
];

/// An error of the TLS library, and what can be done. `in_the_clear`: where the port speaks no TLS.
pub fn help(error: &str, in_the_clear: &str) -> String {
    let in_the_clear = ("InvalidContentType", in_the_clear);
    let help = HELP.iter().chain([&in_the_clear]).find(|(word, _)| error.contains(word));
    help.map_or_else(|| error.to_owned(), |(_, help)| format!("{error}: {help}"))
}

/// The same, for an error that may be about something else; `None`: it is.
pub fn trouble(error: &str, in_the_clear: &str) -> Option<String> {
    let is_about_tls = WORDS.iter().any(|word| error.contains(word));
    is_about_tls.then(|| format!("{NO_SECURE_CONNECTION}: {}", help(error, in_the_clear)))
}

/// Whether a reason has come from [`trouble`].
pub fn is_trouble(reason: &str) -> bool {
    reason.contains(NO_SECURE_CONNECTION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_with_tls_is_told_from_a_server_that_is_away_and_says_what_to_do() {
        for (error, help) in [
            ("IO error: invalid peer certificate: UnknownIssuer", Some("has signed it")),
            ("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))", Some("CA:FALSE")),
            ("invalid peer certificate: BadSignature", Some("trust this one")),
            ("received corrupt message of type InvalidContentType", Some("in the clear")),
            ("error occurred while attempting to establish a TLS connection: expired", Some("expired")),
            ("server does not support TLS", Some("sslmode=disable")),
            ("tls handshake eof", Some("eof")),
            ("Connection refused (os error 111)", None),
            ("password authentication failed for user \"a\"", None),
        ] {
            let said = trouble(error, "it begins in the clear");
            assert_eq!(said.is_some(), help.is_some(), "{error}");
            assert_eq!(is_trouble(said.as_deref().unwrap_or(error)), help.is_some(), "{error}");
            let said = said.unwrap_or_default();
            assert!(said.contains(help.unwrap_or_default()), "{said}");
        }
    }
}
