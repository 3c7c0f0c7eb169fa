//! The tasks that a service does its work with in the background: each has a name and an owner that waits for it.
//!
//! A task that ends before it is told to, by a panic or by itself, would leave a service that looks well and does half of
//! its work. So it ends the service.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// The tasks of one service. Dropped, it ends those that are left.
#[derive(Debug, Default)]
pub struct Tasks {
    running: JoinSet<()>,
    known: HashMap<Id, Known>,
    breaking: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    name: &'static str,
    /// It has an end of its own.
    ends: bool,
}

/// A task of the service is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the background task `{name}` {how}: the service can't go on without it")]
pub struct TaskEnded {
    /// Which.
    pub name: &'static str,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    ByItself,
    Panicked,
}

impl std::fmt::Display for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ByItself => "ended by itself",
            Self::Panicked => "panicked",
        })
    }
}

impl Tasks {
    /// None so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// For tests of services: the task of this name panics as soon as it is there.
    #[doc(hidden)]
    pub fn breaking(name: &'static str) -> Self {
        Self { breaking: Some(name), ..Self::default() }
    }

    /// Starts a task that goes on until it is told to end.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.start(Known { name, ends: false }, task);
    }

    /// Starts a task that has an end of its own; only a panic is too early.
    pub fn spawn_with_end(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.start(Known { name, ends: true }, task);
    }

    fn start(&mut self, known: Known, task: impl Future<Output = ()> + Send + 'static) {
        let broken = self.breaking == Some(known.name);
        let task = async move {
            assert!(!broken, "a test has it broken");
            task.await;
        };
        let id = self.running.spawn(task).id();
        self.known.insert(id, known);
    }

    /// Does the service's work beside its tasks. When one of them ends meanwhile, `stop` is cancelled, so that what is
    /// under way comes to an orderly end.
    ///
    /// # Errors
    /// The task that ended.
    pub async fn guard<T>(&mut self, stop: &CancellationToken, work: impl Future<Output = T>) -> Result<T, TaskEnded> {
        let mut work = std::pin::pin!(work);
        let ended = tokio::select! {
            done = &mut work => return Ok(done),
            ended = self.too_early() => ended,
        };
        tracing::error!(task = ended.name, "a background task {}: the service ends", ended.how);
        stop.cancel();
        work.await;
        Err(ended)
    }

    /// Waits for the tasks, which were told to end, for at most `limit`.
    ///
    /// # Errors
    /// One of them panicked.
    pub async fn finish(&mut self, limit: Duration) -> Result<(), TaskEnded> {
        let finished = tokio::time::timeout(limit, self.finish_but(None)).await;
        finished.unwrap_or_else(|_| {
            let left: Vec<_> = self.known.values().map(|known| known.name).collect();
            tracing::warn!(tasks = left.join(" "), "background tasks did not end in time and are dropped");
            Ok(())
        })
    }

    /// Waits for all tasks but the one that is told to end after them. The caller bounds the time.
    ///
    /// # Errors
    /// One of them panicked.
    pub async fn finish_but(&mut self, last: impl Into<Option<&'static str>>) -> Result<(), TaskEnded> {
        let (last, mut result) = (last.into(), Ok(()));
        while self.known.values().any(|known| Some(known.name) != last) {
            let Some(ended) = self.running.join_next_with_id().await else { break };
            match self.judge(ended) {
                Some(ended) if ended.how == How::Panicked => result = result.and(Err(ended)),
                _ => {}
            }
        }
        result
    }

    /// Waits for the first task that ends before it was told to.
    async fn too_early(&mut self) -> TaskEnded {
        while let Some(ended) = self.running.join_next_with_id().await {
            if let Some(ended) = self.judge(ended) {
                return ended;
            }
        }
        std::future::pending().await
    }

    /// Whether it was wrong to end.
    fn judge(&mut self, ended: Result<(Id, ()), JoinError>) -> Option<TaskEnded> {
        let (id, how) = match ended {
            Ok((id, ())) => (id, How::ByItself),
            Err(error) => (error.id(), How::Panicked),
        };
        let Known { name, ends } = self.known.remove(&id)?;
        (how == How::Panicked || !ends).then_some(TaskEnded { name, how })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    /// A service whose work goes on until it is told to stop, with one task beside it.
    async fn service(start: impl FnOnce(&mut Tasks)) -> Result<&'static str, String> {
        let (mut tasks, stop) = (Tasks::new(), CancellationToken::new());
        start(&mut tasks);
        let work = async {
            stop.cancelled().await;
            "an orderly end"
        };
        let done = tokio::time::timeout(LIMIT, tasks.guard(&stop, work)).await.expect("the service ends");
        done.map_err(|ended| ended.to_string())
    }

    #[tokio::test]
    async fn a_task_that_ends_by_itself_ends_the_service_with_its_name() {
        let ended = service(|tasks| tasks.spawn("publisher", async {})).await;
        assert_eq!(
            ended,
            Err("the background task `publisher` ended by itself: the service can't go on without it".to_owned())
        );
    }

    async fn panics() {
        assert!(LIMIT.is_zero(), "it was to happen");
    }

    #[tokio::test]
    async fn a_task_that_panics_ends_the_service_with_its_name_also_if_it_may_end() {
        let line = "the background task `check` panicked: the service can't go on without it";
        assert_eq!(service(|tasks| tasks.spawn("check", panics())).await, Err(line.to_owned()));
        assert_eq!(service(|tasks| tasks.spawn_with_end("check", panics())).await, Err(line.to_owned()));
    }

    #[tokio::test]
    async fn tasks_that_go_on_and_those_that_have_an_end_leave_the_service_alone() {
        let (mut tasks, stop, background) = (Tasks::new(), CancellationToken::new(), CancellationToken::new());
        let (told, over) = tokio::sync::oneshot::channel::<()>();
        tasks.spawn_with_end("check", async { drop(told) });
        tasks.spawn("publisher", background.clone().cancelled_owned());
        let work = async { over.await.is_err() };
        assert_eq!(tasks.guard(&stop, work).await, Ok(true));
        assert!(!stop.is_cancelled(), "the service was told to stop");
        background.cancel();
        assert_eq!(tasks.finish(LIMIT).await, Ok(()));
    }

    #[tokio::test]
    async fn a_panic_at_the_end_is_told_and_the_last_task_is_not_waited_for() {
        let (mut tasks, background, report) = (Tasks::new(), CancellationToken::new(), CancellationToken::new());
        tasks.spawn("admin", report.clone().cancelled_owned());
        let ends = background.clone().cancelled_owned();
        tasks.spawn("marks", async move {
            ends.await;
            panics().await;
        });
        background.cancel();
        let panicked = TaskEnded { name: "marks", how: How::Panicked };
        assert_eq!(tasks.finish_but("admin").await, Err(panicked));
        report.cancel();
        assert_eq!(tasks.finish(LIMIT).await, Ok(()));
    }

    #[tokio::test]
    async fn a_task_that_does_not_end_is_dropped_after_the_limit() {
        let mut tasks = Tasks::new();
        tasks.spawn("stuck", std::future::pending());
        assert_eq!(tasks.finish(Duration::from_millis(10)).await, Ok(()));
    }
}
