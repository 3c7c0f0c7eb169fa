//! The windows in which a mail may be repeated, and whether one was open for a mail that the server took.
//!
//! Of all mails of one task at most one may have been taken outside of every window. A window needs evidence: what the mail
//! server answered, what the worker heard, what the ledger committed and when, and the fault that explains it.

use std::collections::HashMap;

use contract::TaskId;

use crate::facts::{Acceptance, Facts, Happened, Note};
use crate::schedule::{Kind, Victim};

/// `SEND_TIMEOUT` of the workers, in seconds.
pub(crate) const SEND_TIMEOUT: f64 = 3.0;

/// From cause to effect where nothing hinders, in seconds: an answer on its way, a mark that is being written. Both take
/// milliseconds; two systems on two cores now and then take longer.
const SLACK: f64 = 1.0;

/// How long a mark may take at least: between the moment that is noted for a kill and the kill itself, too, time passes.
const QUICK: f64 = 0.3;

/// How long after the database is back a mark may wait for its next try.
const MARK_RETRY: f64 = 2.5;

/// Clocks that tell the same moment, read one after the other by different processes.
const CLOCKS: f64 = 0.1;

/// Why a mail that was taken may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Window {
    /// The connection was lost after the dot, before the answer.
    AnswerLost,
    /// The worker died after the 250 and before its mark: the n-th fault.
    DiedBeforeMark(usize),
    /// The mark came after the claim had run out: the database was away, or the worker stood still.
    MarkedTooLate,
}

impl Window {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AnswerLost => "answer lost after the dot",
            Self::DiedBeforeMark(_) => "worker died before its mark",
            Self::MarkedTooLate => "database away, or worker frozen, beyond the claim",
        }
    }
}

/// The window of each mail, in the order of `facts.mails`; `None` where none was open.
pub(crate) fn windows(facts: &Facts) -> Vec<Option<Window>> {
    let (heard, marked) = (assign(facts, &facts.heard), assign(facts, &facts.marks));
    let quick = undisturbed(facts, &marked).clamp(QUICK, SLACK);
    let each = facts.mails.iter().zip(heard).zip(marked);
    each.map(|((mail, heard), mark)| window(facts, mail, heard, mark, quick)).collect()
}

/// How long the longest mark of this run took with nothing in its way.
fn undisturbed(facts: &Facts, marked: &[Option<f64>]) -> f64 {
    let took = facts.mails.iter().zip(marked).filter_map(|(mail, mark)| {
        let mark = (*mark)?;
        let calm = !facts.trouble(mail.at - MARK_RETRY, mark, |fault| hinders_marks(fault, mail.worker));
        calm.then_some(mark - mail.at)
    });
    took.fold(0.0, f64::max)
}

fn window(facts: &Facts, mail: &Acceptance, heard: Option<f64>, mark: Option<f64>, quick: f64) -> Option<Window> {
    if mail.unsaid {
        return Some(Window::AnswerLost);
    }
    if let Some(mark) = mark {
        return marked_too_late(facts, mail, mark).then_some(Window::MarkedTooLate);
    }
    if heard.is_none() && answer_may_be_lost(facts, mail) {
        return Some(Window::AnswerLost);
    }
    died_before_mark(facts, mail, quick).map(Window::DiedBeforeMark)
}

/// A claim outlasts the send that it was looked at for. What the server saw late, the worker began earlier.
fn marked_too_late(facts: &Facts, mail: &Acceptance, mark: f64) -> bool {
    let held_up = facts.trouble(mail.begun - SEND_TIMEOUT, mail.at, |fault| loses_answers(fault, mail.worker));
    let begun = mail.begun - if held_up { SEND_TIMEOUT } else { SLACK / 2.0 };
    let may_have_run_out = mark > begun + SEND_TIMEOUT;
    may_have_run_out
        && facts.trouble(begun, mark, |fault| fault.victim == Victim::Database || is_frozen(fault, mail.worker))
}

/// The answer was on its way when the connection broke, or the worker had given up before the server had the dot.
fn answer_may_be_lost(facts: &Facts, mail: &Acceptance) -> bool {
    facts.trouble(mail.at - SLACK, mail.at + SLACK, |fault| loses_answers(fault, mail.worker))
        // A slow server answers late, also to what came before it became quick again.
        || facts.trouble(mail.at - SEND_TIMEOUT - SLACK, mail.at, |fault| fault.kind == Kind::Slow)
}

/// The worker was killed before a mark could be written, or so soon that its last bytes were still on their way.
fn died_before_mark(facts: &Facts, mail: &Acceptance, quick: f64) -> Option<usize> {
    let mut kills = facts.faults.iter().enumerate().filter(|(_, fault)| is_killed(fault, mail.worker));
    let found = kills.find(|(_, kill)| {
        let (first, last) = if kill.from < mail.at { (kill.from, mail.at) } else { (mail.at, kill.from) };
        covered(facts, first, last, mail.worker, quick)
    });
    found.map(|(n, _)| n)
}

