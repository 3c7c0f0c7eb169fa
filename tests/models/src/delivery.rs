//! One task, two workers: delivered, claimed, sent, marked, acknowledged.
//!
//! The code: `services/email-worker/src/{intake,flight,ledger}`; the windows: the README's table of guarantees.

use stateright::{Model, Property};

/// How many workers there are.
const WORKERS: usize = 2;
/// Copies of the task in the queue at most; more would only repeat what fewer show.
const COPIES: u8 = 3;

/// A rule that is left out, to see what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// All rules hold.
    Nothing,
    /// A delivery is acknowledged when it comes, not after its mark: the tutorial's consumer.
    AckAfterMark,
    /// Whoever has a delivery sends: no claims.
    Claims,
    /// A claim is not looked at again before `MAIL`, however long ago it was made.
    SecondLook,
    /// A task is acknowledged before its copy was published to the ladder.
    CopyBeforeAck,
}

/// What may go wrong, and how often.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Copies that the relay published: two, when it died between the confirm and the commit.
    pub published: u8,
    /// Workers that die.
    pub crashes: u8,
    /// Connections to the broker that break under a worker that lives on.
    pub disconnects: u8,
    /// Answers of the mail server that are lost after the dot.
    pub lost_answers: u8,
    /// A rule to leave out.
    pub left_out: LeftOut,
}

/// What a worker does with the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Worker {
    /// It has no copy.
    Idle,
    /// It has a delivery.
    Holds,
    /// The ledger said that the task is its own; it waits for a slot of the rate.
    Claimed,
    /// It looked at its claim, and said `MAIL`: the claim outlasts this.
    Sending,
    /// The mail server took the mail.
    Accepted,
    /// The ledger knows that the mail was sent, by whomever.
    Marked,
    /// The task goes to the ladder: its copy is to be published.
    Moves,
    /// The copy is published.
    Moved,
}

/// The ledger's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    owner: usize,
    live: bool,
    sent: bool,
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    ready: u8,
    workers: [Worker; WORKERS],
    /// The broker has given the delivery to somebody else, or will: the connection broke.
    detached: [bool; WORKERS],
    row: Option<Row>,
    mails: u8,
    /// Repetitions that the named windows allow, so far.
    allowed: u8,
    crashes: u8,
    disconnects: u8,
    lost_answers: u8,
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The broker delivers a copy to the worker.
    Deliver(usize),
    /// The worker claims.
    Claim(usize),
    /// It looks at its claim again, and says `MAIL`.
    Begin(usize),
    /// The mail server accepts.
    Accept(usize),
    /// The mail server accepts, and its answer is lost.
    AcceptUnheard(usize),
    /// The worker marks.
    Mark(usize),
    /// The worker acknowledges.
    Ack(usize),
    /// The worker publishes a copy to the ladder.
    Copy(usize),
    /// The worker dies.
    Crash(usize),
    /// Its connection to the broker breaks.
    Disconnect(usize),
    /// The claim runs out.
    Expire,
}

impl Delivery {
    /// All rules, and everything that may go wrong once or twice.
    pub fn sound() -> Self {
        Self { published: 2, crashes: 2, disconnects: 1, lost_answers: 1, left_out: LeftOut::Nothing }
    }

    /// The same without a rule.
    pub fn without(left_out: LeftOut) -> Self {
        Self { left_out, ..Self::sound() }
    }

    fn claim(&self, state: &mut State, worker: usize) {
        let row = state.row.filter(|_| self.left_out != LeftOut::Claims);
        state.workers[worker] = match row {
            Some(row) if row.sent => Worker::Marked,
            Some(row) if row.live && row.owner != worker => Worker::Moves,
            _ => {
                state.row = Some(Row { owner: worker, live: true, sent: false });
                Worker::Claimed
            }
        };
    }
}

impl State {
    fn owns(&self, worker: usize) -> bool {
        self.row.is_some_and(|row| row.live && row.owner == worker && !row.sent)
    }

    /// The worker has done with its delivery; the broker forgets it, unless it took it back before.
    fn done(&mut self, worker: usize) {
        self.workers[worker] = Worker::Idle;
        self.detached[worker] = false;
    }

    /// What the worker held is ready again.
    fn give_back(&mut self, worker: usize) {
        if !self.detached[worker] {
            self.ready += 1;
        }
    }

    fn somebody_has_it(&self) -> bool {
        self.ready > 0 || (0..WORKERS).any(|w| self.workers[w] != Worker::Idle && !self.detached[w])
    }
}

