//! One task, two workers: delivered, claimed, sent, marked, acknowledged; or refused for good, and put aside.
//!
//! The code: `services/email-worker/src`: `consumer.rs`, `delivery/`, `ledger/`; the windows: the README's table of guarantees; what
//! a second copy may become: `docs/chaos.md`. The task has an id; bare ones are in [`bare`](crate::bare). A suspect and the
//! circuit are not in here.

#[cfg(test)]
mod interleavings;
mod state;
mod step;

use stateright::{Model, Property};

pub use state::{Away, Late, Row, Run, Stage, State};
pub use step::Step;

/// How many workers there are.
const WORKERS: usize = 2;
/// Copies that are not settled, at most; more would only repeat what fewer show.
const COPIES: usize = 3;
/// Runs that are settled and not acknowledged yet, at most. An acknowledgement waits for nobody, so this bound holds nothing up.
const SETTLED: usize = 1;

/// How often a mail is repeated whose outcome nobody knows (`MAIL_UNKNOWN_REPEATS`).
const REPEATS: u8 = 1;

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
    /// A claim holds for ever, also that of a worker that died.
    Expiry,
    /// A task is acknowledged before its copy was published to the retry queues or the dead letters.
    CopyBeforeAck,
    /// A second copy does not attach to the run that its worker has for the first.
    Attaching,
    /// A mail without an answer is repeated as often as it takes.
    RepeatLimit,
    /// A run keeps its place while its copy is published: deliveries still attach to it.
    LeavingBeforeCopy,
    /// A release that the ledger hears of late ends whatever claim its worker has by then.
    Fence,
}

/// The task's way. A fault is a death, a lost connection or a lost answer, anywhere.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Copies that the relay published: two, when it died between the confirm and the commit.
    pub published: u8,
    /// Faults at most.
    pub faults: u8,
    /// A rule to leave out.
    pub left_out: LeftOut,
}

impl Delivery {
    /// All rules, two copies, two faults.
    pub fn sound() -> Self {
        Self { published: 2, faults: 2, left_out: LeftOut::Nothing }
    }

    /// The same without a rule.
    pub fn without(left_out: LeftOut) -> Self {
        Self { left_out, ..Self::sound() }
    }

    /// Whether a delivery is settled with this run of the same worker.
    fn attaches(&self, run: &Run) -> bool {
        match run.stage {
            _ if self.left_out == LeftOut::Attaching => false,
            Stage::Marked | Stage::Republishing(_) | Stage::Republished => self.left_out == LeftOut::LeavingBeforeCopy,
            Stage::Holds | Stage::Claimed | Stage::Sending | Stage::Accepted { .. } => true,
        }
    }

    fn may_expire(&self, state: &State) -> bool {
        match state.row {
            _ if self.left_out == LeftOut::Expiry => false,
            // A claim outlasts the longest send that it was looked at for.
            Row::Held(Some(owner)) if self.left_out != LeftOut::SecondLook => {
                !state.runs[owner].iter().any(|run| run.stage == Stage::Sending)
            }
            Row::Held(_) => true,
            Row::Free | Row::Sent => false,
        }
    }
}

impl Model for Delivery {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            ready: self.published,
            runs: Default::default(),
            row: Row::Free,
            late: None,
            mails: 0,
            dead_letters: 0,
            copies: self.published,
            allowed: 0,
            unknown: 0,
            unheard: 0,
            refused_after_mail: false,
            faults: 0,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        let may_fail = state.faults < self.faults;
        for (w, runs) in state.runs.iter().enumerate() {
            steps.extend((state.ready > 0).then_some(Step::Deliver(w)));
            let may_be_worn = state.ready > 0 && runs.iter().any(|run| self.attaches(run));
            steps.extend(may_be_worn.then_some(Step::DeliverWorn(w)));
            for (f, run) in runs.iter().enumerate() {
                match run.stage {
                    Stage::Holds => steps.extend([Step::Claim(w, f), Step::HandBack(w, f)]),
                    Stage::Claimed => {
                        steps.extend([Step::Begin(w, f), Step::HandBack(w, f)]);
                        steps.extend((may_fail && state.late.is_none()).then_some(Step::HandBackLate(w, f)));
                    }
                    Stage::Sending => {
                        steps.push(Step::Accept(w, f));
                        steps.extend([Away::Retry, Away::DeadLetters].map(|away| Step::Refuse(w, f, away)));
                        steps.extend(may_fail.then_some(Step::AcceptUnheard(w, f)));
                    }
                    Stage::Accepted { .. } => steps.push(Step::Mark(w, f)),
                    Stage::Republishing(_) if self.left_out == LeftOut::CopyBeforeAck && run.receipts > 0 => {
                        steps.push(Step::Ack(w, f));
                    }
                    Stage::Republishing(_) => {
                        steps.push(Step::Copy(w, f));
                        steps.extend(may_fail.then_some(Step::CopyUnheard(w, f)));
                    }
                    Stage::Marked | Stage::Republished => steps.push(Step::Ack(w, f)),
                }
            }
            steps.extend((may_fail && !runs.is_empty()).then_some(Step::Crash(w)));
            let may_break = may_fail && runs.iter().any(|run| run.receipts > 0);
            steps.extend(may_break.then_some(Step::Disconnect(w)));
        }
        steps.extend(self.may_expire(state).then_some(Step::Expire));
        steps.extend(state.late.map(|_| Step::Late));
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        self.take(&mut state, step);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("not lost", |_, state: &State| {
                state.mails > 0 || state.dead_letters > 0 || state.broker_has_it()
            }),
            Property::always("repeated only in the named windows", |_, state: &State| state.mails <= 1 + state.allowed),
            Property::always("no refusal follows a mail but in the named windows", |_, state: &State| {
                !state.refused_after_mail
            }),
            Property::always("an answer that is lost again ends the task", |model: &Self, state: &State| {
                model.published > 1 || state.unheard <= 1 + REPEATS
            }),
            Property::always("as many ends as copies, but in the named windows", |_, state: &State| {
                state.mails + state.dead_letters <= state.copies + state.allowed
            }),
            Property::sometimes("mailed once, and everything is quiet", |_, state: &State| {
                state.is_quiet() && (state.mails, state.dead_letters) == (1, 0)
            }),
            Property::sometimes("put aside once, and everything is quiet", |_, state: &State| {
                state.is_quiet() && (state.mails, state.dead_letters) == (0, 1)
            }),
            Property::sometimes("a named window does repeat a mail", |_, state: &State| state.mails > 1),
            Property::sometimes("a second copy is mailed where the first was put aside", |_, state: &State| {
                (state.mails, state.dead_letters, state.allowed) == (1, 1, 0)
            }),
            Property::sometimes("both copies are put aside", |_, state: &State| state.dead_letters == 2),
            Property::sometimes("a second copy is settled with the first", |_, state: &State| {
                state.runs.iter().flatten().any(|run| run.stage == Stage::Marked && run.receipts > 1)
            }),
        ]
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.open() <= COPIES && state.settled() <= SETTLED
    }
}
