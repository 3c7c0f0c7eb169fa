//! What the sessions share: the script, and what has happened.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::script::{Decision, Script, Stage};
use super::{Mail, SmtpOptions, Tls, tls};

/// One command and its answer.
#[derive(Debug, Clone)]
pub struct Command {
    /// Number of the connection, from 1.
    pub connection: u64,
    /// Which command.
    pub stage: Stage,
    /// The recipient: at RCPT the one it names, after it the mail's first.
    pub recipient: Option<String>,
    /// When it arrived.
    pub at: Instant,
    /// The first line of the answer, or `(dropped)`, `(hangs)`.
    pub answer: String,
}

/// How often what happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections taken.
    pub connections: u64,
    /// Of these, open now.
    pub open: u64,
    /// The most that were open at the same time.
    pub most_open: u64,
    /// Mails taken.
    pub mails: u64,
    /// Commands by stage, whatever was answered; `Connect` and `Content` among them.
    pub commands: BTreeMap<Stage, u64>,
}

/// A mail that was taken: all that is kept of it where mails are only counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// When it was taken.
    pub at: Instant,
    /// The address of its first RCPT TO.
    pub to: String,
}

type Hook = Arc<dyn Fn(Stage, Option<&str>) + Send + Sync>;

pub(crate) struct Shared {
    pub(crate) options: SmtpOptions,
    pub(crate) acceptor: Option<TlsAcceptor>,
    state: Mutex<State>,
    accepted: watch::Sender<u64>,
    paused: watch::Sender<bool>,
    last_connection: AtomicU64,
}

#[derive(Default)]
struct State {
    script: Script,
    hook: Option<Hook>,
    mails: Vec<Mail>,
    arrivals: Vec<Arrival>,
    mail_from: Vec<Instant>,
    commands: Vec<Command>,
    counts: Counts,
    // The numbers of the connections that are open.
    open: BTreeSet<u64>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(options: SmtpOptions) -> Self {
        Self {
            acceptor: (options.tls != Tls::None).then(tls::acceptor),
            options,
            state: Mutex::default(),
            accepted: watch::Sender::default(),
            paused: watch::Sender::default(),
            last_connection: AtomicU64::new(0),
        }
    }

    pub(crate) fn set_script(&self, script: Script) {
        self.state.lock().unwrap().script = script;
    }

    pub(crate) fn set_hook(&self, hook: Hook) {
        self.state.lock().unwrap().hook = Some(hook);
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.paused.send_replace(paused);
    }

    /// Returns at once unless the server is paused.
    pub(crate) async fn awake(&self) {
        if *self.paused.borrow() {
            let _ = self.paused.subscribe().wait_for(|paused| !paused).await;
        }
    }

    /// Counts a connection and numbers it.
    pub(crate) fn connected(&self) -> u64 {
        let mut state = self.state.lock().unwrap();
        let counts = &mut state.counts;
        counts.connections += 1;
        counts.open += 1;
        counts.most_open = counts.most_open.max(counts.open);
        let number = self.last_connection.fetch_add(1, Ordering::Relaxed) + 1;
        state.open.insert(number);
        number
    }

    pub(crate) fn disconnected(&self, number: u64) {
        let mut state = self.state.lock().unwrap();
        state.counts.open = state.counts.open.saturating_sub(1);
        state.open.remove(&number);
    }

    /// Notes that a command came over a connection, and asks the script about it.
    pub(crate) fn arrived(&self, connection: u64, stage: Stage, recipients: &[String], at: Instant) -> Decision {
        let (decision, hook) = {
            let mut state = self.state.lock().unwrap();
            *state.counts.commands.entry(stage).or_default() += 1;
            if stage == Stage::Mail {
                state.mail_from.push(at);
            }
            let older = state.open.range(..connection).count();
            (state.script.decide(stage, recipients, older), state.hook.clone())
        };
        if let Some(hook) = hook {
            hook(stage, recipients.first().map(String::as_str));
        }
        decision
    }

    pub(crate) fn answered(&self, command: impl FnOnce() -> Command) {
        if self.options.keep {
            self.state.lock().unwrap().commands.push(command());
        }
    }

    /// Counts a mail to this recipient, and keeps it if there is one to keep.
    pub(crate) fn accept(&self, to: &str, mail: Option<Mail>) {
        let arrival = Arrival { at: Instant::now(), to: to.to_owned() };
        let mails = {
            let mut state = self.state.lock().unwrap();
            state.arrivals.push(arrival);
            state.mails.extend(mail);
            state.counts.mails += 1;
            state.counts.mails
        };
        self.accepted.send_replace(mails);
    }

    pub(crate) fn accepted(&self) -> watch::Receiver<u64> {
        self.accepted.subscribe()
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        assert!(self.options.keep, "this server only counts mails (SmtpOptions::keep)");
        self.state.lock().unwrap().mails.clone()
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.state.lock().unwrap().arrivals.clone()
    }

    pub(crate) fn mail_from_times(&self) -> Vec<Instant> {
        self.state.lock().unwrap().mail_from.clone()
    }

    pub(crate) fn commands(&self) -> Vec<Command> {
        self.state.lock().unwrap().commands.clone()
    }

    /// The end of the conversation, for the message of a failure.
    pub(crate) fn last_commands(&self) -> String {
        let state = self.state.lock().unwrap();
        let last = &state.commands[state.commands.len().saturating_sub(20)..];
        last.iter().map(|c| format!("\n  #{} {:?} {:?}: {}", c.connection, c.stage, c.recipient, c.answer)).collect()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state.lock().unwrap().counts.clone()
    }

    pub(crate) fn clear(&self) {
        let mut state = self.state.lock().unwrap();
        state.mails.clear();
        state.arrivals.clear();
        state.mail_from.clear();
        state.commands.clear();
        let open = state.counts.open;
        state.counts = Counts { open, most_open: open, ..Counts::default() };
        drop(state);
        self.accepted.send_replace(0);
    }
}
