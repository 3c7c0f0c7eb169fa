use std::collections::HashSet;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

fn id(n: usize) -> TaskId {
    TaskId::from(uuid::Uuid::from_u128(n as u128))
}

fn at_rcpt(everyone: &mut Everyone, mail: usize, domain: &str) -> Result<(), TooMany> {
    everyone.refused(id(mail), domain, Some(Stage::Rcpt))
}

fn take(everyone: &mut Everyone, domain: &str) {
    everyone.recipient_taken(domain);
    everyone.accepted(domain);
}

/// Refuses mails for these domains in turn; how many it takes until it speaks up, of `most`.
fn refuse(everyone: &mut Everyone, domains: &[String], most: usize) -> Option<usize> {
    (0..most).find(|n| at_rcpt(everyone, *n, &domains[n % domains.len()]).is_err()).map(|n| n + 1)
}

fn domains(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("d{n}.example")).collect()
}

#[test]
fn twenty_mails_at_five_domains_are_everyone() {
    for (count, expected) in [(1, None), (4, None), (5, Some(20)), (6, Some(20)), (20, Some(20)), (500, Some(20))] {
        assert_eq!(refuse(&mut Everyone::default(), &domains(count), 1_000), expected, "{count} domains");
    }
}

#[test]
fn domains_that_took_mail_weigh_ten_times_as_much_once_any_did() {
    let mut everyone = Everyone::default();
    take(&mut everyone, "d0.example");
    assert_eq!(refuse(&mut everyone, &domains(50)[1..], 1_000), Some(200), "new ones");
    let known = domains(50);
    known.iter().for_each(|domain| take(&mut everyone, domain));
    assert_eq!(refuse(&mut everyone, &known, 1_000), Some(20), "known ones");
}

#[test]
fn one_large_domain_does_not_make_up_for_others() {
    let mut everyone = Everyone::default();
    for n in 0..10_000 {
        let domain = if n % 100 == 0 { format!("d{}.example", n / 100 % 3) } else { "large.example".to_owned() };
        assert_eq!(at_rcpt(&mut everyone, n, &domain), Ok(()), "mail {n}");
    }
}

#[test]
fn one_mail_counts_once_and_an_accepted_one_starts_over() {
    let mut everyone = Everyone::default();
    for n in 0..100 {
        assert_eq!(at_rcpt(&mut everyone, 1, &format!("d{n}.example")), Ok(()));
    }
    assert_eq!(refuse(&mut everyone, &domains(30), 19), None);
    take(&mut everyone, "d3.example");
    assert_eq!(refuse(&mut everyone, &domains(30)[4..], 199), None);
}

#[test]
fn it_says_how_many_and_whose() {
    let mut everyone = Everyone::default();
    let domains = domains(20);
    assert_eq!(refuse(&mut everyone, &domains, 19), None);
    let TooMany { mails, domains: named } = at_rcpt(&mut everyone, 19, &domains[19]).unwrap_err();
    assert_eq!((mails, named), (20, domains[..8].to_vec()));
}

#[test]
fn a_domain_that_took_mail_and_has_not_refused_is_tried_first() {
    let mut everyone = Everyone::default();
    take(&mut everyone, "good.example");
    take(&mut everyone, "turned.example");
    for n in 0..80 {
        let _ = at_rcpt(&mut everyone, n, ["turned.example", "bad.example"][n % 2]);
    }
    let ranks = ["good.example", "new.example", "turned.example", "bad.example"].map(|domain| everyone.rank(domain));
    assert_eq!(ranks, [0, 1, 2, 2]);
}

#[test]
fn domains_that_refuse_on_while_another_takes_mail_are_not_everyone() {
    let twelve = domains(12);
    for (name, takes, refuses_after, expected) in [
        ("a good one", "good.example", 0, None),
        ("one of those that refused", "d3.example", 0, Some(175)),
        ("a good one, and then the refusers take mail as well", "good.example", 1, Some(20)),
    ] {
        let mut everyone = Everyone::default();
        assert_eq!(refuse(&mut everyone, &twelve, 1_000), Some(20), "{name}");
        assert_eq!(refuse(&mut everyone, &twelve, 19), None, "{name}");
        take(&mut everyone, takes);
        if refuses_after > 0 {
            twelve.iter().for_each(|domain| take(&mut everyone, domain));
        }
        assert_eq!(refuse(&mut everyone, &twelve, 1_000), expected, "{name}");
    }
}

#[test]
fn a_recipient_that_is_taken_shows_that_recipients_are_and_no_more() {
    let (good, domains) = ("good.example", domains(20));
    for (stage, expected) in [(Stage::Rcpt, None), (Stage::Data, Some(20)), (Stage::Content, Some(20))] {
        let mut everyone = Everyone::default();
        let opened = (0..150).find(|n| {
            everyone.recipient_taken(good);
            everyone.refused(id(*n), &domains[n % 20], Some(stage)).is_err()
        });
        assert_eq!(opened.map(|n| n + 1), expected, "{stage:?}");
    }
}

#[test]
fn a_flood_of_new_domains_does_not_hide_that_those_refuse_that_took_mail() {
    let mut everyone = Everyone::default();
    domains(5).iter().for_each(|domain| take(&mut everyone, domain));
    for n in 0..400 {
        let _ = at_rcpt(&mut everyone, n, &format!("new{n}.example"));
    }
    let known = domains(5);
    assert!((400..420).any(|n| at_rcpt(&mut everyone, n, &known[n % 5]).is_err()));
}

/// Whatever comes, from however many domains: it speaks up only after twenty mails of five domains without one accepted,
/// and keeps a bounded number of them.
#[test]
fn it_never_speaks_up_for_less_and_keeps_no_more() {
    for seed in 0..50 {
        let mut random = StdRng::seed_from_u64(seed);
        let (spread, good) = (random.random_range(1..2_000), random.random_range(0.0..0.2));
        let mut everyone = Everyone::default();
        let mut since: Vec<(usize, String)> = Vec::new();
        for step in 0..5_000 {
            let domain = format!("d{}.example", random.random_range(0..spread));
            if random.random_bool(good) {
                take(&mut everyone, &domain);
                since.clear();
            } else {
                since.push((step, domain.clone()));
                if at_rcpt(&mut everyone, step, &domain).is_err() {
                    let different: HashSet<_> = since.iter().map(|(_, domain)| domain).collect();
                    assert!(since.len() >= 20 && different.len() >= 5, "seed {seed}, step {step}: {}", since.len());
                    since.clear();
                }
            }
            let run = &everyone.at_rcpt;
            assert!(run.domains.len() <= Everyone::DOMAINS && run.mails.len() <= Everyone::WEIGHT);
            assert!(everyone.took.len() <= 8_192 && everyone.alone.len() <= 8_192);
        }
    }
}
