//! Three rows of the outbox, two relays: committed in any order, claimed behind a cursor, published, confirmed, deleted.
//!
//! The code: `crates/outbox/src/relay.rs`, `crates/outbox/src/cursor.rs`, `crates/outbox/src/rows.rs`.

#[cfg(test)]
mod interleavings;

use stateright::{Model, Property};

/// How many relays there are.
const RELAYS: usize = 2;
/// How many rows, in the order of their ids. They are committed in any order: the first also long after the last.
const ROWS: usize = 3;

/// A rule that is left out, to see what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// All rules hold.
    Nothing,
    /// A row is deleted once its task is published, not once it is confirmed.
    Confirms,
    /// Rows are read without a lock.
    Locks,
    /// Nobody looks before a cursor.
    FromTheBeginning,
}

/// The relays' work. A fault is a death, a freeze, a publish in vain or a confirm that does not come, anywhere.
#[derive(Debug, Clone)]
pub struct Relaying {
    /// Faults at most.
    pub faults: u8,
    /// A rule to leave out.
    pub left_out: LeftOut,
}

/// A row of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Row {
    /// Its id is given, and its transaction not committed yet.
    Coming,
    /// It is there.
    Waiting,
    /// It was deleted.
    Gone,
}

/// Some of the rows.
type Rows = [bool; ROWS];

/// What a relay does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It died.
    Dead,
    /// Nothing.
    Idle,
    /// It has claimed rows.
    Claimed,
    /// Their tasks are on their way; which of them the broker keeps, it does not know.
    Published(Rows),
    /// The broker has confirmed these.
    Confirmed(Rows),
}

/// Where the next claim starts: behind the last row relayed, as far as that is old. An id is the row's number plus one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Cursor {
    last: usize,
    /// An interval has not passed since the last look from the beginning.
    fresh: bool,
}

/// A relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Relay {
    stage: Stage,
    batch: Rows,
    /// Its transaction lives: the rows of the batch are locked.
    locks: bool,
    cursor: Cursor,
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    rows: [Row; ROWS],
    relays: [Relay; RELAYS],
    /// The last id that is older than an interval. Its row may still be to come: the commit is late then.
    old: usize,
    queued: [u8; ROWS],
    /// Repetitions that have a name, so far.
    allowed: [u8; ROWS],
    faults: u8,
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A registration is committed.
    Register(usize),
    /// The next id is older than an interval now.
    Age,
    /// An interval passes since the relay's last look from the beginning.
    Interval(usize),
    /// The relay claims what it finds behind its cursor, or from the beginning.
    Claim(usize),
    /// It publishes, and the broker keeps all tasks.
    Publish(usize),
    /// It publishes, and the broker keeps these alone.
    PublishInVain(usize, Rows),
    /// The broker's answers come: confirms, and nacks for what it did not keep.
    Hear(usize),
    /// Not all answers come in time.
    HearNothing(usize),
    /// It deletes what is confirmed, and commits.
    Commit(usize),
    /// It dies.
    Crash(usize),
    /// It is started again.
    Restart(usize),
    /// The database ends its transaction; it does not notice yet.
    Freeze(usize),
}

impl Step {
    /// What relays do by themselves when nothing goes wrong.
    pub fn is_calm(&self) -> bool {
        use Step::{Age, Claim, Commit, Hear, Interval, Publish};
        matches!(self, Age | Interval(_) | Claim(_) | Publish(_) | Hear(_) | Commit(_))
    }
}

impl Relaying {
    /// All rules, and two faults.
    pub fn sound() -> Self {
        Self { faults: 2, left_out: LeftOut::Nothing }
    }

    /// The same without a rule.
    pub fn without(left_out: LeftOut) -> Self {
        Self { left_out, ..Self::sound() }
    }

    fn claim(&self, state: &mut State, r: usize) {
        let mut cursor = state.relays[r].cursor;
        let looks_behind = cursor.fresh || self.left_out == LeftOut::FromTheBeginning;
        let behind = if looks_behind { state.start(&state.relays[r]) } else { 0 };
        cursor.fresh = true;
        let free =
            |row: usize| self.left_out == LeftOut::Locks || !state.relays.iter().any(|o| o.locks && o.batch[row]);
        let batch = std::array::from_fn(|row| row + 1 > behind && state.rows[row] == Row::Waiting && free(row));
        let found = batch.contains(&true);
        let stage = if found { Stage::Claimed } else { Stage::Idle };
        state.relays[r] = Relay { stage, batch, locks: found, cursor };
    }

    fn commit(&self, state: &mut State, r: usize, confirmed: Rows) {
        let Relay { batch, locks, mut cursor, .. } = state.relays[r];
        // Without its locks the transaction is gone, and the commit fails.
        let committed = locks || self.left_out == LeftOut::Locks;
        for row in (0..ROWS).filter(|row| committed && confirmed[*row]) {
            state.rows[row] = Row::Gone;
        }
        let last = batch.iter().rposition(|claimed| *claimed).map_or(0, |row| row + 1);
        if committed && confirmed == batch {
            cursor.last = last;
        } else {
            cursor = Cursor::default();
        }
        state.relays[r] = Relay { cursor, ..Relay::new(Stage::Idle) };
    }
}

impl Relay {
    /// It has nothing, and its cursor is at the beginning: after a start, and after every failure.
    fn new(stage: Stage) -> Self {
        Self { stage, batch: [false; ROWS], locks: false, cursor: Cursor::default() }
    }

    /// Tasks that the broker has, or will have, and that stay in the outbox if this relay stops now.
    fn unfinished(&self) -> Rows {
        match self.stage {
            // Those of a relay that lost its locks have their name already.
            Stage::Published(kept) | Stage::Confirmed(kept) if self.locks => kept,
            _ => [false; ROWS],
        }
    }
}

