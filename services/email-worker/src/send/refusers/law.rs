//! Which domains refuse most of our mails, and what the log is to say of it. No I/O, no clock.
//!
//! A line for each mail is right for a few of them, and hides what matters where a domain refuses hundreds. So a domain
//! that refuses most has lines of its own, rarely, and its mails have none.

use std::collections::VecDeque;
use std::time::Duration;

use contract::TaskId;
use tokio::time::Instant;

/// From one line of a domain to its next.
pub(super) const EVERY: Duration = Duration::from_secs(60);
/// In such a time all domains together have so many lines, and mails that are not accepted so many of their own.
const LINES: (u32, u32) = (16, 100);
/// Of a domain's last so many answers ..
const LOOKED_AT: usize = 10;
/// .. so many at least are refusals, of different mails, and more than half of them are.
const ENOUGH: usize = 5;
/// Domains that are kept in mind.
const DOMAINS: usize = 64;
/// A domain that was not heard of for so long makes room for another one.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3_600);

/// Something to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// This domain refuses most of ours.
    Refuses {
        domain: String,
        /// Refusals, of so many answers: since it began to, and the last ones before that.
        refused: u64,
        of: u64,
        /// Of these refusals, those that have no line, and are in no line before this one.
        without_a_line: u64,
        /// What it said last.
        reply: String,
    },
    /// It takes mails again, after so many refusals.
    TakesAgain { domain: String, refused: u64 },
    /// So many mails of other domains were not accepted and have no line.
    Others { without_a_line: u64 },
}

/// A mail that a domain refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal<'a> {
    pub(super) mail: TaskId,
    pub(super) domain: &'a str,
    /// What was said, without an address.
    pub(super) reply: &'a str,
    /// Does it count against the domain? Greylisting does not, for one.
    pub(super) counts: bool,
}

/// What is known of domains that refuse: of [`DOMAINS`] at most.
#[derive(Debug, Default)]
pub(super) struct Law {
    domains: Vec<Domain>,
    lines: Budget,
    own_lines: Budget,
    // Mails without a line, of domains that do not refuse most; and when that was told last.
    others: u64,
    others_told: Option<Instant>,
}

#[derive(Debug)]
struct Domain {
    name: String,
    answers: VecDeque<Answer>,
    last: Instant,
    told: Option<Instant>,
    spell: Option<Spell>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Taken,
    Refused(TaskId),
}

/// A time in which a domain refuses most.
#[derive(Debug)]
struct Spell {
    refused: u64,
    answers: u64,
    without_a_line: u64,
    reply: String,
    // Was it told?
    said: bool,
}

/// So many in each time of [`EVERY`].
#[derive(Debug, Default)]
struct Budget {
    since: Option<Instant>,
    spent: u32,
}

impl Budget {
    fn take(&mut self, most: u32, now: Instant) -> bool {
        if self.since.is_none_or(|since| now >= since + EVERY) {
            (self.since, self.spent) = (Some(now), 0);
        }
        let left = self.spent < most;
        self.spent += u32::from(left);
        left
    }
}

impl Law {
    /// A mail was refused. Does it have a line of its own, and what else is there to say?
    pub(super) fn refused(&mut self, refusal: Refusal<'_>, now: Instant) -> (bool, Option<Line>) {
        let at = if refusal.counts { self.known_or_new(refusal.domain, now) } else { self.position(refusal.domain) };
        let Some(domain) = at.and_then(|at| self.domains.get_mut(at)) else { return (self.own_line(now), None) };
        if refusal.counts {
            domain.refused(refusal, now);
        }
        let Some(spell) = &mut domain.spell else { return (self.own_line(now), None) };
        if !refusal.counts {
            spell.without_a_line += 1;
            return (false, None);
        }
        // The mails before it have lines; this one has the domain's.
        (false, domain.line(&mut self.lines, now))
    }

    /// A mail was taken.
    pub(super) fn taken(&mut self, name: &str, now: Instant) -> Option<Line> {
        let at = self.position(name)?;
        let domain = self.domains.get_mut(at)?;
        let ended = domain.taken(now);
        if domain.is_harmless() {
            self.domains.swap_remove(at);
        }
        let Spell { refused, without_a_line, said, .. } = ended?;
        self.others += without_a_line;
        said.then(|| Line::TakesAgain { domain: name.to_owned(), refused })
    }

