//! API keys: what they are, who holds one, and the commands that make and end them.

pub(crate) mod args;
mod caller;
pub mod commands;
mod keyring;
mod layer;
mod name;
mod scope;
mod token;

pub use caller::Caller;
pub use keyring::{Keyring, NoKeys};
pub use layer::{Doors, Turn, check};
pub use name::KeyName;
pub use scope::Scope;
pub use token::{Digest, InvalidToken, KeyId, Token};
