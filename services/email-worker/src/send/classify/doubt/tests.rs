use super::trial::WAITS as TRIAL;
use super::*;

const LATER: Kind = Kind { stage: Stage::Rcpt, code: 450, enhanced: Some((4, 7, 1)) };
const OTHER: Kind = Kind { stage: Stage::Content, code: 451, enhanced: None };

/// A refusal of a mail that goes at once and is answered at once.
fn refusal(kind: Kind, tries: usize, now: Instant) -> Unclear {
    Unclear { kind, tries, began: now }
}

/// A server that takes mails at once.
fn welcomed() -> (Findings, Instant) {
    let (mut doubts, now) = (Findings::default(), Instant::now());
    doubts.taken(true, now);
    (doubts, now)
}

#[test]
fn a_mail_that_is_refused_again_and_again_has_a_refusal_of_its_own_and_so_have_the_next() {
    let (mut doubts, now) = (Findings::default(), Instant::now());
    for (tries, wait) in TRIAL.into_iter().enumerate() {
        assert_eq!(doubts.refused(refusal(LATER, tries, now), now), Advice::TryAgainIn(wait), "try {tries}");
    }
    assert_eq!(doubts.refused(refusal(LATER, 3, now), now), Advice::ItsOwn);
    assert_eq!(doubts.refused(refusal(LATER, 0, now), now), Advice::ItsOwn, "another mail");
    assert_eq!(doubts.refused(refusal(OTHER, 0, now), now), Advice::TryAgainIn(TRIAL[0]), "another kind of reply");
    assert_eq!(
        doubts.refused(refusal(LATER, 0, now + BELIEVED_FOR), now + BELIEVED_FOR),
        Advice::TryAgainIn(TRIAL[0]),
        "after a while"
    );
}

#[test]
fn a_mail_that_is_taken_a_moment_later_was_refused_for_the_speed_and_so_are_the_next() {
    let (mut doubts, now) = welcomed();
    assert_eq!(doubts.refused(refusal(LATER, 0, now), now), Advice::TryAgainIn(TRIAL[0]));
    assert!(doubts.taken_after(LATER, now) && !doubts.taken_after(LATER, now));
    assert_eq!(doubts.refused(refusal(LATER, 0, now), now), Advice::TooFast);
    let later = now + BELIEVED_FOR;
    doubts.taken(true, later);
    assert!(doubts.taken_after(LATER, later), "it is news again");
}

#[test]
fn where_nobody_is_taken_at_once_a_mail_that_is_taken_later_says_nothing_about_the_speed() {
    let (mut doubts, began) = welcomed();
    let now = began + WELCOME.1 + Duration::from_millis(1);
    assert_eq!(doubts.refused(refusal(LATER, 0, now), now), Advice::TryAgainIn(TRIAL[0]));
    doubts.taken(false, now);
    assert!(!doubts.taken_after(LATER, now));
    assert_eq!(doubts.refused(refusal(LATER, 0, now), now), Advice::TryAgainIn(TRIAL[0]), "the next");
}

#[test]
fn when_sending_slower_does_not_help_it_was_not_the_speed() {
    for (accepted_between, expected) in [
        (0, Advice::ItsOwn),
        (1, Advice::ItsOwn),
        (2, Advice::ItsOwn),
        // The refusals are answers, too.
        (3, Advice::TooFast),
        (20, Advice::TooFast),
    ] {
        let (mut doubts, now) = welcomed();
        doubts.taken_after(LATER, now);
        for _ in 1..TOO_MANY {
            assert_eq!(doubts.refused(refusal(LATER, 0, now), now), Advice::TooFast);
            (0..accepted_between).for_each(|_| doubts.taken(false, now));
        }
        assert_eq!(
            doubts.refused(refusal(LATER, 0, now), now),
            expected,
            "{accepted_between} accepted after each refusal"
        );
    }
}

#[test]
fn what_was_under_way_at_a_refusal_says_nothing_about_what_sending_slower_helps() {
    let (mut doubts, now) = welcomed();
    doubts.taken_after(LATER, now);
    let before = Unclear { began: now - Duration::from_millis(1), ..refusal(LATER, 0, now) };
    for _ in 0..2 * TOO_MANY {
        assert_eq!(doubts.refused(before, now), Advice::TooFast);
    }
}

