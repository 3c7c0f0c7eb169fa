//! Mails that are sent at a speed of their own wait in a queue of their own, so that they hold up no others.

use std::fmt;

use contract::{TaskId, TypeName, queue};

use super::Scope;

/// Beyond this a name is told by its hash alone: AMQP's names have 255 bytes.
const LONGEST: usize = 200;

/// The mails of a type, or to a domain, or both. One of the two is there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Apart {
    mail_type: Option<TypeName>,
    domain: Option<String>,
}

impl Apart {
    /// `None`: all mails.
    pub fn new(mail_type: Option<TypeName>, domain: Option<String>) -> Option<Self> {
        (mail_type.is_some() || domain.is_some()).then_some(Self { mail_type, domain })
    }

    /// Whose controls hold for them, beside the fleet's.
    pub fn scopes(&self) -> impl Iterator<Item = Scope> + use<> {
        let (mail_type, domain) = (self.mail_type.clone().map(Scope::Type), self.domain.clone().map(Scope::Domain));
        mail_type.into_iter().chain(domain)
    }

    /// As it stands in the table: each is empty where it does not matter.
    pub fn columns(&self) -> (&str, &str) {
        (self.mail_type.as_ref().map_or("", TypeName::as_str), self.domain.as_deref().unwrap_or_default())
    }

    /// The other way round; `None` for what no worker has written.
    pub fn from_columns(mail_type: &str, domain: &str) -> Option<Self> {
        let mail_type = if mail_type.is_empty() { None } else { Some(mail_type.parse().ok()?) };
        Self::new(mail_type, Some(domain.to_owned()).filter(|domain| !domain.is_empty()))
    }

    /// The last part of its queue's name: `type:shop.receipt`, `domain:gmail.com`, `type:shop.receipt,domain:gmail.com`. No type and no
    /// domain has a colon; an @ would look like an address in the broker's log.
    pub fn name(&self) -> String {
        let name = self.to_string();
        if name.len() <= LONGEST { name } else { TaskId::from_message_id(&name).to_string() }
    }

    /// Its queue.
    pub fn queue(&self) -> String {
        queue::apart(&self.name())
    }
}

impl fmt::Display for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scopes: Vec<String> = self.scopes().map(|scope| scope.to_string()).collect();
        f.write_str(&scopes.join(","))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_queue_is_named_by_what_is_in_it() {
        for (mail_type, domain, queue) in [
            ("shop.receipt", "", "email_queue.apart.type:shop.receipt"),
            ("", "gmail.com", "email_queue.apart.domain:gmail.com"),
            ("shop.receipt", "gmail.com", "email_queue.apart.type:shop.receipt,domain:gmail.com"),
        ] {
            let apart = Apart::from_columns(mail_type, domain).unwrap();
            assert_eq!((apart.queue().as_str(), apart.columns()), (queue, (mail_type, domain)));
        }
        assert_eq!(Apart::from_columns("", ""), None);
        assert_eq!(Apart::from_columns("../x", ""), None);
    }

    #[test]
    fn a_name_that_amqp_has_no_room_for_is_a_hash() {
        let (mail_type, domain) = ("t".repeat(100), format!("{}.example", "d".repeat(240)));
        let one = Apart::from_columns(&mail_type, &domain).unwrap();
        let other = Apart::from_columns(&mail_type, &format!("{domain}.org")).unwrap();
        assert!(one.queue().len() < 100 && one.queue() != other.queue(), "{}", one.queue());
    }
}
