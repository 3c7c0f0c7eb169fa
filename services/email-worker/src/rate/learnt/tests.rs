use super::*;

#[test]
fn a_rate_at_which_nothing_is_refused_for_long_is_no_more_called_what_the_server_takes() {
    let learnt = |climb| Learnt { refused_at: 1_000.0, climb, ..Learnt::default() };
    for (climb, now, left, why) in [
        (15.0, 1_000.0, 630, "just refused"),
        (15.0, 1_400.0, 230, "lately"),
        (15.0, 1_630.0, 0, "ten minutes and two climbs ago"),
        (15.0, 900.0, 730, "refused by a clock that is ahead"),
        (360_000.0, 100_000.0, 621_600, "one an hour: a hundred mails on the way back are four days"),
    ] {
        let expects = learnt(climb).expects_a_refusal_for(now);
        assert_eq!(expects, Duration::from_secs(left), "{why}");
    }
}

#[test]
fn of_two_refusals_one_that_is_everyones_makes_both_so() {
    let refusal = |domain: Option<&str>| Refusal {
        episode: 0,
        reason: "450 4.7.1 too fast".to_owned(),
        taken: Taken::default(),
        domain: domain.map(Domain::of),
    };
    let (one, everyones) = (refusal(Some("one.example")), refusal(None));
    for (earlier, later, names_one, why) in [
        (None, &one, true, "there was none before"),
        (Some(&one), &one, true, "both are one domain's"),
        (Some(&everyones), &one, false, "the earlier was everyone's"),
        (Some(&one), &everyones, false, "the later is everyone's"),
    ] {
        assert_eq!(later.clone().after(earlier).domain.is_some(), names_one, "{why}");
    }
}

/// A fleet that goes at 10 a second, on its way from there to 20, where it was refused.
fn at_ten() -> Learnt {
    Learnt { episode: 3, rate: 10.0, low: 10.0, wall: Some(20.0), at: 100.0, since: 100.0, ..Learnt::default() }
}

fn refusal(episode: i64) -> Refusal {
    let taken = Taken { second: 7.0, minute: 60.0, since: 30.0 };
    Refusal { episode, reason: "450 4.7.1 too fast".to_owned(), taken, domain: None }
}

fn near(is: f64, expected: f64) -> bool {
    (is - expected).abs() < 1e-6 * expected.abs().max(1.0)
}

#[test]
fn mails_go_freely_or_at_the_rate_and_in_a_pause_one_at_a_time() {
    let free = Learnt::default();
    assert_eq!((free.leave(0.0), free.rate()), (Leave::Free, None));
    let mut fleet = at_ten();
    assert_eq!((fleet.leave(0.0), fleet.rate()), (Leave::At(10.0), Some(10.0)));
    fleet.refused(100.0, &refusal(3), None);
    for (now, expected) in [(100.0, Leave::NotBefore(100.2)), (100.2, Leave::Probe(10.0))] {
        assert_eq!(fleet.leave(now), expected, "at {now}");
    }
    fleet.probing(101.0);
    for (now, expected) in [(105.9, Leave::NotBefore(106.0)), (106.0, Leave::Probe(10.0))] {
        assert_eq!(fleet.leave(now), expected, "a probe is under way, at {now}");
    }
}

#[test]
fn the_first_refusal_begins_a_pause_and_what_workers_got_through_is_added_up_where_nobody_counted() {
    for (name, before, ceiling, refused, rate, counted) in [
        ("nothing held it back", Learnt::default(), None, None, FREE / 2.0, (70.0, 120.0, 14.0)),
        ("a ceiling did", Learnt::default(), Some(5.0), Some(5.0), 5.0, (0.0, 0.0, 0.0)),
        ("the rate did", at_ten(), Some(50.0), Some(10.0), 10.0, (100.0, 0.0, 0.0)),
    ] {
        let mut fleet = before;
        let episode = fleet.episode;
        fleet.refused(100.0, &refusal(episode), ceiling);
        // From before the pause, told by another worker: no news.
        fleet.refused(100.1, &Refusal { reason: "later".to_owned(), ..refusal(episode) }, ceiling);
        assert_eq!(
            (fleet.episode, fleet.refused_at, &*fleet.reason),
            (episode + 1, 100.0, "450 4.7.1 too fast"),
            "{name}"
        );
        assert_eq!((fleet.rate, (fleet.since, fleet.count)), (rate, (counted.0, counted.1)), "{name}");
        let pause = fleet.pause.as_ref().expect(name);
        assert_eq!((pause.since, pause.until, pause.asked), (100.0, 100.2, 100.0), "{name}");
        assert_eq!((pause.refused, pause.taken), (refused, counted.2), "{name}");
    }
}

