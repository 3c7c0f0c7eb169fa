//! What is said about one mail, and how the library's errors read.

use std::error::Error as _;
use std::io;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::Ehlo;
use lettre::transport::smtp::extension::{ClientId, Extension, ServerInfo};
use lettre::transport::smtp::response::Response;
use mail::Envelope;
use mail::Rendered;

use super::reply::{Accepted, Broken, Reply, SendError, Stage, redact};

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

/// What the server said it can do, where the library does not keep it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capabilities {
    /// Several commands may be sent without waiting for each answer (RFC 2920).
    pub(super) pipelining: bool,
}

impl Capabilities {
    /// Asks once more what the library has asked already and kept the half of.
    pub(super) async fn ask(connection: &mut AsyncSmtpConnection, helo: &ClientId) -> Result<Self, Failure> {
        let capabilities =
            connection.command(Ehlo::new(helo.clone())).await.map_err(|error| Failure::read(&error, &[]))?;
        let pipelining = capabilities.message().skip(1).any(|line| line.trim().eq_ignore_ascii_case("PIPELINING"));
        Ok(Self { pipelining })
    }
}

/// What comes before the content, and the class of the answer that lets it go on.
const INTRODUCTION: [(Stage, u16); 3] = [(Stage::Mail, 2), (Stage::Rcpt, 2), (Stage::Data, 3)];

/// One mail, to be handed to a server that can take it.
pub(super) struct Transaction<'a> {
    mail: &'a Rendered,
    envelope: &'a Envelope,
    parameters: &'static str,
}

impl<'a> Transaction<'a> {
    /// `None` when the server lacks what the mail needs.
    pub(super) fn new(mail: &'a Rendered, server: &ServerInfo) -> Option<Self> {
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

    /// Says all that comes before the content; `stage` tells how far it came.
    pub(super) async fn begin(
        &self,
        connection: &mut AsyncSmtpConnection,
        capabilities: Capabilities,
        stage: &mut Stage,
    ) -> Result<(), Failure> {
        if capabilities.pipelining {
            self.introduce_at_once(connection, stage).await
        } else {
            self.introduce(connection, stage).await
        }
    }

    /// The bytes that [`hand_over`](Self::hand_over) says, the dot included.
    pub(super) fn length(&self) -> u64 {
        self.mail.on_the_wire().len() as u64
    }

    /// Says the content, and hears what becomes of it.
    pub(super) async fn hand_over(&self, connection: &mut AsyncSmtpConnection) -> Result<Accepted, Failure> {
        let reply = connection.command(self.mail.on_the_wire()).await.map_err(|error| self.read(&error))?;
        expect(2, &reply)?;
        Ok(Accepted { reply: redact(reply.first_line().unwrap_or_default(), &self.private(), 200) })
    }

    /// `MAIL`, `RCPT`, `DATA`, one after the other.
    async fn introduce(&self, connection: &mut AsyncSmtpConnection, stage: &mut Stage) -> Result<(), Failure> {
        let text = self.lines();
        for ((at, class), line) in INTRODUCTION.into_iter().zip(text.split_inclusive("\r\n")) {
            *stage = at;
            expect(class, &connection.command(line).await.map_err(|error| self.read(&error))?)?;
        }
        Ok(())
    }

    /// The same in one breath: two waits a mail instead of four. All answers are read whatever the first ones are, or
    /// the next mail would get them.
    async fn introduce_at_once(&self, connection: &mut AsyncSmtpConnection, stage: &mut Stage) -> Result<(), Failure> {
        let mut refusal: Option<Reply> = None;
        for (at, class) in INTRODUCTION {
            if refusal.is_none() {
                *stage = at;
            }
            let answer = match at {
                Stage::Mail => connection.command(self.lines()).await,
                _ => connection.read_response().await,
            };
            match (answer.map_err(|error| self.read(&error)), &refusal) {
                (Ok(reply), None) => expect(class, &reply)?,
                // It waits for a mail to nobody, and is given one (RFC 2920, section 3.1).
                (Ok(_), Some(_)) if at == Stage::Data && *stage == Stage::Rcpt => {
                    let _ = connection.command(".\r\n").await;
                }
                (Ok(_), Some(_)) if at == Stage::Data => {
                    return Err(Failure::Broken(Broken::Protocol("takes the content of a mail it refused".to_owned())));
                }
                (Ok(_), Some(_)) | (Err(Failure::Refused(_)), Some(_)) => {}
                // It hangs up after this, and answers nothing more.
                (Err(Failure::Refused(reply)), None) if reply.code == 421 => return Err(Failure::Refused(reply)),
                (Err(Failure::Refused(reply)), None) => refusal = Some(reply),
                // What it said counts, though RSET will find nobody there.
                (Err(Failure::Broken(_)), Some(_)) => break,
                (Err(broken), None) => return Err(broken),
            }
        }
        refusal.map_or(Ok(()), |reply| Err(Failure::Refused(reply)))
    }

    /// What is said in [`INTRODUCTION`], a line each.
    fn lines(&self) -> String {
        let (sender, recipient) = (self.envelope.sender(), self.envelope.recipient());
        format!("MAIL FROM:<{sender}>{}\r\nRCPT TO:<{recipient}>\r\nDATA\r\n", self.parameters)
    }

    fn private(&self) -> Vec<&'a str> {
        let addresses = [self.envelope.recipient_local(), self.envelope.recipient()];
        addresses.into_iter().chain(self.mail.private_words()).collect()
    }

    fn read(&self, error: &Error) -> Failure {
        Failure::read(error, &self.private())
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
