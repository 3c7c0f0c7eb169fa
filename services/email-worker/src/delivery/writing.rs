//! From a task to its mail, and what becomes of one that can't be written, or is no longer worth it.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, SystemTime};

use contract::TypeName;
use mail::{Rendered, Unwritable};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::Processor;
use super::outcome::{Deferral, Outcome};
use crate::delivery::dead_letter::DeadLetter;
use crate::delivery::task::Task;
use crate::send::classify::DeadReason;
use crate::suppressions::AddressHashes;

/// An unknown type has a line so often at most, and so many of them have one.
const A_LINE_EVERY: Duration = Duration::from_secs(60);
const LINES: usize = 32;

/// Types that nobody here knows, and when they were last told of.
#[derive(Debug, Default)]
pub(crate) struct UnknownTypes(Mutex<BTreeMap<TypeName, Instant>>);

impl UnknownTypes {
    /// Whether a line is due for this one.
    fn is_news(&self, name: &TypeName, now: Instant) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, at| now.saturating_duration_since(*at) < A_LINE_EVERY);
        if told.contains_key(name) || told.len() == LINES {
            return false;
        }
        told.insert(name.clone(), now);
        true
    }
}

impl Processor {
    /// Is its type known here, and is it still worth sending? Asked before anything is claimed for it.
    pub(super) fn is_of_use(&self, task: &Task) -> Result<(), Outcome> {
        match self.renderer.types().get(task.mail.mail_type.as_str()) {
            Some(_) if self.is_expired(task) => Err(self.expired(task)),
            Some(_) => Ok(()),
            None => Err(self.unknown_type(task)),
        }
    }

    /// The task's own end, or that of its type where that comes first.
    pub(super) fn end_of_use(&self, task: &Task) -> Option<SystemTime> {
        let types = self.renderer.types();
        let after = types.get(task.mail.mail_type.as_str()).and_then(mail::MailType::expires_after);
        let by_type = after.and_then(|after| task.created?.checked_add(after));
        task.expires.into_iter().chain(by_type).min()
    }

    /// What its address is known by, where it matters whether that is suppressed: not to a type that forbids it, nor where
    /// somebody put the mail back after its address was refused.
    pub(super) fn may_be_suppressed(&self, task: &Task) -> Option<AddressHashes> {
        let address = task.address.filter(|_| !task.redriven)?;
        let types = self.renderer.types();
        let mail_type = types.get(task.mail.mail_type.as_str());
        mail_type.is_none_or(mail::MailType::is_suppressible).then_some(address)
    }

    pub(super) fn is_expired(&self, task: &Task) -> bool {
        task.expires.is_some_and(|end| end <= self.clock.now())
    }

    pub(super) fn expired(&self, task: &Task) -> Outcome {
        tracing::info!(task = %task.identity.id(), mail_type = %task.mail.mail_type, "a mail has expired: it is not sent");
        Outcome::Expired
    }

    /// Writes the mail: beside the runtime where others would have to wait for it.
    pub(super) async fn write(&self, task: &Task) -> Result<Rendered, Outcome> {
        let (id, now) = (task.identity.id(), self.clock.now().into());
        let written = if self.renderer.may_take_long(&task.mail) {
            let (renderer, mail) = (Arc::clone(&self.renderer), task.mail.clone());
            aside(move || renderer.render(&mail, id, now)).await.ok_or(Outcome::Returned)?
        } else {
            self.renderer.render(&task.mail, id, now)
        };
        written.map_err(|unwritable| {
            let reason = match unwritable {
                Unwritable::UnknownType(_) => return self.unknown_type(task),
                Unwritable::WrongData(_) => DeadReason::WrongData,
                Unwritable::Template(_) | Unwritable::Unsigned(_) => DeadReason::Unrenderable,
            };
            let (id, error) = (task.identity.id(), &unwritable);
            tracing::warn!(task = %id, reason = reason.slug(), %error, "a mail can't be written: it is put aside");
            Outcome::Dead(DeadLetter::new(reason, error))
        })
    }

    /// Producers are often deployed first: it waits as a mail does that was refused for now, while it is of use. Then it is put aside:
    /// nobody would hear of a name that is spelled wrong if its mails just expired.
    fn unknown_type(&self, task: &Task) -> Outcome {
        let mail_type = &task.mail.mail_type;
        match self.next_delay(task).filter(|_| !self.is_expired(task)) {
            Some((delay, first_failed)) => {
                if self.unknown_types.is_news(mail_type, Instant::now()) {
                    tracing::warn!(%mail_type, "no files for mails of this type, yet: tasks of it wait (MAILS_DIR)");
                }
                Outcome::Deferred { delay, cause: Deferral::UnknownType { first_failed } }
            }
            None => {
                let detail =
                    format!("there is no mail type `{mail_type}` here: add its files to MAILS_DIR, then redrive");
                tracing::warn!(task = %task.identity.id(), reason = DeadReason::UnknownType.slug(), detail, "a task is put aside");
                Outcome::Dead(DeadLetter::new(DeadReason::UnknownType, detail))
            }
        }
    }
}

/// Works on a thread of its own, as many at once as there are cores. `None`: the runtime is ending.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    static CORES: LazyLock<Semaphore> =
        LazyLock::new(|| Semaphore::new(available_parallelism().map_or(2, NonZeroUsize::get)));
    // Held by the work, which goes on when nobody waits for it any more.
    let turn = CORES.acquire().await.ok()?;
    let working = spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    match working.await {
        Ok(done) => Some(done),
        // As it would have been here.
        Err(ended) => ended.try_into_panic().map(|panic| -> T { resume_unwind(panic) }).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_takes_long_is_done_on_another_thread_and_a_panic_comes_back() {
        let here = std::thread::current().id();
        assert_ne!(aside(|| std::thread::current().id()).await, Some(here));
        let failed = tokio::spawn(aside(|| panic!("a template's fault"))).await;
        assert!(failed.is_err_and(|ended| ended.is_panic()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_type_has_a_line_a_minute_and_only_so_many_have_one() {
        let types = UnknownTypes::default();
        let name = |n: usize| format!("shop.mail{n}").parse::<TypeName>().unwrap();
        let start = Instant::now();
        for (after, number, news) in [(0, 1, true), (59, 1, false), (60, 1, true), (61, 2, true), (62, 2, false)] {
            let now = start + Duration::from_secs(after);
            assert_eq!(types.is_news(&name(number), now), news, "type {number} after {after} s");
        }
        let now = start + Duration::from_secs(200);
        let lines = (0..100).filter(|n| types.is_news(&name(*n), now)).count();
        assert_eq!(lines, LINES);
    }
}
