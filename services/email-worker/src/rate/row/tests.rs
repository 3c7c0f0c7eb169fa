use serde_json::json;

use super::*;

const NOW: Seconds = 100.0;

fn terms(ceiling: f64) -> Terms {
    Terms { ceiling: (ceiling > 0.0).then(|| Rate::per_second(ceiling)), adapts: true }
}

/// A fleet that has learnt this rate, on its way up from there.
fn learnt(rate: f64) -> Learnt {
    serde_json::from_value(json!({"episode": 1, "rate": rate, "low": rate, "wall": rate * 2.0, "at": NOW})).unwrap()
}

/// How long the rate has been in use, as the row is kept.
fn used(row: &Row) -> f64 {
    serde_json::to_value(&row.learnt).unwrap()["used"].as_f64().unwrap()
}

fn moments(first: Seconds, spacing: Seconds, count: u32) -> Grant {
    Grant::Moments { first, spacing, count, probe: false }
}

#[test]
fn moments_are_leased_one_spacing_after_the_other_and_only_so_far_ahead() {
    let mut row = Row::default();
    for n in 0..5 {
        let first = NOW + f64::from(n) * 0.125;
        assert_eq!(row.apply(&Ask::Lease(1), NOW, terms(8.0)), moments(first, 0.125, 1));
    }
    // Four spacings ahead, and no further.
    assert_eq!(row.apply(&Ask::Lease(1), NOW, terms(8.0)), Grant::NotBefore(NOW + 0.125));
    assert_eq!(row.apply(&Ask::Lease(1), NOW + 0.125, terms(8.0)), moments(NOW + 0.625, 0.125, 1));
    // What nobody leased in time is never made up for.
    assert_eq!(row.apply(&Ask::Lease(1), NOW + 60.0, terms(8.0)), moments(NOW + 60.0, 0.125, 1));
}

#[test]
fn how_far_ahead_and_how_many_follow_the_rate() {
    for (rate, next_free, wanted, expected, why) in [
        (1.0, 101.0, 9, moments(101.0, 1.0, 1), "a second ahead at most"),
        (1.0, 101.5, 9, Grant::NotBefore(100.5), "and no more"),
        (64.0, 100.1875, 9, moments(100.1875, 1.0 / 64.0, 3), "a fifth of a second at least; a twentieth of the rate"),
        (64.0, 100.25, 9, Grant::NotBefore(100.25 - 0.2), "and no more"),
        (64.0, 99.0, 2, moments(NOW, 1.0 / 64.0, 2), "as many as are wanted"),
        (64.0, 99.0, 0, moments(NOW, 1.0 / 64.0, 1), "one at least"),
    ] {
        let mut row = Row { next_free, spacing: 1.0 / rate, ..Row::default() };
        assert_eq!(row.apply(&Ask::Lease(wanted), NOW, terms(rate)), expected, "{rate}/s: {why}");
        if let Grant::Moments { first, spacing, count, .. } = expected {
            assert_eq!(row.next_free, first + spacing * f64::from(count), "{rate}/s: {why}");
        }
    }
}

#[test]
fn after_a_change_of_the_rate_the_next_moment_is_one_new_spacing_after_the_last_one() {
    for (rate, first) in [(16.0, NOW + 0.0625), (8.0, NOW + 0.125), (4.0, NOW + 0.25)] {
        // The last moment was this very one.
        let mut row = Row { next_free: NOW + 0.125, spacing: 0.125, ..Row::default() };
        assert_eq!(row.apply(&Ask::Lease(1), NOW, terms(rate)), moments(first, 1.0 / rate, 1), "{rate}/s");
        assert_eq!((row.next_free, row.spacing), (first + 1.0 / rate, 1.0 / rate));
    }
}

#[test]
fn moments_further_ahead_than_any_lease_are_from_a_clock_that_was_set_back() {
    for (last, expected) in [(105.0, Grant::NotBefore(104.625)), (105.125, moments(NOW, 0.125, 1))] {
        let mut row = Row { next_free: last + 0.125, spacing: 0.125, ..Row::default() };
        assert_eq!(row.apply(&Ask::Lease(1), NOW, terms(8.0)), expected, "the last moment was at {last}");
    }
}