/// Whether no mark could be written in all of these seconds, but for `quick` at a time.
fn covered(facts: &Facts, from: f64, until: f64, worker: usize, quick: f64) -> bool {
    let mut at = from;
    while until - at > quick {
        let hindrances = facts.faults.iter().filter(|fault| hinders_marks(fault, worker) && fault.from <= at + quick);
        let ends = hindrances.map(|f| f.until + if f.victim == Victim::Database { MARK_RETRY } else { 0.0 });
        match ends.fold(f64::MIN, f64::max) {
            further if further > at => at = further,
            _ => return false,
        }
    }
    true
}

fn hinders_marks(fault: &Happened, worker: usize) -> bool {
    fault.victim == Victim::Database || loses_answers(fault, worker)
}

fn is_killed(fault: &Happened, worker: usize) -> bool {
    fault.victim == Victim::Worker(worker) && fault.kind == Kind::Kill
}

fn is_frozen(fault: &Happened, worker: usize) -> bool {
    fault.victim == Victim::Worker(worker) && fault.kind == Kind::Freeze
}

/// Faults under which the worker may not hear what the mail server said. A script that refuses, or hangs up before it has taken
/// the mail, is none of them.
fn loses_answers(fault: &Happened, worker: usize) -> bool {
    let way =
        matches!(fault.kind, Kind::Resets | Kind::Latency | Kind::Blackhole | Kind::RefusesConnections | Kind::Slow);
    is_frozen(fault, worker) || (fault.victim == Victim::MailServer && way)
}

