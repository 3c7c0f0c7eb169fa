//! The rules: what must be true of a run, task by task. Pure, so that tests show that each of them can fail.

use std::collections::{BTreeMap, HashMap, HashSet};

use contract::TaskId;

use crate::copies::may_be_copied;
use crate::facts::{Dead, Facts, Task};
use crate::schedule::{Kind, Victim};
use crate::windows::{Window, windows};

/// What a crash may repeat at most: the sending slots, and the marks on their way.
pub(crate) const REPEATED_A_CRASH: usize = system::SLOTS + 100;

/// Crashes with a task alone in flight after which it is put aside.
const LONE_RUNS: usize = 3;

/// From the refusal to the acknowledgement of the task, with the dead letter published between them, in seconds.
const PUT_ASIDE_WITHIN: f64 = 1.0;

/// So many tasks of a run may have a second copy that shows, if more than half of those put aside: a fault at the very moment of
/// a move makes one, and most moves are at no such moment.
const COPIES: usize = 10;

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
    AnsweredInTheEnd,
    ConfirmedInTheEnd,
    CreatedIsUser,
    UserHasTask,
    NotLost,
    NoStranger,
    RepeatedInWindow,
    CrashIsBounded,
    CopiesAreFew,
    DeadHasReason,
    MarkedIsTold,
    ToldIsSent,
    NothingLeft,
    NothingOdd,
}

impl Rule {
    pub(crate) const ALL: [Self; 14] = [
        Self::AnsweredInTheEnd,
        Self::ConfirmedInTheEnd,
        Self::CreatedIsUser,
        Self::UserHasTask,
        Self::NotLost,
        Self::NoStranger,
        Self::RepeatedInWindow,
        Self::CrashIsBounded,
        Self::CopiesAreFew,
        Self::DeadHasReason,
        Self::MarkedIsTold,
        Self::ToldIsSent,
        Self::NothingLeft,
        Self::NothingOdd,
    ];

    /// What it is called when it is broken.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AnsweredInTheEnd => "registration without a 201 to the end",
            Self::ConfirmedInTheEnd => "published, and not confirmed to the end",
            Self::CreatedIsUser => "answered 201 and no user",
            Self::UserHasTask => "user without exactly one task",
            Self::NotLost => "lost: neither mail nor dead letter",
            Self::NoStranger => "mail that no task stands for",
            Self::RepeatedInWindow => "repeated outside of every window",
            Self::CrashIsBounded => "a crash repeated more than slots + 100",
            Self::CopiesAreFew => "more second copies than faults explain",
            Self::DeadHasReason => "dead letter without a good reason",
            Self::MarkedIsTold => "marked as sent and no event",
            Self::ToldIsSent => "an event of a mail that was not sent",
            Self::NothingLeft => "left on the way",
            Self::NothingOdd => "odd",
        }
    }
}

/// What came of a run.
#[derive(Debug, Default)]
pub(crate) struct CheckResult {
    pub(crate) findings: Vec<Finding>,
    /// Dead letters by reason.
    pub(crate) dead: BTreeMap<String, usize>,
    /// Repetitions by the window that explains them.
    pub(crate) repeated: BTreeMap<&'static str, usize>,
    /// Tasks whose second copy was seen: refused, then taken or refused again.
    pub(crate) copied: usize,
    /// Ends of bare tasks that nothing tells apart.
    pub(crate) twins: usize,
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

impl CheckResult {
    pub(crate) fn count(&self, rule: Rule) -> usize {
        self.findings.iter().filter(|finding| finding.rule == rule).count()
    }