#[test]
fn the_lower_of_what_was_learnt_and_the_lowest_ceiling_is_in_force() {
    let rate = |per_second: f64| (per_second > 0.0).then(|| Rate::per_second(per_second));
    for (learns, ceiling, adapts, expected) in [
        (10.0, 20.0, true, 10.0),
        (20.0, 10.0, true, 10.0),
        (10.0, 0.0, true, 10.0),
        (0.0, 20.0, true, 20.0),
        (0.0, 0.0, true, 0.0),
        (10.0, 20.0, false, 20.0),
        (10.0, 0.0, false, 0.0),
    ] {
        let row = Row { learnt: if learns > 0.0 { learnt(learns) } else { Learnt::default() }, ..Row::default() };
        let terms = Terms { adapts, ..terms(ceiling) };
        assert_eq!(row.in_force(terms), rate(expected), "{learns} learnt, {ceiling} told, adapts: {adapts}");
    }
    let mut row = Row::default();
    row.apply(&Ask::Look, NOW, terms(5.0));
    assert_eq!(row.binding(terms(50.0)), terms(5.0), "another worker was told less");
    assert_eq!(row.apply(&Ask::Lease(1), NOW, terms(50.0)), moments(NOW, 0.2, 1), "and so it is leased");
    for (asked, expected) in [("20/s", 20.0), ("0", 0.0)] {
        row.asked = Some(asked.parse().unwrap());
        assert_eq!(row.binding(terms(50.0)), terms(expected), "an operator asked for {asked} instead");
    }
}

#[test]
fn only_a_rate_that_somebody_waited_for_and_that_binds_is_in_use() {
    for (ceiling, next_free, in_use, why) in [
        (0.0, NOW + 0.125, true, "the next moment is to come"),
        (0.0, NOW + 0.0625, false, "it is here"),
        (0.0, NOW - 1.0, false, "it was there already"),
        (16.0, NOW + 0.125, true, "the ceiling is higher"),
        (8.0, NOW + 0.125, false, "the ceiling binds as well"),
        (4.0, NOW + 0.125, false, "the ceiling binds"),
    ] {
        let mut row = Row { next_free, spacing: 0.125, learnt: learnt(8.0), ..Row::default() };
        let grant = row.apply(&Ask::Lease(1), NOW + 0.0625, terms(ceiling));
        assert!(matches!(grant, Grant::Moments { .. }), "{why}: {grant:?}");
        assert_eq!(used(&row) > 0.0, in_use, "{why}");
    }
}

#[test]
fn a_probe_is_one_moment_and_what_a_domain_taught_goes_once() {
    let domain = Domain::of("one.example");
    let (reason, taken) = ("too fast".to_owned(), Taken::default());
    let refusal = Refusal { episode: 0, reason, taken, domain: Some(domain) };
    let mut row = Row::default();
    assert_eq!(row.apply(&Ask::Lease(9), NOW, terms(0.0)), Grant::Free);
    assert_eq!(row.apply(&Ask::Refused(refusal), NOW, terms(0.0)), Grant::NotBefore(NOW));
    assert!(matches!(row.apply(&Ask::Lease(9), NOW, terms(0.0)), Grant::NotBefore(then) if then > NOW));
    let probe = row.apply(&Ask::Lease(9), NOW + 1.0, terms(0.0));
    assert!(matches!(probe, Grant::Moments { count: 1, probe: true, .. }), "{probe:?}");
    assert_eq!(row.apply(&Ask::Lease(9), NOW + 1.0, terms(0.0)), Grant::NotBefore(NOW + 6.0), "one at a time");
    for expected in [Grant::Unlearnt, Grant::NotBefore(NOW + 2.0)] {
        assert_eq!(row.apply(&Ask::Unlearn(domain), NOW + 2.0, terms(0.0)), expected);
    }
    assert_eq!(row.apply(&Ask::Lease(9), NOW + 2.0, terms(0.0)), Grant::Free);
}
