use super::*;

const MS: Duration = Duration::from_millis(1);
const DOWN: Cause = Cause::MailServer(Outage::Unreachable);
const SENDER: Cause = Cause::MailServer(Outage::SenderRefused);
const EVERYONE: Cause = Cause::MailServer(Outage::EveryoneRefused);

/// Probes every 10 ms.
fn circuit() -> (Machine, Instant) {
    (Machine::new(10 * MS, 10 * MS), Instant::now())
}

fn half_open(cause: Cause) -> (Machine, Admission, Instant) {
    let (mut circuit, start) = circuit();
    circuit.on_failure(cause, start);
    assert_eq!(circuit.due(start + 10 * MS), None);
    let admission = circuit.admit().expect("half-open admits one");
    (circuit, admission, start)
}

#[test]
fn each_cause_has_a_word_that_stays() {
    assert_eq!(
        [DOWN, EVERYONE, Cause::LedgerDown].map(Cause::slug),
        ["unreachable", "everyone-refused", "ledger-down"]
    );
}

#[test]
fn only_an_open_circuit_waits_for_a_probe() {
    let (mut circuit, start) = circuit();
    assert!(!circuit.state().is_open());
    circuit.on_failure(SENDER, start);
    assert!(circuit.state().is_open());
    circuit.due(start + 10 * MS);
    assert!(!circuit.state().is_open(), "half-open, a mail may try");
}

#[test]
fn each_cause_has_its_probe() {
    for (cause, expected) in [
        (DOWN, Some(Probe::MailServer)),
        (Cause::MailServer(Outage::NotGreeted), Some(Probe::MailServer)),
        (Cause::MailServer(Outage::TooManyConnections), Some(Probe::MailServer)),
        (Cause::MailServer(Outage::LoginRefused), Some(Probe::MailServer)),
        (Cause::NotProven, Some(Probe::MailServer)),
        (Cause::LedgerDown, Some(Probe::Ledger)),
        (Cause::MailServer(Outage::LoginWanted), None),
        (Cause::MailServer(Outage::ServerError), None),
        (SENDER, None),
        (EVERYONE, None),
    ] {
        let (mut circuit, start) = circuit();
        circuit.on_failure(cause, start);
        assert_eq!(circuit.admit(), None, "{cause:?}: open admits nobody");
        assert_eq!(circuit.due(start + 9 * MS), None, "{cause:?}: too early");
        assert_eq!(circuit.due(start + 10 * MS), expected, "{cause:?}");
        let admitted = circuit.admit();
        assert_eq!(admitted.and_then(Admission::probing), expected.is_none().then_some(cause), "{cause:?}");
        assert_eq!(circuit.admit(), None, "{cause:?}: half-open admits one");
    }
}

#[test]
fn the_one_mail_decides() {
    let closed = |state| matches!(state, State::Closed);
    let open = |state| matches!(state, State::Open { .. });
    let free = |state| matches!(state, State::HalfOpen { free: Some(_), .. });
    type Check = fn(State) -> bool;
    let rows: [(Cause, Evidence, Check); 10] = [
        (SENDER, Evidence::Accepted, closed),
        (SENDER, Evidence::ItsOwnFault, closed),
        (SENDER, Evidence::Refused(1), closed),
        (SENDER, Evidence::Outage(SENDER), open),
        (SENDER, Evidence::Outage(DOWN), open),
        (SENDER, Evidence::NotSent, free),
        (EVERYONE, Evidence::Accepted, closed),
        (EVERYONE, Evidence::ItsOwnFault, free),
        (EVERYONE, Evidence::Refused(1), free),
        (EVERYONE, Evidence::NotSent, free),
    ];
    for (cause, evidence, expected) in rows {
        let (mut circuit, admission, start) = half_open(cause);
        circuit.record(admission, evidence, start + 11 * MS);
        assert!(expected(circuit.state()), "{cause:?}, {evidence:?}: {:?}", circuit.state());
    }
}

