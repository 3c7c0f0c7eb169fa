//! Several bare tasks with one content, two workers: delivered, mailed, acknowledged; or moved on, which gives them an id.
//!
//! The code: `services/email-worker/src`: `delivery/task.rs` (what a bare task is known by), `delivery/in_flight.rs` (which
//! run a delivery joins), `delivery.rs`; the windows: the README's table of guarantees. Nothing tells these tasks apart, so what is counted is
//! how many there are: each ends as a mail or as a copy with an id, whose further way is in [`delivery`](crate::delivery).
//! Each run has a row of its own in the ledger, which therefore says nothing here.

#[cfg(test)]
mod interleavings;

use stateright::{Model, Property};

/// How many workers there are.
const WORKERS: usize = 2;
/// Tasks in flight of a worker, at most.
const MOST_IN_FLIGHT: usize = 3;

/// A rule that is left out, to see what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// All rules hold.
    Nothing,
    /// What is delivered again is dropped where a task with its content was mailed before.
    MailedAgain,
    /// A delivery that comes again joins a run of its content, also when that has its own.
    JoinsOnlyLost,
}

/// The tasks' way. A fault is a death or a lost connection.
#[derive(Debug, Clone)]
pub struct Bare {
    /// Tasks with the same content.
    pub published: u8,
    /// Faults at most.
    pub faults: u8,
    /// A rule to leave out.
    pub left_out: LeftOut,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// It has a delivery.
    Holds,
    /// The mail server took the mail, and the ledger does not know it yet.
    Accepted,
    /// It does, or a copy with an id was published. To be acknowledged; the place is given up.
    Ended,
}

/// A task in a worker, with its deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    stage: Stage,
    /// Deliveries that the broker waits for.
    live: u8,
    /// It had one on a connection that was lost.
    lost: bool,
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// In the queue, and never delivered.
    new: u8,
    /// In the queue, and delivered before.
    again: u8,
    runs: [Vec<Run>; WORKERS],
    mails: u8,
    /// Copies with an id.
    copies: u8,
    /// Repetitions that the named windows allow, so far.
    allowed: u8,
    faults: u8,
}

/// A step: of a worker, and of its n-th run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The broker delivers a task for the first time.
    Deliver(usize),
    /// The broker delivers one again.
    DeliverAgain(usize),
    /// The broker takes a task back that was on its way to somebody.
    TakeBack,
    /// The mail server accepts.
    Mail(usize, usize),
    /// It moves on: refused, held too long, or the worker drains.
    Move(usize, usize),
    /// The run marks.
    Mark(usize, usize),
    /// It acknowledges.
    Ack(usize, usize),
    /// The worker dies.
    Crash(usize),
    /// Its connection to the broker breaks.
    Disconnect(usize),
}

impl Step {
    /// Nothing goes wrong.
    pub fn is_calm(&self) -> bool {
        !matches!(self, Self::Crash(_) | Self::Disconnect(_) | Self::TakeBack)
    }
}

impl Bare {
    /// All rules, three tasks, two faults.
    pub fn sound() -> Self {
        Self { published: 3, faults: 2, left_out: LeftOut::Nothing }
    }

    /// The same without a rule.
    pub fn without(left_out: LeftOut) -> Self {
        Self { left_out, ..Self::sound() }
    }

    /// A delivery joins a run of this worker, or is a new one.
    fn deliver(&self, state: &mut State, w: usize, again: bool) {
        if again && self.left_out == LeftOut::MailedAgain && state.mails > 0 {
            return;
        }
        let joins = |run: &&mut Run| {
            run.stage != Stage::Ended && (run.lost && run.live == 0 || self.left_out == LeftOut::JoinsOnlyLost)
        };
        match state.runs[w].iter_mut().find(joins).filter(|_| again) {
            Some(run) => run.live += 1,
            None => state.runs[w].push(Run { stage: Stage::Holds, live: 1, lost: false }),
        }
    }
}

impl State {
    fn crash(&mut self, w: usize) {
        self.faults += 1;
        for run in std::mem::take(&mut self.runs[w]) {
            self.again += run.live;
            self.allowed += u8::from(run.stage != Stage::Holds && run.live > 0);
        }
    }

