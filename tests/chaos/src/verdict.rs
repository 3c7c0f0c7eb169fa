//! The rules: what must be true of a run, task by task. Pure, so that tests show that each of them can fail.

use std::collections::{BTreeMap, HashMap, HashSet};

use contract::TaskId;

use crate::facts::{Dead, Facts};
use crate::schedule::{Kind, Victim};
use crate::windows::{Window, windows};

/// What a crash may repeat at most: the sending slots, and the marks on their way.
pub(crate) const REPEATED_A_CRASH: usize = system::SLOTS + 100;

/// Crashes with a task alone in flight after which it is put aside.
const LONE_RUNS: usize = 3;

/// Something that does not add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) rule: Rule,
    /// What is wrong, with an address or a name.
    pub(crate) what: String,
    /// The task to look at.
    pub(crate) task: Option<TaskId>,
}

/// What must be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rule {
    CreatedIsUser,
    UserHasTask,
    NotLost,
    NoStranger,
    RepeatedInWindow,
    CrashIsBounded,
    DeadHasReason,
    NothingLeft,
    NothingOdd,
}

impl Rule {
    pub(crate) const ALL: [Self; 9] = [
        Self::CreatedIsUser,
        Self::UserHasTask,
        Self::NotLost,
        Self::NoStranger,
        Self::RepeatedInWindow,
        Self::CrashIsBounded,
        Self::DeadHasReason,
        Self::NothingLeft,
        Self::NothingOdd,
    ];

    /// What it is called when it is broken.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CreatedIsUser => "answered 201 and no user",
            Self::UserHasTask => "user without exactly one task",
            Self::NotLost => "lost: neither mail nor dead letter",
            Self::NoStranger => "mail that no task stands for",
            Self::RepeatedInWindow => "repeated outside of every window",
            Self::CrashIsBounded => "a crash repeated more than slots + 100",
            Self::DeadHasReason => "dead letter without a good reason",
            Self::NothingLeft => "left on the way",
            Self::NothingOdd => "odd",
        }
    }
}

/// What came of a run.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) findings: Vec<Finding>,
    /// Dead letters by reason.
    pub(crate) dead: BTreeMap<String, usize>,
    /// Repetitions by the window that explains them.
    pub(crate) repeated: BTreeMap<&'static str, usize>,
    /// Where each task came to its end.
    pub(crate) ends: Ends,
}

/// All tasks are one of these: the sum that has to be right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) mailed: usize,
    pub(crate) put_aside: usize,
    /// The answer to a mail was lost and the next try refused for good, or the task was there twice, the first copy was refused
    /// and the second taken.
    pub(crate) both: usize,
    pub(crate) neither: usize,
    /// Published without a confirm, and never seen: nobody promised anything.
    pub(crate) unconfirmed: usize,
    /// Dead letters beyond one for a task: a move is published before the task is acknowledged.
    pub(crate) letters_twice: usize,
}

impl Verdict {
    pub(crate) fn count(&self, rule: Rule) -> usize {
        self.findings.iter().filter(|finding| finding.rule == rule).count()
    }

    fn find(&mut self, rule: Rule, what: impl Into<String>, task: Option<TaskId>) {
        self.findings.push(Finding { rule, what: what.into(), task });
    }
}

/// Looks at everything.
pub(crate) fn judge(facts: &Facts) -> Verdict {
    let mut verdict = Verdict::default();
    users(facts, &mut verdict);
    tasks(facts, &mut verdict);
    crashes(facts, &mut verdict);
    dead_letters(facts, &mut verdict);
    for (queue, count) in facts.left.iter().filter(|(_, count)| *count > 0) {
        verdict.find(Rule::NothingLeft, format!("{count} in {queue}"), None);
    }
    for odd in &facts.odd {
        verdict.find(Rule::NothingOdd, odd, None);
    }
    verdict.findings.sort_by_key(|finding| finding.rule);
    verdict
}

fn users(facts: &Facts, verdict: &mut Verdict) {
    for email in facts.created.difference(&facts.users) {
        verdict.find(Rule::CreatedIsUser, email, None);
    }
    let mut tasks: HashMap<&str, usize> = HashMap::new();
    for task in &facts.committed {
        *tasks.entry(&task.email).or_default() += 1;
        if !facts.users.contains(&task.email) {
            verdict.find(Rule::UserHasTask, format!("{}: a task and no user", task.email), Some(task.id));
        }
    }
    for email in &facts.users {
        let count = tasks.get(email.as_str()).copied().unwrap_or(0);
        if count != 1 {
            verdict.find(Rule::UserHasTask, format!("{email}: {count} tasks"), None);
        }
    }
}

