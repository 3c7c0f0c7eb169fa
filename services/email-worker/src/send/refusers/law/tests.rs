use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn id(n: usize) -> TaskId {
    TaskId::from(uuid::Uuid::from_u128(n as u128))
}

fn refusal(mail: usize, domain: &str) -> Refusal<'_> {
    Refusal { mail: id(mail), domain, reply: "550 no", counts: true }
}

fn refuses(domain: &str, refused: u64, of: u64, without_a_line: u64) -> Line {
    Line::Refuses { domain: domain.to_owned(), refused, of, without_a_line, reply: "550 no".to_owned() }
}

/// Plays answers, `r` a refusal of a new mail, `s` one of the same mail, `t` a mail that is taken; the lines that they bring.
fn play(law: &mut Law, answers: &str, now: Instant) -> Vec<Line> {
    let mut mails = 100..;
    let lines = answers.chars().map(|answer| match answer {
        'r' => law.refused(refusal(mails.next().expect("numbers"), "bad.example"), now).1,
        's' => law.refused(refusal(1, "bad.example"), now).1,
        _ => law.taken("bad.example", now),
    });
    lines.collect::<Vec<_>>().into_iter().flatten().collect()
}

#[test]
fn a_domain_is_told_of_where_it_refuses_most_of_some_different_mails() {
    for (answers, expected) in [
        ("rrrr", None),
        ("rrrrr", Some((5, 5))),
        ("rrrrrrrrr", Some((5, 5))),
        ("ssssssssssss", None),
        ("sssssrrrr", Some((5, 5))),
        ("rttrttrttrttrttrtt", None),
        ("rtrrtrr", Some((5, 7))),
        ("rttttttttrrrr", None),
        ("rttttttttrrrrrr", Some((6, 10))),
    ] {
        let lines = play(&mut Law::default(), answers, Instant::now());
        let expected: Vec<_> =
            expected.map(|(refused, of)| refuses("bad.example", refused, of, 1)).into_iter().collect();
        assert_eq!(lines, expected, "{answers}");
    }
}

#[test]
fn it_takes_mails_again_with_the_first_where_it_took_none_and_else_when_most_are_taken() {
    let again = |refused| Line::TakesAgain { domain: "bad.example".to_owned(), refused };
    for (answers, expected) in [
        ("rrrrrt", vec![refuses("bad.example", 5, 5, 1), again(5)]),
        ("rrrrrrrrt", vec![refuses("bad.example", 5, 5, 1), again(8)]),
        ("rrrrrtt", vec![refuses("bad.example", 5, 5, 1), again(5)]),
        ("rtrrrrt", vec![refuses("bad.example", 5, 6, 1)]),
        ("rtrrrrttttt", vec![refuses("bad.example", 5, 6, 1), again(5)]),
    ] {
        assert_eq!(play(&mut Law::default(), answers, Instant::now()), expected, "{answers}");
    }
}

#[test]
fn its_mails_have_no_lines_and_are_counted_in_its_own_once_a_minute() {
    let (mut law, began) = (Law::default(), Instant::now());
    let mut own = 0;
    let mut lines = Vec::new();
    for n in 0..300 {
        let now = began + n * SECOND;
        let (has_one, line) = law.refused(refusal(n as usize, "bad.example"), now);
        own += u64::from(has_one);
        lines.extend(line);
        lines.extend(law.due(now));
    }
    lines.extend(law.rest());
    assert_eq!(own, 4, "those before it was clear");
    // At 4, 64, .. 244 s, and the rest at the end.
    assert_eq!(lines.len(), 6, "{lines:#?}");
    let told = |line: &Line| if let Line::Refuses { without_a_line, .. } = line { *without_a_line } else { 0 };
    assert_eq!(lines.iter().map(told).sum::<u64>() + own, 300, "{lines:#?}");
    assert_eq!(lines[5], refuses("bad.example", 300, 300, 55));
}

