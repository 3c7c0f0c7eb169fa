//! Another implementation, RustCrypto's, has to say the same of everything: it computed what is stored already.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test")]

use std::process::{Command, Stdio};

use argon2::{PasswordHasher as _, PasswordVerifier as _};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

/// Every set of parameters that we ever stored.
const STORED: [Parameters; 2] = [OWASP, CHEAP];

fn oracle(parameters: Parameters, length: usize) -> argon2::Argon2<'static> {
    let Parameters { kib, passes, lanes } = parameters;
    let params = argon2::Params::new(kib, passes, lanes, Some(length)).unwrap();
    argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
}

/// Random, and told when a test fails.
fn seeded(test: &str) -> SmallRng {
    let seed = rand::random();
    eprintln!("{test}: seed {seed}");
    SmallRng::seed_from_u64(seed)
}

fn bytes(rng: &mut SmallRng, lengths: std::ops::RangeInclusive<usize>) -> Vec<u8> {
    let length = rng.random_range(lengths);
    (0..length).map(|_| rng.random()).collect()
}

/// Of any length and any characters that a user may choose.
fn password(rng: &mut SmallRng) -> Password {
    loop {
        let length = rng.random_range(8..=128);
        let text: String = (0..length).map(|_| rng.random::<char>()).collect();
        if let Ok(password) = Password::parse(&text) {
            return password;
        }
    }
}

#[test]
fn each_writes_the_same_strings_and_verifies_what_the_other_wrote() {
    let mut rng = seeded("strings");
    let mut room = Room::new();
    for parameters in STORED {
        let oracle = oracle(parameters, HASH);
        for _ in 0..12 {
            let (right, wrong, salt) = (password(&mut rng), password(&mut rng), bytes(&mut rng, SALT..=SALT));
            let theirs = oracle.hash_password_with_salt(right.expose().as_bytes(), &salt).unwrap().to_string();
            let ours = hash_with(&right, parameters, &salt, &mut room).unwrap();
            assert_eq!(ours, theirs, "{:?}, {parameters:?}", right.expose());
            assert_eq!(verify(&right, &theirs, &mut room), Ok(true), "{:?} is not that of {theirs}", right.expose());
            assert_eq!(verify(&wrong, &theirs, &mut room), Ok(false), "{:?} is that of {theirs}", wrong.expose());
            oracle.verify_password(right.expose().as_bytes(), ours.as_str()).unwrap();
            oracle.verify_password(wrong.expose().as_bytes(), ours.as_str()).unwrap_err();
        }
    }
}

/// One room for all of them: what the hash before left there must not show.
#[test]
fn any_input_gives_the_same_bytes() {
    let mut rng = seeded("bytes");
    let mut room = Room::new();
    for _ in 0..100 {
        let (passes, lanes) = (rng.random_range(1..=4), rng.random_range(1..=4));
        let parameters = Parameters { kib: rng.random_range(8 * lanes..=256), passes, lanes };
        let (password, salt) = (bytes(&mut rng, 0..=600), bytes(&mut rng, 8..=64));
        let length = rng.random_range(4..=200);
        let (mut ours, mut theirs) = (vec![0; length], vec![0; length]);
        room.argon2id(parameters, &password, &salt, &mut ours).unwrap();
        oracle(parameters, length).hash_password_into(&password, &salt, &mut theirs).unwrap();
        assert_eq!(ours, theirs, "{parameters:?}, password {password:?}, salt {salt:?}");
    }
}

/// Written before the implementation was changed: argon2 0.6.0.
#[test]
fn strings_of_old_verify() {
    let mut room = Room::new();
    for stored in [
        "$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbiBieXRlcyBvaw$e/XkqvNEueGjlXTKOLGxORJRLK8Gx5lHwjpb5aYqoHA",
        "$argon2id$v=19$m=8,t=1,p=1$c2l4dGVlbiBieXRlcyBvaw$q4InISp/vylB7bu+MuVSLPaJCq+vT+3jHF4EW4XR4kQ",
    ] {
        assert_eq!(verify(&Password::parse("korrekt-pferd").unwrap(), stored, &mut room), Ok(true), "{stored}");
        assert_eq!(verify(&Password::parse("Korrekt-pferd").unwrap(), stored, &mut room), Ok(false), "{stored}");
    }
}

/// Nobody's string makes a hash take more than ours take.
#[test]
fn strings_that_we_never_wrote_are_refused_before_they_take_memory() {
    let mut room = Room::new();
    let password = Password::parse("korrekt-pferd").unwrap();
    let rest = "$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for begin in [
        "$argon2id$v=19$m=19457,t=2,p=1",
        "$argon2id$v=19$m=4294967295,t=2,p=1",
        "$argon2id$v=19$m=19456,t=2",
        "$argon2id$v=19$m=19456,t=2,p=1,data=AAAA",
        "$argon2id$v=19$m=0,t=2,p=1",
        "$argon2id$v=19$m=19456,t=0,p=1",
        "$argon2id$v=19$m=19456,t=2,p=0",
        "$argon2id$v=16$m=19456,t=2,p=1",
        "$argon2id$m=19456,t=2,p=1",
        "$argon2i$v=19$m=19456,t=2,p=1",
        "$scrypt$v=19$m=19456,t=2,p=1",
    ] {
        verify(&password, &format!("{begin}{rest}"), &mut room).expect_err(begin);
        verify(&password, begin, &mut room).expect_err(begin);
    }
    assert_eq!(room.kib(), 0);
}

/// The crate is fast by code that the compiler does not check. valgrind does, and shows it a processor with AVX2 at most: where there is
/// AVX-512, other code is tried than in the tests above.
#[test]
#[cfg(target_arch = "x86_64")]
fn it_touches_no_memory_but_its_own() {
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        assert!(std::env::var_os("CI").is_none(), "valgrind is missing: scripts/setup servers");
        eprintln!("valgrind is missing (scripts/setup servers): memory is not watched");
        return;
    }
    let output = Command::new("valgrind")
        .args(["--quiet", "--error-exitcode=99"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "hashing::argon::oracle::any_input_gives_the_same_bytes"])
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(output.status.success() && told.contains("1 passed"), "{}\n{told}", output.status);
}
