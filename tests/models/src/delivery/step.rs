//! What can happen, and what it changes.

use super::state::{Away, Late, Row, Run, Stage, State};
use super::{Delivery, LeftOut, REPEATS};

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
            Row::Held(owner) if owner != Some(w) => Stage::Republishing(Away::Retry),
            Row::Free | Row::Held(_) => {
                state.row = Row::Held(Some(w));
                if let Some(late) = state.late.as_mut().filter(|late| late.worker == w) {
                    late.outrun = true;
                }
                Stage::Claimed
            }
        }
    }

    fn accept_unheard(&self, state: &mut State, w: usize, f: usize) {
        state.faults += 1;
        state.mails += 1;
        state.allowed += 1;
        state.unheard += 1;
        state.unknown += 1;
        state.release(w);
        let over = state.unknown > REPEATS && self.left_out != LeftOut::RepeatLimit;
        state.runs[w][f].stage = Stage::Republishing(if over { Away::DeadLetters } else { Away::Retry });
    }

    /// Takes the step.
    pub(super) fn take(&self, state: &mut State, step: Step) {
        match step {
            Step::Deliver(w) => self.deliver(state, w),
            Step::DeliverWorn(w) => {
                state.ready -= 1;
                state.runs[w].push(Run { stage: Stage::Republishing(Away::Retry), receipts: 1 });
            }
            Step::Claim(w, f) => state.runs[w][f].stage = self.claim(state, w),
            Step::Begin(w, f) => {
                let unseen = matches!(self.left_out, LeftOut::SecondLook | LeftOut::Claims);
                state.runs[w][f].stage = match state.row {
                    row if unseen || row == Row::Held(Some(w)) => Stage::Sending,
                    // The claim has run out meanwhile: as if it had never been.
                    _ => self.claim(state, w),
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
            Step::AcceptUnheard(w, f) => self.accept_unheard(state, w, f),
            Step::Refuse(w, f, away) => {
                state.refused_after_mail |= away == Away::DeadLetters && state.mails > state.allowed;
                // The ledger does not remember a refusal.
                state.release(w);
                state.runs[w][f].stage = Stage::Republishing(away);
            }
            Step::Mark(w, f) => {
                state.row = Row::Sent;
                state.runs[w][f].stage = Stage::Marked;
            }
            Step::Copy(w, f) => {
                if let Stage::Republishing(away) = std::mem::replace(&mut state.runs[w][f].stage, Stage::Republished) {
                    state.publish(away);
                }
            }
            Step::CopyUnheard(w, f) => {
                state.faults += 1;
                state.copies += 1;
                if let Stage::Republishing(away) = state.runs[w][f].stage {
                    state.publish(away);
                }
            }
            Step::Ack(w, f) => state.runs[w][f].receipts -= 1,
            Step::Crash(w) => state.crash(w),
            Step::Disconnect(w) => state.disconnect(w),
            Step::Expire => state.expire(),
        }
        for runs in &mut state.runs {
            runs.retain(|run| run.receipts > 0 || !run.is_settled());
            runs.sort_unstable();
        }
    }
}