#[test]
fn each_probe_that_is_refused_doubles_the_wait_up_to_eight_seconds_or_a_tenth_of_the_pause() {
    let mut fleet = at_ten();
    fleet.refused(100.0, &refusal(3), None);
    let mut waits = Vec::new();
    let mut now = 100.2;
    while now < 1_000.0 {
        fleet.refused(now, &refusal(4), None);
        let Leave::NotBefore(then) = fleet.leave(now) else { panic!("no pause at {now}") };
        waits.push(((then - now) * 10.0).round() / 10.0);
        now = then;
    }
    let beginning = [0.4, 0.8, 1.6, 3.2, 6.4, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0];
    assert_eq!(waits[..beginning.len()], beginning);
    assert!(near(waits.last().copied().unwrap(), (now - 100.0) / 11.0) || waits.last() > Some(&50.0), "{waits:?}");
    assert_eq!(fleet.pause.as_ref().map(|pause| pause.since), Some(100.0), "it is one pause");
}

/// What was known when the server took mails again.
struct Pausing {
    /// None: nothing held the fleet back when it was refused.
    refused: Option<f64>,
    /// Seconds for which the rate had been in use.
    used: Seconds,
    /// Seconds from the first mail that was counted to the refusal, and mails.
    counted: (Seconds, f64),
    /// Seconds from the refusal to the probe that was taken, and the last step between two probes.
    stopped: (Seconds, Seconds),
}

/// The law: where it goes on, where the wall is, and how long the climb there takes.
#[test]
fn after_a_pause_it_goes_on_a_little_slower_or_as_fast_as_was_counted() {
    let pausing = |refused, used, counted, stopped| Pausing { refused, used, counted, stopped };
    for (name, before, low, wall, climb) in [
        ("borne for a while", pausing(Some(20.0), 10.0, (10.0, 100.0), (0.6, 0.4)), 18.6, Some(20.0), 15.0),
        ("just long enough", pausing(Some(20.0), 5.0, (10.0, 100.0), (0.6, 0.4)), 18.6, Some(20.0), 15.0),
        ("refused at once", pausing(Some(20.0), 1.0, (9.4, 200.0), (0.6, 0.4)), 14.0, Some(20.0), 15.0),
        ("at once, and fewer were taken", pausing(Some(20.0), 1.0, (9.4, 100.0), (0.6, 0.4)), 10.0, None, 10.0),
        ("just as many as after a cut", pausing(Some(20.0), 1.0, (9.4, 140.0), (0.6, 0.4)), 14.0, Some(20.0), 15.0),
        ("few mails tell nothing", pausing(Some(20.0), 1.0, (9.4, 9.0), (0.6, 0.4)), 10.0, None, 10.0),
        ("ten do", pausing(Some(20.0), 1.0, (9.4, 10.0), (0.6, 0.4)), 1.0, None, 60.0),
        ("few, and a long window", pausing(Some(20.0), 10.0, (30.0, 9.0), (30.0, 8.0)), 18.6, Some(20.0), 15.0),
        (
            "ten, and a long window",
            pausing(Some(20.0), 10.0, (10.0, 10.0), (30.0, 8.0)),
            0.25,
            Some(0.25 / 0.93),
            400.0,
        ),
        ("few, but they were faster", pausing(Some(20.0), 1.0, (0.0, 7.0), (0.5, 0.4)), 14.0, Some(20.0), 15.0),
        ("a long window", pausing(Some(20.0), 10.0, (30.0, 600.0), (30.0, 8.0)), 10.0, Some(10.0 / 0.93), 15.0),
        ("a long one, nearly all taken", pausing(Some(20.0), 10.0, (26.0, 600.0), (4.0, 3.2)), 18.6, Some(20.0), 15.0),
        ("three probes, and three seconds", pausing(Some(20.0), 10.0, (9.0, 60.0), (3.0, 0.8)), 18.6, Some(20.0), 15.0),
        (
            "three probes, and more seconds",
            pausing(Some(20.0), 10.0, (8.0, 60.0), (4.0, 0.8)),
            5.0,
            Some(5.0 / 0.93),
            20.0,
        ),
        (
            "four probes, and three seconds",
            pausing(Some(20.0), 10.0, (9.0, 60.0), (3.0, 1.6)),
            5.0,
            Some(5.0 / 0.93),
            20.0,
        ),
        ("silent for less than it was used", pausing(Some(20.0), 4.0, (16.5, 80.0), (3.5, 1.6)), 4.0, None, 15.0),
        ("silent for as long", pausing(Some(20.0), 4.0, (16.0, 80.0), (4.0, 1.6)), 4.0, Some(4.0 / 0.93), 25.0),
        (
            "slow, silent for four mails' time",
            pausing(Some(0.1), 200.0, (160.0, 20.0), (40.0, 8.0)),
            0.093,
            Some(0.1),
            1_000.0,
        ),
        ("slow, and hardly used", pausing(Some(0.1), 199.0, (160.0, 20.0), (40.0, 8.0)), 0.07, Some(0.1), 1_000.0),
        ("free, and a short window", pausing(None, 0.0, (29.0, 300.0), (1.0, 0.4)), 25.0, None, 2.0),
        ("free, and a long window", pausing(None, 0.0, (30.0, 600.0), (30.0, 8.0)), 10.0, Some(10.0 / 0.93), 15.0),
    ] {
        let Pausing { refused, used, counted: (since, count), stopped: (stopped, step) } = before;
        let (began, asked) = (1_000.0, 1_000.0 + stopped);
        let pause = Pause { since: began, until: asked, step, asked, refused, taken: 50.0 };
        let rate = refused.unwrap_or(FREE / 2.0);
        let mut fleet = Learnt {
            episode: 4,
            rate,
            low: rate,
            used,
            since: began - since,
            count,
            pause: Some(pause),
            ..Learnt::default()
        };
        fleet.answered(asked + 0.1, 3);
        assert!(fleet.pauses(), "{name}: the answer is for an earlier episode");
        fleet.answered(asked + 0.1, 4);
        let is_right = near(fleet.low, low) && near(fleet.climb, climb) && fleet.wall.is_some() == wall.is_some();
        assert!(is_right, "{name}: {low}, {wall:?} in {climb}: {fleet:?}");
        assert!(near(fleet.wall.unwrap_or_default(), wall.unwrap_or_default()), "{name}: {wall:?}: {fleet:?}");
        assert_eq!((fleet.leave(0.0), fleet.pauses()), (Leave::At(fleet.low), false), "{name}");
        assert_eq!((fleet.used, fleet.count, fleet.since, fleet.at), (0.0, 0.0, asked + 0.1, asked + 0.1), "{name}");
    }
}

