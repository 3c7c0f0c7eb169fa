//! Argon2id over memory that is handed in.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};

use clap::ValueEnum;

use crate::domain::Password;

/// OWASP's minimum: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// What a hash may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HashCost {
    /// OWASP's minimum: 19 MiB, two passes.
    Owasp,
    /// Next to nothing, and worth as much: for measuring what is around the hash; not in production.
    Cheap,
}

/// The most blocks of 1 KiB that a hash of ours needs.
pub(super) const BLOCKS: usize = MEMORY_KIB as usize;

/// Salt and hash, in bytes: as RFC 9106 recommends.
const SALT: usize = 16;
const HASH: usize = 32;

fn argon2id(cost: HashCost) -> Result<(Argon2<'static>, Params), String> {
    let (memory, passes) = match cost {
        HashCost::Owasp => (MEMORY_KIB, PASSES),
        HashCost::Cheap => (Params::MIN_M_COST, Params::MIN_T_COST),
    };
    let params = Params::new(memory, passes, LANES, Some(HASH)).map_err(|error| error.to_string())?;
    Ok((Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone()), params))
}

pub(super) fn hash(password: &Password, cost: HashCost, memory: &mut Vec<Block>) -> Result<String, String> {
    let (argon2, params) = argon2id(cost)?;
    let salt: [u8; SALT] = rand::random();
    let mut out = [0; HASH];
    argon2
        .hash_password_into_with_memory(password.expose().as_bytes(), &salt, &mut out, room(memory, &params))
        .map_err(|error| error.to_string())?;
    let hash = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).map_err(|error| error.to_string())?,
        salt: Some(Salt::new(&salt).map_err(|error| error.to_string())?),
        hash: Some(Output::new(&out).map_err(|error| error.to_string())?),
    };
    Ok(hash.to_string())
}

/// As many blocks as these parameters ask for: a cheap hash does not touch the memory of a dear one.
fn room<'m>(memory: &'m mut Vec<Block>, params: &Params) -> &'m mut [Block] {
    if memory.len() < params.block_count() {
        memory.resize(params.block_count(), Block::default());
    }
    memory
}

pub(super) fn verify(password: &Password, phc: &str, memory: &mut Vec<Block>) -> Result<bool, String> {
    let stored = PasswordHash::new(phc).map_err(|error| error.to_string())?;
    let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else { return Err("incomplete hash".to_owned()) };
    let params = Params::try_from(&stored).map_err(|error| error.to_string())?;
    if stored.algorithm != ARGON2ID_IDENT || params.block_count() > BLOCKS {
        return Err("a hash of other parameters than ours".to_owned());
    }
    let (mut out, memory) = (vec![0; expected.len()], room(memory, &params));
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password.expose().as_bytes(), salt, &mut out, memory)
        .map_err(|error| error.to_string())?;
    // Compares in constant time.
    Ok(Output::new(&out).is_ok_and(|out| out == *expected))
}
