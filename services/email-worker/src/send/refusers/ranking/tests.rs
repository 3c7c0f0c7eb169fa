#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn refusals(ranking: &mut Ranking, name: &str, times: usize, now: Instant) {
    (0..times).for_each(|_| ranking.refused(name, now));
}

fn named(told: &Told) -> Vec<(&str, u64)> {
    told.named.iter().map(|(name, refusals)| (name.as_str(), *refusals)).collect()
}

#[test]
fn domains_with_most_refusals_have_figures_and_the_rest_is_others() {
    let (mut ranking, now) = (Ranking::default(), Instant::now());
    assert_eq!(ranking.told(now), Told { named: vec![], others: 0 });
    refusals(&mut ranking, "some.example", 5, now);
    refusals(&mut ranking, "most.example", 9, now);
    refusals(&mut ranking, "few.example", 4, now);
    let told = ranking.told(now);
    assert_eq!((named(&told), told.others), (vec![("most.example", 9), ("some.example", 5)], 4));
}

#[test]
fn no_more_than_twenty_have_one() {
    let (mut ranking, now) = (Ranking::default(), Instant::now());
    for n in 0..30 {
        refusals(&mut ranking, &format!("{n:02}.example"), 10 + n, now);
    }
    let told = ranking.told(now);
    assert_eq!((told.named.len(), told.named[0].clone(), told.named[19].1), (NAMED, ("29.example".to_owned(), 39), 20));
    assert_eq!(told.others, (10..20).sum::<u64>());
}

#[test]
fn refusals_are_forgotten_after_an_hour_part_by_part() {
    let (mut ranking, began) = (Ranking::default(), Instant::now());
    refusals(&mut ranking, "a.example", 6, began);
    refusals(&mut ranking, "a.example", 7, began + 25 * MINUTE);
    refusals(&mut ranking, "b.example", 1, began + 25 * MINUTE);
    let table = [(59, 13, 1), (60, 7, 1), (79, 7, 1), (80, 0, 0)];
    for (minutes, of_a, others) in table {
        let told = ranking.told(began + minutes * MINUTE);
        let a = told.named.first().map_or(0, |(_, refusals)| *refusals);
        assert_eq!((a, told.others), (of_a, others), "after {minutes} min");
    }
    refusals(&mut ranking, "a.example", 5, began + 80 * MINUTE);
    assert_eq!(named(&ranking.told(began + 1_000_000 * MINUTE)), vec![], "long ago");
    assert!(ranking.domains.is_empty(), "no memory is kept of it");
}

#[test]
fn a_flood_of_domains_takes_no_memory_and_hides_no_one() {
    let (mut ranking, began) = (Ranking::default(), Instant::now());
    let mut now = began;
    for n in 0..10_000 {
        now = began + n * Duration::from_millis(1);
        ranking.refused(&format!("{n}.example"), now);
        // It begins when there is no room left.
        if n >= 5_000 && n % 10 == 0 {
            ranking.refused("often.example", now);
        }
        assert!(ranking.domains.len() <= KNOWN);
    }
    let told = ranking.told(now);
    assert_eq!((named(&told), told.others), (vec![("often.example", 500)], 10_000), "and all are counted");
}

#[test]
fn who_made_room_is_counted_among_the_others_for_an_hour() {
    let (mut ranking, began) = (Ranking::default(), Instant::now());
    let later = began + 30 * MINUTE;
    refusals(&mut ranking, "early.example", 1, began);
    for n in 0..KNOWN {
        refusals(&mut ranking, &format!("{n}.example"), 2, later);
    }
    assert_eq!(ranking.told(later).others, 1 + 2 * KNOWN as u64);
    assert_eq!(ranking.told(began + 60 * MINUTE).others, 2 * KNOWN as u64);
    assert_eq!(ranking.told(later + 60 * MINUTE).others, 0);
}
