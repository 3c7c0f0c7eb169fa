//! Runs the tests of a program, one after the other, and tells how each went.
//!
//! Not libtest: the tests of a subject share one installation, which must be gone at the end, also after a panic or Ctrl-C, and
//! libtest ends nothing that tests share. Arguments are the subjects to run (parts of their names); none means all.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use futures_util::FutureExt as _;

use crate::context::Cluster;
use crate::diagnosis;

/// Where the last panic came from.
static PLACE: Mutex<String> = Mutex::new(String::new());

/// One run of the suite.
pub struct Run {
    /// Where it runs.
    pub cluster: Cluster,
    wanted: Vec<String>,
    passed: usize,
    failed: Vec<String>,
}

impl Run {
    /// A run with the arguments of this program.
    ///
    /// # Errors
    /// One line: why there is no cluster to run on.
    pub async fn start() -> Result<Self, String> {
        let wanted = std::env::args().skip(1).collect();
        // What a panic says is told below, in a line or two; where it came from is kept for that.
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = place;
        }));
        Ok(Self { cluster: Cluster::named().await?, wanted, passed: 0, failed: Vec::new() })
    }

    /// Runs a subject: set-up, tests and end, unless other subjects were asked for. A panic outside of a test is a failure of its own.
    pub fn subject<'a>(
        &'a mut self,
        name: &'a str,
        tests: impl AsyncFnOnce(&mut Run) + 'a,
    ) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(async move {
            if !self.wanted.is_empty() && !self.wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
                return;
            }
            say(&format!("\n{name}"));
            let began = Instant::now();
            if let Err(panic) = AssertUnwindSafe(tests(self)).catch_unwind().await {
                self.fail(&format!("{name}: set-up or end"), &*panic).await;
            }
            say(&format!("  {name} took {:.0} s", began.elapsed().as_secs_f32()));
        })
    }

    /// Runs one test. Its name is the function's, a sentence.
    pub async fn test(&mut self, name: &str, test: impl Future<Output = ()>) {
        let began = Instant::now();
        match AssertUnwindSafe(test).catch_unwind().await {
            Ok(()) => {
                self.passed += 1;
                say(&format!("  ok   {} ({:.1} s)", name.replace('_', " "), began.elapsed().as_secs_f32()));
            }
            Err(panic) => self.fail(name, &*panic).await,
        }
    }

    async fn fail(&mut self, name: &str, panic: &(dyn Any + Send)) {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let reason = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("crashed");
        let sentence = name.replace('_', " ");
        let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner).clone();
        say(&format!("  FAIL {sentence}\n       {reason}\n       at {place}"));
        say(&diagnosis::of(&self.cluster).await);
        self.failed.push(sentence);
    }

    /// Tells the outcome; whether all went well.
    #[must_use]
    pub fn finish(self) -> bool {
        say(&format!("\n{} passed, {} failed", self.passed, self.failed.len()));
        for sentence in &self.failed {
            say(&format!("  {sentence}"));
        }
        self.failed.is_empty()
    }
}

/// Runs an async function of the program as a test with the function's name: `check!(run, a_sentence(&sluice))`.
#[macro_export]
macro_rules! check {
    ($run:expr, $test:ident($($argument:expr),* $(,)?)) => {
        $run.test(stringify!($test), $test($($argument),*)).await
    };
}

/// A line for whoever watches.
#[allow(clippy::print_stdout, reason = "the program's report")]
fn say(text: &str) {
    println!("{text}");
}
