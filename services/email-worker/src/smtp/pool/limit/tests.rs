use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

const SLOTS: usize = 16;

/// A server with a limit, and a worker that has more mails than it can send.
struct World {
    limit: Limit,
    now: Instant,
    takes: usize,
    // What each mail holds; its connection stands.
    mails: BTreeMap<u64, Place>,
    idle: usize,
    begun: u64,
    refused: usize,
    alone: usize,
}

impl World {
    fn new(takes: usize) -> Self {
        let (limit, now) = (Limit::new(SLOTS), Instant::now());
        Self { limit, now, takes, mails: BTreeMap::new(), idle: 0, begun: 0, refused: 0, alone: 0 }
    }

    /// Lets mails begin until none may; those without a connection open one.
    fn begin_all(&mut self) {
        loop {
            if self.idle > 0 {
                self.idle -= 1;
                let place = self.limit.take_idle();
                self.begin(place);
            } else if let Some(place) = self.limit.take(self.now) {
                self.open(place);
            } else {
                return;
            }
        }
    }

    fn begin(&mut self, place: Place) {
        self.begun += 1;
        self.mails.insert(self.begun, place);
    }

    fn open(&mut self, mut place: Place) {
        assert!(self.limit.open(&place), "a place without the right to a connection");
        if self.limit.standing() < self.takes {
            self.limit.opened(true, self.now);
            return self.begin(place);
        }
        self.refused += 1;
        self.alone += usize::from(self.limit.refused(&mut place, true, self.now) == Refusal::Alone);
        self.limit.give_back(place, false, true, self.now);
    }

    /// Ends one mail: accepted, and its connection kept or lent.
    fn accept(&mut self, mail: u64) {
        let mut place = self.mails.remove(&mail).expect("a mail that is being sent");
        self.limit.accepted(&mut place, true, self.now);
        if self.limit.give_back(place, true, true, self.now) {
            self.limit.idle_closed(1);
        } else {
            self.idle += 1;
        }
    }

    fn accept_all(&mut self) {
        for mail in self.mails.keys().copied().collect::<Vec<_>>() {
            self.accept(mail);
        }
    }

    /// One mail is told that its connection is one too many.
    fn turn_away(&mut self) -> Refusal {
        self.refuse_a_mail(true)
    }

    /// One mail is refused, in words that speak of the number of connections or not.
    fn refuse_a_mail(&mut self, explicit: bool) -> Refusal {
        let (_, mut place) = self.mails.pop_first().expect("a mail that is being sent");
        let refusal = self.limit.turned_away(&mut place, explicit, self.now);
        self.limit.give_back(place, false, true, self.now);
        refusal
    }

    /// Sends for so long, each mail taking 50 ms; gives how many.
    fn send_for(&mut self, time: Duration) -> usize {
        let (until, before) = (self.now + time, self.begun);
        while self.now < until {
            self.begin_all();
            self.accept_all();
            self.now += Duration::from_millis(50);
        }
        usize::try_from(self.begun - before).expect("few")
    }
}

#[test]
fn a_healthy_server_has_all_connections_at_once() {
    let mut world = World::new(usize::MAX);
    world.send_for(Duration::from_millis(250));
    assert_eq!((world.limit.standing(), world.refused, world.limit.learnt()), (SLOTS, 0, None));
}

#[test]
fn what_the_server_takes_is_learnt_and_used() {
    for takes in 1..SLOTS {
        let mut world = World::new(takes);
        world.send_for(Duration::from_secs(1));
        assert_eq!(world.limit.standing(), takes, "of {takes}");
        let sent = world.send_for(Duration::from_secs(600));
        let possible = takes * 12_000;
        // One is lent now and then, and comes back with the next try.
        assert!(sent * 10 >= possible * 9, "{sent} of {possible} with {takes}");
        assert!(world.refused <= 60, "{} refusals with {takes}", world.refused);
        assert_eq!(world.alone, 0, "with {takes}: others stood");
    }
}

#[test]
fn it_grows_again_when_the_server_lets_it_and_shrinks_when_it_does_not() {
    let mut world = World::new(4);
    world.send_for(Duration::from_secs(30));
    assert_eq!(world.limit.learnt(), Some(4));
    world.takes = SLOTS;
    world.send_for(Duration::from_secs(61));
    assert_eq!((world.limit.standing(), world.limit.learnt()), (SLOTS, None));
    // Now it says so at MAIL, of one connection after the other.
    world.takes = 3;
    for stands in (3..SLOTS).rev() {
        world.begin_all();
        assert_eq!(world.turn_away(), Refusal::OthersStand);
        world.accept_all();
        assert_eq!(world.limit.learnt(), Some(stands));
    }
}

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
fn what_is_said_to_several_at_once_leaves_those_that_stand() {
    let mut world = World::new(SLOTS);
    world.send_for(Duration::from_secs(1));
    world.begin_all();
    for _ in 4..SLOTS {
        world.turn_away();
    }
    assert_eq!(world.limit.learnt(), Some(4));
    world.accept_all();
    world.begin_all();
    assert_eq!((world.mails.len(), world.limit.standing()), (4, 4));
}

