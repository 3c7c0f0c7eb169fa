use std::mem::take;

use super::*;
use crate::facts::{Acceptance, Happened, Note, Twins};

fn id(n: u32) -> TaskId {
    TaskId::from_message_id(&n.to_string())
}

fn email(n: u32) -> String {
    format!("{n}@example.com")
}

fn mail(n: u32, at: f64) -> Acceptance {
    Acceptance { id: id(n), email: email(n), worker: 0, begun: at - 0.01, at, unsaid: false }
}

fn task(n: u32) -> Task {
    Task { id: id(n), email: email(n), since: 0.5, promised: true }
}

fn fault(victim: Victim, kind: Kind, from: f64, until: f64) -> Happened {
    Happened { victim, kind, planned: from, from, until }
}

/// Three bare tasks with one content: two mails, one put aside.
fn twins() -> Vec<Twins> {
    vec![Twins { email: "twin@example.com".to_owned(), confirmed: 3, tries: 3, put_aside: 1 }]
}

/// A mail for one of them.
fn twins_mail(n: u32) -> Acceptance {
    Acceptance { email: "twin@example.com".to_owned(), ..mail(n, 1.5) }
}

/// Users 1, 2, 3: two mails, one dead letter. Task 4 was published, and mailed.
fn good() -> Facts {
    let mails = vec![mail(1, 1.0), mail(2, 2.0), mail(4, 4.0), twins_mail(21), twins_mail(22)];
    let note = |mail: &Acceptance| Note { id: mail.id, worker: 0, at: mail.at + 0.01 };
    Facts {
        asked: (1..=3).map(email).collect(),
        users: (1..=3).map(email).collect(),
        created: (1..=3).map(email).collect(),
        committed: (1..=3).map(task).collect(),
        published: vec![task(4)],
        twins: twins(),
        heard: mails.iter().map(note).collect(),
        marks: mails.iter().map(note).collect(),
        told: mails.iter().map(|mail| mail.id).collect(),
        mails,
        dead: vec![Dead { id: Some(id(3)), reason: Some("user-unknown".to_owned()) }],
        refused: [(email(3), 3.0)].into(),
        left: vec![("email_queue".to_owned(), 0)],
        ..Facts::default()
    }
}

fn broken(facts: &Facts) -> Vec<Rule> {
    check(facts).findings.into_iter().map(|finding| finding.rule).collect()
}

#[test]
fn a_run_in_which_everything_adds_up_passes() {
    let result = check(&good());
    assert_eq!(result.findings, [], "all is well");
    assert_eq!(result.dead, BTreeMap::from([("user-unknown".to_owned(), 1)]));
    assert_eq!(result.repeated, BTreeMap::new());
    assert_eq!(result.ends, Ends { mailed: 3, put_aside: 1, ..Ends::default() });
}