#[test]
fn all_flights_share_what_was_found() {
    let (doubts, began) = (Doubts::default(), Instant::now());
    let minute = |n: u32| began + n * Duration::from_secs(60);
    doubts.taken("good.example", true, began);
    assert_eq!(doubts.refused(refusal(LATER, 0, began), began), Advice::TryAgainIn(TRIAL[0]));
    assert!(doubts.taken_after(LATER, began) && !doubts.taken_after(LATER, began));
    assert_eq!(doubts.refused(refusal(LATER, 0, began), began), Advice::TooFast);

    (0..100).for_each(|_| doubts.taken("good.example", true, began));
    let whose = (0..20).map(|_| doubts.whose_limit("slow.example", began)).last();
    assert_eq!(whose, Some(Whose::Domain));

    assert_eq!([0, 1, 2].map(|n| doubts.hopeless(minute(n))), [false, false, true]);
    doubts.taken("good.example", true, minute(3));
    assert!(!doubts.hopeless(minute(6)), "it took one meanwhile");
}

#[test]
fn what_another_worker_found_counts_once_and_more_than_what_was_believed() {
    let (mut doubts, now) = (Findings::default(), Instant::now());
    doubts.learn(LATER, Belief::ItsOwn, now);
    doubts.told(LATER, 1_000.0, now);
    assert_eq!(doubts.refused(refusal(LATER, 0, now), now), Advice::TooFast);
    assert_eq!(doubts.refused(refusal(OTHER, 0, now), now), Advice::TryAgainIn(TRIAL[0]), "another kind of reply");
    doubts.learn(LATER, Belief::ItsOwn, now);
    doubts.told(LATER, 1_000.0, now);
    assert_eq!(doubts.refused(refusal(LATER, 0, now), now), Advice::ItsOwn, "it did not help");
    doubts.told(LATER, 1_001.0, now);
    assert_eq!(doubts.refused(refusal(LATER, 0, now), now), Advice::TooFast, "it is found again");
    (400..499).for_each(|code| doubts.told(Kind { code, ..LATER }, 1_000.0, now));
    assert_eq!(doubts.told.len(), KINDS);
}

#[test]
fn the_fleet_keeps_a_kind_by_words_that_stay() {
    assert_eq!([LATER, OTHER].map(|kind| kind.to_string()), ["rcpt 450 4.7.1", "content 451"]);
}

/// What a server did: so many mails of this answer, and then time passes.
enum Did {
    TookAtOnce(u32),
    TookLater(u32),
    Refused(u32),
    Nothing(Duration),
}

#[test]
fn a_server_that_took_everyone_at_once_and_then_takes_nobody_has_enough_for_a_long_time() {
    use Did::{Nothing, Refused, TookAtOnce, TookLater};
    let second = Duration::from_secs(1);
    let while_it_is_tried = Nothing(4 * second);
    for (name, did, expected) in [
        ("its mails are used up", [TookAtOnce(20), Nothing(second), Refused(10)], Advice::TooFast),
        ("some were under way", [TookAtOnce(20), Refused(10), TookAtOnce(5)], Advice::TooFast),
        ("few were taken", [TookAtOnce(19), Nothing(second), Refused(10)], Advice::ItsOwn),
        ("few were refused", [TookAtOnce(300), Nothing(second), Refused(9)], Advice::ItsOwn),
        (
            "they had been refused before, as by greylisting",
            [TookLater(300), Nothing(second), Refused(50)],
            Advice::ItsOwn,
        ),
        ("it was long ago", [TookAtOnce(300), Nothing(11 * second), Refused(50)], Advice::ItsOwn),
        ("others are taken meanwhile", [Refused(50), Nothing(2 * second), TookAtOnce(300)], Advice::ItsOwn),
        ("some are refused, and most are not", [TookAtOnce(5), Refused(50), TookAtOnce(300)], Advice::ItsOwn),
    ] {
        let (mut doubts, mut now) = (Findings::default(), Instant::now());
        for did in did.iter().chain([&while_it_is_tried]) {
            match did {
                TookAtOnce(mails) => (0..*mails).for_each(|_| doubts.taken(true, now)),
                TookLater(mails) => (0..*mails).for_each(|_| doubts.taken(false, now)),
                Refused(mails) => (0..*mails).for_each(|_| {
                    doubts.refused(refusal(LATER, 0, now), now);
                }),
                Nothing(time) => now += *time,
            }
        }
        assert_eq!(doubts.refused(refusal(LATER, TRIAL.len(), now), now), expected, "{name}");
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let (mut doubts, now) = welcomed();
    for code in 400..499 {
        doubts.taken_after(Kind { code, ..LATER }, now);
    }
    assert_eq!(doubts.known.len(), KINDS);
}
