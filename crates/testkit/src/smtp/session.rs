//! One connection: the protocol, as strict as a real server where a client's mistake would show there.

use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::record::{Command, Shared};
use super::script::{Act, Stage};
use super::syntax::{base64, command, parameter, path};
use super::wire::{End, Wire};
use super::{Mail, Tls};

/// Counts the connection while it lives, however its task ends.
struct Open(Arc<Shared>, u64);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.disconnected(self.1);
    }
}

pub(crate) async fn run(stream: TcpStream, shared: Arc<Shared>) {
    let number = shared.connected();
    let _open = Open(shared.clone(), number);
    if shared.options.tls == Tls::Implicit {
        let acceptor = shared.acceptor.clone().expect("TLS is set up");
        if let Ok(stream) = acceptor.accept(stream).await {
            Session::new(stream, shared, number, true).run(true).await;
        }
        return;
    }
    let mut plain = Session::new(stream, shared.clone(), number, false);
    if let End::Upgrade = plain.run(true).await {
        let acceptor = shared.acceptor.clone().expect("STARTTLS is offered only with TLS set up");
        if let Ok(stream) = acceptor.accept(plain.wire.into_stream()).await {
            Session::new(stream, shared, number, true).run(false).await;
        }
    }
}

struct Session<S> {
    wire: Wire<S>,
    shared: Arc<Shared>,
    number: u64,
    encrypted: bool,
    greeted: bool,
    user: Option<String>,
    envelope: Option<Envelope>,
}

#[derive(Default)]
struct Envelope {
    from: String,
    parameters: String,
    to: Vec<String>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    fn new(stream: S, shared: Arc<Shared>, number: u64, encrypted: bool) -> Self {
        let wire = Wire::new(stream, shared.clone());
        Self { wire, shared, number, encrypted, greeted: false, user: None, envelope: None }
    }

    async fn run(&mut self, greet: bool) -> End {
        let end = self.converse(greet).await.unwrap_err();
        let _ = self.wire.flush().await;
        end
    }

    async fn converse(&mut self, greet: bool) -> Result<std::convert::Infallible, End> {
        if greet {
            self.answer(Stage::Connect, &[], "220 localhost ESMTP testkit").await?;
        }
        loop {
            let line = self.wire.line().await?;
            let (verb, argument) = command(&line);
            match verb.as_str() {
                "EHLO" | "HELO" => self.ehlo(verb == "EHLO").await?,
                "STARTTLS" => self.starttls().await?,
                "AUTH" => self.auth(argument).await?,
                "MAIL" => self.mail(argument).await?,
                "RCPT" => self.rcpt(argument).await?,
                "DATA" => self.data().await?,
                "RSET" => {
                    self.envelope = None;
                    self.answer(Stage::Rset, &[], "250 2.0.0 flushed").await?;
                }
                "NOOP" => drop(self.answer(Stage::Noop, &[], "250 2.0.0 ok").await?),
                "QUIT" => {
                    self.answer(Stage::Quit, &[], "221 2.0.0 bye").await?;
                    return Err(End::Closed);
                }
                _ => self.wire.say("500 5.5.2 unknown command"),
            }
        }
    }

    async fn ehlo(&mut self, extended: bool) -> Result<(), End> {
        let options = &self.shared.options;
        let mut offer = "250 localhost".to_owned();
        if extended {
            let mut add = |extension: &str| {
                offer.push('\n');
                offer.push_str(extension);
            };
            add("ENHANCEDSTATUSCODES");
            if options.pipelining {
                add("PIPELINING");
            }
            if options.eight_bit_mime {
                add("8BITMIME");
            }
            if options.smtputf8 {
                add("SMTPUTF8");
            }
            if let Some(size) = options.size {
                add(&format!("SIZE {size}"));
            }
            if options.tls == Tls::Starttls && !self.encrypted {
                add("STARTTLS");
            } else if options.auth.is_some() {
                add("AUTH PLAIN LOGIN");
            }
        }
        self.envelope = None;
        self.greeted |= self.answer(Stage::Ehlo, &[], &offer).await?;
        Ok(())
    }