    /// What is to be said by now of what was left unsaid.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Line> {
        let mut lines: Vec<Line> =
            self.domains.iter_mut().filter_map(|domain| domain.line(&mut self.lines, now)).collect();
        if self.others > 0 && self.others_told.is_none_or(|told| now >= told + EVERY) {
            self.others_told = Some(now);
            lines.push(Line::Others { without_a_line: std::mem::take(&mut self.others) });
        }
        lines
    }

    /// What was left unsaid, now that nothing follows.
    pub(super) fn rest(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        for domain in &mut self.domains {
            let room = lines.len() < LINES.0 as usize;
            match domain.spell.as_mut().filter(|spell| spell.without_a_line > 0) {
                Some(spell) if room => lines.push(spell.line(&domain.name)),
                Some(spell) => self.others += std::mem::take(&mut spell.without_a_line),
                None => {}
            }
        }
        if self.others > 0 {
            lines.push(Line::Others { without_a_line: std::mem::take(&mut self.others) });
        }
        lines
    }

    fn own_line(&mut self, now: Instant) -> bool {
        let has_one = self.own_lines.take(LINES.1, now);
        self.others += u64::from(!has_one);
        has_one
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.domains.iter().position(|domain| domain.name == name)
    }

    fn known_or_new(&mut self, name: &str, now: Instant) -> Option<usize> {
        if let Some(at) = self.position(name) {
            return Some(at);
        }
        if self.domains.len() >= DOMAINS {
            let left = self.least_telling(now)?;
            let domain = self.domains.swap_remove(left);
            self.others += domain.spell.map_or(0, |spell| spell.without_a_line);
        }
        let answers = VecDeque::with_capacity(LOOKED_AT);
        self.domains.push(Domain { name: name.to_owned(), answers, last: now, told: None, spell: None });
        Some(self.domains.len() - 1)
    }

    /// The one to make room: that refused least, and of these the one that was quiet the longest. None: all are needed.
    fn least_telling(&self, now: Instant) -> Option<usize> {
        let candidates = self.domains.iter().enumerate();
        let (at, domain) = candidates.min_by_key(|(_, domain)| {
            let is_old = now >= domain.last + FORGOTTEN_AFTER;
            (!is_old, domain.spell.is_some(), domain.refusals(), domain.last)
        })?;
        (domain.spell.is_none() || now >= domain.last + FORGOTTEN_AFTER).then_some(at)
    }
}

impl Domain {
    fn refused(&mut self, refusal: Refusal<'_>, now: Instant) {
        self.last = now;
        if let Some(spell) = &mut self.spell {
            spell.refused += 1;
            spell.answers += 1;
            spell.without_a_line += 1;
            refusal.reply.clone_into(&mut spell.reply);
        }
        // One mail that is refused again and again says nothing about others.
        if self.answers.contains(&Answer::Refused(refusal.mail)) {
            return;
        }
        self.answered(Answer::Refused(refusal.mail));
        if self.spell.is_none() && self.refusals() >= ENOUGH && self.refuses_most() {
            self.spell = Some(Spell {
                refused: self.refusals() as u64,
                answers: self.answers.len() as u64,
                without_a_line: 1,
                reply: refusal.reply.to_owned(),
                said: false,
            });
        }
    }

    /// The spell, if this ends it: one that refused all and takes one, or one that refuses no more than half.
    fn taken(&mut self, now: Instant) -> Option<Spell> {
        self.last = now;
        let refused_all = self.refusals() == self.answers.len();
        self.answered(Answer::Taken);
        if let Some(spell) = &mut self.spell {
            spell.answers += 1;
        }
        if refused_all || !self.refuses_most() { self.spell.take() } else { None }
    }

    fn answered(&mut self, answer: Answer) {
        if self.answers.len() == LOOKED_AT {
            self.answers.pop_front();
        }
        self.answers.push_back(answer);
    }

    fn refusals(&self) -> usize {
        self.answers.iter().filter(|answer| **answer != Answer::Taken).count()
    }

    fn refuses_most(&self) -> bool {
        2 * self.refusals() > self.answers.len()
    }

    /// Is there nothing to keep of it?
    fn is_harmless(&self) -> bool {
        self.spell.is_none() && self.refusals() == 0
    }

    /// What there is to say, if it is time to.
    fn line(&mut self, lines: &mut Budget, now: Instant) -> Option<Line> {
        let spell = self.spell.as_mut().filter(|spell| spell.without_a_line > 0)?;
        let due = self.told.is_none_or(|told| now >= told + EVERY);
        if !due || !lines.take(LINES.0, now) {
            return None;
        }
        self.told = Some(now);
        Some(spell.line(&self.name))
    }
}

impl Spell {
    fn line(&mut self, domain: &str) -> Line {
        self.said = true;
        Line::Refuses {
            domain: domain.to_owned(),
            refused: self.refused,
            of: self.answers,
            without_a_line: std::mem::take(&mut self.without_a_line),
            reply: self.reply.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