#[test]
fn only_a_rate_that_is_in_use_rises_first_slowly_to_where_it_was_refused_and_then_fast_beyond() {
    for (name, wall, used, rate) in [
        ("at the start", Some(20.0), 0.0, 10.0),
        ("half way", Some(20.0), 7.5, 18.75),
        ("at the wall", Some(20.0), 15.0, 20.0),
        ("beyond it", Some(20.0), 30.0, 30.0),
        ("far beyond it", Some(20.0), 15_000.0, FREE),
        ("no wall is known", None, 30.0, 40.0),
    ] {
        // The last second of it.
        let mut fleet = Learnt { wall, used: (used - 1.0f64).max(0.0), ..at_ten() };
        let since_last = f64::min(used, 1.0);
        let mut idle = fleet.clone();
        fleet.leased(100.0 + since_last, 1, true);
        assert!(near(fleet.rate, rate), "{name}: {rate}, not {}", fleet.rate);
        idle.leased(101.0, 1, false);
        assert_eq!(idle.rate, 10.0, "{name}: nobody waited");
    }
    let mut pausing = at_ten();
    pausing.refused(100.0, &refusal(3), None);
    pausing.leased(101.0, 1, true);
    assert_eq!(pausing.rate, 10.0, "while it pauses");
    let mut free = Learnt { used: 100.0, ..Learnt::default() };
    free.leased(1.0, 1, true);
    assert_eq!(free.rate(), None);
}

#[test]
fn a_rate_is_in_use_for_a_second_or_two_spacings_after_each_lease_at_most() {
    for (rate, since_last, used) in
        [(10.0, 0.5, 0.5), (10.0, 1.0, 1.0), (10.0, 3.0, 1.0), (0.1, 15.0, 15.0), (0.1, 25.0, 20.0)]
    {
        let mut fleet = Learnt { rate, low: rate, wall: Some(rate), ..at_ten() };
        fleet.leased(100.0 + since_last, 1, true);
        assert_eq!((fleet.used, fleet.at), (used, 100.0 + since_last), "{rate}/s, after {since_last} s");
    }
    let mut set_back = at_ten();
    set_back.leased(50.0, 1, true);
    assert_eq!(set_back.used, 0.0, "the clock was set back");
}

#[test]
fn mails_are_counted_over_two_minutes_or_twenty_spacings_and_anew_after_a_lull() {
    // The rate, when the count began and when the last lease was, from now back; then both after a lease of three.
    for (name, rate, since, last, began, count) in [
        ("a little more", 10.0, 60.0, 0.5, 60.0, 103.0),
        ("just two minutes", 10.0, 120.0, 0.5, 120.0, 103.0),
        ("older counts fade", 10.0, 122.0, 0.5, 61.0, 53.0),
        ("a slow rate is counted longer", 0.1, 200.0, 5.0, 200.0, 103.0),
        ("and fades as well", 0.1, 202.0, 5.0, 101.0, 53.0),
        ("hardly a lull", 10.0, 60.0, 2.0, 60.0, 103.0),
        ("a lull", 10.0, 60.0, 2.5, 0.0, 3.0),
        ("no lull where mails are rare", 0.25, 60.0, 8.0, 60.0, 103.0),
        ("one there too", 0.25, 60.0, 8.5, 0.0, 3.0),
    ] {
        let now = 1_000.0;
        let mut fleet = Learnt { rate, since: now - since, at: now - last, count: 100.0, ..at_ten() };
        fleet.leased(now, 3, false);
        assert_eq!((fleet.since, fleet.count, fleet.at), (now - began, count, now), "{name}");
    }
    let mut in_use = Learnt { count: 100.0, at: 50.0, ..at_ten() };
    in_use.leased(100.0, 3, true);
    assert_eq!(in_use.count, 103.0, "whoever waited for the rate did not let it lie");
}
