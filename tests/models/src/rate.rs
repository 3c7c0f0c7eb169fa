//! The rate of the fleet: permits leased from one row, used in time or lost.
//!
//! Time goes in ticks, and a permit is free each tick. The code: `services/email-worker/src/rate`, the row in `rate/row.rs`.
//! That what is leased is also used, however long mails wait, is the subject of [`queue`].

pub mod queue;

use stateright::{Model, Property};

/// How many workers there are.
const WORKERS: usize = 2;
/// How long the model runs.
const END: u8 = 7;
/// The window that is looked at.
const WINDOW: u8 = 3;
/// How late a permit may be used.
const LATE: u8 = 1;
/// How far ahead permits are leased.
const AHEAD: u8 = 3;
/// Permits of a lease at most.
const LEASE: u8 = 2;

/// A rule that is left out, to see what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// All rules hold.
    Nothing,
    /// Late permits are used all the same: what was missed is saved up.
    Expiry,
    /// Each worker counts its own permits, and nobody the fleet's.
    OneRow,
}

/// The fleet.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// A rule to leave out.
    pub left_out: LeftOut,
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    now: u8,
    /// The next free permit: the fleet's in the first place, or each worker's own.
    next_free: [u8; WORKERS],
    /// Permits that a worker has leased and not used.
    leased: [Vec<u8>; WORKERS],
    /// Mails in each of the last ticks, the present one last.
    sent: [u8; WINDOW as usize],
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Time passes.
    Tick,
    /// A worker leases so many permits.
    Lease(usize, u8),
    /// A worker uses its next permit, or loses it.
    Use(usize),
    /// A worker dies, and its permits with it.
    Crash(usize),
}

impl Fleet {
    fn row(&self, worker: usize) -> usize {
        if self.left_out == LeftOut::OneRow { worker } else { 0 }
    }
}

impl Model for Fleet {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State { now: 0, next_free: [0; WORKERS], leased: Default::default(), sent: [0; WINDOW as usize] }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        steps.extend((state.now < END).then_some(Step::Tick));
        for w in 0..WORKERS {
            let next_free = state.next_free[self.row(w)];
            if state.leased[w].is_empty() && next_free < state.now + AHEAD {
                steps.extend((1..=LEASE).map(|permits| Step::Lease(w, permits)));
            }
            if let Some(permit) = state.leased[w].first() {
                // Before its moment a permit is waited for.
                steps.extend((*permit <= state.now).then_some(Step::Use(w)));
                steps.push(Step::Crash(w));
            }
        }
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        match step {
            Step::Tick => {
                state.now += 1;
                state.sent.rotate_left(1);
                state.sent[WINDOW as usize - 1] = 0;
            }
            Step::Lease(w, permits) => {
                let row = self.row(w);
                let first = state.next_free[row].max(state.now);
                state.next_free[row] = first + permits;
                state.leased[w] = (first..first + permits).collect();
            }
            Step::Use(w) => {
                let permit = state.leased[w].remove(0);
                if state.now <= permit + LATE || self.left_out == LeftOut::Expiry {
                    state.sent[WINDOW as usize - 1] += 1;
                }
            }
            Step::Crash(w) => state.leased[w].clear(),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no window has more than the rate and its tolerance", |_, state: &State| {
                state.sent.iter().sum::<u8>() <= WINDOW + LATE
            }),
            Property::sometimes("a window is full", |_, state: &State| state.sent.iter().sum::<u8>() >= WINDOW),
        ]
    }
}

#[cfg(test)]
mod interleavings {
    use super::*;
    use crate::{fails, holds};

    const BOUND: &str = "no window has more than the rate and its tolerance";

    #[test]
    fn no_order_of_leases_delays_and_crashes_exceeds_the_rate() {
        let states = holds(Fleet { left_out: LeftOut::Nothing });
        assert!(states > 1_000, "{states} states: the model does next to nothing");
    }

    #[test]
    fn saving_late_permits_up_exceeds_the_rate() {
        fails(Fleet { left_out: LeftOut::Expiry }, BOUND);
    }

    #[test]
    fn a_rate_for_each_worker_exceeds_the_rate_of_the_fleet() {
        fails(Fleet { left_out: LeftOut::OneRow }, BOUND);
    }
}