    async fn starttls(&mut self) -> Result<(), End> {
        if self.encrypted || self.shared.acceptor.is_none() {
            self.wire.say("502 5.5.1 STARTTLS is not offered");
        } else if self.answer(Stage::StartTls, &[], "220 2.0.0 go ahead").await? {
            self.wire.flush().await?;
            return Err(End::Upgrade);
        }
        Ok(())
    }

    async fn auth(&mut self, argument: &str) -> Result<(), End> {
        let Some((user, password)) = self.shared.options.auth.clone() else {
            self.wire.say("502 5.5.1 AUTH is not offered");
            return Ok(());
        };
        if self.user.is_some() {
            self.wire.say("503 5.5.1 logged in already");
            return Ok(());
        }
        let (mechanism, initial) = command(argument);
        let given = match mechanism.as_str() {
            "PLAIN" if initial.is_empty() => vec![self.challenge("").await?],
            "PLAIN" => vec![initial.to_owned()],
            "LOGIN" if initial.is_empty() => {
                vec![self.challenge("VXNlcm5hbWU6").await?, self.challenge("UGFzc3dvcmQ6").await?]
            }
            "LOGIN" => vec![initial.to_owned(), self.challenge("UGFzc3dvcmQ6").await?],
            _ => {
                self.wire.say("504 5.5.4 unknown mechanism");
                return Ok(());
            }
        };
        let right = match mechanism.as_str() {
            "PLAIN" => [
                base64(format!("\0{user}\0{password}").as_bytes()),
                base64(format!("{user}\0{user}\0{password}").as_bytes()),
            ]
            .contains(&given[0]),
            _ => given == [base64(user.as_bytes()), base64(password.as_bytes())],
        };
        let reply = if right { "235 2.7.0 welcome" } else { "535 5.7.8 credentials are wrong" };
        if self.answer(Stage::Auth, &[], reply).await? {
            self.user = Some(user);
        }
        Ok(())
    }

    async fn challenge(&mut self, text: &str) -> Result<String, End> {
        self.wire.say(&format!("334 {text}"));
        self.wire.line().await
    }

    async fn mail(&mut self, argument: &str) -> Result<(), End> {
        let options = &self.shared.options;
        let Some((from, parameters)) = path(argument, "FROM") else {
            self.wire.say("501 5.5.4 MAIL FROM:<address>");
            return Ok(());
        };
        let utf8 = parameter(parameters, "SMTPUTF8").is_some();
        let size = parameter(parameters, "SIZE").and_then(|size| size.parse().ok()).unwrap_or(0_usize);
        let reply = if !self.greeted {
            "503 5.5.1 EHLO first"
        } else if self.envelope.is_some() {
            "503 5.5.1 a mail is under way"
        } else if options.tls == Tls::Starttls && !self.encrypted {
            "530 5.7.0 STARTTLS first"
        } else if options.auth.is_some() && self.user.is_none() {
            "530 5.7.0 log in first"
        } else if utf8 && !options.smtputf8 || parameter(parameters, "BODY").is_some() && !options.eight_bit_mime {
            "555 5.5.4 parameter not known"
        } else if !from.is_ascii() && !utf8 {
            "553 5.6.7 that address needs SMTPUTF8"
        } else if options.size.is_some_and(|limit| size > limit) {
            "552 5.3.4 too large"
        } else {
            "250 2.1.0 sender ok"
        };
        if self.answer(Stage::Mail, &[], reply).await? {
            self.envelope = Some(Envelope { from: from.to_owned(), parameters: parameters.to_owned(), to: Vec::new() });
        }
        Ok(())
    }