impl State {
    /// Where the relay looks, but for its looks from the beginning.
    fn start(&self, relay: &Relay) -> usize {
        relay.cursor.last.min(self.old)
    }

    fn publish(&mut self, r: usize, kept: Rows) {
        self.queued.iter_mut().zip(kept).for_each(|(queued, kept)| *queued += u8::from(kept));
        self.relays[r].stage = Stage::Published(kept);
    }

    fn allow(&mut self, rows: Rows) {
        self.allowed.iter_mut().zip(rows).for_each(|(allowed, row)| *allowed += u8::from(row));
    }

    fn all_gone(&self) -> bool {
        self.rows.iter().all(|row| *row == Row::Gone)
    }

    /// No row waits, or nobody lives to see it.
    pub fn is_relayed(&self) -> bool {
        !self.rows.contains(&Row::Waiting) || self.relays.iter().all(|relay| relay.stage == Stage::Dead)
    }
}

/// Every part of `rows` but all of them.
fn parts(rows: Rows) -> impl Iterator<Item = Rows> {
    let parts = (0..1_usize << ROWS).map(|mask| std::array::from_fn(|row| mask >> row & 1 == 1));
    parts.filter(move |part| *part != rows && (0..ROWS).all(|row| rows[row] || !part[row]))
}

impl Model for Relaying {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            rows: [Row::Coming; ROWS],
            relays: [Relay::new(Stage::Idle); RELAYS],
            old: 0,
            queued: [0; ROWS],
            allowed: [0; ROWS],
            faults: 0,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        steps.extend((0..ROWS).filter(|row| state.rows[*row] == Row::Coming).map(Step::Register));
        steps.extend((state.old < ROWS).then_some(Step::Age));
        let may_fail = state.faults < self.faults;
        for (r, relay) in state.relays.iter().enumerate() {
            match relay.stage {
                Stage::Dead => steps.push(Step::Restart(r)),
                Stage::Idle => {
                    steps.push(Step::Claim(r));
                    steps.extend(relay.cursor.fresh.then_some(Step::Interval(r)));
                }
                Stage::Claimed => {
                    steps.push(Step::Publish(r));
                    let parts = parts(relay.batch).filter(|_| may_fail);
                    steps.extend(parts.map(|kept| Step::PublishInVain(r, kept)));
                }
                Stage::Published(_) => {
                    steps.push(Step::Hear(r));
                    steps.extend(may_fail.then_some(Step::HearNothing(r)));
                    steps.extend((self.left_out == LeftOut::Confirms).then_some(Step::Commit(r)));
                }
                Stage::Confirmed(_) => steps.push(Step::Commit(r)),
            }
            steps.extend((may_fail && relay.stage != Stage::Dead).then_some(Step::Crash(r)));
            steps.extend((may_fail && relay.locks).then_some(Step::Freeze(r)));
        }
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        match step {
            Step::Register(row) => state.rows[row] = Row::Waiting,
            Step::Age => state.old += 1,
            Step::Interval(r) => state.relays[r].cursor.fresh = false,
            Step::Claim(r) => self.claim(&mut state, r),
            Step::Publish(r) => state.publish(r, before.relays[r].batch),
            Step::PublishInVain(r, kept) => {
                state.faults += 1;
                state.publish(r, kept);
            }
            Step::Hear(r) => {
                if let Stage::Published(kept) = state.relays[r].stage {
                    state.relays[r].stage = Stage::Confirmed(kept);
                }
            }
            Step::HearNothing(r) => {
                state.faults += 1;
                state.allow(state.relays[r].unfinished());
                state.relays[r] = Relay::new(Stage::Idle);
            }
            Step::Commit(r) => match state.relays[r].stage {
                Stage::Confirmed(confirmed) => self.commit(&mut state, r, confirmed),
                _ => self.commit(&mut state, r, before.relays[r].batch),
            },
            Step::Crash(r) => {
                state.faults += 1;
                state.allow(state.relays[r].unfinished());
                state.relays[r] = Relay::new(Stage::Dead);
            }
            Step::Restart(r) => state.relays[r] = Relay::new(Stage::Idle),
            Step::Freeze(r) => {
                state.faults += 1;
                state.allow(state.relays[r].batch);
                state.relays[r].locks = false;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("not lost", |_, state: &State| {
                (0..ROWS).all(|row| state.rows[row] != Row::Gone || state.queued[row] > 0)
            }),
            Property::always("published again only for a reason", |_, state: &State| {
                (0..ROWS).all(|row| state.queued[row] <= 1 + state.allowed[row])
            }),
            Property::sometimes("published once", |_, state: &State| state.all_gone() && state.queued == [1; ROWS]),
            Property::sometimes("a frozen relay's rows are published by the other", |_, state: &State| {
                let frozen = |relay: &Relay| relay.stage == Stage::Claimed && !relay.locks;
                state.all_gone() && state.relays.iter().any(frozen)
            }),
            Property::sometimes("a row is committed behind the bookmarks of both", |_, state: &State| {
                state.rows[0] == Row::Waiting && state.relays.iter().all(|relay| state.start(relay) > 0)
            }),
            Property::sometimes("a row of a relay that died is behind the other's cursor", |_, state: &State| {
                let dead = state.relays.iter().any(|relay| relay.stage == Stage::Dead);
                let behind = state.relays.iter().any(|relay| state.start(relay) > 0);
                state.rows[0] == Row::Waiting && state.queued[0] > 0 && dead && behind
            }),
        ]
    }
}
