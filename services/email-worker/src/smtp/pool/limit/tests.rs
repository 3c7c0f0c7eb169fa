use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

mod any_order;
mod tries;
mod unexplained;

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
fn an_outage_teaches_no_limit() {
    let mut limit = Limit::new(SLOTS);
    let now = Instant::now();
    let mut place = limit.take(now).expect("the first");
    assert!(limit.open(&place));
    assert_eq!(limit.refused(&mut place, false, now), Refusal::Alone);
    assert_eq!(limit.learnt(), None);
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