/// Of the mails of a task at most one is outside of the windows, and none where a dead letter came after it.
fn tasks(facts: &Facts, verdict: &mut Verdict) {
    let (windows, mails) = (windows(facts), facts.mails_by_task());
    let dead: HashSet<TaskId> = facts.dead.iter().filter_map(|letter| letter.id).collect();
    let known: HashMap<TaskId, &str> = facts.tasks().map(|task| (task.id, task.email.as_str())).collect();
    for task in facts.tasks() {
        let of_task = mails.get(&task.id).map(Vec::as_slice).unwrap_or_default();
        let put_aside = usize::from(dead.contains(&task.id));
        let ends = &mut verdict.ends;
        *match (of_task.is_empty(), put_aside) {
            (false, 0) => &mut ends.mailed,
            (false, _) => &mut ends.both,
            (true, 0) if task.promised => &mut ends.neither,
            (true, 0) => &mut ends.unconfirmed,
            (true, _) => &mut ends.put_aside,
        } += 1;
        if of_task.is_empty() && put_aside == 0 && task.promised {
            verdict.find(Rule::NotLost, &task.email, Some(task.id));
        }
        let explained: Vec<Window> = of_task.iter().filter_map(|n| windows[*n]).collect();
        // The task was there twice, and the copies are judged one after the other: refused, then taken. Not the other way round.
        let last = of_task.last().map_or(0.0, |n| facts.mails[*n].at);
        let second_copy = facts.refused.get(&task.email).is_some_and(|refused| *refused < last);
        let ends = of_task.len() + if second_copy { 0 } else { put_aside };
        if ends > explained.len() + 1 {
            let text = format!(
                "{}: {} mails and {put_aside} dead letters, {} of them explained",
                task.email,
                of_task.len(),
                explained.len()
            );
            verdict.find(Rule::RepeatedInWindow, text, Some(task.id));
        }
        for window in explained.iter().take(ends.saturating_sub(1)) {
            *verdict.repeated.entry(window.name()).or_default() += 1;
        }
    }
    for mail in &facts.mails {
        if known.get(&mail.id) != Some(&mail.email.as_str()) {
            verdict.find(Rule::NoStranger, format!("a mail to {}", mail.email), Some(mail.id));
        }
    }
}

/// Each crash leaves at most so many mails that were taken and not marked.
fn crashes(facts: &Facts, verdict: &mut Verdict) {
    let mut unmarked: HashMap<usize, usize> = HashMap::new();
    for window in windows(facts).into_iter().flatten() {
        if let Window::DiedBeforeMark(kill) = window {
            *unmarked.entry(kill).or_default() += 1;
        }
    }
    for (kill, count) in unmarked.into_iter().filter(|(_, count)| *count > REPEATED_A_CRASH) {
        let fault = &facts.faults[kill];
        let text = format!("{count} mails by the death of {} at {:.1} s", fault.victim, fault.from);
        verdict.find(Rule::CrashIsBounded, text, None);
    }
}