    async fn rcpt(&mut self, argument: &str) -> Result<(), End> {
        let Some((to, _)) = path(argument, "TO") else {
            self.wire.say("501 5.5.4 RCPT TO:<address>");
            return Ok(());
        };
        let utf8 = |envelope: &Envelope| parameter(&envelope.parameters, "SMTPUTF8").is_some();
        let reply = match &self.envelope {
            None => "503 5.5.1 MAIL first",
            Some(envelope) if !to.is_ascii() && !utf8(envelope) => "553 5.6.7 that address needs SMTPUTF8",
            Some(_) => "250 2.1.5 recipient ok",
        };
        let to = [to.to_owned()];
        if self.answer(Stage::Rcpt, &to, reply).await?
            && let Some(envelope) = &mut self.envelope
        {
            envelope.to.extend(to);
        }
        Ok(())
    }

    async fn data(&mut self) -> Result<(), End> {
        let to = match &self.envelope {
            Some(envelope) if !envelope.to.is_empty() => envelope.to.clone(),
            _ => {
                self.wire.say("503 5.5.1 RCPT first");
                return Ok(());
            }
        };
        if !self.answer(Stage::Data, &to, "354 go ahead").await? {
            return Ok(());
        }
        let (content, length) = self.wire.content().await?;
        let mut envelope = self.envelope.take().unwrap_or_default();
        let too_large = self.shared.options.size.is_some_and(|limit| length > limit);
        let reply = if too_large { "552 5.3.4 too large" } else { "250 2.0.0 taken" };
        let at = Instant::now();
        let mail = content.map(|data| Mail {
            from: std::mem::take(&mut envelope.from),
            parameters: std::mem::take(&mut envelope.parameters),
            to: envelope.to,
            data,
            at,
            encrypted: self.encrypted,
            user: self.user.clone(),
            connection: self.number,
        });
        self.take(&to, reply, mail).await
    }

    /// Decides about a whole mail; records it before the client can know.
    async fn take(&mut self, to: &[String], reply: &str, mail: Option<Mail>) -> Result<(), End> {
        let (shared, first) = (self.shared.clone(), to.first().cloned().unwrap_or_default());
        let accept = move || {
            shared.accept(&first, mail.map(|mail| Mail { at: Instant::now(), ..mail }));
        };
        self.answer_then(Stage::Content, to, reply, accept).await?;
        Ok(())
    }

    async fn answer(&mut self, stage: Stage, recipients: &[String], healthy: &str) -> Result<bool, End> {
        self.answer_then(stage, recipients, healthy, || {}).await
    }

    /// Answers as the script says, else with `healthy`; runs `accept` before an answer that agrees. True when it agrees.
    async fn answer_then(
        &mut self,
        stage: Stage,
        to: &[String],
        healthy: &str,
        accept: impl FnOnce(),
    ) -> Result<bool, End> {
        let at = Instant::now();
        let shared = self.shared.clone();
        let decision = shared.arrived(self.number, stage, to, at);
        let note = |answer: &str| {
            shared.answered(|| Command {
                connection: self.number,
                stage,
                recipient: to.first().cloned(),
                at,
                answer: answer.lines().next().unwrap_or_default().to_owned(),
            });
        };
        if !decision.delay.is_zero() {
            tokio::time::sleep(decision.delay).await;
        }
        shared.awake().await;
        let reply = match &decision.act {
            None => healthy,
            Some(Act::Reply(reply)) => reply.as_str(),
            Some(Act::AcceptThenDrop) => {
                note("(taken, then dropped)");
                accept();
                return Err(End::Closed);
            }
            Some(Act::Hang) => {
                note("(hangs)");
                return Err(self.wire.hang().await);
            }
            Some(Act::Drop | Act::Delay(_)) => {
                note("(dropped)");
                return Err(End::Closed);
            }
        };
        note(reply);
        let agrees = reply.starts_with(['2', '3']);
        if agrees {
            accept();
        }
        self.wire.say(reply);
        if reply.starts_with("421") {
            return Err(End::Closed);
        }
        Ok(agrees)
    }
}
