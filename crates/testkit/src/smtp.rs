//! A mail server with scripts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::background::Background;
use crate::port::Port;
use crate::proxy::accept;

mod mail;
mod record;
mod script;
mod session;
mod syntax;
mod tls;
mod wire;

pub use mail::Mail;
pub use record::{Arrival, Command, Counts};
pub use script::{Script, Stage};
pub use tls::self_signed;

use record::Shared;

/// How connections to the server are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tls {
    /// Not at all.
    #[default]
    None,
    /// By STARTTLS; MAIL before it is answered 530.
    Starttls,
    /// From the first byte.
    Implicit,
}

/// What the server offers. The default: 8BITMIME, SMTPUTF8, SIZE of 10 MiB, PIPELINING, no encryption, no login.
#[derive(Debug, Clone)]
pub struct SmtpOptions {
    /// Encryption; trust [`SmtpServer::ca_pem`], the name is `localhost` or `127.0.0.1`.
    pub tls: Tls,
    /// User and password that AUTH PLAIN and AUTH LOGIN accept; MAIL without login is then answered 530.
    pub auth: Option<(String, String)>,
    /// Offers SMTPUTF8; without it such mail is refused (555, 553).
    pub smtputf8: bool,
    /// Offers 8BITMIME.
    pub eight_bit_mime: bool,
    /// Offers SIZE with this limit in bytes; longer mail is refused with 552.
    pub size: Option<usize>,
    /// Offers PIPELINING (it is understood anyway).
    pub pipelining: bool,
    /// Keeps mails and commands. Off for benches: then moments and recipients are kept, no more.
    pub keep: bool,
}

impl Default for SmtpOptions {
    fn default() -> Self {
        Self {
            tls: Tls::None,
            auth: None,
            smtputf8: true,
            eight_bit_mime: true,
            size: Some(10 << 20),
            pipelining: true,
            keep: true,
        }
    }
}

/// A mail server on a thread of its own. It takes every mail unless its [`Script`] says otherwise.
#[derive(Debug)]
pub struct SmtpServer {
    shared: Arc<Shared>,
    orders: mpsc::Sender<(Order, oneshot::Sender<()>)>,
    port: Port,
    _thread: Background,
}

#[derive(Debug)]
enum Order {
    StopListening,
    ListenAgain,
    CutConnections,
}

impl SmtpServer {
    /// Starts one.
    pub async fn start(options: SmtpOptions) -> Self {
        let port = Port::free();
        let addr = port.addr();
        let shared = Arc::new(Shared::new(options));
        let (orders, inbox) = mpsc::channel(16);
        let serving = shared.clone();
        let thread = Background::start("smtp-server", move || serve(addr, serving, inbox));
        let server = Self { shared, orders, port, _thread: thread };
        server.listen_again().await;
        server
    }

    /// Where it listens, also while it does not.
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// The certificate of the authority that signed the server's own.
    pub fn ca_pem(&self) -> &'static str {
        tls::ca_pem()
    }

    /// Changes what it answers, from the next command on.
    pub fn set_script(&self, script: Script) {
        self.shared.set_script(script);
    }

    /// Calls back for every command with its stage and, if it has one, its recipient, before it is answered; on the server's
    /// thread, which waits. One hook at a time.
    pub fn on_command(&self, hook: impl Fn(Stage, Option<&str>) + Send + Sync + 'static) {
        self.shared.set_hook(Arc::new(hook));
    }

    /// Refuses connections and cuts those that are open.
    pub async fn stop_listening(&self) {
        self.order(Order::StopListening).await;
    }

    /// Takes connections again, on the same port.
    pub async fn listen_again(&self) {
        self.order(Order::ListenAgain).await;
    }

    /// Cuts the open connections and goes on listening.
    pub async fn cut_connections(&self) {
        self.order(Order::CutConnections).await;
    }

    /// Answers nothing any more, on old and new connections, as if stopped by SIGSTOP.
    pub fn pause(&self) {
        self.shared.pause(true);
    }

    /// Goes on after a pause, with what arrived meanwhile.
    pub fn resume(&self) {
        self.shared.pause(false);
    }

    /// The mails it took, in the order it took them.
    ///
    /// # Panics
    /// When the options say not to keep any.
    pub fn mails(&self) -> Vec<Mail> {
        self.shared.mails()
    }

    /// Waits until it has taken at least `n` mails and gives them all.
    ///
    /// # Panics
    /// When they did not come in time, with what came instead.
    pub async fn wait_for_mails(&self, n: usize, within: Duration) -> Vec<Mail> {
        self.wait_for_count(n, within).await;
        self.mails()
    }

    /// The same where mails are only counted.
    pub async fn wait_for_count(&self, n: usize, within: Duration) {
        let mut accepted = self.shared.accepted();
        let enough = accepted.wait_for(|count| *count >= n as u64);
        if tokio::time::timeout(within, enough).await.is_err() {
            panic!("not {n} mails within {within:?}: {:?}{}", self.counts(), self.shared.last_commands());
        }
    }

    /// Who was mailed when, in the order in which mails were taken; also where mails themselves are not kept.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.shared.arrivals()
    }

    /// Waits until no mail has come for so long.
    ///
    /// # Panics
    /// When they still come at the end of `within`.
    pub async fn quiet(&self, long: Duration, within: Duration) {
        let mut accepted = self.shared.accepted();
        let waiting = async { while tokio::time::timeout(long, accepted.changed()).await.is_ok() {} };
        let quiet = tokio::time::timeout(within, waiting).await;
        assert!(quiet.is_ok(), "mails still come after {within:?}: {:?}", self.counts());
    }

    /// The moments at which MAIL FROM arrived, in order, whatever was answered.
    pub fn mail_from_times(&self) -> Vec<Instant> {
        self.shared.mail_from_times()
    }

    /// What was asked and answered, in order over all connections; nothing when the options say not to keep it.
    pub fn commands(&self) -> Vec<Command> {
        self.shared.commands()
    }

    /// How often what happened.
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// Forgets mails, commands, moments and counts.
    pub fn clear(&self) {
        self.shared.clear();
    }

    async fn order(&self, order: Order) {
        let (done, when_done) = oneshot::channel();
        self.orders.send((order, done)).await.expect("the server's thread runs");
        when_done.await.expect("the server's thread does as told: see its panic");
    }
}

/// Takes connections and orders until the thread is told to end.
async fn serve(addr: SocketAddr, shared: Arc<Shared>, mut orders: mpsc::Receiver<(Order, oneshot::Sender<()>)>) {
    let mut listener: Option<TcpListener> = None;
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some((order, done)) = order else { return };
                match order {
                    Order::StopListening => {
                        listener = None;
                        sessions.shutdown().await;
                    }
                    Order::ListenAgain if listener.is_none() => {
                        listener = Some(TcpListener::bind(addr).await.unwrap_or_else(|e| panic!("listening on {addr}: {e}")));
                    }
                    Order::ListenAgain => {}
                    Order::CutConnections => sessions.shutdown().await,
                }
                let _ = done.send(());
            }
            stream = accept(listener.as_ref()) => {
                let _ = stream.set_nodelay(true);
                sessions.spawn(session::run(stream, shared.clone()));
            }
            Some(ended) = sessions.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
        }
    }
}
