//! One task, two workers: delivered, claimed, sent, marked, acknowledged; or refused for good, and put aside.
//!
//! The code: `services/email-worker/src`: `consumer.rs`, `delivery/`, `ledger/`; the windows: the README's table of guarantees; what
//! a second copy may become: `docs/chaos.md`. The task has an id; bare ones are in [`bare`](crate::bare). A suspect and the
//! circuit are not in here.

#[cfg(test)]
mod tests;

use stateright::{Model, Property};

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

/// Where a task is put that is not mailed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Away {
    /// Tried again later. Retry queues and queue are one here: time is not modelled.
    Retry,
    /// For good.
    DeadLetters,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// It has a delivery.
    Holds,
    /// The ledger said that the task is its own; it waits for a slot of the rate.
    Claimed,
    /// It looked at its claim, and said `MAIL`: the claim outlasts this.
    Sending,
    /// The mail server took the mail.
    Accepted {
        /// A named window is open for this mail already.
        excused: bool,
    },
    /// The ledger knows that the mail was sent, by whomever. The place is given up.
    Marked,
    /// The task goes away, and its copy is to be published. The place is given up.
    Moves(Away),
    /// The copy is published.
    Moved,
}

/// A task in a worker, with the deliveries that are settled together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    stage: Stage,
    /// Deliveries that the broker waits for; those of a lost connection are stale and not among them.
    receipts: u8,
}

/// The ledger's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Row {
    /// There is none, or its claim is over.
    Free,
    /// Claimed by this worker; by nobody, when its process died: the next one has another name.
    Held(Option<usize>),
    /// The mail was sent.
    Sent,
}

/// A release that was given up as unheard, and is still on its way to the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Late {
    /// Whose.
    worker: usize,
    /// That worker has claimed the task again since.
    outrun: bool,
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    ready: u8,
    runs: [Vec<Run>; WORKERS],
    row: Row,
    late: Option<Late>,
    mails: u8,
    dead_letters: u8,
    /// How often the task was there at most: published by the relay, and doubled by faults.
    copies: u8,
    /// Repetitions that the named windows allow, so far.
    allowed: u8,
    /// Outcomes that nobody knows, as the header of the task's copies counts them.
    unknown: u8,
    /// Mails that were sent where the answer was lost.
    unheard: u8,
    /// Refused for good after a mail that no window excuses.
    refused_after_mail: bool,
    faults: u8,
}

/// A step: of a worker, and of its n-th run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The broker delivers a copy.
    Deliver(usize),
    /// The broker delivers a copy of what is in flight there, which came too often to be kept: it is to be published anew.
    DeliverWorn(usize),
    /// The run claims.
    Claim(usize, usize),
    /// It looks at its claim again, and says `MAIL`.
    Begin(usize, usize),
    /// It gives back what it has: held too long, or the worker drains.
    HandBack(usize, usize),
    /// The same, and the ledger does not hear of it yet.
    HandBackLate(usize, usize),
    /// The ledger hears of it.
    Late,
    /// The mail server accepts.
    Accept(usize, usize),
    /// The mail server accepts, and its answer is lost.
    AcceptUnheard(usize, usize),
    /// The mail server refuses, for now or for good.
    Refuse(usize, usize, Away),
    /// The run marks.
    Mark(usize, usize),
    /// It publishes its copy.
    Copy(usize, usize),
    /// It publishes its copy, the confirm is lost, and it will do so again.
    CopyUnheard(usize, usize),
    /// It acknowledges one delivery.
    Ack(usize, usize),
    /// The worker dies.
    Crash(usize),
    /// Its connection to the broker breaks.
    Disconnect(usize),
    /// The claim runs out.
    Expire,
}

