use super::*;

const NOW: u64 = 1_800_000_000;
const WEEK: u64 = 7 * 24 * 3_600;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[allow(clippy::result_large_err, reason = "as what is tested")]
fn parse(properties: Properties, delivery_count: u64) -> Result<Task, Rejected> {
    let message = Message { body: br#"{"email":"ada@example.com","username":"ada"}"#.to_vec(), properties };
    Task::parse(message, false, delivery_count, at(NOW), Duration::from_secs(WEEK), Instant::now())
}

fn with(headers: &[(&str, u64)]) -> Properties {
    let mut properties = Properties { message_id: Some("m-1".to_owned()), ..Properties::default() };
    headers.iter().for_each(|(name, value)| properties.headers.set_u64(name, *value));
    properties
}

#[test]
fn a_task_is_known_by_its_id_where_it_names_it_in_full() {
    for (id, keyed) in [(Some("m-1"), true), (Some(""), false), (Some("m\u{1a}1"), false), (None, false)] {
        let properties = Properties { message_id: id.map(str::to_owned), ..Properties::default() };
        let task = parse(properties, 0).expect("a task");
        assert_eq!(matches!(task.identity, Identity::Keyed(_)), keyed, "{id:?}");
        let known_by = if keyed { id.map(str::to_owned) } else { Some(task.identity.id().to_string()) };
        assert_eq!(task.message.properties.message_id, known_by, "what is published of it is the same task");
    }
}

#[test]
fn a_task_that_is_older_than_the_ledger_remembers_is_put_aside_unless_somebody_put_it_back() {
    for (made, put_back, is_read, why) in [
        (NOW, 0, true, "new"),
        (NOW - WEEK, 0, true, "as old as the ledger remembers"),
        (NOW - WEEK - 1, 0, false, "older"),
        (NOW + WEEK, 0, true, "by a clock that is ahead"),
        (u64::MAX, 0, true, "by one that makes no sense"),
        (1, NOW - 5, true, "put back lately"),
        (1, NOW - WEEK - 1, false, "put back long ago"),
        (0, 0, true, "nobody knows"),
    ] {
        let headers = [(header::REDRIVEN_AT, put_back)];
        let properties = Properties { timestamp: Some(made), ..with(if put_back > 0 { &headers } else { &[] }) };
        let read = parse(properties, 0);
        assert_eq!(
            read.as_ref().map_err(|rejected| rejected.letter.reason).err(),
            (!is_read).then_some(DeadReason::TooOld),
            "{why}"
        );
        assert!(read.is_ok_and(|task| task.redriven == (put_back > 0)) || !is_read, "{why}");
    }
}

#[test]
fn when_it_was_made_is_in_the_timestamp_or_in_the_id() {
    let id = TaskId::new();
    let of_the_id = id.created_at().map(SystemTime::from);
    assert!(of_the_id.is_some());
    for (timestamp, created) in [
        (Some(1_700_000_000), Some(at(1_700_000_000))),
        (Some(1), Some(at(1))),
        (Some(0), of_the_id),
        (None, of_the_id),
    ] {
        let properties = Properties { message_id: Some(id.to_string()), timestamp, ..Properties::default() };
        assert_eq!(super::created(&properties, Identity::Keyed(id)), created, "{timestamp:?}");
    }
    assert_eq!(parse(Properties::default(), 0).expect("a task").created, None, "a bare one");
}

#[test]
fn its_history_is_in_its_headers() {
    let history = [
        (header::ATTEMPT, 3),
        (header::UNKNOWN_OUTCOMES, 2),
        (header::FIRST_FAILED_AT, 60),
        (header::EXPIRES_AT, 90),
        (header::DELIVERIES, 4),
    ];
    let task = parse(with(&history), 5).expect("a task");
    assert_eq!((u32::from(task.attempt), task.unknown_outcomes, task.deliveries), (3, 2, 9));
    assert_eq!((task.first_failed, task.expires), (Some(at(60)), Some(at(90))));
    let new = parse(with(&[]), 0).expect("a task");
    assert_eq!((u32::from(new.attempt), new.unknown_outcomes, new.deliveries), (0, 0, 0));
    assert_eq!((new.first_failed, new.expires, new.suspect, new.redriven), (None, None, false, false));
    let odd = parse(with(&[(header::ATTEMPT, u64::MAX), (header::UNKNOWN_OUTCOMES, u64::MAX)]), 0).expect("a task");
    assert_eq!((u32::from(odd.attempt), odd.unknown_outcomes), (u32::MAX, u32::MAX));
}

#[test]
fn it_is_suspect_from_so_many_deliveries_on_and_runs_alone_then() {
    for (earlier, delivered, marked, newly) in [
        (0, SUSPECT_AFTER - 1, false, false),
        (0, SUSPECT_AFTER, false, true),
        (1, SUSPECT_AFTER - 1, false, true),
        (0, SUSPECT_AFTER, true, false),
    ] {
        let headers = [(header::DELIVERIES, earlier), (header::SUSPECT, 1)];
        let task = parse(with(if marked { &headers } else { &headers[..1] }), delivered).expect("a task");
        assert_eq!((task.is_newly_suspect(), task.suspect), (newly, marked), "{earlier} and {delivered}");
    }
}
