//! Registrations a second, and what a thousand of them cost.

use std::time::Instant;

use load::{Goal, Registrations, Report, median, process};
use testkit::Service;

use super::side::{Ours, Peer, Side};
use crate::scale::Scale;

/// Registrations of each round.
const ROUND: usize = 5_000;
/// The two take turns.
const ROUNDS: usize = 7;
/// Clients, each of which asks again as soon as it is answered.
const CLIENTS: usize = 32;

/// One round of one side.
struct Round {
    per_second: f64,
    /// Seconds of CPU a thousand registrations.
    cpu: f64,
}

/// The most memory that each API had resident, MiB: ours and the peer's.
pub(super) async fn run(report: &mut Report, ours: &Ours<'_>, peer: &Peer, scale: Scale) -> (f64, f64) {
    let (our_api, their_api) = (ours.api().await, peer.api().await);
    let (mut ratios, mut rates, mut cpu) = (Vec::new(), (Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for n in 0..scale.rounds(ROUNDS) {
        let us = round(&our_api, n, scale).await;
        let them = round(&their_api, n, scale).await;
        report.note(&format!(
            "registrations/s: ours {:.0}, the plain one {:.0}; CPU s a thousand: {:.3}, {:.3}",
            us.per_second, them.per_second, us.cpu, them.cpu
        ));
        ratios.push(us.per_second / them.per_second);
        rates.0.push(us.per_second);
        rates.1.push(them.per_second);
        cpu.0.push(us.cpu);
        cpu.1.push(them.cpu);
    }
    report.add("peer: registrations a second, ours / the plain one", median(ratios), "ratio", Goal::AtLeast(1.2));
    report.add("peer: registrations a second, ours", median(rates.0), "201/s", Goal::None);
    report.add("peer: registrations a second, the plain one", median(rates.1), "201/s", Goal::None);
    report.add("peer: CPU of 1,000 registrations, ours", median(cpu.0), "s", Goal::None);
    report.add("peer: CPU of 1,000 registrations, the plain one", median(cpu.1), "s", Goal::None);
    let memory = (process::peak(our_api.pid()), process::peak(their_api.pid()));
    report.add("peer: memory of the API, ours", memory.0, "MiB", Goal::None);
    report.add("peer: memory of the API, the plain one", memory.1, "MiB", Goal::None);
    memory
}

async fn round(api: &Service, n: usize, scale: Scale) -> Round {
    let client = Registrations::at(&api.base_url());
    // Connections of this round's client.
    client.accept_all(&format!("warm-{n}"), CLIENTS, CLIENTS).await;
    let count = scale.count(ROUND);
    let (cpu, began) = (process::cpu(api.pid()), Instant::now());
    client.accept_all(&format!("peer-{n}"), count, CLIENTS).await;
    let per_second = count as f64 / began.elapsed().as_secs_f64();
    Round { per_second, cpu: (process::cpu(api.pid()) - cpu).as_secs_f64() * 1e3 / count as f64 }
}