#[test]
fn a_server_that_takes_none_is_known_only_when_nothing_is_under_way() {
    let mut limit = Limit::new(SLOTS);
    let now = Instant::now();
    let mut places: Vec<Place> = std::iter::from_fn(|| limit.take(now)).collect();
    assert_eq!(places.len(), AT_FIRST);
    assert!(places.iter().all(|place| limit.open(place)));
    assert_eq!(limit.refused(&mut places[0], true, now), Refusal::OthersStand);
    assert_eq!(limit.refused(&mut places[1], true, now), Refusal::Alone);
    for place in places {
        limit.give_back(place, false, true, now);
    }
    // One connection from here on, and the next as soon as one was taken.
    let first = limit.take(now).expect("one may always try");
    assert!(limit.take(now).is_none());
    assert!(limit.open(&first));
    limit.opened(true, now);
    assert!(limit.take(now).is_some_and(|place| place.trial));
}

#[test]
fn nobody_takes_a_place_beside_the_probes_own() {
    let mut world = World::new(1);
    world.begin_all();
    assert_eq!(world.limit.learnt(), Some(1));
    let (_, place) = world.mails.pop_first().expect("a mail");
    world.limit.closed();
    world.limit.give_back(place, false, true, world.now);
    let probe = world.limit.take_to_probe();
    assert!(world.limit.open(&probe));
    assert!(world.limit.take(world.now).is_none(), "a place that may not open a connection");
    world.limit.opened(true, world.now);
    world.limit.give_back(probe, true, true, world.now);
    assert_eq!((world.limit.standing(), world.limit.allowed()), (1, 1));
}

#[test]
fn a_mail_that_takes_over_a_connection_leaves_its_place_to_another() {
    let (mut limit, now) = (Limit::new(SLOTS), Instant::now());
    assert_eq!(limit.allowed(), AT_FIRST);
    let place = limit.take(now).expect("the first place");
    assert!(limit.open(&place));
    limit.opened(false, now);
    limit.give_back(place, true, false, now);
    let held: Vec<Place> = (1..limit.allowed()).map(|n| limit.take(now).unwrap_or_else(|| panic!("{n}"))).collect();
    assert!(limit.take(now).is_none(), "the idle connection has the last place");
    limit.adopt_idle();
    assert!(limit.take(now).is_some(), "one of {} has taken it over", held.len());
}