fn dead_letters(facts: &Facts, verdict: &mut Verdict) {
    let emails: HashMap<TaskId, &str> = facts.tasks().map(|task| (task.id, task.email.as_str())).collect();
    let is_kill = |victim: Victim, kind: Kind| matches!(victim, Victim::Worker(_)) && kind == Kind::Kill;
    let kills = facts.faults.iter().filter(|fault| is_kill(fault.victim, fault.kind)).count();
    let letters: HashSet<TaskId> = facts.dead.iter().filter_map(|letter| letter.id).collect();
    verdict.ends.letters_twice = facts.dead.iter().filter(|letter| letter.id.is_some()).count() - letters.len();
    for Dead { id, reason } in &facts.dead {
        let email = id.and_then(|id| emails.get(&id).copied());
        let name = email.unwrap_or("a task that nobody sent");
        let refused = email.is_some_and(|email| facts.refused.contains_key(email));
        let good = match reason.as_deref() {
            _ if email.is_none() => false,
            Some("recipient-refused" | "content-refused") => refused,
            Some("crashes-worker") => kills >= LONE_RUNS,
            _ => false,
        };
        let reason = reason.as_deref().unwrap_or("no reason");
        if !good {
            verdict.find(Rule::DeadHasReason, format!("{name}: {reason}"), *id);
        }
        *verdict.dead.entry(reason.to_owned()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Acceptance, Happened, Note, Task};

    fn id(n: u32) -> TaskId {
        TaskId::from_message_id(&n.to_string())
    }

    fn email(n: u32) -> String {
        format!("{n}@example.com")
    }

    fn mail(n: u32, at: f64) -> Acceptance {
        Acceptance { id: id(n), email: email(n), worker: 0, begun: at - 0.01, at, unsaid: false }
    }

    /// Users 1, 2, 3: two mails, one dead letter. Task 4 was published, and mailed.
    fn good() -> Facts {
        let task = |n| Task { id: id(n), email: email(n), promised: true };
        let mails = vec![mail(1, 1.0), mail(2, 2.0), mail(4, 4.0)];
        let note = |mail: &Acceptance| Note { id: mail.id, worker: 0, at: mail.at + 0.01 };
        Facts {
            users: (1..=3).map(email).collect(),
            created: (1..=2).map(email).collect(),
            committed: (1..=3).map(task).collect(),
            published: vec![task(4)],
            heard: mails.iter().map(note).collect(),
            marks: mails.iter().map(note).collect(),
            mails,
            dead: vec![Dead { id: Some(id(3)), reason: Some("recipient-refused".to_owned()) }],
            refused: [(email(3), 3.0)].into(),
            left: vec![("email_queue".to_owned(), 0)],
            ..Facts::default()
        }
    }

    fn broken(facts: &Facts) -> Vec<Rule> {
        judge(facts).findings.into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn a_run_in_which_everything_adds_up_passes() {
        let verdict = judge(&good());
        assert_eq!(verdict.findings, [], "all is well");
        assert_eq!(verdict.dead, BTreeMap::from([("recipient-refused".to_owned(), 1)]));
        assert_eq!(verdict.repeated, BTreeMap::new());
        assert_eq!(verdict.ends, Ends { mailed: 3, put_aside: 1, ..Ends::default() });
    }

    #[test]
    fn whatever_does_not_add_up_is_found() {
        type Break = fn(&mut Facts);
        let table: &[(&str, Break, &[Rule])] = &[
            ("a user's mail is missing", |f| drop(f.mails.remove(0)), &[Rule::NotLost]),
            ("a published task's mail is missing", |f| drop(f.mails.remove(2)), &[Rule::NotLost]),
            ("a dead letter is missing", |f| f.dead.clear(), &[Rule::NotLost]),
            ("a 201 without a user", |f| f.created.extend([email(9)]), &[Rule::CreatedIsUser]),
            ("a user without a task", |f| f.users.extend([email(9)]), &[Rule::UserHasTask]),
            ("a task without a user", |f| f.users.retain(|user| *user != email(3)), &[Rule::UserHasTask]),
            ("a mail of nobody", |f| f.mails.push(mail(9, 5.0)), &[Rule::NoStranger]),
            ("a mail to somebody else", |f| f.mails[0].email = email(2), &[Rule::NoStranger]),
            ("a mail twice", |f| f.mails.push(mail(1, 5.0)), &[Rule::RepeatedInWindow]),
            ("a mail, then a dead letter", |f| f.mails.push(mail(3, 2.0)), &[Rule::RepeatedInWindow]),
            (
                "a dead letter, then two mails",
                |f| f.mails.extend([mail(3, 5.0), mail(3, 6.0)]),
                &[Rule::RepeatedInWindow],
            ),
            ("a dead letter without a reason", |f| f.dead[0].reason = None, &[Rule::DeadHasReason]),
            ("refused by nobody", |f| f.refused.clear(), &[Rule::DeadHasReason]),
            ("given up", |f| f.dead[0].reason = Some("gave-up".to_owned()), &[Rule::DeadHasReason]),
            ("nobody crashed", |f| f.dead[0].reason = Some("crashes-worker".to_owned()), &[Rule::DeadHasReason]),
            ("a dead letter of nobody", |f| f.dead.push(Dead { id: None, reason: None }), &[Rule::DeadHasReason]),
            ("something in a queue", |f| f.left[0].1 = 3, &[Rule::NothingLeft]),
            ("an odd answer", |f| f.odd.push("409".to_owned()), &[Rule::NothingOdd]),
        ];
        for (name, break_it, rules) in table {
            let mut facts = good();
            break_it(&mut facts);
            assert_eq!(broken(&facts), *rules, "{name}");
        }
    }

    #[test]
    fn a_task_that_was_not_confirmed_may_be_missing_and_may_not_be_mailed_twice() {
        let mut facts = good();
        facts.published[0].promised = false;
        facts.mails.remove(2);
        assert_eq!(broken(&facts), [], "nobody promised it");
        facts.mails.extend([mail(4, 4.0), mail(4, 5.0)]);
        assert_eq!(broken(&facts), [Rule::RepeatedInWindow]);
    }

    #[test]
    fn the_second_copy_of_a_task_may_be_taken_after_the_first_was_refused() {
        let mut facts = good();
        facts.mails.push(mail(3, 5.0));
        let verdict = judge(&facts);
        assert_eq!(verdict.findings, []);
        assert_eq!(verdict.ends.both, 1);
    }

    #[test]
    fn a_repetition_in_a_window_is_counted_there_and_excuses_no_second_one() {
        let mut facts = good();
        facts.mails.push(Acceptance { unsaid: true, ..mail(1, 0.5) });
        let verdict = judge(&facts);
        assert_eq!(verdict.findings, []);
        assert_eq!(verdict.repeated, BTreeMap::from([("answer lost after the dot", 1)]));
        facts.mails.push(mail(1, 6.0));
        assert_eq!(broken(&facts), [Rule::RepeatedInWindow], "one window, two repetitions");
    }

    #[test]
    fn a_crash_repeats_no_more_than_slots_and_marks() {
        let kill = Happened { victim: Victim::Worker(0), kind: Kind::Kill, from: 10.1, until: 12.0 };
        let count = |n: usize| {
            let numbers = 1..=u32::try_from(n).unwrap();
            let task = |n| Task { id: id(n), email: email(n), promised: true };
            let mails = numbers.clone().map(|n| mail(n, 10.0)).collect();
            let facts = Facts { faults: vec![kill], mails, published: numbers.map(task).collect(), ..Facts::default() };
            broken(&facts)
        };
        assert_eq!(count(REPEATED_A_CRASH), []);
        assert_eq!(count(REPEATED_A_CRASH + 1), [Rule::CrashIsBounded]);
    }
}