#[test]
fn whatever_does_not_add_up_is_found() {
    type Break = fn(&mut Facts);
    let table: &[(&str, Break, &[Rule])] = &[
        ("a user's mail is missing", |f| drop(f.mails.remove(0)), &[Rule::NotLost, Rule::ToldIsSent]),
        ("a published task's mail is missing", |f| drop(f.mails.remove(2)), &[Rule::NotLost, Rule::ToldIsSent]),
        ("a dead letter is missing", |f| f.dead.clear(), &[Rule::NotLost]),
        (
            "a registration without an answer",
            |f| f.created.retain(|created| *created != email(2)),
            &[Rule::AnsweredInTheEnd],
        ),
        (
            "503 to everything",
            |f| {
                *f = Facts {
                    asked: take(&mut f.asked),
                    published: vec![task(4)],
                    mails: vec![mail(4, 4.0)],
                    ..Facts::default()
                };
            },
            &[Rule::AnsweredInTheEnd; 3],
        ),
        ("no load at all", |f| *f = Facts::default(), &[Rule::AnsweredInTheEnd, Rule::ConfirmedInTheEnd]),
        ("a task never confirmed", |f| f.published[0].promised = false, &[Rule::ConfirmedInTheEnd]),
        ("a 201 without a user", |f| f.created.extend([email(9)]), &[Rule::CreatedIsUser]),
        ("a user without a task", |f| f.users.extend([email(9)]), &[Rule::UserHasTask]),
        (
            "a task without a user",
            |f| f.users.retain(|user| *user != email(3)),
            &[Rule::CreatedIsUser, Rule::UserHasTask],
        ),
        ("a mark without an event", |f| f.told.retain(|told| *told != id(1)), &[Rule::MarkedIsTold]),
        ("an event of a mail that was not sent", |f| f.told.push(id(3)), &[Rule::ToldIsSent]),
        ("an event twice", |f| f.told.push(id(1)), &[]),
        ("a mail of nobody", |f| f.mails.push(mail(9, 5.0)), &[Rule::NoStranger]),
        ("a mail to somebody else", |f| f.mails[0].email = email(2), &[Rule::NoStranger]),
        ("a mail twice", |f| f.mails.push(mail(1, 5.0)), &[Rule::RepeatedInWindow]),
        ("a mail, then a dead letter", |f| f.mails.push(mail(3, 2.0)), &[Rule::RepeatedInWindow]),
        (
            "a dead letter, then two mails",
            |f| {
                f.faults.push(fault(Victim::Api(0), Kind::Kill, 0.6, 2.0));
                f.mails.extend([mail(3, 5.0), mail(3, 6.0)]);
            },
            &[Rule::RepeatedInWindow],
        ),
        ("a dead letter, then a mail, and no fault", |f| f.mails.push(mail(3, 5.0)), &[Rule::RepeatedInWindow]),
        (
            "a dead letter, then a mail, and a fault that copies nothing",
            |f| {
                f.faults.push(fault(Victim::Broker, Kind::Latency, 1.0, 5.0));
                f.mails.push(mail(3, 5.0));
            },
            &[Rule::RepeatedInWindow],
        ),
        ("a dead letter twice, and no fault", |f| f.dead.push(f.dead[0].clone()), &[Rule::RepeatedInWindow]),
        ("a dead letter without a reason", |f| f.dead[0].reason = None, &[Rule::DeadHasReason]),
        ("refused by nobody", |f| f.refused.clear(), &[Rule::DeadHasReason]),
        ("given up", |f| f.dead[0].reason = Some("gave-up".to_owned()), &[Rule::DeadHasReason]),
        ("nobody crashed", |f| f.dead[0].reason = Some("crashes-worker".to_owned()), &[Rule::DeadHasReason]),
        ("no answer was lost", |f| f.dead[0].reason = Some("outcome-unknown".to_owned()), &[Rule::DeadHasReason]),
        ("a dead letter of nobody", |f| f.dead.push(Dead { id: None, reason: None }), &[Rule::DeadHasReason]),
        ("a twin's mail is missing", |f| drop(f.mails.pop()), &[Rule::NotLost, Rule::ToldIsSent]),
        ("a twin's dead letter is missing", |f| f.twins[0].put_aside = 0, &[Rule::NotLost]),
        ("a twin's mail too many", |f| f.mails.push(twins_mail(23)), &[Rule::RepeatedInWindow]),
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
fn a_task_that_was_not_confirmed_is_not_lost_and_may_not_be_mailed_twice() {
    let mut facts = good();
    facts.published[0].promised = false;
    facts.mails.remove(2);
    facts.marks.remove(2);
    facts.told.remove(2);
    assert_eq!(broken(&facts), [Rule::ConfirmedInTheEnd], "not lost: nobody promised it");
    facts.mails.extend([mail(4, 4.0), mail(4, 5.0)]);
    assert_eq!(broken(&facts), [Rule::ConfirmedInTheEnd, Rule::RepeatedInWindow]);
}

#[test]
fn a_bare_task_may_be_mailed_again_where_something_broke_or_a_try_was_not_confirmed() {
    let mut facts = good();
    facts.mails.push(twins_mail(23));
    facts.faults.push(fault(Victim::Broker, Kind::Latency, 0.6, 2.0));
    assert_eq!(broken(&facts), [Rule::RepeatedInWindow], "latency repeats nothing");
    facts.faults.push(fault(Victim::Broker, Kind::Resets, 0.6, 2.0));
    assert_eq!(broken(&facts), []);
    facts.faults.clear();
    facts.twins[0].tries = 4;
    assert_eq!(broken(&facts), []);
}

#[test]
fn the_second_copy_of_a_task_may_be_taken_after_the_first_was_refused() {
    let mut facts = good();
    facts.faults.push(fault(Victim::Api(0), Kind::Kill, 0.6, 2.0));
    facts.mails.push(mail(3, 5.0));
    let result = check(&facts);
    assert_eq!(result.findings, []);
    assert_eq!(result.ends.both, 1);
}

#[test]
fn a_task_that_was_there_twice_may_be_refused_twice() {
    let mut facts = good();
    facts.faults.push(fault(Victim::Worker(0), Kind::Kill, 3.1, 4.0));
    facts.dead.push(facts.dead[0].clone());
    let result = check(&facts);
    assert_eq!(result.findings, []);
    assert_eq!(result.ends.letters_twice, 1);
}

#[test]
fn faults_explain_a_second_copy_now_and_then_and_not_of_every_task() {
    let copied = |n: u32| {
        let mut facts = Facts { faults: vec![fault(Victim::Worker(0), Kind::Kill, 3.1, 4.0)], ..good() };
        for n in 5..5 + n {
            facts.published.push(task(n));
            facts.refused.insert(email(n), 3.0);
            let letter = Dead { id: Some(id(n)), reason: Some("user-unknown".to_owned()) };
            facts.dead.extend([letter.clone(), letter]);
        }
        broken(&facts)
    };
    assert_eq!(copied(10), []);
    assert_eq!(copied(11), [Rule::CopiesAreFew]);
}

#[test]
fn a_repetition_in_a_window_is_counted_there_and_excuses_no_second_one() {
    let mut facts = good();
    facts.mails.push(Acceptance { unsaid: true, ..mail(1, 0.5) });
    let result = check(&facts);
    assert_eq!(result.findings, []);
    assert_eq!(result.repeated, BTreeMap::from([("answer lost after the dot", 1)]));
    facts.mails.push(mail(1, 6.0));
    assert_eq!(broken(&facts), [Rule::RepeatedInWindow], "one window, two repetitions");
}

#[test]
fn a_crash_repeats_no_more_than_slots_and_marks() {
    let kill = fault(Victim::Worker(0), Kind::Kill, 10.1, 12.0);
    let count = |n: usize| {
        let numbers = 5..5 + u32::try_from(n).unwrap();
        let mut facts = Facts { faults: vec![kill], ..good() };
        facts.mails.extend(numbers.clone().map(|n| mail(n, 10.0)));
        facts.published.extend(numbers.map(task));
        broken(&facts)
    };
    assert_eq!(count(REPEATED_A_CRASH), []);
    assert_eq!(count(REPEATED_A_CRASH + 1), [Rule::CrashIsBounded]);
}
