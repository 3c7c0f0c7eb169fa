//! Whether a mail may go as far as operators are concerned: they pause and limit all mails, those of a type, those to a domain.

use std::sync::Arc;
use std::time::Duration;

use super::Processor;
use super::outcome::Outcome;
use super::task::Task;
use crate::controls::{Apart, Controls};

/// The queue was asked for, and the worker that makes it may have been too busy to hear it.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Processor {
    /// Is this mail paused, or all, or does it belong elsewhere by now?
    pub(super) fn is_held(&self, task: &Task) -> bool {
        let known = self.controls.borrow();
        known.controls().are_paused(task.apart.as_deref()) || elsewhere(task, known.controls()).is_some()
    }

    /// Waits until no operator wants that this mail is not sent, and for its moment at the speed of its own, if it has one.
    ///
    /// # Errors
    /// It belongs elsewhere by now, or the database does not answer.
    pub(super) async fn admitted(&self, task: &Task) -> Result<(), Outcome> {
        loop {
            self.is_where_it_belongs(task).await?;
            let mut known = self.controls.clone();
            let paused = known.borrow_and_update().controls().are_paused(task.apart.as_deref());
            if !paused {
                break;
            }
            // An error: gone with the worker, which sends nothing more.
            if known.changed().await.is_err() {
                return Err(Outcome::Returned);
            }
        }
        let Some(apart) = &task.apart else { return Ok(()) };
        let in_force = Arc::clone(&self.controls.borrow());
        for rate in in_force.rates(apart) {
            while let Err(down) = rate.moment().await {
                self.hold_for_the_ledger(task, &down).await?;
            }
        }
        Ok(())
    }

    /// A mail that is sent at a speed of its own is to wait with its like, and not where it holds up others.
    ///
    /// # Errors
    /// [`Outcome::SetApart`]: it is to go there; or it waited for the queue for as long as it may.
    pub(super) async fn is_where_it_belongs(&self, task: &Task) -> Result<(), Outcome> {
        let mut known = self.controls.clone();
        loop {
            let Some(apart) = elsewhere(task, known.borrow_and_update().controls()) else { return Ok(()) };
            if known.borrow().controls().queues().contains(&apart) {
                return Err(Outcome::SetApart(apart));
            }
            self.queues_apart.want(&apart);
            let there = known.wait_for(|now| {
                let now = now.controls();
                now.queues().contains(&apart) || elsewhere(task, now).as_ref() != Some(&apart)
            });
            self.patiently(task, tokio::time::timeout(ASK_AGAIN, there)).await.map(drop)?;
        }
    }
}

/// Where it belongs, if that is not where it came from. One that has no speed of its own any more is sent from where it is.
fn elsewhere(task: &Task, controls: &Controls) -> Option<Apart> {
    let belongs = controls.apart(&task.mail.mail_type, task.mail.email.ascii_domain());
    belongs.filter(|apart| Some(apart) != task.apart.as_deref())
}
