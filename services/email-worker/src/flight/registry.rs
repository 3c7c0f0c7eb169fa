//! Which tasks this process is busy with.
//!
//! A send outlives the connection its task came over. When the broker then delivers the task again, the new delivery
//! attaches to the send in flight, and is settled with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amqp::Receipt;
use contract::TaskId;

use crate::task::Identity;

/// The tasks in flight, by id, with the receipts that wait for each.
#[derive(Debug, Clone, Default)]
pub struct Registry(Arc<Mutex<HashMap<TaskId, Vec<Receipt>>>>);

/// What became of a delivery.
#[derive(Debug)]
pub enum Boarding {
    /// Nobody here has this task: it is the caller's, until the seat is dropped.
    Boarded(Seat),
    /// The same task is in flight here and will settle this delivery too.
    Attached,
    /// A bare task with the same content is in flight here. It may be another registration: it must wait its turn.
    Twin(Receipt),
}

impl Registry {
    /// Registers a delivery of the task.
    pub fn board(&self, identity: Identity, receipt: Receipt) -> Boarding {
        let id = identity.id();
        let mut flights = self.lock();
        let Some(receipts) = flights.get_mut(&id) else {
            flights.insert(id, vec![receipt]);
            return Boarding::Boarded(Seat { registry: self.clone(), id, taken: true });
        };
        match identity {
            Identity::Bare(_) if receipts.iter().any(Receipt::is_live) => Boarding::Twin(receipt),
            // A bare task whose own connection is gone: this is its redelivery.
            Identity::Bare(_) | Identity::Keyed(_) => {
                receipts.push(receipt);
                Boarding::Attached
            }
        }
    }

    /// Whether nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Vec<Receipt>>> {
        // The map is whole after every operation: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task's place among those in flight; given up on drop.
#[derive(Debug)]
pub struct Seat {
    registry: Registry,
    id: TaskId,
    taken: bool,
}

impl Seat {
    /// Ends the flight and hands out every receipt that waited for it. A delivery that comes after this is a new flight.
    pub fn leave(mut self) -> Vec<Receipt> {
        self.taken = false;
        self.registry.lock().remove(&self.id).unwrap_or_default()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.taken {
            self.registry.lock().remove(&self.id);
        }
    }
}