    /// Runs go on: what they held is ready again, and they may finish it all the same.
    fn disconnect(&mut self, w: usize) {
        self.faults += 1;
        for run in &mut self.runs[w] {
            self.allowed += u8::from(run.live > 0);
            run.lost |= run.live > 0;
            self.again += std::mem::take(&mut run.live);
        }
    }

    fn ends(&self) -> u8 {
        self.mails + self.copies
    }

    /// Tasks that can still end: in the queue, or in a run.
    fn open(&self) -> u8 {
        let holds = self.runs.iter().flatten().filter(|run| run.stage == Stage::Holds).count();
        self.new + self.again + u8::try_from(holds).unwrap_or(u8::MAX)
    }

    /// Nobody has anything left to do.
    pub fn is_quiet(&self) -> bool {
        self.new == 0 && self.again == 0 && self.runs.iter().all(Vec::is_empty)
    }
}

impl Model for Bare {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            new: self.published,
            again: 0,
            runs: Default::default(),
            mails: 0,
            copies: 0,
            allowed: 0,
            faults: 0,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        let may_fail = state.faults < self.faults;
        steps.extend((may_fail && state.new > 0).then_some(Step::TakeBack));
        for (w, runs) in state.runs.iter().enumerate() {
            steps.extend((state.new > 0).then_some(Step::Deliver(w)));
            steps.extend((state.again > 0).then_some(Step::DeliverAgain(w)));
            for (f, run) in runs.iter().enumerate() {
                match run.stage {
                    Stage::Holds => steps.extend([Step::Mail(w, f), Step::Move(w, f)]),
                    Stage::Accepted => steps.push(Step::Mark(w, f)),
                    Stage::Ended => steps.push(Step::Ack(w, f)),
                }
            }
            steps.extend((may_fail && !runs.is_empty()).then_some(Step::Crash(w)));
            let may_break = may_fail && runs.iter().any(|run| run.live > 0);
            steps.extend(may_break.then_some(Step::Disconnect(w)));
        }
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        match step {
            Step::Deliver(w) => {
                state.new -= 1;
                self.deliver(&mut state, w, false);
            }
            Step::DeliverAgain(w) => {
                state.again -= 1;
                self.deliver(&mut state, w, true);
            }
            Step::TakeBack => {
                // No window allows anything for it: it is not sent, and need not be.
                state.faults += 1;
                state.new -= 1;
                state.again += 1;
            }
            Step::Mail(w, f) => {
                state.mails += 1;
                state.runs[w][f].stage = Stage::Accepted;
            }
            Step::Move(w, f) => {
                // What it lost is delivered again, as another task: a copy would be a second one.
                state.copies += u8::from(state.runs[w][f].live > 0);
                state.runs[w][f].stage = Stage::Ended;
            }
            Step::Mark(w, f) => state.runs[w][f].stage = Stage::Ended,
            Step::Ack(w, f) => drop(state.runs[w].remove(f)),
            Step::Crash(w) => state.crash(w),
            Step::Disconnect(w) => state.disconnect(w),
        }
        for runs in &mut state.runs {
            runs.retain(|run| run.stage != Stage::Ended || run.live > 0);
            runs.sort_unstable();
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("not lost", |model: &Self, state: &State| state.ends() + state.open() >= model.published),
            Property::always("repeated only in the named windows", |model: &Self, state: &State| {
                state.ends() <= model.published + state.allowed
            }),
            Property::sometimes("all mailed once, and everything is quiet", |model: &Self, state: &State| {
                state.is_quiet() && state.mails == model.published
            }),
            Property::sometimes("a named window does repeat a mail", |model: &Self, state: &State| {
                state.mails > model.published
            }),
            Property::sometimes("after a lost connection all mailed once", |model: &Self, state: &State| {
                state.is_quiet() && state.allowed > 0 && state.mails == model.published
            }),
        ]
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.runs.iter().all(|runs| runs.len() <= MOST_IN_FLIGHT)
    }
}
