//! Runs subjects, each the tests of one installation, and tells how each test went.
//!
//! Not libtest: the tests of a subject share one installation, which must be gone at the end, also after a panic or Ctrl-C, and
//! libtest ends nothing that tests share. Arguments are the subjects to run (parts of their names); none means all.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};

use crate::context::Cluster;
use crate::diagnosis;
use crate::namespace;

/// Subjects that run beside each other. They wait for pods most of the time; three of them, and two cores keep pods waiting.
const BESIDE: usize = 2;

/// Where the last panic came from. Subjects share one thread, and a panic is told before another can happen.
static PLACE: Mutex<String> = Mutex::new(String::new());

/// All that the suite runs, and on which cluster.
pub struct Suite {
    cluster: Cluster,
    wanted: Vec<String>,
    subjects: Vec<LocalBoxFuture<'static, Run>>,
}

impl Suite {
    /// A suite without subjects, with the arguments of this program.
    ///
    /// # Errors
    /// One line: why there is no cluster to run on.
    pub async fn new() -> Result<Self, String> {
        // What a panic says is told below, in a line or two; where it came from is kept for that.
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = place;
        }));
        let wanted = std::env::args().skip(1).collect();
        Ok(Self { cluster: Cluster::named().await?, wanted, subjects: Vec::new() })
    }

    /// Adds a subject: set-up, tests and end, unless other subjects were asked for.
    pub fn subject(&mut self, name: &'static str, tests: impl AsyncFnOnce(&mut Run) + 'static) {
        if !self.wanted.is_empty() && !self.wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
            return;
        }
        let cluster = Cluster { subject: name, ..self.cluster.clone() };
        let mut run = Run { cluster, passed: 0, failed: Vec::new() };
        let subject = async move {
            say(&format!("{name} begins"));
            let began = Instant::now();
            // A panic outside of a test is a failure of its own.
            if let Err(panic) = AssertUnwindSafe(tests(&mut run)).catch_unwind().await {
                run.fail("set-up or end", &*panic).await;
            }
            say(&format!("{name} took {:.0} s", began.elapsed().as_secs_f32()));
            run
        };
        self.subjects.push(subject.boxed_local());
    }

    /// Runs the subjects in their order, some beside each other, and tells the outcome; whether all went well.
    pub async fn run(self) -> bool {
        let began = Instant::now();
        let (mut passed, mut failed) = (0, Vec::new());
        let mut ended = stream::iter(self.subjects).buffer_unordered(BESIDE);
        while let Some(run) = ended.next().await {
            passed += run.passed;
            failed.extend(run.failed);
        }
        if let Err(left) = namespace::all_gone(&self.cluster).await {
            failed.push(left);
        }
        say(&format!("\n{passed} passed, {} failed in {:.0} s", failed.len(), began.elapsed().as_secs_f32()));
        for sentence in &failed {
            say(&format!("  {sentence}"));
        }
        failed.is_empty()
    }
}

/// One subject while it runs.
pub struct Run {
    /// Where it runs.
    pub cluster: Cluster,
    passed: usize,
    failed: Vec<String>,
}

impl Run {
    /// Runs one test. Its name is the function's, a sentence.
    pub async fn test(&mut self, name: &str, test: impl Future<Output = ()>) {
        let began = Instant::now();
        match AssertUnwindSafe(test).catch_unwind().await {
            Ok(()) => {
                self.passed += 1;
                let took = began.elapsed().as_secs_f32();
                say(&format!("  ok   {}: {} ({took:.1} s)", self.cluster.subject, name.replace('_', " ")));
            }
            Err(panic) => self.fail(name, &*panic).await,
        }
    }

    async fn fail(&mut self, name: &str, panic: &(dyn Any + Send)) {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let reason = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("crashed");
        let sentence = format!("{}: {}", self.cluster.subject, name.replace('_', " "));
        let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner).clone();
        say(&format!("  FAIL {sentence}\n       {reason}\n       at {place}"));
        say(&diagnosis::of(&self.cluster).await);
        self.failed.push(sentence);
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
