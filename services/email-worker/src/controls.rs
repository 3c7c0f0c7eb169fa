//! What operators ask of the fleet while it runs: pauses and limits, of all mails, of a type, or to a domain.
//!
//! They live in the database (`store`), so that they hold over restarts and for workers that start later, and are looked at once a
//! second (`follow`). What the environment says are the defaults. Each is somebody's, with a reason, and may end by itself; who did
//! what stands in a table of its own.

mod follow;
pub mod paper;
mod scope;
pub mod store;

use std::collections::HashMap;
use std::time::Duration;

use time::OffsetDateTime;

pub(crate) use self::follow::{ControlsWatch, first, follow};
pub use self::scope::{InvalidScope, Scope};
use crate::rate::Ceiling;

/// At most so many pauses and limits of types and domains: each type and domain has a queue of its own.
pub const MOST: usize = 50;

/// A pause or a limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Control {
    /// What it holds for.
    pub scope: Scope,
    /// What it asks for.
    pub ask: Ask,
    /// Who asked.
    pub set_by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub set_at: OffsetDateTime,
    /// It ends by itself then.
    pub until: Option<OffsetDateTime>,
}

/// What a control asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ask {
    /// No mail is sent.
    Pause,
    /// Not faster than this.
    Limit(Ceiling),
}

impl Ask {
    /// As it stands in the table.
    pub fn kind(self) -> Kind {
        match self {
            Self::Pause => Kind::Pause,
            Self::Limit(_) => Kind::Limit,
        }
    }
}

/// Of each kind a scope has one control at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A pause.
    Pause,
    /// A limit.
    Limit,
}

impl Kind {
    /// As it stands in the table.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Limit => "limit",
        }
    }
}

/// All that hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Controls {
    pauses: HashMap<Scope, Control>,
    limits: HashMap<Scope, Control>,
}

impl Controls {
    /// The pause of exactly this scope.
    pub fn pause(&self, scope: &Scope) -> Option<&Control> {
        self.pauses.get(scope)
    }

    /// Is everything paused?
    pub fn is_paused(&self) -> bool {
        self.pauses.contains_key(&Scope::Fleet)
    }

    /// Does something hold for exactly this scope?
    pub fn holds_for(&self, scope: &Scope) -> bool {
        self.pauses.contains_key(scope) || self.limits.contains_key(scope)
    }

    /// All of them, those of the fleet first.
    pub fn all(&self) -> Vec<&Control> {
        let mut all: Vec<_> = self.pauses.values().chain(self.limits.values()).collect();
        all.sort_by_key(|control| (control.scope.clone(), control.ask.kind().slug()));
        all
    }
}

impl FromIterator<Control> for Controls {
    fn from_iter<I: IntoIterator<Item = Control>>(controls: I) -> Self {
        let mut all = Self::default();
        for control in controls {
            let kind = match control.ask {
                Ask::Pause => &mut all.pauses,
                Ask::Limit(_) => &mut all.limits,
            };
            kind.insert(control.scope.clone(), control);
        }
        all
    }
}

/// Who asks, why, and for how long.
#[derive(Debug, Clone)]
pub struct By {
    /// Who.
    pub operator: String,
    /// Why.
    pub reason: String,
    /// It ends by itself after so long.
    pub lasts: Option<Duration>,
}
