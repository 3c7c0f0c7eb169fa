//! Mails that wait for the rate: their claims wear out meanwhile, and moments must not be lost to that.
//!
//! A moment comes every [`SPACING`] ticks and goes to the mail that has waited longest. Before it is sent its claim must last
//! for a send; if it does not, it is renewed, which the ledger answers at once or a tick later. A moment is lost when it is a
//! tick late; the mail then waits for the very next one. What can be done is done before time passes: the model is of a fleet
//! that wants to send, so that it shows progress. The code: `FleetRate::leave`, and the queue in `rate/limiter.rs`.

use stateright::{Model, Property};

/// Ticks from one moment to the next.
const SPACING: u8 = 2;
/// How many mails wait at most.
const MAILS: usize = 4;
/// How long a claim lasts when it is new.
const CLAIM: u8 = 3;
/// How long it must last when a mail is sent.
const SEND: u8 = 2;
/// How long the model runs.
const END: u8 = 24;

/// A rule that is left out, to see what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// All rules hold.
    Nothing,
    /// A claim that is too short at the moment is not renewed there: the mail goes to the end of the queue, and is renewed.
    RenewAtTheMoment,
    /// A mail that lost its moment goes to the end of the queue.
    FirstInTheQueue,
}

/// The fleet.
#[derive(Debug, Clone)]
pub struct Queue {
    /// A rule to leave out.
    pub left_out: LeftOut,
    /// How often a worker dies.
    pub crashes: u8,
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    now: u8,
    /// The next moment.
    moment: u8,
    /// Until when each waiting mail is claimed, the longest waiting first.
    waiting: Vec<u8>,
    /// The mail that has this moment and waits for its claim.
    renewing: Option<u8>,
    sent: u8,
    crashes: u8,
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Time passes.
    Tick,
    /// The first mail gets the moment: it is sent, or its claim renewed.
    Take,
    /// The ledger answers.
    Renewed,
    /// The worker that has the moment dies; its mail waits again, the last of all.
    Crash,
}

impl State {
    fn last(&mut self, claimed_until: u8) {
        self.waiting.push(claimed_until);
    }

    /// One is sent, and another one comes.
    fn send(&mut self) {
        self.sent += 1;
        self.last(self.now + CLAIM);
    }
}

impl Queue {
    /// What is sent by the end at least: a moment is lost to a late ledger, or to a crash.
    fn least(&self) -> u8 {
        let moments = END / SPACING;
        // Whoever lost a moment has a new claim for the next one: every second moment at the worst.
        moments / 2 - self.crashes
    }
}

impl Model for Queue {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let waiting = vec![CLAIM; MAILS];
        vec![State { now: 0, moment: 0, waiting, renewing: None, sent: 0, crashes: self.crashes }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if state.now >= END {
            return;
        }
        let takes = state.renewing.is_none() && state.moment == state.now;
        if takes {
            steps.push(Step::Take);
            return;
        }
        // An answer comes now, or a tick later and no later.
        if let Some(asked) = state.renewing {
            steps.push(Step::Renewed);
            steps.extend((state.crashes > 0).then_some(Step::Crash));
            steps.extend((asked == state.now).then_some(Step::Tick));
        } else {
            steps.push(Step::Tick);
        }
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        match step {
            Step::Tick => state.now += 1,
            Step::Take => {
                let claimed_until = state.waiting.remove(0);
                let lasts = claimed_until >= state.now + SEND;
                state.moment += SPACING;
                if lasts {
                    state.send();
                } else if self.left_out == LeftOut::RenewAtTheMoment {
                    state.last(state.now + CLAIM);
                } else {
                    state.renewing = Some(state.now);
                }
            }
            Step::Renewed => {
                let asked = state.renewing.take()?;
                if asked == state.now {
                    state.send();
                } else if self.left_out == LeftOut::FirstInTheQueue {
                    state.last(state.now + CLAIM);
                } else {
                    state.waiting.insert(0, state.now + CLAIM);
                }
            }
            Step::Crash => {
                state.renewing = None;
                state.crashes -= 1;
                state.last(state.now + CLAIM);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(PROGRESS, |queue: &Queue, state: &State| state.now < END || state.sent >= queue.least()),
            Property::always("no more than the rate", |_, state: &State| state.sent <= state.now / SPACING + 1),
            Property::sometimes("no moment is lost", |_, state: &State| state.sent == END / SPACING),
        ]
    }
}

const PROGRESS: &str = "mails are sent while mails wait";

#[cfg(test)]
mod interleavings {
    use super::*;
    use crate::{fails, holds};

    #[test]
    fn mails_that_wait_longer_than_their_claims_are_sent_at_the_rate() {
        let states = holds(Queue { left_out: LeftOut::Nothing, crashes: 2 });
        assert!(states > 500, "{states} states: the model does next to nothing");
    }

    #[test]
    fn a_claim_that_is_renewed_before_the_wait_alone_stops_the_fleet() {
        fails(Queue { left_out: LeftOut::RenewAtTheMoment, crashes: 0 }, PROGRESS);
    }

    #[test]
    fn a_mail_that_goes_to_the_end_of_the_queue_loses_its_moment_again_and_again() {
        fails(Queue { left_out: LeftOut::FirstInTheQueue, crashes: 0 }, PROGRESS);
    }
}
