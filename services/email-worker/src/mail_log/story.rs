//! All that is known of mails, from the log and from the ledger.

use std::time::Duration;

use platform::postgres::{NoAnswer, ask};
use sqlx::PgPool;

use super::find::{Attempt, Attempts, Claimed, InLedger, Mail, Mails, Which};

/// A statement may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// What is known.
#[derive(Debug, Default)]
pub struct Story {
    /// The mails, the latest first.
    pub mails: Vec<Mail>,
    /// Their attempts that were not plain successes, the oldest first.
    pub attempts: Vec<Attempt>,
    /// What the ledger says, where one mail was asked for.
    pub in_ledger: Option<Claimed>,
}

impl Story {
    /// Nothing is.
    pub fn is_empty(&self) -> bool {
        self.mails.is_empty() && self.in_ledger.is_none()
    }

    /// The attempts of one of them.
    pub fn attempts_of<'a>(&'a self, mail: &'a Mail) -> impl Iterator<Item = &'a Attempt> {
        self.attempts.iter().filter(|attempt| attempt.id == mail.id)
    }

    /// What the ledger knows beyond the log.
    pub fn beyond(&self) -> Option<Beyond> {
        match self.in_ledger? {
            Claimed { claimed: true, .. } => Some(Beyond::Sending),
            Claimed { sent_at: Some(_), .. } if self.mails.iter().all(|mail| mail.state != "sent") => {
                Some(Beyond::Done)
            }
            Claimed { sent_at: None, .. } if self.mails.is_empty() => Some(Beyond::Waiting),
            Claimed { .. } => None,
        }
    }
}

/// What no row of the log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// A worker has a claim on it.
    Sending,
    /// It was claimed once, and given back.
    Waiting,
    /// It is marked.
    Done,
}

impl Beyond {
    /// As a state.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Waiting => "waiting",
            Self::Done => "done",
        }
    }

    /// In a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Sending => "a worker has it at this moment",
            Self::Waiting => "a worker had it and could not try it yet: it waits for its next turn",
            Self::Done => "the ledger says that it is done; the log did not see it",
        }
    }
}

/// Looks mails up, the latest first, at most so many.
///
/// # Errors
/// The database does not answer.
pub async fn look_up(pool: &PgPool, which: Which, limit: u32) -> Result<Story, NoAnswer> {
    // What runs for the first time, or ran while the log was off, is in the ledger alone.
    let in_ledger = match &which {
        Which::Id(id) => ask(pool, &InLedger(*id), ANSWER_WITHIN).await?,
        Which::Recipient(_) | Which::Trace(_) => None,
    };
    let mails = ask(pool, &Mails { which, limit: i64::from(limit) }, ANSWER_WITHIN).await?;
    let attempts = ask(pool, &Attempts(mails.iter().map(|mail| mail.id).collect()), ANSWER_WITHIN).await?;
    Ok(Story { mails, attempts, in_ledger })
}
