//! Refusals that do not say what they are for.

use super::*;

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
