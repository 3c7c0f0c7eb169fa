//! user-api: what a registration costs beyond its hash.

use std::time::{Duration, Instant};

use testkit::Script;

use load::{Answer, Goal, Registrations, Report, Servers, median, process};

/// Registrations in each measured round.
const ROUND: usize = 400;
/// Rounds; hashing alone and registrations take turns, so that both see the same machine.
const ROUNDS: usize = 5;
/// Pairs of the comparison of mail servers.
const PAIRS: usize = 7;
/// Registrations of each half of a pair.
const HALF: usize = 200;
/// From one of these to the next: a quarter of the capacity or less, so that the figure is the path and not the queue.
const EVERY: Duration = Duration::from_millis(50);

pub(crate) async fn run(report: &mut Report) {
    let servers = Servers::start().await;
    saturation(report, &servers).await;
    beside_the_hash(report, &servers).await;
    round_trips(report, &servers).await;
    slow_mail_server(report, &servers).await;
}

/// Registrations at saturation against Argon2id alone, by the fastest implementation that we know.
async fn saturation(report: &mut Report, servers: &Servers) {
    report.measuring("registrations at saturation, beside Argon2id alone");
    let api = servers.api(&[]).await;
    let client = Registrations::at(&api.base_url());
    let threads = std::thread::available_parallelism().unwrap().get();
    client.accept_all("warm", 100, 16).await;
    let (mut cpu, mut goodput, mut implementations) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let mut alone = Vec::new();
        for implementation in [argon2_rust, rust_crypto] {
            let hashing = move || hash_alone(threads, ROUND / threads, implementation);
            alone.push(tokio::task::spawn_blocking(hashing).await.unwrap());
        }
        implementations.push(alone[0].cpu.as_secs_f64() / alone[1].cpu.as_secs_f64());
        let fastest = alone.iter().min_by_key(|alone| alone.cpu).unwrap();
        let (before, began) = (process::cpu(api.pid()), Instant::now());
        client.accept_all(&format!("round-{round}"), ROUND, 4 * threads).await;
        let per_second = ROUND as f64 / began.elapsed().as_secs_f64();
        let used = (process::cpu(api.pid()) - before).as_secs_f64() / ROUND as f64;
        report.note(&format!(
            "{:.2} ms of CPU a 201, {:.2} ms a hash ({:.2} ms by RustCrypto's argon2); {per_second:.0} registrations/s, \
             {:.0} hashes/s",
            used * 1e3,
            fastest.cpu.as_secs_f64() * 1e3,
            alone[1].cpu.as_secs_f64() * 1e3,
            fastest.per_second
        ));
        cpu.push(used / fastest.cpu.as_secs_f64());
        goodput.push(per_second / fastest.per_second);
    }
    let figures = [
        ("CPU of user-api a 201 / CPU of the fastest Argon2id hash", cpu, Goal::AtMost(1.05)),
        ("registrations a second / the fastest Argon2id hashes a second", goodput, Goal::AtLeast(0.9)),
        ("CPU of a hash, argon2-rust / RustCrypto's argon2", implementations, Goal::None),
    ];
    for (name, ratios, goal) in figures {
        report.add(name, median(ratios), "ratio", goal);
    }
}

/// What user-api does for a registration beside its hash, up to the broker's confirm: with hashes that cost next to nothing.
async fn beside_the_hash(report: &mut Report, servers: &Servers) {
    report.measuring("registrations with a hash that costs nothing");
    const COUNT: usize = 1_000;
    let api = servers.api(&[("HASH_COST", "cheap")]).await;
    let client = Registrations::at(&api.base_url());
    client.accept_all("cheaply-warm", COUNT, 8).await;
    let mut each = Vec::new();
    for round in 0..ROUNDS {
        let before = process::cpu(api.pid());
        client.accept_all(&format!("cheaply-{round}"), COUNT, 8).await;
        each.push((process::cpu(api.pid()) - before).as_secs_f64() / COUNT as f64 * 1e6);
    }
    report.add("CPU of user-api a 201, beside the hash", median(each).round(), "µs", Goal::None);
}