#[test]
fn five_refusals_that_show_much_or_fifty_that_show_little_are_enough_for_now() {
    for (shows, tries) in [(10, 5), (1, 50)] {
        let (mut circuit, admission, start) = half_open(EVERYONE);
        circuit.record(admission, Evidence::Refused(shows), start + 11 * MS);
        for try_ in 2..=tries {
            // What is the mail's own fault tells nothing.
            for evidence in [Evidence::ItsOwnFault, Evidence::Refused(shows)] {
                let admission = circuit.admit().unwrap_or_else(|| panic!("try {try_}: {:?}", circuit.state()));
                assert_eq!(circuit.admit(), None, "one at a time");
                circuit.record(admission, evidence, start + 12 * MS);
            }
        }
        assert!(matches!(circuit.state(), State::Open { cause: EVERYONE, .. }), "{shows}: {:?}", circuit.state());
    }
}

#[test]
fn since_is_the_first_failure_and_the_cause_is_the_latest() {
    let (mut circuit, start) = circuit();
    circuit.on_failure(DOWN, start);
    circuit.on_failure(Cause::LedgerDown, start + MS);
    let expect = |circuit: &Machine, cause, at| {
        let next_probe = at + 10 * MS;
        assert_eq!(circuit.state(), State::Open { cause, since: start, next_probe });
    };
    expect(&circuit, DOWN, start);
    circuit.on_probe_err(SENDER, start + 10 * MS);
    expect(&circuit, SENDER, start + 10 * MS);
    assert_eq!(circuit.due(start + 20 * MS), None);
    let admission = circuit.admit().unwrap();
    circuit.record(admission, Evidence::Outage(DOWN), start + 30 * MS);
    expect(&circuit, DOWN, start + 30 * MS);
    circuit.on_probe_ok();
    assert_eq!(circuit.state(), State::Closed);
}

#[test]
fn what_was_admitted_before_it_moved_changes_nothing() {
    for late in
        [Evidence::Accepted, Evidence::ItsOwnFault, Evidence::Refused(1), Evidence::Outage(DOWN), Evidence::NotSent]
    {
        let (mut circuit, start) = circuit();
        let old = circuit.admit().unwrap();
        circuit.on_failure(SENDER, start);
        let open = circuit.state();
        circuit.record(old, late, start + MS);
        assert_eq!(circuit.state(), open, "{late:?} while open");
        circuit.due(start + 10 * MS);
        let one = circuit.admit().unwrap();
        let half_open = circuit.state();
        circuit.record(old, late, start + 11 * MS);
        assert_eq!(circuit.state(), half_open, "{late:?} while half-open");
        circuit.record(one, Evidence::Accepted, start + 12 * MS);
        circuit.record(old, late, start + 13 * MS);
        assert_eq!(circuit.state(), State::Closed, "{late:?} while closed again");
    }
}

#[test]
fn what_was_admitted_before_a_probe_closed_it_again_opens_nothing() {
    let (mut circuit, start) = circuit();
    let old = circuit.admit().unwrap();
    circuit.on_failure(DOWN, start);
    circuit.on_probe_ok();
    circuit.record(old, Evidence::Outage(SENDER), start + MS);
    assert_eq!(circuit.state(), State::Closed, "it speaks of the time before");
}

#[test]
fn a_server_that_takes_no_more_connections_is_asked_every_few_seconds_however_long_it_lasts() {
    let too_many = Cause::MailServer(Outage::TooManyConnections);
    let mut circuit = Machine::new(MS, 100_000 * MS);
    let start = Instant::now();
    circuit.on_failure(too_many, start);
    let waits: Vec<Duration> = (0..40)
        .map(|_| {
            circuit.on_probe_err(too_many, start);
            let State::Open { next_probe, .. } = circuit.state() else { panic!("{:?}", circuit.state()) };
            next_probe - start
        })
        .collect();
    assert_eq!(waits.iter().max(), Some(&CONNECTION), "{waits:?}");
}

#[test]
fn probes_come_less_often_until_a_mail_is_accepted() {
    let mut circuit = Machine::new(MS, 10_000 * MS);
    let start = Instant::now();
    // A server that greets well and then refuses is probed less and less all the same.
    let delay = |circuit: &mut Machine| {
        circuit.on_failure(DOWN, start);
        let State::Open { next_probe, .. } = circuit.state() else { panic!("closed") };
        circuit.on_probe_ok();
        next_probe - start
    };
    let longest = (0..40).map(|_| delay(&mut circuit)).max().unwrap();
    assert!(longest > 1_000 * MS, "never longer than {longest:?}");
    let admission = circuit.admit().unwrap();
    circuit.record(admission, Evidence::Accepted, start);
    assert!(delay(&mut circuit) <= 2 * MS, "an accepted mail starts over");
}

