//! What a registration is, parsed: a value of these types is valid, and there is no other way to make one.

mod email;
mod password;
mod username;

pub use contract::LocaleTag;
pub use web::{IdempotencyKey, Refused};

pub use email::Email;
pub use password::Password;
pub use username::Username;

/// A registration that can be carried out.
#[derive(Debug)]
pub struct Registration {
    /// The name they chose.
    pub username: Username,
    /// Where the welcome mail goes.
    pub email: Email,
    /// Its hash alone is stored.
    pub password: Password,
    /// The language that they want to be written to in, if they say so.
    pub locale: Option<LocaleTag>,
    /// The language that their browser would like best.
    pub preferred: Option<LocaleTag>,
}

impl Registration {
    /// The language to write to them in, as far as anybody knows.
    pub fn language(&self) -> Option<&LocaleTag> {
        self.locale.as_ref().or(self.preferred.as_ref())
    }
}
