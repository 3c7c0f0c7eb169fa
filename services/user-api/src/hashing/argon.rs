//! Argon2id and the strings that it is stored as, over memory that is handed in.
//!
//! The only place that knows which crate computes it: docs/decisions/0016-argon2.md.

#[cfg(test)]
mod oracle;

use argon2_rust::params::{Memory, TagLen};
use argon2_rust::{Algorithm, Argon2, Hasher, Params, Version};
use clap::ValueEnum;
use phc::{Ident, Output, ParamsString, PasswordHash, Salt};

use crate::domain::Password;

const ARGON2ID: Ident = Ident::new_unwrap("argon2id");
/// Of Argon2: the only one that we ever stored.
const VERSION: u32 = 0x13;

/// OWASP's minimum: 19 MiB, two passes, one lane.
const OWASP: Parameters = Parameters { kib: 19_456, passes: 2, lanes: 1 };
/// The least that Argon2 knows.
const CHEAP: Parameters = Parameters { kib: 8, passes: 1, lanes: 1 };

/// Salt and hash, in bytes: as RFC 9106 recommends.
const SALT: usize = 16;
const HASH: usize = 32;

/// What a hash may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HashCost {
    /// OWASP's minimum: 19 MiB, two passes.
    Owasp,
    /// Next to nothing, and worth as much: for measuring what is around the hash; not in production.
    Cheap,
}

/// Memory for one hash after the other, as much as the largest of them took. Nothing of it is wiped between them, nor was it
/// before: see the decision.
#[derive(Debug)]
pub(super) struct Room(Hasher);

impl Room {
    /// Takes no memory before the first hash.
    pub(super) fn new() -> Self {
        Self(Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT).hasher())
    }

    /// What it holds.
    #[cfg(test)]
    pub(super) fn kib(&self) -> usize {
        self.0.reserved_blocks()
    }

    fn argon2id(&mut self, parameters: Parameters, password: &[u8], salt: &[u8], out: &mut [u8]) -> Result<(), String> {
        let params = Params::builder()
            .memory(Memory::kib(parameters.kib.into()))
            .passes(parameters.passes)
            .lanes(parameters.lanes)
            .tag_len(TagLen::bytes(out.len() as u64))
            .build()
            .map_err(|error| error.to_string())?;
        self.0.set_argon2(Argon2::new(Algorithm::Argon2id, Version::V0x13, params));
        self.0.hash_into(password, salt, out).map_err(|error| error.to_string())
    }
}

/// What Argon2 is told beside password and salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parameters {
    kib: u32,
    passes: u32,
    lanes: u32,
}

impl Parameters {
    const fn of(cost: HashCost) -> Self {
        match cost {
            HashCost::Owasp => OWASP,
            HashCost::Cheap => CHEAP,
        }
    }

    /// Of a stored hash. `None` unless it is one of ours, and takes no more memory than those we make.
    fn stored(hash: &PasswordHash) -> Option<Self> {
        let params = &hash.params;
        let [kib, passes, lanes] = ["m", "t", "p"].map(|name| params.get_decimal(name));
        let parameters = Self { kib: kib?, passes: passes?, lanes: lanes? };
        let ours = hash.algorithm == ARGON2ID && hash.version == Some(VERSION) && params.iter().count() == 3;
        (ours && parameters.kib <= OWASP.kib).then_some(parameters)
    }

    fn written(self) -> Result<ParamsString, phc::Error> {
        let mut params = ParamsString::new();
        params.add_decimal("m", self.kib)?;
        params.add_decimal("t", self.passes)?;
        params.add_decimal("p", self.lanes)?;
        Ok(params)
    }
}

pub(super) fn hash(password: &Password, cost: HashCost, room: &mut Room) -> Result<String, String> {
    let salt: [u8; SALT] = rand::random();
    hash_with(password, Parameters::of(cost), &salt, room)
}

fn hash_with(password: &Password, parameters: Parameters, salt: &[u8], room: &mut Room) -> Result<String, String> {
    let mut out = [0; HASH];
    room.argon2id(parameters, password.expose().as_bytes(), salt, &mut out)?;
    let written = || {
        Ok::<_, phc::Error>(PasswordHash {
            algorithm: ARGON2ID,
            version: Some(VERSION),
            params: parameters.written()?,
            salt: Some(Salt::new(salt)?),
            hash: Some(Output::new(&out)?),
        })
    };
    written().map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

pub(super) fn verify(password: &Password, phc: &str, room: &mut Room) -> Result<bool, String> {
    let stored = PasswordHash::new(phc).map_err(|error| error.to_string())?;
    let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else { return Err("incomplete hash".to_owned()) };
    let parameters = Parameters::stored(&stored).ok_or("a hash of other parameters than ours")?;
    let mut out = vec![0; expected.len()];
    room.argon2id(parameters, password.expose().as_bytes(), salt, &mut out)?;
    // Compares in constant time.
    Ok(Output::new(&out).is_ok_and(|out| out == *expected))
}