#[test]
fn what_came_after_a_line_is_told_though_nothing_follows_it() {
    let (mut law, began) = (Law::default(), Instant::now());
    assert_eq!(play(&mut law, "rrrrrrrr", began), [refuses("bad.example", 5, 5, 1)]);
    assert_eq!(law.due(began + EVERY - SECOND), []);
    assert_eq!(law.due(began + EVERY), [refuses("bad.example", 8, 8, 3)]);
    assert_eq!(law.due(began + 5 * EVERY), [], "there is no news");
}

#[test]
fn a_domain_that_wavers_has_two_lines_a_minute_at_most() {
    let (mut law, began) = (Law::default(), Instant::now());
    let lines = play(&mut law, &"rrrrrrt".repeat(100), began);
    assert!(lines.len() <= 2, "{lines:#?}");
    let later = play(&mut law, &"rrrrrrt".repeat(100), began + EVERY);
    assert!((1..=2).contains(&later.len()), "{later:#?}");
}

#[test]
fn what_does_not_count_is_no_refusal_of_the_domain_and_told_of_while_others_are() {
    let (mut law, now) = (Law::default(), Instant::now());
    let greylisted = |mail| Refusal { counts: false, ..refusal(mail, "bad.example") };
    for n in 0..50 {
        assert_eq!(law.refused(greylisted(n), now), (true, None), "mail {n}");
    }
    assert!(law.domains.is_empty());
    play(&mut law, "rrrrr", now);
    assert_eq!(law.refused(greylisted(99), now), (false, None));
    assert_eq!(law.rest(), [refuses("bad.example", 5, 5, 1)]);
}

#[test]
fn whatever_comes_lines_and_memory_are_bounded() {
    let (mut law, began) = (Law::default(), Instant::now());
    let (mut own, mut told, mut counted) = (0, 0, 0);
    let mut count = |lines: Vec<Line>| {
        for line in lines {
            told += 1;
            match line {
                Line::Refuses { without_a_line, .. } | Line::Others { without_a_line } => counted += without_a_line,
                Line::TakesAgain { .. } => {}
            }
        }
    };
    for n in 0..60_000_usize {
        // A minute, in which each of a thousand domains refuses sixty mails.
        let now = began + EVERY / 60_000 * u32::try_from(n).unwrap();
        let (has_one, line) = law.refused(refusal(n, &format!("d{}.example", n % 1_000)), now);
        own += u64::from(has_one);
        count(line.into_iter().collect());
        assert!(law.domains.len() <= DOMAINS);
        assert!(law.domains.iter().all(|domain| domain.answers.len() <= LOOKED_AT));
    }
    count(law.rest());
    assert!(own <= 100 && told <= 33, "{own} and {told} lines");
    assert_eq!(own + counted, 60_000, "each mail has a line or is counted in one");
}

#[test]
fn a_domain_that_refuses_hundreds_is_seen_among_many_that_refuse_one() {
    let (mut law, now) = (Law::default(), Instant::now());
    let mut told = Vec::new();
    for n in 0..1_000 {
        told.extend(law.refused(refusal(2 * n, &format!("d{n}.example")), now).1);
        if n % 3 == 0 {
            told.extend(law.refused(refusal(2 * n + 1, "bad.example"), now).1);
        }
    }
    assert_eq!(told, [refuses("bad.example", 5, 5, 1)]);
}

#[test]
fn those_that_were_quiet_for_an_hour_make_room() {
    let (mut law, began) = (Law::default(), Instant::now());
    for n in 0..DOMAINS * 10 {
        law.refused(refusal(n, &format!("d{}.example", n % DOMAINS)), began);
    }
    assert!(law.domains.iter().all(|domain| domain.spell.is_some()), "all of them refuse most");
    let fresh = |law: &mut Law, now| play(law, "rrrrr", now).len();
    assert_eq!(fresh(&mut law, began + EVERY), 0, "there is no room");
    assert_eq!(fresh(&mut law, began + FORGOTTEN_AFTER), 1);
}
