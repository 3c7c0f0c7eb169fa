//! What operators ask of the fleet while it runs: pauses and limits, of all mails, of a type, or to a domain.
//!
//! They live in the database (`store`), so that they hold over restarts and for workers that start later, and are looked at once a
//! second (`follow`). What the environment says are the defaults. Each is somebody's, with a reason, and may end by itself; who did
//! what stands in a table of its own.

mod apart;
mod follow;
pub mod paper;
pub mod queues;
pub mod store;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use contract::TypeName;
use time::OffsetDateTime;

pub use self::apart::Apart;
pub(crate) use self::follow::{ControlsWatch, Follower, InForce};
use crate::rate::{Ceiling, Rate};
pub use crate::rate::{InvalidScope, Scope};

/// At most so many queues of their own: one for each type and each domain that has a pause or a limit, and one for each pair of them.
pub const MOST: usize = 64;

/// What [`at_once`] wants.
pub const AT_ONCE: &str = "must be from 1 to 1000, of a type or a domain";

/// So many mails at once in one worker, if that can be limited: of all mails SENDING_SLOTS says it.
pub fn at_once(most: u64, scope: &Scope) -> Option<u16> {
    let most = u16::try_from(most).ok().filter(|most| (1..=1000).contains(most));
    most.filter(|_| *scope != Scope::Fleet)
}

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
    /// Not faster than this, and not more at once.
    Limit {
        /// Over the whole fleet.
        rate: Ceiling,
        /// In one worker; none: as many as it has slots.
        at_once: Option<u16>,
    },
}

impl Ask {
    /// As it stands in the table.
    pub fn kind(self) -> Kind {
        match self {
            Self::Pause => Kind::Pause,
            Self::Limit { .. } => Kind::Limit,
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

/// All that hold, and the queues there are for them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Controls {
    pauses: HashMap<Scope, Control>,
    limits: HashMap<Scope, Control>,
    queues: BTreeSet<Apart>,
    closing: Option<Closing>,
}

/// Somebody had the circuits of all workers closed, the last time.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Closing {
    /// Which time it was.
    pub number: i64,
    /// Who.
    pub asked_by: String,
    /// Why.
    pub reason: String,
}

impl Controls {
    /// What is paused.
    pub fn pauses(&self) -> impl Iterator<Item = &Scope> {
        self.pauses.keys()
    }

    /// Is everything paused?
    pub fn is_paused(&self) -> bool {
        self.pauses.contains_key(&Scope::Fleet)
    }

    /// Are these mails paused, or all?
    pub fn are_paused(&self, apart: Option<&Apart>) -> bool {
        self.is_paused() || apart.is_some_and(|apart| apart.scopes().any(|scope| self.pauses.contains_key(&scope)))
    }

    /// How many of these mails one worker may send at once, if that is limited.
    pub fn at_once(&self, apart: &Apart) -> Option<u16> {
        let limits = apart.scopes().filter_map(|scope| match self.limits.get(&scope)?.ask {
            Ask::Limit { at_once, .. } => at_once,
            Ask::Pause => None,
        });
        limits.min()
    }

    /// How fast these mails may be sent, beside the fleet's rate, if that is limited.
    pub fn rate(&self, apart: &Apart) -> Option<Rate> {
        let limits = apart.scopes().filter_map(|scope| match self.limits.get(&scope)?.ask {
            Ask::Limit { rate, .. } => rate.rate(),
            Ask::Pause => None,
        });
        limits.min_by(|one, other| one.mails_per_second().total_cmp(&other.mails_per_second()))
    }

    /// Where a mail of this type to this domain belongs; `None`: with all others.
    pub fn apart(&self, mail_type: &TypeName, domain: &str) -> Option<Apart> {
        let of_fleet = |scope: &Scope| *scope == Scope::Fleet;
        if self.pauses.keys().all(of_fleet) && self.limits.keys().all(of_fleet) {
            return None;
        }
        let mail_type = Some(mail_type).filter(|name| self.holds_for(&Scope::Type((*name).clone())));
        let domain = Some(domain).filter(|domain| self.holds_for(&Scope::Domain((*domain).to_owned())));
        Apart::new(mail_type.cloned(), domain.map(ToOwned::to_owned))
    }

    fn holds_for(&self, scope: &Scope) -> bool {
        self.pauses.contains_key(scope) || self.limits.contains_key(scope)
    }

    /// The queues of their own: each is consumed for as long as it is there, whether something holds or not.
    pub fn queues(&self) -> &BTreeSet<Apart> {
        &self.queues
    }

    /// The limits of types and domains.
    pub fn limited(&self) -> impl Iterator<Item = &Scope> {
        self.limits.keys().filter(|scope| **scope != Scope::Fleet)
    }

    /// The same, and these queues.
    #[must_use]
    pub fn with_queues(self, queues: impl IntoIterator<Item = Apart>) -> Self {
        Self { queues: queues.into_iter().collect(), ..self }
    }