impl Model for Delivery {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            ready: self.published,
            workers: [Worker::Idle; WORKERS],
            detached: [false; WORKERS],
            row: None,
            mails: 0,
            allowed: 0,
            crashes: 0,
            disconnects: 0,
            lost_answers: 0,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for w in 0..WORKERS {
            match state.workers[w] {
                Worker::Idle => steps.extend((state.ready > 0).then_some(Step::Deliver(w))),
                Worker::Holds => steps.push(Step::Claim(w)),
                Worker::Claimed => steps.push(Step::Begin(w)),
                Worker::Sending => {
                    steps.push(Step::Accept(w));
                    steps.extend((state.lost_answers < self.lost_answers).then_some(Step::AcceptUnheard(w)));
                }
                Worker::Accepted => steps.push(Step::Mark(w)),
                Worker::Marked | Worker::Moved => steps.push(Step::Ack(w)),
                Worker::Moves => steps.push(Step::Copy(w)),
            }
            if state.workers[w] != Worker::Idle {
                // What is still being sent is attached to when the broker delivers it again to the same process.
                steps.extend((state.detached[w] && state.ready > 0).then_some(Step::Deliver(w)));
                steps.extend((state.crashes < self.crashes).then_some(Step::Crash(w)));
                let may_break = state.disconnects < self.disconnects && !state.detached[w];
                steps.extend(may_break.then_some(Step::Disconnect(w)));
            }
        }
        // A claim outlasts the longest send that it was looked at for.
        let outlasts = |row: Row| state.workers[row.owner] == Worker::Sending && self.left_out != LeftOut::SecondLook;
        steps.extend(state.row.filter(|row| row.live && !row.sent && !outlasts(*row)).map(|_| Step::Expire));
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        match step {
            Step::Deliver(w) => {
                state.ready -= 1;
                if state.workers[w] == Worker::Idle {
                    state.workers[w] = Worker::Holds;
                    // Acknowledged as it comes: the broker forgets it at once.
                    state.detached[w] = self.left_out == LeftOut::AckAfterMark;
                } else {
                    state.detached[w] = false;
                }
            }
            Step::Claim(w) => self.claim(&mut state, w),
            Step::Begin(w)
                if self.left_out == LeftOut::SecondLook || self.left_out == LeftOut::Claims || state.owns(w) =>
            {
                state.workers[w] = Worker::Sending;
            }
            // The claim has run out meanwhile: as if it had never been.
            Step::Begin(w) => self.claim(&mut state, w),
            Step::Accept(w) => {
                state.mails += 1;
                state.workers[w] = Worker::Accepted;
            }
            Step::AcceptUnheard(w) => {
                state.mails += 1;
                state.lost_answers += 1;
                state.allowed += 1;
                state.workers[w] = Worker::Moves;
                // The claim is given up with the attempt.
                state.row = state.row.map(|row| Row { live: row.live && row.owner != w, ..row });
            }
            Step::Mark(w) => {
                state.row = state.row.map(|row| Row { sent: true, ..row });
                state.workers[w] = Worker::Marked;
            }
            Step::Copy(w) if self.left_out == LeftOut::CopyBeforeAck => {
                state.workers[w] = Worker::Moved;
                state.detached[w] = true;
            }
            Step::Copy(w) => {
                state.ready += 1;
                state.workers[w] = Worker::Moved;
            }
            Step::Ack(w) => {
                if self.left_out == LeftOut::CopyBeforeAck && before.workers[w] == Worker::Moved {
                    state.ready += 1;
                }
                state.done(w);
            }
            Step::Crash(w) => {
                state.crashes += 1;
                // The mail server has it, and the ledger will never know.
                state.allowed += u8::from(state.workers[w] == Worker::Accepted);
                state.give_back(w);
                state.done(w);
            }
            Step::Disconnect(w) => {
                state.disconnects += 1;
                state.give_back(w);
                if matches!(state.workers[w], Worker::Sending | Worker::Accepted | Worker::Claimed) {
                    state.detached[w] = true;
                } else {
                    state.done(w);
                }
            }
            Step::Expire => {
                let row = state.row.as_mut()?;
                row.live = false;
                // Accepted, and its mark can't be written for so long that the claim runs out: the database is away from this worker.
                state.allowed += u8::from(state.workers[row.owner] == Worker::Accepted);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("not lost", |_, state: &State| state.mails > 0 || state.somebody_has_it()),
            Property::always("repeated only in the named windows", |_, state: &State| state.mails <= 1 + state.allowed),
            Property::sometimes("mailed once, and everything is quiet", |_, state: &State| {
                state.mails == 1 && !state.somebody_has_it()
            }),
            Property::sometimes("a named window does repeat a mail", |_, state: &State| state.mails > 1),
        ]
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.ready <= COPIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fails, holds};

    #[test]
    fn no_order_of_steps_loses_a_task_or_repeats_a_mail_outside_the_named_windows() {
        let states = holds(Delivery::sound());
        assert!(states > 1_000, "{states} states: the model does next to nothing");
    }

    #[test]
    fn acknowledging_at_once_loses_tasks() {
        fails(Delivery::without(LeftOut::AckAfterMark), "not lost");
    }

    #[test]
    fn acknowledging_before_the_copy_is_published_loses_tasks() {
        fails(Delivery::without(LeftOut::CopyBeforeAck), "not lost");
    }

    #[test]
    fn sending_without_a_claim_repeats_mails() {
        fails(Delivery::without(LeftOut::Claims), "repeated only in the named windows");
    }

    #[test]
    fn not_looking_at_the_claim_again_before_mail_repeats_mails() {
        fails(Delivery::without(LeftOut::SecondLook), "repeated only in the named windows");
    }
}
