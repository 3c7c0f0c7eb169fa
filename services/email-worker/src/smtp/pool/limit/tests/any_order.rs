//! Events in any order, by chance.

use super::*;

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
