//! How far a measurement is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Elsewhere than on a terminal, a line this often.
const EVERY: Duration = Duration::from_secs(15);

/// The progress of one thing, counted towards a total. Clones share it.
#[derive(Debug, Clone)]
pub struct Progress {
    what: String,
    bar: ProgressBar,
    terminal: bool,
    told: Arc<Mutex<Instant>>,
}

impl Progress {
    /// Nothing done yet, of `total`.
    pub fn start(what: &str, total: usize) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(Some(total as u64), target(terminal));
        let style = "  {msg:<28} {bar:32} {human_pos:>9} of {human_len}  {elapsed}";
        bar.set_style(ProgressStyle::with_template(style).unwrap());
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { what: what.to_owned(), bar, terminal, told: Arc::new(Mutex::new(Instant::now())) }
    }

    /// More is done.
    pub fn add(&self, more: usize) {
        self.bar.inc(more as u64);
        self.tell();
    }

    /// So much is done in all.
    pub fn set(&self, done: usize) {
        self.bar.set_position(done as u64);
        self.tell();
    }

    /// Over; the bar goes.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn tell(&self) {
        let mut told = self.told.lock().unwrap();
        if !self.terminal && told.elapsed() >= EVERY {
            *told = Instant::now();
            eprintln!("  {}: {} of {}", self.what, self.bar.position(), self.bar.length().unwrap_or_default());
        }
    }
}

fn target(terminal: bool) -> ProgressDrawTarget {
    if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
}
