//! The commands of the mail log.

use std::io::{BufWriter, stdout};
use std::process::ExitCode;

use anyhow::Context as _;
use platform::postgres;
use sqlx::PgPool;

use super::commands::printed;
use super::suppressions::NoKey;
use crate::config::{Find, MailLogCommand, MailLogCommandArgs};
use crate::mail_log::find::Which;
use crate::mail_log::paper;
use crate::mail_log::story::{self, Story};
use crate::suppressions::AddressKeys;

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
        let found = story::look_up(&self.pool, which, limit).await;
        found.context("asking the database of DATABASE_URL what became of mails")
    }
}
