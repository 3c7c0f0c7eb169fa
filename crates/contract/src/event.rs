//! Events of mails: what the worker publishes when something became of a mail, for whoever binds a queue (`docs/events.md`).

/// The topic exchange that all events go to. Their routing key is their type.
pub const EXCHANGE: &str = "email.events";

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)+) => {
        /// What became of a mail.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventKind { $($(#[$doc])* $name,)+ }

        impl EventKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The word that configuration and database know it by.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// The type of the event, which is also its routing key.
            pub fn event_type(self) -> &'static str {
                match self { $(Self::$name => concat!("mail.", $word),)+ }
            }
        }
    };
}

kinds! {
    /// The mail server took it.
    Sent = "sent",
    /// It is tried again later.
    Deferred = "deferred",
    /// It was put aside for good.
    Dead = "dead",
    /// Its time was over before it could be sent.
    Expired = "expired",
    /// Its address gets no mails.
    Suppressed = "suppressed",
}

impl EventKind {
    /// The one with this word.
    pub fn by_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_and_types_are_those_that_were_released() {
        let all: Vec<_> = EventKind::ALL.iter().map(|kind| (kind.word(), kind.event_type())).collect();
        assert_eq!(
            all,
            [
                ("sent", "mail.sent"),
                ("deferred", "mail.deferred"),
                ("dead", "mail.dead"),
                ("expired", "mail.expired"),
                ("suppressed", "mail.suppressed"),
            ]
        );
        assert!(EventKind::ALL.iter().all(|kind| EventKind::by_word(kind.word()) == Some(*kind)));
        assert_eq!(EventKind::by_word("mail.sent"), None);
    }
}