    fn find(&mut self, rule: Rule, what: impl Into<String>, task: Option<TaskId>) {
        self.findings.push(Finding { rule, what: what.into(), task });
    }
}

/// Looks at everything.
pub(crate) fn check(facts: &Facts) -> CheckResult {
    let mut result = CheckResult::default();
    load(facts, &mut result);
    users(facts, &mut result);
    tasks(facts, &mut result);
    twins(facts, &mut result);
    crashes(facts, &mut result);
    dead_letters(facts, &mut result);
    events(facts, &mut result);
    for (queue, count) in facts.left.iter().filter(|(_, count)| *count > 0) {
        result.find(Rule::NothingLeft, format!("{count} in {queue}"), None);
    }
    for odd in &facts.odd {
        result.find(Rule::NothingOdd, odd, None);
    }
    result.findings.sort_by_key(|finding| finding.rule);
    result
}

/// The floor: a run in which nothing was taken says nothing about what became of it. All is healed long before the clients
/// lose their patience, so each of them comes to its 201, and each message to its confirm.
fn load(facts: &Facts, result: &mut CheckResult) {
    if facts.asked.is_empty() {
        result.find(Rule::AnsweredInTheEnd, "nobody registered", None);
    }
    for email in facts.asked.iter().filter(|email| !facts.created.contains(*email)) {
        result.find(Rule::AnsweredInTheEnd, email, None);
    }
    if facts.published.is_empty() {
        result.find(Rule::ConfirmedInTheEnd, "nothing was published", None);
    }
    for task in facts.published.iter().filter(|task| !task.promised) {
        result.find(Rule::ConfirmedInTheEnd, &task.email, Some(task.id));
    }
}

fn users(facts: &Facts, result: &mut CheckResult) {
    for email in facts.created.difference(&facts.users) {
        result.find(Rule::CreatedIsUser, email, None);
    }
    let mut tasks: HashMap<&str, usize> = HashMap::new();
    for task in &facts.committed {
        *tasks.entry(&task.email).or_default() += 1;
        if !facts.users.contains(&task.email) {
            result.find(Rule::UserHasTask, format!("{}: a task and no user", task.email), Some(task.id));
        }
    }
    for email in &facts.users {
        let count = tasks.get(email.as_str()).copied().unwrap_or(0);
        if count != 1 {
            result.find(Rule::UserHasTask, format!("{email}: {count} tasks"), None);
        }
    }
}

/// Of the mails of a task at most one is outside of the windows, and none where a dead letter came after it.
fn tasks(facts: &Facts, result: &mut CheckResult) {
    let (windows, mails) = (windows(facts), facts.mails_by_task());
    let dead: HashSet<TaskId> = facts.dead.iter().filter_map(|letter| letter.id).collect();
    let known: HashMap<TaskId, &str> = facts.tasks().map(|task| (task.id, task.email.as_str())).collect();
    for task in facts.tasks() {
        let of_task = mails.get(&task.id).map(Vec::as_slice).unwrap_or_default();
        let put_aside = usize::from(dead.contains(&task.id));
        let ends = &mut result.ends;
        *match (of_task.is_empty(), put_aside) {
            (false, 0) => &mut ends.mailed,
            (false, _) => &mut ends.both,
            (true, 0) if task.promised => &mut ends.neither,
            (true, 0) => &mut ends.unconfirmed,
            (true, _) => &mut ends.put_aside,
        } += 1;
        if of_task.is_empty() && put_aside == 0 && task.promised {
            result.find(Rule::NotLost, &task.email, Some(task.id));
        }
        let explained: Vec<Window> = of_task.iter().filter_map(|n| windows[*n]).collect();
        // The task was there twice, and the copies are judged one after the other: refused, then taken. Not the other way round,
        // and not where nothing broke that makes a second copy.
        let last = of_task.last().map_or(0.0, |n| facts.mails[*n].at);
        let refused_first = facts.refused.get(&task.email).is_some_and(|refused| *refused < last);
        let second_copy = put_aside > 0 && refused_first && may_be_copied(facts, task.since, last);
        result.copied += usize::from(second_copy);
        let ends = of_task.len() + if second_copy { 0 } else { put_aside };
        if ends > explained.len() + 1 {
            let text = format!(
                "{}: {} mails and {put_aside} dead letters, {} of them explained",
                task.email,
                of_task.len(),
                explained.len()
            );
            result.find(Rule::RepeatedInWindow, text, Some(task.id));
        }
        for window in explained.iter().take(ends.saturating_sub(1)) {
            *result.repeated.entry(window.name()).or_default() += 1;
        }
    }
    let twins: HashSet<&str> = facts.twins.iter().map(|twin| twin.email.as_str()).collect();
    for mail in facts.mails.iter().filter(|mail| !twins.contains(mail.email.as_str())) {
        if known.get(&mail.id) != Some(&mail.email.as_str()) {
            result.find(Rule::NoStranger, format!("a mail to {}", mail.email), Some(mail.id));
        }
    }
}

/// As many ends as were published, whatever broke; more only where something did.
fn twins(facts: &Facts, result: &mut CheckResult) {
    let broke = facts.faults.iter().any(|fault| fault.kind != Kind::Latency);
    for twin in &facts.twins {
        let mails = facts.mails.iter().filter(|mail| mail.email == twin.email).count();
        let ends = mails + twin.put_aside;
        result.twins += ends;
        let text =
            || format!("{}: {} bare tasks, {mails} mails, {} put aside", twin.email, twin.confirmed, twin.put_aside);
        if ends < twin.confirmed {
            result.find(Rule::NotLost, text(), None);
        }
        if ends > twin.tries && !broke {
            result.find(Rule::RepeatedInWindow, text(), None);
        }
        if twin.confirmed == 0 {
            result.find(Rule::ConfirmedInTheEnd, &twin.email, None);
        }
    }
}

/// Each crash leaves at most so many mails that were taken and not marked.
fn crashes(facts: &Facts, result: &mut CheckResult) {
    let mut unmarked: HashMap<usize, usize> = HashMap::new();
    for window in windows(facts).into_iter().flatten() {
        if let Window::DiedBeforeMark(kill) = window {
            *unmarked.entry(kill).or_default() += 1;
        }
    }
    for (kill, count) in unmarked.into_iter().filter(|(_, count)| *count > REPEATED_A_CRASH) {
        let fault = &facts.faults[kill];
        let text = format!("{count} mails by the death of {} at {:.1} s", fault.victim, fault.from);
        result.find(Rule::CrashIsBounded, text, None);
    }
}

fn dead_letters(facts: &Facts, result: &mut CheckResult) {
    let tasks: HashMap<TaskId, &Task> = facts.tasks().map(|task| (task.id, task)).collect();
    let is_kill = |victim: Victim, kind: Kind| matches!(victim, Victim::Worker(_)) && kind == Kind::Kill;
    let kills = facts.faults.iter().filter(|fault| is_kill(fault.victim, fault.kind)).count();
    let loses_answers = facts.faults.iter().any(|fault| {
        fault.victim == Victim::MailServer
            || matches!((fault.victim, fault.kind), (Victim::Worker(_), Kind::Freeze | Kind::Kill))
    });
    let mut letters: BTreeMap<TaskId, usize> = BTreeMap::new();
    for id in facts.dead.iter().filter_map(|letter| letter.id) {
        *letters.entry(id).or_default() += 1;
    }
    let put_aside = letters.len();
    for (id, count) in letters.into_iter().filter(|(_, count)| *count > 1) {
        result.ends.letters_twice += count - 1;
        result.copied += 1;
        let Some(task) = tasks.get(&id) else { continue };
        let last = facts.refused.get(&task.email).map_or(f64::INFINITY, |refused| refused + PUT_ASIDE_WITHIN);
        if !may_be_copied(facts, task.since, last) {
            let text = format!("{}: {count} dead letters, and nothing broke that makes a second copy", task.email);
            result.find(Rule::RepeatedInWindow, text, Some(id));
        }
    }
    if result.copied > COPIES.max(put_aside / 2) {
        let text = format!("{} of the {put_aside} tasks that were put aside were there twice", result.copied);
        result.find(Rule::CopiesAreFew, text, None);
    }
    for Dead { id, reason } in &facts.dead {
        let email = id.and_then(|id| tasks.get(&id)).map(|task| task.email.as_str());
        let name = email.unwrap_or("a task that nobody sent");
        let refused = email.is_some_and(|email| facts.refused.contains_key(email));
        let good = match reason.as_deref() {
            _ if email.is_none() => false,
            // As the mail server said: 5.1.1, or 5.7.1.
            Some("user-unknown" | "policy-violation") => refused,
            Some("crashes-worker") => kills >= LONE_RUNS,
            // Its answer was lost, and the one to its repeat.
            Some("outcome-unknown") => loses_answers,
            _ => false,
        };
        let reason = reason.as_deref().unwrap_or("no reason");
        if !good {
            result.find(Rule::DeadHasReason, format!("{name}: {reason}"), *id);
        }
        *result.dead.entry(reason.to_owned()).or_default() += 1;
    }
}

/// At least one for each mark, and none of what the mail server has not.
fn events(facts: &Facts, result: &mut CheckResult) {
    let told: HashSet<TaskId> = facts.told.iter().copied().collect();
    let marked: HashSet<TaskId> = facts.marks.iter().map(|mark| mark.id).collect();
    let sent: HashSet<TaskId> = facts.mails.iter().map(|mail| mail.id).collect();
    for id in marked.difference(&told) {
        result.find(Rule::MarkedIsTold, id.to_string(), Some(*id));
    }
    for id in told.difference(&sent) {
        result.find(Rule::ToldIsSent, id.to_string(), Some(*id));
    }
}

#[cfg(test)]
mod tests;