#[test]
fn a_place_from_before_the_limit_was_lowered_may_open_no_connection() {
    let (mut limit, now) = (Limit::new(SLOTS), Instant::now());
    let mut places: Vec<Place> = std::iter::from_fn(|| limit.take(now)).collect();
    assert!(places.iter().all(|place| limit.open(place)));
    limit.opened(true, now);
    let third = limit.take(now).expect("one more, since the first was opened");
    assert_eq!(limit.refused(&mut places[1], true, now), Refusal::OthersStand);
    assert!(!limit.open(&third), "the server takes one");
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

#[test]
fn an_outage_teaches_no_limit() {
    let mut limit = Limit::new(SLOTS);
    let now = Instant::now();
    let mut place = limit.take(now).expect("the first");
    assert!(limit.open(&place));
    assert_eq!(limit.refused(&mut place, false, now), Refusal::Alone);
    assert_eq!(limit.learnt(), None);
}

/// A worker whose connections all stand, and the place of one more that is refused without a word.
fn refused_without_a_word(stand: usize) -> World {
    let mut world = World::new(stand);
    (0..stand).for_each(|_| world.limit.opening += 1);
    (0..stand).for_each(|_| world.limit.opened(true, world.now));
    world.limit.idle = stand;
    world.idle = stand;
    world.limit.allowed = stand + 1;
    let mut place = world.limit.take(world.now).expect("room for one more");
    assert!(world.limit.open(&place));
    assert_eq!(world.limit.refused(&mut place, false, world.now), Refusal::OthersStand);
    world.limit.give_back(place, false, true, world.now);
    world
}

#[test]
fn a_refusal_without_a_word_teaches_nothing_until_a_mail_goes_over_another_connection() {
    let mut world = refused_without_a_word(4);
    assert_eq!(world.limit.learnt(), None);
    assert!(world.limit.take(world.now).is_none(), "another one is opened before it is clear what it was for");
    world.begin_all();
    world.accept_all();
    assert_eq!(world.limit.learnt(), Some(4));
}

#[test]
fn what_was_on_its_way_before_a_refusal_does_not_show_what_it_was_for() {
    let mut world = World::new(4);
    world.limit.opening += 1;
    world.limit.opened(true, world.now);
    world.limit.idle = 1;
    let mut before = world.limit.take_idle();
    let mut place = world.limit.take(world.now).expect("room for one more");
    assert!(world.limit.open(&place));
    assert_eq!(world.limit.refused(&mut place, false, world.now), Refusal::OthersStand);
    world.limit.accepted(&mut before, true, world.now);
    assert_eq!(world.limit.learnt(), None);
}

#[test]
fn a_mail_that_began_after_the_first_of_several_refusals_shows_what_they_were_for() {
    let mut world = World::new(6);
    world.send_for(Duration::from_secs(1));
    world.limit.learnt = None;
    world.begin_all();
    let before: Vec<u64> = world.mails.keys().copied().collect();
    assert_eq!(world.refuse_a_mail(false), Refusal::OthersStand);
    world.accept(before[1]);
    assert_eq!(world.limit.learnt(), None, "it began before");
    world.begin_all();
    let after = *world.mails.keys().next_back().expect("it takes the connection of the one before");
    assert_eq!(world.refuse_a_mail(false), Refusal::OthersStand);
    world.accept(after);
    assert_eq!(world.limit.learnt(), Some(4));
}

#[test]
fn a_server_that_was_briefly_away_has_taught_nothing() {
    let mut world = refused_without_a_word(4);
    for _ in 0..4 {
        // One after the other is found to be dead, and its mail gets no other.
        let mut place = world.limit.take_idle();
        world.limit.closed();
        assert!(world.limit.open(&place));
        world.limit.refused(&mut place, false, world.now);
        world.limit.give_back(place, false, true, world.now);
        assert_eq!(world.limit.learnt(), None);
    }
    world.idle = 0;
    world.takes = SLOTS;
    world.send_for(Duration::from_secs(1));
    assert_eq!((world.limit.standing(), world.limit.learnt()), (SLOTS, None), "as many as after a start");
    assert_eq!(world.limit.news(world.now + 2 * SETTLED_AFTER), None);
}

/// A mail at a server that refuses it for one connection too many, and does not say so.
struct UnderWay {
    place: Place,
    /// When the connection is open, or the mail is answered.
    next: Duration,
    connected: bool,
}

/// That server, and a worker that has more mails than it can send. Connecting and each mail take any time whatever.
struct Unworded<'a> {
    limit: Limit,
    start: Instant,
    time: Duration,
    takes: usize,
    /// Those that are connected stand in the order in which they came to be.
    mails: Vec<UnderWay>,
    idle: usize,
    sent: usize,
    refused: usize,
    chance: &'a mut StdRng,
}

impl Unworded<'_> {
    fn now(&self) -> Instant {
        self.start + self.time
    }

    fn goes_on(&mut self, place: Place, connected: bool) {
        let next = self.time + Duration::from_millis(self.chance.random_range(1..100));
        self.mails.push(UnderWay { place, next, connected });
    }

    fn begin_all(&mut self) {
        while self.idle > 0 {
            self.idle -= 1;
            let place = self.limit.take_idle();
            self.goes_on(place, true);
        }
        while let Some(place) = self.limit.take(self.now()) {
            if !self.limit.open(&place) {
                self.limit.give_back(place, false, true, self.now());
                return;
            }
            self.goes_on(place, false);
        }
    }

    /// What comes next: a connection is open, or a mail is answered. A server that counts refuses those that came last.
    fn step(&mut self) {
        self.begin_all();
        let next = (0..self.mails.len()).min_by_key(|&at| self.mails[at].next).expect("one may always send");
        let older = self.mails[..next].iter().filter(|mail| mail.connected).count();
        let UnderWay { mut place, next, connected } = self.mails.remove(next);
        self.time = next;
        let now = self.now();
        if !connected {
            self.limit.opened(true, now);
            self.goes_on(place, true);
        } else if older >= self.takes {
            self.refused += 1;
            assert_eq!(self.limit.turned_away(&mut place, false, now), Refusal::OthersStand);
            self.limit.give_back(place, false, true, now);
        } else {
            self.sent += 1;
            self.limit.accepted(&mut place, true, now);
            match self.limit.give_back(place, true, true, now) {
                true => self.limit.idle_closed(1),
                false => self.idle += 1,
            }
        }
    }
}

