//! Which tasks this process is busy with.
//!
//! A send outlives the connection its task came over. When the broker then delivers the task again, the new delivery
//! attaches to the send in flight, and is settled with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amqp::Receipt;
use contract::TaskId;

use crate::delivery::task::{Identity, Task};

/// The tasks in flight, with the receipts that wait for each.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    runs: HashMap<TaskId, Entry>,
    /// The bare ones among them, by their content.
    bare: HashMap<TaskId, Vec<TaskId>>,
}

#[derive(Debug)]
struct Entry {
    receipts: Vec<Receipt>,
    /// Deliveries of the task before this run began.
    deliveries: u64,
}

impl Entry {
    fn has_lost_its_deliveries(&self) -> bool {
        !self.receipts.is_empty() && !self.receipts.iter().any(Receipt::is_live)
    }
}

/// What became of a delivery.
#[derive(Debug)]
pub enum Entering {
    /// Nobody here has this task: it is the caller's, until the guard is dropped.
    Entered(InFlightGuard),
    /// The same task is in flight here and will settle this delivery too.
    Attached,
    /// The same task is in flight here, and was delivered again so often that the broker may lose patience with it: it is
    /// to be published anew.
    Worn {
        /// The delivery's own.
        receipt: Receipt,
        /// The deliveries to go on counting from. Those since the run began have not killed this worker.
        deliveries: u64,
    },
}

impl InFlight {
    /// Registers a delivery of the task.
    pub fn enter(&self, task: &Task, receipt: Receipt) -> Entering {
        let mut inner = self.lock();
        let id = inner.same_task(task).unwrap_or(task.identity.id());
        let Some(entry) = inner.runs.get_mut(&id) else {
            inner.runs.insert(id, Entry { receipts: vec![receipt], deliveries: task.deliveries });
            if let Identity::Bare { content, .. } = task.identity {
                inner.bare.entry(content).or_default().push(id);
            }
            return Entering::Entered(InFlightGuard { in_flight: self.clone(), identity: task.identity, taken: true });
        };
        if task.is_newly_suspect() {
            return Entering::Worn { receipt, deliveries: entry.deliveries };
        }
        entry.receipts.push(receipt);
        Entering::Attached
    }

    /// Whether nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.lock().runs.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().runs.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The maps are whole after every operation: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The run that this delivery belongs to.
    ///
    /// A bare task is recognised only where it was delivered before, and a run of its content has lost what it was
    /// delivered with. Each run takes one such delivery for each that it lost and acknowledges one: so many with one
    /// content were published, so many are mailed. See `tests/models/src/bare.rs`.
    fn same_task(&self, task: &Task) -> Option<TaskId> {
        match task.identity {
            Identity::Keyed(id) => self.runs.contains_key(&id).then_some(id),
            Identity::Bare { .. } if !task.redelivered => None,
            Identity::Bare { content, .. } => {
                let lost = |id: &&TaskId| self.runs.get(*id).is_some_and(Entry::has_lost_its_deliveries);
                self.bare.get(&content)?.iter().find(lost).copied()
            }
        }
    }

    fn end(&mut self, identity: Identity) -> Vec<Receipt> {
        let id = identity.id();
        if let Identity::Bare { content, .. } = identity
            && let Some(ids) = self.bare.get_mut(&content)
        {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.bare.remove(&content);
            }
        }
        self.runs.remove(&id).map(|entry| entry.receipts).unwrap_or_default()
    }
}

/// A task's place among those in flight; given up on drop.
#[derive(Debug)]
pub struct InFlightGuard {
    in_flight: InFlight,
    identity: Identity,
    taken: bool,
}

impl InFlightGuard {
    /// Ends the run and hands out every receipt that waited for it. A delivery that comes after this is a new run.
    pub fn leave(mut self) -> Vec<Receipt> {
        self.taken = false;
        self.in_flight.lock().end(self.identity)
    }

    /// Hands out the receipts that wait so far and can be settled; further deliveries still attach.
    pub fn take_live(&self) -> Vec<Receipt> {
        let mut inner = self.in_flight.lock();
        let Some(entry) = inner.runs.get_mut(&self.identity.id()) else { return Vec::new() };
        let (live, lost) = std::mem::take(&mut entry.receipts).into_iter().partition(Receipt::is_live);
        entry.receipts = lost;
        live
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        if self.taken {
            self.in_flight.lock().end(self.identity);
        }
    }
}