impl Step {
    /// Nothing goes wrong, and nobody refuses or gives back.
    pub fn is_calm(&self) -> bool {
        use Step::{AcceptUnheard, CopyUnheard, Crash, Disconnect, HandBack, HandBackLate, Refuse};
        !matches!(
            self,
            HandBack(..)
                | HandBackLate(..)
                | AcceptUnheard(..)
                | Refuse(..)
                | CopyUnheard(..)
                | Crash(_)
                | Disconnect(_)
        )
    }
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
            Stage::Marked | Stage::Moves(_) | Stage::Moved => self.left_out == LeftOut::LeavingBeforeCopy,
            Stage::Holds | Stage::Claimed | Stage::Sending | Stage::Accepted { .. } => true,
        }
    }

    fn deliver(&self, state: &mut State, w: usize) {
        state.ready -= 1;
        // Acknowledged as it comes: the broker forgets it at once.
        let receipts = u8::from(self.left_out != LeftOut::AckAfterMark);
        match state.runs[w].iter_mut().find(|run| self.attaches(run)) {
            Some(run) => run.receipts += receipts,
            None => state.runs[w].push(Run { stage: Stage::Holds, receipts }),
        }
    }

    fn claim(&self, state: &mut State, w: usize) -> Stage {
        match state.row {
            _ if self.left_out == LeftOut::Claims => Stage::Claimed,
            Row::Sent => Stage::Marked,
            Row::Held(owner) if owner != Some(w) => Stage::Moves(Away::Retry),
            Row::Free | Row::Held(_) => {
                state.row = Row::Held(Some(w));
                if let Some(late) = state.late.as_mut().filter(|late| late.worker == w) {
                    late.outrun = true;
                }
                Stage::Claimed
            }
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

impl Run {
    /// Nothing is left to do but to acknowledge.
    fn is_settled(&self) -> bool {
        matches!(self.stage, Stage::Marked | Stage::Moved)
    }
}

impl State {
    fn release(&mut self, w: usize) {
        if self.row == Row::Held(Some(w)) {
            self.row = Row::Free;
        }
    }

    fn publish(&mut self, away: Away) {
        match away {
            Away::Retry => self.ready += 1,
            Away::DeadLetters => self.dead_letters += 1,
        }
    }

    /// A mail that may be sent again, since nobody will know of it in time.
    fn excuse(&mut self, stage: &mut Stage) {
        if *stage == (Stage::Accepted { excused: false }) {
            *stage = Stage::Accepted { excused: true };
            self.allowed += 1;
        }
    }

    fn crash(&mut self, w: usize) {
        self.faults += 1;
        for mut run in std::mem::take(&mut self.runs[w]) {
            self.ready += run.receipts;
            self.copies += u8::from(run.stage == Stage::Moved);
            // The mail server has it, and the ledger will never know.
            self.excuse(&mut run.stage);
        }
        if self.row == Row::Held(Some(w)) {
            self.row = Row::Held(None);
        }
        // The next process has another name.
        self.late = self.late.filter(|late| late.worker != w);
    }

    /// Runs go on: what they held is ready again, and they don't know.
    fn disconnect(&mut self, w: usize) {
        self.faults += 1;
        for run in &mut self.runs[w] {
            self.copies += u8::from(run.receipts > 0 && run.stage != Stage::Marked);
            self.ready += std::mem::take(&mut run.receipts);
        }
    }

    fn broker_has_it(&self) -> bool {
        self.ready > 0 || self.runs.iter().flatten().any(|run| run.receipts > 0)
    }

    fn settled(&self) -> usize {
        self.runs.iter().flatten().filter(|run| run.is_settled()).count()
    }

    /// Copies that may still become something: ready, or in a run.
    fn open(&self) -> usize {
        usize::from(self.ready) + self.runs.iter().map(Vec::len).sum::<usize>() - self.settled()
    }

    /// Nobody has anything left to do.
    pub fn is_quiet(&self) -> bool {
        self.ready == 0 && self.runs.iter().all(Vec::is_empty)
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
                    Stage::Moves(_) if self.left_out == LeftOut::CopyBeforeAck && run.receipts > 0 => {
                        steps.push(Step::Ack(w, f));
                    }
                    Stage::Moves(_) => {
                        steps.push(Step::Copy(w, f));
                        steps.extend(may_fail.then_some(Step::CopyUnheard(w, f)));
                    }
                    Stage::Marked | Stage::Moved => steps.push(Step::Ack(w, f)),
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
        match step {
            Step::Deliver(w) => self.deliver(&mut state, w),
            Step::DeliverWorn(w) => {
                state.ready -= 1;
                state.runs[w].push(Run { stage: Stage::Moves(Away::Retry), receipts: 1 });
            }
            Step::Claim(w, f) => state.runs[w][f].stage = self.claim(&mut state, w),
            Step::Begin(w, f) => {
                let unseen = matches!(self.left_out, LeftOut::SecondLook | LeftOut::Claims);
                state.runs[w][f].stage = match state.row {
                    row if unseen || row == Row::Held(Some(w)) => Stage::Sending,
                    // The claim has run out meanwhile: as if it had never been.
                    _ => self.claim(&mut state, w),
                };
            }
            Step::HandBack(w, f) => {
                state.release(w);
                state.ready += state.runs[w].remove(f).receipts;
            }
            Step::HandBackLate(w, f) => {
                state.faults += 1;
                state.late = Some(Late { worker: w, outrun: false });
                state.ready += state.runs[w].remove(f).receipts;
            }
            Step::Late => {
                if let Some(Late { worker, outrun }) = state.late.take()
                    && (!outrun || self.left_out == LeftOut::Fence)
                {
                    state.release(worker);
                }
            }
            Step::Accept(w, f) => {
                state.mails += 1;
                state.runs[w][f].stage = Stage::Accepted { excused: false };
            }
            Step::AcceptUnheard(w, f) => {
                state.faults += 1;
                state.mails += 1;
                state.allowed += 1;
                state.unheard += 1;
                state.unknown += 1;
                state.release(w);
                let over = state.unknown > REPEATS && self.left_out != LeftOut::RepeatLimit;
                state.runs[w][f].stage = Stage::Moves(if over { Away::DeadLetters } else { Away::Retry });
            }
            Step::Refuse(w, f, away) => {
                state.refused_after_mail |= away == Away::DeadLetters && state.mails > state.allowed;
                // The ledger does not remember a refusal.
                state.release(w);
                state.runs[w][f].stage = Stage::Moves(away);
            }
            Step::Mark(w, f) => {
                state.row = Row::Sent;
                state.runs[w][f].stage = Stage::Marked;
            }
            Step::Copy(w, f) => {
                if let Stage::Moves(away) = std::mem::replace(&mut state.runs[w][f].stage, Stage::Moved) {
                    state.publish(away);
                }
            }
            Step::CopyUnheard(w, f) => {
                state.faults += 1;
                state.copies += 1;
                if let Stage::Moves(away) = state.runs[w][f].stage {
                    state.publish(away);
                }
            }
            Step::Ack(w, f) => state.runs[w][f].receipts -= 1,
            Step::Crash(w) => state.crash(w),
            Step::Disconnect(w) => state.disconnect(w),
            Step::Expire => {
                if let Row::Held(Some(owner)) = state.row {
                    // Accepted, and its mark can't be written for so long: the database is away, or the worker stands still.
                    let mut runs = std::mem::take(&mut state.runs[owner]);
                    runs.iter_mut().for_each(|run| state.excuse(&mut run.stage));
                    state.runs[owner] = runs;
                }
                state.row = Row::Free;
            }
        }
        for runs in &mut state.runs {
            runs.retain(|run| run.receipts > 0 || !run.is_settled());
            runs.sort_unstable();
        }
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
