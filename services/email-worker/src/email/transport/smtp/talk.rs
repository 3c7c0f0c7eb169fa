//! What is said about one mail, and how the library's errors read.

use std::error::Error as _;
use std::io;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::extension::{Extension, ServerInfo};
use lettre::transport::smtp::response::Response;

use super::super::super::address::Envelope;
use super::super::super::outcome::{Accepted, Broken, Reply, SendError, Stage, redact};
use super::super::super::render::Rendered;

/// A [`SendError`] whose stage is not known yet.
pub(super) enum Failure {
    Refused(Reply),
    Broken(Broken),
}

impl Failure {
    pub(super) fn at(self, stage: Stage, fresh: bool) -> SendError {
        match self {
            Self::Refused(reply) => SendError::Refused { stage, reply, fresh },
            Self::Broken(cause) => SendError::Broken { stage, cause, fresh },
        }
    }

    /// Reads an error of the library; `private` must not be repeated.
    pub(super) fn read(error: &Error, private: &[&str]) -> Self {
        let text = error.source().map(ToString::to_string).unwrap_or_default();
        if let Some(code) = error.status() {
            return Self::Refused(Reply::new(code.into(), &text, private));
        }
        if let Some(error) = find_io(error) {
            return Self::Broken(match error.kind() {
                io::ErrorKind::InvalidData => Broken::Protocol(error.to_string()),
                _ => Broken::Dropped,
            });
        }
        // The library's words for the end of the stream.
        if error.is_response() && text == "incomplete response" {
            return Self::Broken(Broken::Dropped);
        }
        Self::Broken(Broken::Protocol(redact(&text, private, 200)))
    }
}

fn find_io(error: &Error) -> Option<&io::Error> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        source = error.source();
    }
    None
}

/// One mail, about to be spoken of with a server that can take it.
pub(super) struct Conversation<'a> {
    mail: &'a Rendered,
    envelope: &'a Envelope,
    parameters: &'static str,
}

impl<'a> Conversation<'a> {
    /// `None` when the server lacks what the mail needs.
    pub(super) fn about(mail: &'a Rendered, server: &ServerInfo) -> Option<Self> {
        let envelope = &mail.envelope;
        let parameters = match envelope.needs_smtputf8() {
            // Bodies are 7 bit always; with an address in UTF-8 the headers are not.
            false => "",
            true if !server.supports_feature(Extension::SmtpUtfEight) => return None,
            true if server.supports_feature(Extension::EightBitMime) => " SMTPUTF8 BODY=8BITMIME",
            true => " SMTPUTF8",
        };
        Some(Self { mail, envelope, parameters })
    }

    /// Says it all; `stage` tells how far it came.
    pub(super) async fn hold(
        self,
        connection: &mut AsyncSmtpConnection,
        stage: &mut Stage,
    ) -> Result<Accepted, Failure> {
        let private = [self.envelope.recipient_local(), self.envelope.recipient()];
        let read = |error: Error| Failure::read(&error, &private);

        *stage = Stage::Mail;
        let mail = format!("MAIL FROM:<{}>{}\r\n", self.envelope.sender(), self.parameters);
        expect(2, &connection.command(mail).await.map_err(read)?)?;
        *stage = Stage::Rcpt;
        let rcpt = format!("RCPT TO:<{}>\r\n", self.envelope.recipient());
        expect(2, &connection.command(rcpt).await.map_err(read)?)?;
        *stage = Stage::Data;
        expect(3, &connection.command("DATA\r\n").await.map_err(read)?)?;
        *stage = Stage::Content;
        let reply = connection.command(self.mail.on_the_wire()).await.map_err(read)?;
        expect(2, &reply)?;
        Ok(Accepted { reply: redact(reply.first_line().unwrap_or_default(), &private, 200) })
    }
}

/// A positive answer of the wrong kind means that question and answer no longer match.
fn expect(class: u16, reply: &Response) -> Result<(), Failure> {
    let code = u16::from(reply.code());
    if code / 100 == class {
        return Ok(());
    }
    Err(Failure::Broken(Broken::Protocol(format!("answered {code} where {class}yz was due"))))
}