#[test]
fn what_a_server_that_does_not_say_why_refuses_costs_one_try_for_each_connection_too_many() {
    for seed in 0..300 {
        let mut chance = StdRng::seed_from_u64(seed);
        let (limit, start, time) = (Limit::new(SLOTS), Instant::now(), Duration::ZERO);
        let (mails, chance) = (Vec::new(), &mut chance);
        let mut world = Unworded { limit, start, time, takes: 4, mails, idle: 0, sent: 0, refused: 0, chance };
        while world.sent < 160 && world.time < Duration::from_secs(60) {
            world.step();
        }
        assert_eq!(world.sent, 160, "seed {seed}");
        assert!(world.refused <= SLOTS, "seed {seed}: {} refused", world.refused);
    }
}

#[test]
fn what_was_learnt_is_told_once_however_many_were_refused() {
    let mut world = World::new(SLOTS);
    world.send_for(Duration::from_secs(1));
    let news = |world: &mut World| {
        world.now += SETTLED_AFTER;
        world.limit.news(world.now)
    };
    assert_eq!(news(&mut world), None, "nothing was refused");
    world.begin_all();
    for _ in 4..SLOTS {
        world.turn_away();
        assert_eq!(world.limit.news(world.now), None, "more may follow");
    }
    assert_eq!(news(&mut world), Some(News::Takes(4)));
    world.accept_all();
    world.takes = 4;
    world.send_for(Duration::from_secs(300));
    assert_eq!(news(&mut world), None, "each try was refused, as before");
    world.takes = SLOTS;
    world.send_for(Duration::from_secs(120));
    assert_eq!(news(&mut world), Some(News::TakesAll), "and no line for each that came back");
    assert_eq!(news(&mut world), None);
}

/// Whatever happens in whatever order: the counts are right, and a mail that comes when all is quiet may talk to the server.
#[test]
fn any_order_of_events_keeps_the_counts_right() {
    for seed in 0..300 {
        let mut chance = StdRng::seed_from_u64(seed);
        let mut world = World::new(chance.random_range(0..20));
        let mut opening: Vec<Place> = Vec::new();
        for step in 0..400 {
            world.now += Duration::from_millis(chance.random_range(0..3_000));
            any_event(&mut world, &mut opening, &mut chance);
            let stand = world.mails.len() + world.idle;
            assert_eq!(world.limit.standing(), stand, "seed {seed}, step {step}");
            assert!(stand + opening.len() <= SLOTS, "seed {seed}, step {step}: {stand} and {}", opening.len());
            assert!((1..=SLOTS).contains(&world.limit.allowed()), "seed {seed}, step {step}: {:?}", world.limit);
        }
        for place in opening {
            world.limit.not_opened();
            world.limit.give_back(place, false, true, world.now);
        }
        world.accept_all();
        assert!(world.idle > 0 || world.limit.take(world.now).is_some(), "seed {seed}: {:?}", world.limit);
    }
}

fn any_event(world: &mut World, opening: &mut Vec<Place>, chance: &mut StdRng) {
    let now = world.now;
    match chance.random_range(0..9) {
        0 => world.takes = chance.random_range(0..20),
        1 => {
            // Hung up on, or cut short.
            let Some((_, place)) = world.mails.pop_first() else { return };
            world.limit.closed();
            world.limit.give_back(place, false, chance.random(), now);
        }
        2 if !world.mails.is_empty() => {
            let others = world.mails.len() + world.idle + opening.len() > 1;
            assert_eq!(world.refuse_a_mail(chance.random()) == Refusal::OthersStand, others);
        }
        3 if world.idle > 0 => {
            world.idle -= 1;
            world.limit.idle_closed(1);
        }
        4 => {
            let Some(place) = opening.pop() else { return };
            world.limit.not_opened();
            world.limit.give_back(place, false, chance.random(), now);
        }
        5 | 6 => {
            let Some(mut place) = opening.pop() else { return };
            if world.limit.standing() < world.takes {
                world.limit.opened(chance.random(), now);
                return world.begin(place);
            }
            world.limit.refused(&mut place, chance.random(), now);
            world.limit.give_back(place, false, true, now);
        }
        7 => {
            let Some(mail) = world.mails.keys().next().copied() else { return };
            world.accept(mail);
        }
        _ if world.idle > 0 => {
            world.idle -= 1;
            let place = world.limit.take_idle();
            world.begin(place);
        }
        _ => {
            let Some(place) = world.limit.take(now) else { return };
            if world.limit.open(&place) {
                opening.push(place);
            } else {
                world.limit.give_back(place, false, true, now);
            }
        }
    }
}
