//! Does the server refuse everyone, or only some? Judged by domain, since anyone can bring a flood of tasks for one, or for
//! ever new ones that do not exist.

mod remembered;

use contract::TaskId;

use crate::smtp::Stage;
use remembered::Remembered;

/// The server refuses everyone: open the circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooMany {
    /// Mails that it refused, one after the other.
    pub mails: usize,
    /// Their domains, the first of them.
    pub domains: Vec<String>,
}

/// Counts refusals that [tell of the server](super::tells_of_the_server), until a mail comes past where they were said: up to
/// the recipient, or after it. The recipient is counted as soon as it is taken: refusals are quick, and a mail that is being
/// taken is not heard of before its dot is answered.
///
/// A refusal weighs [`MOST`](Self::MOST) at a domain that has taken mail before, or as long as nobody was taken; else 1: a
/// receiver that never took any may just not like us, or not be there, and a flood has no end of those. No domain weighs more
/// than a fifth of the measure.
///
/// Domains that refused one mail after the other until another one, which had refused none, took one, count no more: that
/// is their own matter, until they take a mail again.
#[derive(Debug, Clone)]
pub struct Everyone {
    took: Remembered,
    alone: Remembered,
    at_rcpt: Run,
    later: Run,
}

/// What is refused at one place of the conversation, one after the other.
#[derive(Debug, Clone, Default)]
struct Run {
    /// A mail has come past this place once.
    passable: bool,
    mails: Vec<TaskId>,
    domains: Vec<Refuser>,
    weight: usize,
}

/// A domain that refuses.
#[derive(Debug, Clone)]
struct Refuser {
    domain: String,
    /// Mails that were refused.
    mails: u32,
    /// What they weigh.
    weight: usize,
}

impl Everyone {
    /// How much is everyone: twenty mails at the most each, or two hundred where the domains are new and others were taken. At
    /// nineteen dead ones in twenty that many in a row come once in twenty thousand times.
    pub const WEIGHT: usize = 200;
    /// What one mail weighs at most.
    pub const MOST: u8 = 10;
    /// What one domain weighs at most.
    const EACH: usize = Self::WEIGHT / 5;
    /// Domains that are kept in mind of those that refuse; more than it takes.
    const DOMAINS: usize = 256;
    /// So many refusals are one after the other.
    const REPEATED: u32 = 2;
    /// Domains that are named.
    const NAMED: usize = 8;

    /// The server took this domain's recipient; whether it takes the mail is not known yet.
    pub fn recipient_taken(&mut self, domain: &str) {
        self.at_rcpt.passed(domain, &mut self.alone);
    }

    /// The server took a mail for this domain.
    pub fn accepted(&mut self, domain: &str) {
        self.took.insert(domain);
        self.alone.remove(domain);
        // That its recipient was taken was told when it was.
        self.later.passed(domain, &mut self.alone);
    }

    /// The server refused this mail here, and not for its address.
    ///
    /// # Errors
    /// [`TooMany`], with the mail that makes the measure full; it starts over then.
    pub fn refused(&mut self, mail: TaskId, domain: &str, stage: Option<Stage>) -> Result<(), TooMany> {
        if self.alone.contains(domain) {
            return Ok(());
        }
        let run = if stage <= Some(Stage::Rcpt) { &mut self.at_rcpt } else { &mut self.later };
        let weighs = if !run.passable || self.took.contains(domain) { Self::MOST } else { 1 };
        run.refused(mail, domain, usize::from(weighs))
    }

    /// How much it shows, of [`MOST`](Self::MOST), that a mail for this domain is refused still.
    pub fn shows(&self, domain: &str) -> u8 {
        if self.took.contains(domain) { Self::MOST } else { 1 }
    }

    /// How much a mail for this domain would show, now that everyone is refused; the lowest first.
    pub fn rank(&self, domain: &str) -> u32 {
        let refused = self.alone.contains(domain) || self.at_rcpt.knows(domain) || self.later.knows(domain);
        match (refused, self.took.contains(domain)) {
            (false, true) => 0,
            // There is nothing better to wait for.
            (_, false) if self.took.is_empty() => u32::from(refused),
            (false, false) => 1,
            (true, _) => 2,
        }
    }
}

impl Run {
    fn passed(&mut self, domain: &str, alone: &mut Remembered) {
        if !self.knows(domain) {
            let repeated = self.domains.iter().filter(|refuser| refuser.mails >= Everyone::REPEATED);
            repeated.for_each(|refuser| alone.insert(&refuser.domain));
        }
        self.passable = true;
        self.domains.clear();
        self.start_over();
    }

    fn refused(&mut self, mail: TaskId, domain: &str, weighs: usize) -> Result<(), TooMany> {
        if self.mails.contains(&mail) {
            return Ok(());
        }
        let refuser = self.refuser(domain);
        refuser.mails = refuser.mails.saturating_add(1);
        let weighs = weighs.min(Everyone::EACH - refuser.weight);
        if weighs == 0 {
            return Ok(());
        }
        refuser.weight += weighs;
        self.mails.push(mail);
        self.weight += weighs;
        if self.weight < Everyone::WEIGHT {
            return Ok(());
        }
        let domains = self.domains.iter().filter(|refuser| refuser.weight > 0).take(Everyone::NAMED);
        let domains = domains.map(|refuser| refuser.domain.clone()).collect();
        let too_many = TooMany { mails: self.mails.len(), domains };
        self.start_over();
        Err(too_many)
    }

    /// What is counted starts over; who refuses is kept in mind until a mail comes past.
    fn start_over(&mut self) {
        self.mails.clear();
        self.weight = 0;
        for refuser in &mut self.domains {
            refuser.weight = 0;
        }
    }

    fn knows(&self, domain: &str) -> bool {
        self.domains.iter().any(|refuser| refuser.domain == domain)
    }

    /// The one that refused first makes room: new ones must not hide those that have taken mail.
    fn refuser(&mut self, domain: &str) -> &mut Refuser {
        let at = self.domains.iter().position(|refuser| refuser.domain == domain).unwrap_or_else(|| {
            if self.domains.len() >= Everyone::DOMAINS {
                self.domains.remove(0);
            }
            self.domains.push(Refuser { domain: domain.to_owned(), mails: 0, weight: 0 });
            self.domains.len() - 1
        });
        &mut self.domains[at]
    }
}

impl Default for Everyone {
    fn default() -> Self {
        let (took, alone) = (Remembered::new(4_096), Remembered::new(4_096));
        Self { took, alone, at_rcpt: Run::default(), later: Run::default() }
    }
}

#[cfg(test)]
mod tests;