    /// The same, and the last closing.
    #[must_use]
    pub fn with_closing(self, closing: Option<Closing>) -> Self {
        Self { closing, ..self }
    }

    /// The last time that circuits were closed, if it is another than was known.
    pub(crate) fn closing_since(&self, before: &Self) -> Option<&Closing> {
        self.closing
            .as_ref()
            .filter(|closing| before.closing.as_ref().is_none_or(|known| known.number != closing.number))
    }

    /// How many queues of their own there may come to be, with this one more.
    pub fn queues_with(&self, scope: &Scope) -> usize {
        let scopes: BTreeSet<&Scope> = self.pauses.keys().chain(self.limits.keys()).chain([scope]).collect();
        let types = scopes.iter().filter(|scope| matches!(scope, Scope::Type(_))).count();
        let domains = scopes.iter().filter(|scope| matches!(scope, Scope::Domain(_))).count();
        (types + 1) * (domains + 1) - 1
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
                Ask::Limit { .. } => &mut all.limits,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn controls(held: &[(&str, &str, Ask)]) -> Controls {
        let control = |(scope, name, ask): &(&str, &str, Ask)| Control {
            scope: Scope::from_columns(scope, name).unwrap(),
            ask: *ask,
            set_by: "grace".to_owned(),
            reason: "a test".to_owned(),
            set_at: OffsetDateTime::UNIX_EPOCH,
            until: None,
        };
        held.iter().map(control).collect()
    }

    const SLOW: Ask = Ask::Limit { rate: Ceiling::Unlimited, at_once: Some(2) };
    const SLOWER: Ask = Ask::Limit { rate: Ceiling::Unlimited, at_once: Some(1) };

    fn at(per_second: f64) -> Ask {
        Ask::Limit { rate: Ceiling::At(Rate::per_second(per_second)), at_once: None }
    }

    #[test]
    fn a_mail_is_set_apart_for_what_holds_for_its_type_and_its_domain_and_for_nothing_else() {
        for (held, apart) in [
            (&[][..], None),
            (&[("fleet", "", Ask::Pause), ("fleet", "", SLOW)], None),
            (&[("type", "shop.receipt", Ask::Pause)], Some("type:shop.receipt")),
            (&[("domain", "gmail.com", SLOW)], Some("domain:gmail.com")),
            (
                &[("domain", "gmail.com", SLOW), ("type", "shop.receipt", Ask::Pause)],
                Some("type:shop.receipt,domain:gmail.com"),
            ),
            (&[("domain", "example.com", SLOW), ("type", "shop.bill", Ask::Pause)], None),
        ] {
            let found = controls(held).apart(&"shop.receipt".parse().unwrap(), "gmail.com");
            assert_eq!(found.map(|apart| apart.to_string()).as_deref(), apart, "{held:?}");
        }
    }

    #[test]
    fn the_strictest_of_what_holds_for_a_mail_holds() {
        let apart = Apart::from_columns("shop.receipt", "gmail.com").unwrap();
        for (held, paused, at_once) in [
            (&[("fleet", "", Ask::Pause)][..], true, None),
            (&[("type", "shop.receipt", Ask::Pause), ("domain", "gmail.com", SLOW)], true, Some(2)),
            (&[("type", "shop.receipt", SLOW), ("domain", "gmail.com", SLOWER)], false, Some(1)),
            (&[("type", "shop.bill", Ask::Pause), ("domain", "example.com", SLOWER)], false, None),
        ] {
            let controls = controls(held);
            assert_eq!((controls.are_paused(Some(&apart)), controls.at_once(&apart)), (paused, at_once), "{held:?}");
            assert_eq!(controls.are_paused(None), controls.is_paused());
        }
    }

    #[test]
    fn the_slowest_rate_of_a_mail_holds() {
        let apart = Apart::from_columns("shop.receipt", "gmail.com").unwrap();
        for (held, rate) in [
            (&[("fleet", "", at(1.0)), ("type", "shop.receipt", SLOW)][..], None),
            (&[("type", "shop.receipt", at(5.0)), ("domain", "gmail.com", SLOW)], Some(5.0)),
            (&[("type", "shop.receipt", at(5.0)), ("domain", "gmail.com", at(3.0))], Some(3.0)),
        ] {
            assert_eq!(controls(held).rate(&apart), rate.map(Rate::per_second), "{held:?}");
        }
    }

    #[test]
    fn each_pair_of_a_type_and_a_domain_counts_as_a_queue() {
        let held = controls(&[
            ("fleet", "", Ask::Pause),
            ("type", "shop.receipt", Ask::Pause),
            ("type", "shop.receipt", SLOW),
            ("domain", "gmail.com", SLOW),
        ]);
        for (scope, name, queues) in
            [("fleet", "", 3), ("type", "shop.receipt", 3), ("type", "shop.bill", 5), ("domain", "example.com", 5)]
        {
            assert_eq!(held.queues_with(&Scope::from_columns(scope, name).unwrap()), queues, "{scope} {name}");
        }
    }
}
