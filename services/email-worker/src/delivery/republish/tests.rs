use super::*;
use crate::send::classify::Reason;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// What a task remembers of itself; a dead letter also says why, in words.
const COUNTED: [&str; 7] = [
    header::ATTEMPT,
    header::FIRST_FAILED_AT,
    header::UNKNOWN_OUTCOMES,
    header::DELIVERIES,
    header::SUSPECT,
    header::REDRIVEN_AT,
    header::DEAD_AT,
];

/// A task that has been through much, with a header of somebody else.
fn message() -> Message {
    let mut headers = Headers::default();
    for (name, value) in COUNTED.iter().zip([2, 50, 1, 7, 1]) {
        headers.set_u64(name, value);
    }
    headers.set_str("x-of-theirs", "kept");
    let properties = Properties {
        message_id: Some("m-1".to_owned()),
        kind: Some("email.welcome".to_owned()),
        timestamp: Some(40),
        headers,
        ..Properties::default()
    };
    Message { body: b"{}".to_vec(), properties }
}

fn dead(reason: DeadReason) -> DeadLetter {
    DeadLetter::new(reason, "550 no")
}

#[test]
fn each_move_keeps_the_task_and_counts_what_happened_to_it() {
    let (delay, attempt) = (Duration::from_secs(30), Attempt::from(3));
    let letter = |reason| to_dead_letters(message(), &dead(reason), at(90));
    for (name, moved, queue, counted) in [
        ("retry", to_retry(message(), delay, attempt, at(60)), queue::retry(delay), [3, 60, 1, 0, 0, 0, 0]),
        ("repeat", to_repeat(message(), delay, attempt, at(60)), queue::retry(delay), [3, 60, 2, 0, 0, 0, 0]),
        ("wait", to_wait(message(), delay, 9), queue::retry(delay), [2, 50, 1, 9, 1, 0, 0]),
        ("hand on", to_hand_on(message(), queue::EMAIL.to_owned(), 9), queue::EMAIL.to_owned(), [2, 50, 1, 9, 1, 0, 0]),
        ("set apart", to_set_apart(message(), "slow".to_owned(), 9), "slow".to_owned(), [2, 50, 1, 9, 1, 0, 0]),
        ("suspect", to_suspect(message()), queue::EMAIL.to_owned(), [2, 50, 1, 0, 1, 0, 0]),
        ("refused", letter(DeadReason::Refused(Reason::Blocked)), queue::DEAD.to_owned(), [3, 50, 1, 7, 1, 0, 90]),
        ("never answered", letter(DeadReason::OutcomeUnknown), queue::DEAD.to_owned(), [3, 50, 2, 7, 1, 0, 90]),
        ("never tried", letter(DeadReason::TooOld), queue::DEAD.to_owned(), [2, 50, 1, 7, 1, 0, 90]),
        (
            "redrive",
            to_redrive(letter(DeadReason::GaveUp).into(), at(95)),
            queue::EMAIL.to_owned(),
            [0, 0, 0, 0, 0, 95, 0],
        ),
        ("to another queue", to_queue(message(), "other".to_owned()), "other".to_owned(), [2, 50, 1, 7, 1, 0, 0]),
    ] {
        let Outgoing { queue: to, body, properties } = moved;
        assert_eq!((to, body), (queue, b"{}".to_vec()), "{name}");
        let counts = COUNTED.map(|name| properties.headers.get_u64(name));
        assert_eq!(counts, counted.map(|count| (count > 0).then_some(count)), "{name}: {COUNTED:?}");
        assert_eq!(properties.headers.get_str("x-of-theirs"), Some("kept"), "{name}");
        let kept = (properties.message_id.as_deref(), properties.kind.as_deref(), properties.timestamp);
        assert_eq!(kept, (Some("m-1"), Some("email.welcome"), Some(40)), "{name}");
    }
}

impl From<Outgoing> for Message {
    fn from(outgoing: Outgoing) -> Self {
        Self { body: outgoing.body, properties: outgoing.properties }
    }
}

#[test]
fn a_dead_letter_says_why_in_so_many_words_and_a_task_that_is_put_back_does_not() {
    let words = |outgoing: &Outgoing| {
        let text = |name| outgoing.properties.headers.get_str(name).map(str::to_owned);
        (text(header::DEAD_REASON), text(header::DEAD_DETAIL))
    };
    let letter = to_dead_letters(message(), &dead(DeadReason::GaveUp), at(0));
    assert_eq!(words(&letter), (Some("gave-up".to_owned()), Some("550 no".to_owned())));
    assert_eq!(words(&to_redrive(letter.into(), at(1))), (None, None));
    let long = DeadLetter::new(DeadReason::GaveUp, format!("x{}", "\u{fc}".repeat(300)));
    let before_1970 = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    let letter = to_dead_letters(message(), &long, before_1970);
    assert_eq!(words(&letter).1.map(|detail| detail.len()), Some(511), "cut before a character");
    assert_eq!(letter.properties.headers.get_u64(header::DEAD_AT), Some(0));
}

#[test]
fn a_message_without_an_id_gets_one_by_which_it_is_known() {
    for (given, kept) in [(Some("m-1"), true), (Some(""), false), (None, false)] {
        let mut message = message();
        message.properties.message_id = given.map(str::to_owned);
        let moved = to_suspect(message);
        let is = moved.properties.message_id.clone().expect("an id");
        assert_eq!(is == "m-1", kept, "{given:?}: {is}");
        assert_eq!(id(&moved), Some(TaskId::from_message_id(&is)), "{given:?}");
    }
}

#[test]
fn where_there_is_no_room_our_headers_stay() {
    let moved = without_strangers(to_queue(message(), "other".to_owned()));
    let headers = &moved.properties.headers;
    assert_eq!((headers.get_str("x-of-theirs"), headers.get_u64(header::ATTEMPT)), (None, Some(2)));
    assert_eq!((moved.queue.as_str(), moved.properties.message_id.as_deref()), ("other", Some("m-1")));
}
