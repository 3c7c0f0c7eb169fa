//! One row of the outbox, two relays: claimed, published, confirmed, deleted.
//!
//! The code: `services/user-api/src/relay`, `services/user-api/src/db/outbox.rs`.

use stateright::{Model, Property};

/// How many relays there are.
const RELAYS: usize = 2;

/// A rule that is left out, to see what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// All rules hold.
    Nothing,
    /// The row is deleted once its task is published, not once it is confirmed.
    Confirms,
    /// Rows are read without a lock.
    Locks,
}

/// What may go wrong, and how often.
#[derive(Debug, Clone)]
pub struct Relaying {
    /// Relays that die.
    pub crashes: u8,
    /// Relays that freeze for so long that the database ends their transaction.
    pub freezes: u8,
    /// Publishes that the broker does not keep.
    pub losses: u8,
    /// Confirms that do not come although the broker kept the task.
    pub lost_confirms: u8,
    /// A rule to leave out.
    pub left_out: LeftOut,
}

/// What a relay does with the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relay {
    /// Nothing.
    Idle,
    /// Its transaction has the row's lock.
    Claimed,
    /// The task is on its way; whether the broker keeps it, it does not know.
    Published {
        /// What the broker does.
        kept: bool,
    },
    /// The broker has confirmed.
    Confirmed,
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    row: bool,
    lock: Option<usize>,
    relays: [Relay; RELAYS],
    queued: u8,
    /// Repetitions that have a name, so far.
    allowed: u8,
    crashes: u8,
    freezes: u8,
    losses: u8,
    lost_confirms: u8,
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The relay claims the row.
    Claim(usize),
    /// It publishes, and the broker keeps the task.
    Publish(usize),
    /// It publishes, and the broker does not keep it.
    PublishInVain(usize),
    /// The broker's answer comes: a confirm, or a nack.
    Hear(usize),
    /// No answer comes in time.
    HearNothing(usize),
    /// It deletes the row, and commits.
    Commit(usize),
    /// It dies.
    Crash(usize),
    /// The database ends its transaction; it does not notice yet.
    Freeze(usize),
}

impl Relaying {
    /// All rules, and everything that may go wrong.
    pub fn sound() -> Self {
        Self { crashes: 2, freezes: 1, losses: 1, lost_confirms: 1, left_out: LeftOut::Nothing }
    }

    /// The same without a rule.
    pub fn without(left_out: LeftOut) -> Self {
        Self { left_out, ..Self::sound() }
    }
}

impl State {
    /// The transaction is over: its lock is anybody's.
    fn let_go(&mut self, relay: usize) {
        self.relays[relay] = Relay::Idle;
        if self.lock == Some(relay) {
            self.lock = None;
        }
    }
}

impl Model for Relaying {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            row: true,
            lock: None,
            relays: [Relay::Idle; RELAYS],
            queued: 0,
            allowed: 0,
            crashes: 0,
            freezes: 0,
            losses: 0,
            lost_confirms: 0,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for r in 0..RELAYS {
            match state.relays[r] {
                Relay::Idle => {
                    let free = state.lock.is_none() || self.left_out == LeftOut::Locks;
                    steps.extend((state.row && free).then_some(Step::Claim(r)));
                }
                Relay::Claimed => {
                    steps.push(Step::Publish(r));
                    steps.extend((state.losses < self.losses).then_some(Step::PublishInVain(r)));
                }
                Relay::Published { kept } => {
                    steps.push(Step::Hear(r));
                    let lost = kept && state.lost_confirms < self.lost_confirms;
                    steps.extend(lost.then_some(Step::HearNothing(r)));
                    steps.extend((self.left_out == LeftOut::Confirms).then_some(Step::Commit(r)));
                }
                Relay::Confirmed => steps.push(Step::Commit(r)),
            }
            if state.relays[r] != Relay::Idle {
                steps.extend((state.crashes < self.crashes).then_some(Step::Crash(r)));
                let may_freeze = state.freezes < self.freezes && state.lock == Some(r);
                steps.extend(may_freeze.then_some(Step::Freeze(r)));
            }
        }
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        match step {
            Step::Claim(r) => {
                state.relays[r] = Relay::Claimed;
                state.lock = Some(r);
            }
            Step::Publish(r) => {
                state.queued += 1;
                state.relays[r] = Relay::Published { kept: true };
            }
            Step::PublishInVain(r) => {
                state.losses += 1;
                state.relays[r] = Relay::Published { kept: false };
            }
            Step::Hear(r) => match state.relays[r] {
                Relay::Published { kept: true } => state.relays[r] = Relay::Confirmed,
                _ => state.let_go(r),
            },
            Step::HearNothing(r) => {
                state.lost_confirms += 1;
                state.allowed += 1;
                state.let_go(r);
            }
            Step::Commit(r) => {
                // Without its lock the transaction is gone, and the commit fails.
                if state.lock == Some(r) || self.left_out == LeftOut::Locks {
                    state.row = false;
                }
                state.let_go(r);
            }
            Step::Crash(r) => {
                state.crashes += 1;
                let kept = matches!(state.relays[r], Relay::Published { kept: true } | Relay::Confirmed);
                state.allowed += u8::from(kept);
                state.let_go(r);
            }
            Step::Freeze(_) => {
                state.freezes += 1;
                state.allowed += 1;
                state.lock = None;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("not lost", |_, state: &State| state.row || state.queued > 0),
            Property::always("published again only for a reason", |_, state: &State| state.queued <= 1 + state.allowed),
            Property::sometimes("published once", |_, state: &State| !state.row && state.queued == 1),
            Property::sometimes("a frozen relay's row is published by the other", |_, state: &State| {
                !state.row && state.freezes == 1 && state.crashes == 0 && state.queued > 0
            }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fails, holds};

    #[test]
    fn no_order_of_steps_loses_a_task_or_publishes_it_again_without_a_reason() {
        let states = holds(Relaying::sound());
        assert!(states > 1_000, "{states} states: the model does next to nothing");
    }

    #[test]
    fn deleting_before_the_confirm_loses_tasks() {
        fails(Relaying::without(LeftOut::Confirms), "not lost");
    }

    #[test]
    fn reading_rows_without_a_lock_publishes_them_twice() {
        fails(Relaying::without(LeftOut::Locks), "published again only for a reason");
    }
}
