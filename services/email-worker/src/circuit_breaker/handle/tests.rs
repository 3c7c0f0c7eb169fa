use std::future::Future;

use super::*;
use crate::smtp::{Broken, Reply, Stage};

const MS: Duration = Duration::from_millis(1);
const SENDER: Cause = Cause::MailServer(Outage::SenderRefused);
const DOWN: Cause = Cause::MailServer(Outage::Unreachable);

fn breaker() -> CircuitBreaker {
    CircuitBreaker::new(MS, 2 * MS)
}

async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), wait).await.unwrap_or_else(|_| panic!("not within 5 s: {what}"))
}

#[tokio::test]
async fn waiting_slots_go_on_when_the_probe_goes_well() {
    let breaker = breaker();
    breaker.fail(DOWN, &"refused");
    assert!(breaker.try_permit("example.com").is_none());
    let slots: Vec<_> = (0..16)
        .map(|_| {
            tokio::spawn({
                let breaker = breaker.clone();
                async move { breaker.permit("example.com").await.accepted() }
            })
        })
        .collect();
    assert_eq!(soon("a probe", breaker.next_probe()).await, Probe::MailServer);
    breaker.probed(Err(DOWN));
    assert_eq!(soon("a second probe", breaker.next_probe()).await, Probe::MailServer);
    breaker.probed(Ok(()));
    for slot in slots {
        soon("each slot", slot).await.unwrap();
    }
}

#[tokio::test]
async fn a_half_open_gate_lets_one_mail_through_and_passes_an_unused_right_on() {
    let breaker = breaker();
    breaker.try_permit("example.com").unwrap().outage(SENDER, &"553 not you");
    let probing = tokio::spawn({
        let breaker = breaker.clone();
        async move { breaker.next_probe().await }
    });
    let first = soon("half-open", breaker.permit("example.com")).await;
    assert_eq!(first.probing(), Some(SENDER));
    assert!(breaker.try_permit("example.com").is_none(), "a second mail was let through");
    drop(first);
    let second = soon("the right that was not used", breaker.permit("example.com")).await;
    second.accepted();
    assert_eq!(breaker.state(), State::Closed);
    probing.abort();
}

#[tokio::test]
async fn a_mail_that_the_server_wants_later_says_that_the_server_is_well() {
    let breaker = breaker();
    breaker.fail(SENDER, &"553 not you");
    let probing = tokio::spawn({
        let breaker = breaker.clone();
        async move { breaker.next_probe().await }
    });
    soon("half-open", breaker.permit("example.com")).await.put_off();
    assert_eq!(breaker.state(), State::Closed);
    probing.abort();
}

#[tokio::test]
async fn whoever_watches_hears_of_each_move_and_of_nothing_else() {
    let breaker = breaker();
    let mut watched = breaker.watch();
    breaker.try_permit("example.com").unwrap().accepted();
    assert!(!watched.has_changed().unwrap(), "it did not move");
    breaker.fail(DOWN, &"refused");
    assert!(watched.has_changed().unwrap(), "it opened");
    assert_eq!(*watched.borrow_and_update(), breaker.state());
    breaker.fail(DOWN, &"refused");
    assert!(!watched.has_changed().unwrap(), "it was open");
}

#[tokio::test]
async fn what_was_said_last_is_known_by_its_cause() {
    let breaker = breaker();
    assert_eq!(breaker.words(DOWN), None);
    for words in ["refused", "no route"] {
        breaker.fail(DOWN, &words);
        assert_eq!(breaker.words(DOWN).as_deref(), Some(words));
    }
    breaker.heard(SENDER, &"553 not you");
    assert_eq!((breaker.words(DOWN), breaker.words(SENDER).as_deref()), (None, Some("553 not you")));
}

fn refusal(reply: &str) -> SendError {
    let (code, text) = reply.split_once(' ').unwrap();
    SendError::Refused { stage: Stage::Rcpt, reply: Reply::new(code.parse().unwrap(), text, &[]), fresh: true }
}

