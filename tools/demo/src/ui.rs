//! What a person sees: lines, colours on a terminal only, and a sign of life for whatever takes longer than a second.

use std::future::Future;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a step may be silent.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the line about running steps changes, on a terminal.
const TICK: Duration = Duration::from_millis(200);

/// A style of the terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Style {
    Bold,
    Dim,
    Good,
    Bad,
    Link,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
            Self::Link => "\x1b[36m",
        }
    }
}

/// Standard output. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Ui {
    terminal: bool,
    running: Arc<Mutex<Vec<Running>>>,
    /// The line about running steps, as it stands below everything else.
    drawn: Arc<Mutex<String>>,
}

#[derive(Debug)]
struct Running {
    what: String,
    since: Instant,
    announced: bool,
}

impl Ui {
    pub(crate) fn new() -> Self {
        Self { terminal: std::io::stdout().is_terminal(), running: Arc::default(), drawn: Arc::default() }
    }

    /// Whether somebody is watching.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Text in a style, where there are styles.
    pub(crate) fn styled(&self, style: Style, text: &str) -> String {
        if self.terminal && std::env::var_os("NO_COLOR").is_none() {
            format!("{}{text}\x1b[0m", style.code())
        } else {
            text.to_owned()
        }
    }

    /// One or more lines.
    pub(crate) fn say(&self, text: &str) {
        let running = self.running();
        self.write(&format!("{text}\n"));
        self.draw(&running);
    }

    /// Runs one step, shows that it is running once it takes a while, and how long it took.
    pub(crate) async fn step<T>(&self, what: &str, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let since = Instant::now();
        self.running().push(Running { what: what.to_owned(), since, announced: false });
        let mut tick = tokio::time::interval(TICK);
        let mut work = std::pin::pin!(work);
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                _ = tick.tick() => self.tick(),
            }
        };
        self.running().retain(|step| step.what != what);
        let took = self.styled(Style::Dim, &format!("{:.1} s", since.elapsed().as_secs_f64()));
        match &done {
            Ok(_) => self.say(&format!("{} {what} {took}", self.styled(Style::Good, "ok"))),
            Err(_) => self.say(&format!("{} {what} {took}", self.styled(Style::Bad, "failed"))),
        }
        done
    }

    fn tick(&self) {
        let mut running = self.running();
        if self.terminal {
            self.draw(&running);
            return;
        }
        for step in running.iter_mut().filter(|step| !step.announced && step.since.elapsed() >= PATIENCE) {
            step.announced = true;
            self.write(&format!("   {} ..\n", step.what));
        }
    }

    /// The line about what is running, below everything else; replaced by whatever is written next.
    fn draw(&self, running: &[Running]) {
        if !self.terminal {
            return;
        }
        let late: Vec<_> = running
            .iter()
            .filter(|step| step.since.elapsed() >= PATIENCE)
            .map(|step| format!("{} {} s", step.what, step.since.elapsed().as_secs()))
            .collect();
        let line = if late.is_empty() { String::new() } else { format!(".. {}", late.join(", ")) };
        if line != *self.drawn() {
            self.write(&self.styled(Style::Dim, &line));
            *self.drawn() = line;
        }
    }

    fn write(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        // A reader that went away is no reason to leave servers behind.
        let _ = write!(out, "{}{text}", if self.terminal { "\r\x1b[2K" } else { "" });
        let _ = out.flush();
        self.drawn().clear();
    }

    fn drawn(&self) -> MutexGuard<'_, String> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