/// Gives each note to the last mail of its task and worker before it that has none; not over the death of the worker.
fn assign(facts: &Facts, notes: &[Note]) -> Vec<Option<f64>> {
    let mut given = vec![None; facts.mails.len()];
    let by_task: HashMap<TaskId, Vec<usize>> = facts.mails_by_task();
    let mut notes: Vec<&Note> = notes.iter().collect();
    notes.sort_by(|a, b| a.at.total_cmp(&b.at));
    for note in notes {
        let mails = by_task.get(&note.id).map(Vec::as_slice).unwrap_or_default();
        let fits = |n: &&usize| {
            let mail = &facts.mails[**n];
            let between = |fault: &Happened| (mail.at..note.at - CLOCKS).contains(&fault.from);
            let died = facts.faults.iter().any(|fault| is_killed(fault, note.worker) && between(fault));
            mail.worker == note.worker && !mail.unsaid && mail.at <= note.at + CLOCKS && !died && given[**n].is_none()
        };
        if let Some(n) = mails.iter().rev().find(fits) {
            given[*n] = Some(note.at);
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(victim: Victim, kind: Kind, from: f64, until: f64) -> Happened {
        Happened { victim, kind, planned: from, from, until }
    }

    fn mail(at: f64) -> Acceptance {
        let id = TaskId::from_message_id("one");
        Acceptance { id, email: "one@example.com".to_owned(), worker: 0, begun: at - 0.01, at, unsaid: false }
    }

    struct Case {
        name: &'static str,
        mail: Acceptance,
        faults: Vec<Happened>,
        heard: Option<f64>,
        marked: Option<f64>,
        want: Option<&'static str>,
    }

    #[test]
    fn a_window_needs_its_evidence() {
        use Kind::{AcceptsThenDrops, Blackhole, DropsAt, Freeze, Kill, RefusesForNow, Resets, Slow};
        use Victim::{Api, Broker, Database, MailServer, Worker};
        const LOST: Option<&str> = Some("answer lost after the dot");
        const DIED: Option<&str> = Some("worker died before its mark");
        const LATE: Option<&str> = Some("database away, or worker frozen, beyond the claim");
        let case = |name, heard, marked, faults: Vec<Happened>, want| Case {
            name,
            mail: mail(10.0),
            faults,
            heard,
            marked,
            want,
        };
        let unsaid = Acceptance { unsaid: true, ..mail(10.0) };
        let cases = [
            case("marked at once", Some(10.1), Some(10.1), vec![], None),
            case(
                "marked at once, whatever broke",
                Some(10.1),
                Some(10.1),
                vec![fault(MailServer, Resets, 9.0, 11.0), fault(Worker(0), Kill, 10.5, 12.0)],
                None,
            ),
            case("never marked, and nothing broke", Some(10.1), None, vec![], None),
            case("not heard, and nothing broke", None, None, vec![], None),
            Case {
                name: "the server hung up",
                mail: unsaid,
                faults: vec![fault(MailServer, AcceptsThenDrops, 9.0, 11.0)],
                heard: None,
                marked: None,
                want: LOST,
            },
            case("reset", None, None, vec![fault(MailServer, Resets, 9.0, 10.5)], LOST),
            case("reset, and yet heard", Some(10.1), None, vec![fault(MailServer, Resets, 9.0, 10.5)], None),
            case("reset long before", None, None, vec![fault(MailServer, Resets, 5.0, 8.0)], None),
            case("came out of a blackhole", None, None, vec![fault(MailServer, Blackhole, 4.0, 9.9)], LOST),
            case("a slow server", None, None, vec![fault(MailServer, Slow, 5.0, 8.0)], LOST),
            case(
                "a script that takes nothing",
                None,
                None,
                vec![
                    fault(MailServer, RefusesForNow, 9.0, 11.0),
                    fault(MailServer, DropsAt(crate::schedule::At::Dot), 9.0, 11.0),
                ],
                None,
            ),
            case("frozen, and its time ran out", None, None, vec![fault(Worker(0), Freeze, 9.0, 15.0)], LOST),
            case("the other was frozen", None, None, vec![fault(Worker(1), Freeze, 9.0, 15.0)], None),
            case("killed at once", Some(10.1), None, vec![fault(Worker(0), Kill, 10.2, 12.0)], DIED),
            case(
                "killed while the last bytes were on their way",
                None,
                None,
                vec![fault(Worker(0), Kill, 9.8, 12.0)],
                DIED,
            ),
            case("killed later", Some(10.1), None, vec![fault(Worker(0), Kill, 13.0, 14.0)], None),
            case(
                "killed later, the database away all the time",
                Some(10.1),
                None,
                vec![fault(Database, Freeze, 9.9, 12.9), fault(Worker(0), Kill, 13.0, 14.0)],
                DIED,
            ),
            case(
                "killed later, the database away for a part",
                Some(10.1),
                None,
                vec![fault(Database, Freeze, 9.9, 11.0), fault(Worker(0), Kill, 14.0, 15.0)],
                None,
            ),
            case(
                "the other was killed",
                Some(10.1),
                None,
                vec![fault(Worker(1), Kill, 10.2, 12.0), fault(Api(0), Kill, 10.1, 11.0)],
                None,
            ),
            case(
                "a mark after the claim's end, the database away",
                Some(10.1),
                Some(14.0),
                vec![fault(Database, Kill, 10.0, 13.9)],
                LATE,
            ),
            case(
                "a mark after the claim's end, frozen",
                Some(14.0),
                Some(14.0),
                vec![fault(Worker(0), Freeze, 10.0, 13.9)],
                LATE,
            ),
            case(
                "a mark after the claim's end, and nothing broke",
                Some(10.1),
                Some(14.0),
                vec![fault(Broker, Freeze, 9.0, 15.0)],
                None,
            ),
            case("a late mark within the claim", Some(10.1), Some(12.0), vec![fault(Database, Kill, 10.0, 11.9)], None),
        ];
        for Case { name, mail, faults, heard, marked, want } in cases {
            let note = |at: Option<f64>| at.map(|at| Note { id: mail.id, worker: 0, at }).into_iter().collect();
            let facts = Facts {
                faults,
                heard: note(heard),
                marks: note(marked),
                mails: vec![mail.clone()],
                ..Facts::default()
            };
            assert_eq!(windows(&facts)[0].map(Window::name), want, "{name}");
        }
    }

    #[test]
    fn a_mark_speaks_for_one_mail_and_not_for_one_of_an_earlier_life() {
        let marks = |at| vec![Note { id: mail(0.0).id, worker: 0, at }];
        let twice = Facts { mails: vec![mail(10.0), mail(11.0)], marks: marks(11.1), ..Facts::default() };
        assert_eq!(assign(&twice, &twice.marks), [None, Some(11.1)]);
        let faults = vec![fault(Victim::Worker(0), Kind::Kill, 10.5, 11.0)];
        let died = Facts { mails: vec![mail(10.0)], faults, marks: marks(12.0), ..Facts::default() };
        assert_eq!(assign(&died, &died.marks), [None]);
    }

    #[test]
    fn how_soon_before_its_death_a_worker_may_have_failed_to_mark_follows_the_marks_of_the_run() {
        let other = Acceptance { id: TaskId::from_message_id("two"), ..mail(2.0) };
        let after = |mark: f64, death: f64| {
            let faults = vec![fault(Victim::Worker(0), Kind::Kill, 10.0 + death, 15.0)];
            let marks = vec![Note { id: other.id, worker: 0, at: 2.0 + mark }];
            let facts = Facts { mails: vec![mail(10.0), other.clone()], faults, marks, ..Facts::default() };
            windows(&facts)[0].is_some()
        };
        for (mark, death, open) in
            [(0.01, 0.2, true), (0.01, 0.5, false), (0.6, 0.5, true), (5.0, 0.9, true), (5.0, 1.1, false)]
        {
            assert_eq!(after(mark, death), open, "marks take {mark} s, died after {death} s");
        }
    }
}