/// Refuses so many mails, each for a domain of its own; where the breaker stands after.
fn refuse(breaker: &CircuitBreaker, mails: usize, reply: &str) -> State {
    for n in 0..mails {
        let permit = breaker.try_permit(&format!("d{n}.example")).unwrap_or_else(|| panic!("{reply}: open after {n}"));
        permit.refused(TaskId::new(), &refusal(reply));
    }
    breaker.state()
}

#[tokio::test]
async fn twenty_refusals_at_several_domains_open_the_gate() {
    let breaker = breaker();
    assert_eq!(refuse(&breaker, 19, "550 5.7.1 not from you"), State::Closed);
    let State::Open { cause, .. } = refuse(&breaker, 1, "550 5.7.1 not from you") else {
        panic!("{:?}", breaker.state())
    };
    assert_eq!(cause, Cause::MailServer(Outage::EveryoneRefused));
    assert_eq!(breaker.words(cause).as_deref(), Some("refused at RCPT: 550 5.7.1 not from you"));
}

#[tokio::test]
async fn what_is_for_now_or_the_addresss_own_never_opens_it() {
    for reply in [
        "450 4.2.0 later",
        "450 4.7.1 Greylisted",
        "451 4.7.1 try again later",
        "450 4.2.1 The user you are trying to contact is receiving mail too quickly",
        "452 4.2.2 full",
        "554 5.1.2 no such domain",
        "550 5.1.1 no such user",
        "552 5.2.2 full",
        "556 5.1.10 null MX",
    ] {
        assert_eq!(refuse(&breaker(), 500, reply), State::Closed, "{reply}");
    }
}

#[tokio::test]
async fn one_mail_after_the_other_without_an_answer_opens_it_and_the_one_that_does_is_told() {
    let breaker = breaker();
    let silence = SendError::Unanswered { cause: Broken::Timeout(MS) };
    let unanswered = || breaker.try_permit("a.example").expect("closed").unanswered(TaskId::new(), &silence);
    let opened: Vec<bool> = (0..Unanswered::LIMIT).map(|_| unanswered()).collect();
    let expected: Vec<bool> = (1..=Unanswered::LIMIT).map(|n| n == Unanswered::LIMIT).collect();
    assert_eq!(opened, expected);
    let State::Open { cause, .. } = breaker.state() else { panic!("{:?}", breaker.state()) };
    assert_eq!(cause, Cause::MailServer(Outage::NoAnswerAfterData));
    assert_eq!(breaker.words(cause), Some(silence.to_string()));
}

#[tokio::test]
async fn a_server_that_refuses_everyone_is_tried_for_a_domain_that_took_mail_before() {
    let breaker = breaker();
    let permit = breaker.try_permit("good.example").unwrap();
    permit.recipient_taken();
    permit.accepted();
    refuse(&breaker, 200, "550 5.7.1 not from you");
    let probing = tokio::spawn({
        let breaker = breaker.clone();
        async move { breaker.next_probe().await }
    });
    let waiting = |domain: &'static str| {
        let breaker = breaker.clone();
        async move { breaker.permit(domain).await }
    };
    // The one that came last.
    let (refused, unknown) = (tokio::spawn(waiting("d3.example")), tokio::spawn(waiting("new.example")));
    let first = soon("half-open", breaker.permit("good.example")).await;
    assert!(!refused.is_finished() && !unknown.is_finished());
    first.accepted();
    assert_eq!(breaker.state(), State::Closed);
    for other in [refused, unknown] {
        soon("closed again", other).await.unwrap().accepted();
    }
    probing.abort();
}

#[tokio::test]
async fn where_nothing_better_waits_any_mail_tries_it() {
    let breaker = breaker();
    refuse(&breaker, 20, "550 5.7.1 not from you");
    let probing = tokio::spawn({
        let breaker = breaker.clone();
        async move { breaker.next_probe().await }
    });
    soon("the only one", breaker.permit("d0.example")).await.accepted();
    assert_eq!(breaker.state(), State::Closed);
    probing.abort();
}
