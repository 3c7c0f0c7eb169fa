//! When a connection more is tried, and when one is lent to other workers.

use super::*;

#[test]
fn tries_come_after_5_s_then_twice_as_late_up_to_a_minute() {
    let mut world = World::new(2);
    world.begin_all();
    assert_eq!(world.limit.learnt(), Some(2), "a third was refused");
    let mut waits = Vec::new();
    for _ in 0..6 {
        let at = world.limit.next_try().expect("a try to come");
        waits.push((at - world.now).as_secs());
        world.now = at.checked_sub(Duration::from_millis(1)).expect("later than the start");
        assert!(world.limit.take(world.now).is_none(), "before its time");
        world.now = at;
        world.begin_all();
    }
    assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
}

#[test]
fn nothing_is_tried_where_all_places_are_held() {
    let (mut limit, now) = (Limit::new(2), Instant::now());
    let mut places: Vec<Place> = std::iter::from_fn(|| limit.take(now)).collect();
    assert!(places.iter().all(|place| limit.open(place)));
    limit.opened(true, now);
    limit.refused(&mut places[1], true, now);
    limit.give_back(places.remove(1), false, true, now);
    assert_eq!(limit.next_try(), Some(now + TRY_AFTER.0), "one place is left");
    limit.take_to_probe();
    assert_eq!(limit.next_try(), None);
}

#[test]
fn a_connection_that_is_tried_counts_once_a_mail_went_over_it() {
    let mut world = World::new(2);
    world.begin_all();
    world.accept_all();
    (world.takes, world.now) = (3, world.now + TRY_AFTER.0);
    world.begin_all();
    assert_eq!((world.limit.standing(), world.limit.learnt()), (3, Some(2)), "it stands, and shows nothing yet");
    world.accept_all();
    assert_eq!(world.limit.learnt(), Some(3));
    assert_eq!(world.limit.next_try(), Some(world.now), "the next one at once");
}

#[test]
fn a_try_that_came_to_nothing_is_made_again_after_5_s() {
    let mut world = World::new(2);
    world.begin_all();
    world.now += TRY_AFTER.0;
    let place = world.limit.take(world.now).expect("a try");
    assert_eq!(world.limit.next_try(), None, "one at a time");
    world.limit.give_back(place, false, true, world.now);
    assert_eq!(world.limit.next_try(), Some(world.now + TRY_AFTER.0));
}

#[test]
fn tries_that_are_refused_without_a_word_come_twice_as_late_as_well() {
    let mut world = World::new(2);
    world.begin_all();
    let mut waits = Vec::new();
    for _ in 0..6 {
        let at = world.limit.next_try().expect("a try to come");
        waits.push((at - world.now).as_secs());
        world.now = at;
        let mut place = world.limit.take(at).expect("it is time");
        assert!(world.limit.open(&place));
        assert_eq!(world.limit.refused(&mut place, false, at), Refusal::OthersStand);
        world.limit.give_back(place, false, true, at);
    }
    assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
}

/// Gives one connection back that a mail was accepted over: is it to be left to others?
fn lends(world: &mut World, wanted: bool) -> bool {
    let (_, place) = world.mails.pop_first().expect("a mail that is being sent");
    world.limit.give_back(place, true, wanted, world.now)
}

#[test]
fn one_connection_is_lent_a_minute_after_they_were_found_to_be_short() {
    for (name, after, wanted, change, expected) in [
        ("in time", LEND_EVERY, true, (|_| {}) as fn(&mut World), true),
        ("too soon", LEND_EVERY - Duration::from_millis(1), true, |_| {}, false),
        ("nobody waits", LEND_EVERY, false, |_| {}, false),
        ("none was refused", LEND_EVERY, true, |world| world.limit.learnt = None, false),
        ("one is being tried", LEND_EVERY, true, |world| assert!(world.limit.take(world.now).is_some()), false),
        ("it is the only one", LEND_EVERY, true, |world| world.limit.closed(), false),
        ("the server takes one", LEND_EVERY, true, |world| world.limit.allowed = 1, false),
    ] {
        let mut world = World::new(2);
        world.begin_all();
        world.now += after;
        change(&mut world);
        assert_eq!(lends(&mut world, wanted), expected, "{name}");
    }
}

#[test]
fn what_was_lent_is_tried_for_again_before_another_one_is_lent() {
    let mut world = World::new(2);
    world.begin_all();
    world.now += LEND_EVERY;
    assert!(lends(&mut world, true));
    world.limit.idle_closed(1);
    assert_eq!(world.limit.next_try(), Some(world.now + TRY_AFTER.0));
    assert!(world.limit.take(world.now).is_none(), "it is left to others");
    world.now += TRY_AFTER.0;
    world.begin_all();
    world.accept_all();
    assert_eq!((world.limit.standing(), world.limit.learnt()), (2, Some(2)), "as many as before");
    world.begin_all();
    world.now += LEND_EVERY;
    assert!(lends(&mut world, true), "and it may be lent again");
}
