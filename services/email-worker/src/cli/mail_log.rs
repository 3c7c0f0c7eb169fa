//! The commands of the mail log.

use std::io::{BufWriter, stdout};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use platform::postgres::{self, Statement};
use sqlx::PgPool;

use super::commands::printed;
use super::suppressions::NoKey;
use crate::config::{Find, MailLogCommand, MailLogCommandArgs};
use crate::mail_log::find::{Attempts, InLedger, Mails, Which};
use crate::mail_log::paper::{self, Story};
use crate::suppressions::AddressKeys;

/// A statement may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Exits with 1 where nothing is known, as grep does.
pub(super) async fn mail_log(args: MailLogCommandArgs) -> anyhow::Result<ExitCode> {
    let MailLogCommandArgs { database_url, suppression, command } = args;
    let log = Log { pool: postgres::pool(&database_url, 1, "email-worker mail-log")?, keys: suppression.keys() };
    match command {
        MailLogCommand::Find(find) => log.find(find).await,
    }
}

struct Log {
    pool: PgPool,
    keys: Option<AddressKeys>,
}

impl Log {
    async fn ask<S: Statement>(&self, statement: S) -> anyhow::Result<S::Answer> {
        let answer = postgres::ask(&self.pool, &statement, ANSWER_WITHIN).await;
        answer.context("asking the database of DATABASE_URL what became of mails")
    }

    async fn find(&self, find: Find) -> anyhow::Result<ExitCode> {
        let json = find.json;
        let story = self.story(find).await?;
        let known = !story.is_empty();
        let out = BufWriter::new(stdout());
        printed(if json { paper::lines(out, &story) } else { paper::table(out, &story) })?;
        Ok(if known { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn story(&self, find: Find) -> anyhow::Result<Story> {
        let Find { id, address, trace, limit, .. } = find;
        let which = match (id, address, trace) {
            (Some(id), ..) => Which::Id(id.as_uuid()),
            (_, Some(address), _) => {
                let hashes = self.keys.as_ref().ok_or(NoKey)?.hashes(&address);
                Which::Recipient(hashes.all().map(<[u8]>::to_vec).collect())
            }
            (.., trace) => Which::Trace(trace.unwrap_or_default()),
        };
        let mails = self.ask(Mails { which, limit: i64::from(limit) }).await?;
        let attempts = self.ask(Attempts(mails.iter().map(|mail| mail.id).collect())).await?;
        // What runs for the first time, or ran while the log was off, is in the ledger alone.
        let in_ledger = match id {
            Some(id) => self.ask(InLedger(id.as_uuid())).await?,
            None => None,
        };
        Ok(Story { mails, attempts, in_ledger })
    }
}
