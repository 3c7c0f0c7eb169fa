//! A TCP proxy whose network can be cut, slowed or made to swallow everything.

use std::net::SocketAddr;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::background::Background;
use crate::port::Port;

/// How the network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    Fine,
    Cut,
    Blackhole,
}

/// Stands between a client and a server, on a thread of its own.
#[derive(Debug)]
pub struct TcpProxy {
    port: Port,
    orders: mpsc::Sender<(Order, SyncSender<()>)>,
    latency: watch::Sender<Duration>,
    _thread: Background,
}

#[derive(Debug)]
enum Order {
    Weather(Weather),
    CutConnections,
}

impl TcpProxy {
    /// Starts one in front of `upstream`, which need not be up.
    pub async fn start(upstream: SocketAddr) -> Self {
        let port = Port::free();
        let addr = port.addr();
        let (orders, inbox) = mpsc::channel(16);
        let (latency, delays) = watch::channel(Duration::ZERO);
        let thread = Background::start("tcp-proxy", move || serve(addr, upstream, delays, inbox));
        let proxy = Self { port, orders, latency, _thread: thread };
        proxy.heal();
        proxy
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Closes all connections and refuses new ones.
    pub fn cut(&self) {
        self.order(Order::Weather(Weather::Cut));
    }

    /// Closes all connections once; new ones are taken.
    pub fn cut_connections(&self) {
        self.order(Order::CutConnections);
    }

    /// Takes connections, and lets no byte through: neither on those nor on the ones that are open. What is swallowed comes
    /// through after [`heal`](Self::heal).
    pub fn blackhole(&self) {
        self.order(Order::Weather(Weather::Blackhole));
    }

    /// Lets everything through again.
    pub fn heal(&self) {
        self.order(Order::Weather(Weather::Fine));
    }

    /// How long each byte is under way, in each direction.
    pub fn latency(&self, latency: Duration) {
        self.latency.send_replace(latency);
    }

    fn order(&self, order: Order) {
        let (done, when_done) = std::sync::mpsc::sync_channel(1);
        self.orders.try_send((order, done)).expect("the proxy's thread runs");
        when_done.recv().expect("the proxy's thread does as told: see its panic");
    }
}

async fn serve(
    addr: SocketAddr,
    upstream: SocketAddr,
    delays: watch::Receiver<Duration>,
    mut orders: mpsc::Receiver<(Order, SyncSender<()>)>,
) {
    let (weather, forecast) = watch::channel(Weather::Cut);
    let mut listener: Option<TcpListener> = None;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some((order, done)) = order else { return };
                match order {
                    Order::CutConnections => connections.shutdown().await,
                    Order::Weather(Weather::Cut) => {
                        listener = None;
                        connections.shutdown().await;
                    }
                    Order::Weather(_) if listener.is_none() => {
                        listener = Some(TcpListener::bind(addr).await.unwrap_or_else(|e| panic!("listening on {addr}: {e}")));
                    }
                    Order::Weather(_) => {}
                }
                if let Order::Weather(new) = order {
                    weather.send_replace(new);
                }
                let _ = done.send(());
            }
            client = accept(listener.as_ref()) => {
                connections.spawn(connection(client, upstream, delays.clone(), forecast.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The next connection; none comes while nothing listens.
pub(crate) async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    match listener {
        Some(listener) => loop {
            if let Ok((stream, _)) = listener.accept().await {
                return stream;
            }
        },
        None => std::future::pending().await,
    }
}

async fn connection(
    client: TcpStream,
    upstream: SocketAddr,
    delays: watch::Receiver<Duration>,
    mut weather: watch::Receiver<Weather>,
) {
    if weather.wait_for(|weather| *weather == Weather::Fine).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::join!(
        pump(from_client, to_server, delays.clone(), weather.clone()),
        pump(from_server, to_client, delays, weather.clone()),
    );
}

/// One direction: what is read goes into a short queue with its time of arrival, so that latency does not limit the throughput.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delays: watch::Receiver<Duration>,
    mut weather: watch::Receiver<Weather>,
) {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(256);
    let reading = async move {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            let arrives = Instant::now() + *delays.borrow();
            if sender.send((arrives, buffer[..n].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writing = async {
        while let Some((arrives, bytes)) = under_way.recv().await {
            sleep_until(arrives).await;
            if weather.wait_for(|weather| *weather == Weather::Fine).await.is_err()
                || to.write_all(&bytes).await.is_err()
            {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(reading, writing);
}