#[test]
fn a_quota_that_is_used_up_is_looked_at_every_ten_to_fifteen_minutes() {
    let quota = Cause::MailServer(Outage::QuotaUsedUp);
    let (mut circuit, start) = circuit();
    circuit.on_failure(quota, start);
    let mut at = start;
    for look in 0..20 {
        let State::Open { next_probe, .. } = circuit.state() else { panic!("look {look}: {:?}", circuit.state()) };
        let wait = next_probe - at;
        assert!((QUOTA.0..=QUOTA.1).contains(&wait), "look {look} comes after {wait:?}");
        at = next_probe;
        assert_eq!(circuit.due(at - MS), None);
        assert_eq!(circuit.admit(), None, "look {look} was early");
        assert_eq!(circuit.due(at), None, "only a mail can tell");
        let admission = circuit.admit().unwrap();
        circuit.record(admission, Evidence::Outage(quota), at);
    }
}

#[test]
fn a_closed_circuit_opens_for_illness_alone() {
    for (evidence, stays) in [
        (Evidence::Accepted, true),
        (Evidence::ItsOwnFault, true),
        (Evidence::Refused(1), true),
        (Evidence::NotSent, true),
        (Evidence::Outage(DOWN), false),
        (Evidence::Outage(Cause::LedgerDown), false),
    ] {
        let (mut circuit, start) = circuit();
        let admission = circuit.admit().unwrap();
        circuit.record(admission, evidence, start);
        assert_eq!(circuit.state() == State::Closed, stays, "{evidence:?}");
    }
}

#[test]
fn before_the_server_has_greeted_nothing_is_sent_and_it_is_asked_at_once_and_then_often() {
    let start = Instant::now();
    let mut circuit = Machine::unproven(10 * MS, Duration::from_secs(60), start);
    assert_eq!((circuit.admit(), circuit.due(start)), (None, Some(Probe::MailServer)));
    let longest = |circuit: &mut Machine| {
        let mut at = start;
        let waits = (0..20).map(|_| {
            circuit.on_failure(DOWN, at);
            circuit.on_probe_err(DOWN, at);
            let State::Open { next_probe, .. } = circuit.state() else { panic!("{:?}", circuit.state()) };
            let wait = next_probe - at;
            at = next_probe;
            wait
        });
        waits.max().expect("waits")
    };
    assert!(longest(&mut circuit) <= BEGINNING, "a server that comes up is seen late");
    circuit.on_probe_ok();
    assert!(circuit.admit().is_some(), "it begins");
    assert!(longest(&mut circuit) > BEGINNING, "one that was there before is left in peace");
}

#[test]
fn an_operator_closes_what_stands_against_a_mail_server_and_nothing_else() {
    for cause in [DOWN, SENDER, EVERYONE] {
        let (mut circuit, start) = circuit();
        circuit.on_failure(cause, start);
        assert!(circuit.on_closing());
        assert_eq!(circuit.state(), State::Closed);
        assert!(!circuit.on_closing(), "it was");
    }
    for cause in [SENDER, EVERYONE] {
        // Nothing that was under way before says anything of now.
        let (mut circuit, admission, start) = half_open(cause);
        assert!(circuit.on_closing());
        circuit.record(admission, Evidence::Outage(cause), start);
        assert_eq!(circuit.state(), State::Closed);
        let admission = circuit.admit().expect("mails are sent");
        circuit.record(admission, Evidence::Outage(cause), start);
        assert!(circuit.state().is_open(), "it was not well");
    }
    let (mut circuit, start) = circuit();
    circuit.on_failure(Cause::LedgerDown, start);
    assert!(!circuit.on_closing() && circuit.state().is_open());
    assert!(!Machine::unproven(10 * MS, 10 * MS, start).on_closing());
}