/// Transactions a registration, each of which is one statement and one round trip. The broker can't be reached, so the relay
/// rests; what the service asks by itself is measured over the same time without registrations, and not counted.
async fn round_trips(report: &mut Report, servers: &Servers) {
    report.measuring("round trips to the database");
    // So many that a beat more or less of what the service asks by itself does not show; cheap hashes, or they would take minutes.
    const COUNT: usize = 3_000;
    let mut taken = Duration::ZERO;
    let mut asked = Vec::new();
    for count in [COUNT, 0] {
        let before = load::transactions(servers.users.pool()).await;
        let api = servers.api(&[("AMQP_URL", "amqp://guest:guest@127.0.0.1:1/%2f"), ("HASH_COST", "cheap")]).await;
        let began = Instant::now();
        Registrations::at(&api.base_url()).accept_all("trips", count, 8).await;
        tokio::time::sleep(taken.saturating_sub(began.elapsed())).await;
        taken = began.elapsed();
        assert!(api.terminate().await.success());
        asked.push(load::transactions(servers.users.pool()).await - before);
    }
    let trips = ((asked[0] - asked[1]) as f64 / COUNT as f64 * 100.0).round() / 100.0;
    report.add("round trips to the database a registration", trips, "per 201", Goal::AtMost(1.0));
}

/// Registrations with a mail server that takes two seconds a mail against an instant one, in interleaved pairs.
async fn slow_mail_server(report: &mut Report, servers: &Servers) {
    report.measuring("registrations while mails take two seconds, beside instant mails");
    let api = servers.api(&[]).await;
    let client = Registrations::at(&api.base_url());
    let worker = servers.worker(&[]);
    worker.ready().await;
    p99(&client, "warmer").await;
    let mut ratios = Vec::new();
    for pair in 0..PAIRS {
        // In turns, so that whatever the machine does over time falls on both.
        let (mut slow, mut instant) = (0.0, 0.0);
        for half in 0..2 {
            if (pair + half) % 2 == 0 {
                servers.smtp.set_script(Script::healthy().delay(Duration::from_secs(2)));
                slow = p99(&client, &format!("slow-{pair}")).await;
                servers.smtp.set_script(Script::healthy());
            } else {
                instant = p99(&client, &format!("fast-{pair}")).await;
            }
            // The backlog of slow mails is sent before the next half.
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        report.note(&format!("p99 {:.2} ms with slow mails, {:.2} ms with instant ones", slow * 1e3, instant * 1e3));
        ratios.push(slow / instant);
    }
    report.add("p99 of registration, mails of 2 s / instant mails", median(ratios), "ratio", Goal::AtMost(1.05));
}

/// One registration after the other at a steady pace; seconds.
async fn p99(client: &Registrations, name: &str) -> f64 {
    let mut took = Vec::new();
    let mut tick = tokio::time::interval(EVERY);
    for n in 0..HALF {
        tick.tick().await;
        let began = Instant::now();
        assert_eq!(client.register(&format!("{name}-{n}")).await, Answer::Created, "every registration is accepted");
        took.push(began.elapsed().as_secs_f64());
    }
    took.sort_by(f64::total_cmp);
    took[took.len() * 99 / 100]
}

struct Alone {
    cpu: Duration,
    per_second: f64,
}

/// Computes the hash of a password with this salt.
type Hash = Box<dyn FnMut(&[u8], &mut [u8])>;

/// On all cores: the best that registrations could be.
fn hash_alone(threads: usize, each: usize, implementation: fn() -> Hash) -> Alone {
    let before = process::cpu(std::process::id());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(move || {
                let mut hash = implementation();
                let mut out = [0u8; 32];
                for n in 0..each {
                    hash(format!("salt of {n:>10}").as_bytes(), &mut out);
                    std::hint::black_box(&out);
                }
            });
        }
    });
    let total = (threads * each) as f64;
    let cpu = (process::cpu(std::process::id()) - before).div_f64(total);
    Alone { cpu, per_second: total / began.elapsed().as_secs_f64() }
}

const PASSWORD: &[u8] = b"a long enough one";

/// With the service's parameters, which are the default of both, and memory reused.
fn argon2_rust() -> Hash {
    use argon2_rust::{Algorithm, Argon2, Params, Version};

    let mut hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT).hasher();
    Box::new(move |salt, out| hasher.hash_into(PASSWORD, salt, out).unwrap())
}

/// The same.
fn rust_crypto() -> Hash {
    let argon = argon2::Argon2::default();
    let mut memory = vec![argon2::Block::default(); argon.params().block_count()];
    Box::new(move |salt, out| argon.hash_password_into_with_memory(PASSWORD, salt, out, &mut memory).unwrap())
}
