//! The commands for suppressions.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, stdin, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use contract::EmailAddress;
use platform::postgres::{self, NoAnswer, Statement};
use platform::shutdown;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::commands::printed;
use super::mails::{NotRight, print};
use crate::config::{SuppressionsArgs, SuppressionsCommand, account};
use crate::controls::store::Record;
use crate::reading::Interrupted;
use crate::suppressions::import::{Batch, Line, Progress, next_line};
use crate::suppressions::list::recipient;
use crate::suppressions::store::{Analyze, Find, Forget, List, Remember, Source};
use crate::suppressions::{AddressKeys, list};

/// A statement may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// What a command needs that names addresses.
#[derive(Debug, thiserror::Error)]
#[error("ADDRESS_HASH_KEY is missing: addresses are known by their hash alone")]
pub(super) struct NoKey;

/// Exits with 1 where the answer is no, as grep does.
pub(super) async fn suppressions(args: SuppressionsArgs) -> anyhow::Result<ExitCode> {
    let SuppressionsArgs { database_url, suppression, command } = args;
    let keys = suppression.keys();
    let pool = postgres::pool(&database_url, 1, "email-worker suppressions")?;
    let table = Suppressions { keys, pool, ttl: suppression.suppression_ttl };
    match command {
        SuppressionsCommand::List { limit, json } => table.list(limit, json).await,
        SuppressionsCommand::Add { address, lasts, reason } => table.add(&address, lasts, reason).await,
        SuppressionsCommand::Remove { address } => table.remove(&address).await,
        SuppressionsCommand::Check { address } => table.check(&address).await,
        SuppressionsCommand::Import { file, lasts, reason } => table.import(&file, lasts, &reason).await,
    }
}

struct Suppressions {
    keys: Option<AddressKeys>,
    pool: PgPool,
    ttl: Duration,
}

fn answer(yes: bool) -> ExitCode {
    if yes { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Suppressions {
    fn keys(&self) -> Result<&AddressKeys, NoKey> {
        self.keys.as_ref().ok_or(NoKey)
    }

    fn hashes(&self, address: &EmailAddress) -> Result<Vec<Vec<u8>>, NoKey> {
        Ok(self.keys()?.hashes(address).all().map(<[u8]>::to_vec).collect())
    }

    async fn ask<S: Statement>(&self, statement: &S) -> anyhow::Result<S::Answer> {
        let answer: Result<_, NoAnswer> = postgres::ask(&self.pool, statement, ANSWER_WITHIN).await;
        answer.context("asking the database of DATABASE_URL for suppressions")
    }

    /// Writes down who did it.
    async fn record(&self, action: &str, object: &str, detail: &str) -> anyhow::Result<()> {
        self.ask(&Record { operator: &account(), action, object, detail }).await
    }

    async fn list(&self, limit: u32, json: bool) -> anyhow::Result<ExitCode> {
        let rows = self.ask(&List { limit: i64::from(limit) }).await?;
        let out = BufWriter::new(stdout());
        let written = if json { list::lines(out, &rows) } else { list::table(out, &rows) };
        printed(written).map(|()| ExitCode::SUCCESS)
    }

    async fn add(&self, address: &EmailAddress, lasts: Option<Duration>, reason: String) -> anyhow::Result<ExitCode> {
        let hash = self.keys()?.hashes(address).now.to_vec();
        let object = recipient(&hash);
        let new = self.ask(&self.remember(vec![hash], reason.clone(), Source::Command, lasts)?).await?;
        self.record("suppress", &object, &reason).await?;
        print(if new > 0 { "suppressed\n" } else { "suppressed already: for the longer time of the two\n" })?;
        Ok(ExitCode::SUCCESS)
    }

    fn remember(
        &self,
        hashes: Vec<Vec<u8>>,
        reason: String,
        source: Source,
        lasts: Option<Duration>,
    ) -> Result<Remember, NoKey> {
        let (reasons, key_id) = (vec![reason; hashes.len()], self.keys()?.id().clone());
        Ok(Remember { hashes, reasons, key_id, source, ttl: lasts.unwrap_or(self.ttl) })
    }

    async fn remove(&self, address: &EmailAddress) -> anyhow::Result<ExitCode> {
        let hashes = self.hashes(address)?;
        let object = hashes.first().map(|hash| recipient(hash)).unwrap_or_default();
        let gone = self.ask(&Forget { hashes, bounces_alone: false }).await? > 0;
        if gone {
            self.record("unsuppress", &object, "").await?;
        }
        print(if gone { "not suppressed any more\n" } else { "was not suppressed\n" })?;
        Ok(answer(gone))
    }

    async fn check(&self, address: &EmailAddress) -> anyhow::Result<ExitCode> {
        let found = self.ask(&Find { hashes: self.hashes(address)? }).await?;
        print(&format!("{}\n", found.as_ref().map_or_else(|| "not suppressed".to_owned(), list::sentence)))?;
        Ok(answer(found.is_some()))
    }

    async fn import(&self, file: &Path, lasts: Option<Duration>, reason: &str) -> anyhow::Result<ExitCode> {
        let stop = shutdown::on_signals();
        self.keys()?;
        let named = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
        let mut input: Box<dyn BufRead> = if file == Path::new("-") {
            Box::new(BufReader::new(stdin()))
        } else {
            Box::new(BufReader::new(File::open(file).with_context(|| format!("reading {named}"))?))
        };
        let mut import = Import { table: self, named: &named, lasts, reason, counts: Counts::default() };
        let mut progress = Progress::new();
        let done = import.read(&mut *input, &mut progress, &stop).await;
        progress.clear();
        let Counts { addresses, new, bad, .. } = import.counts;
        print(&format!("{addresses} addresses read, {new} of them not suppressed before\n"))?;
        done?;
        self.record("suppress", "import", &format!("{addresses} addresses of {named}, {new} of them new")).await?;
        // The plans of workers may be from when there were none.
        self.ask(&Analyze).await?;
        anyhow::ensure!(
            bad == 0,
            NotRight(format!("{bad} lines of {named} are no addresses: all others are suppressed"))
        );
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Default)]
struct Counts {
    lines: u64,
    addresses: u64,
    new: u64,
    bad: u64,
}

struct Import<'a> {
    table: &'a Suppressions,
    named: &'a str,
    lasts: Option<Duration>,
    reason: &'a str,
    counts: Counts,
}

impl Import<'_> {
    async fn read(
        &mut self,
        input: &mut dyn BufRead,
        progress: &mut Progress,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let keys = self.table.keys()?;
        let mut batch = Batch::default();
        while let Some(line) = next_line(&mut &mut *input).with_context(|| format!("reading {}", self.named))? {
            self.counts.lines += 1;
            progress.show(self.counts.lines);
            match line {
                Line::Nothing => {}
                Line::Bad(why) => {
                    progress.clear();
                    self.tell(&why);
                }
                Line::Address(address) => {
                    self.counts.addresses += 1;
                    if batch.add(keys, &address) {
                        self.write(&mut batch).await?;
                        anyhow::ensure!(!stop.is_cancelled(), Interrupted);
                    }
                }
            }
        }
        self.write(&mut batch).await
    }

    /// As compilers do, so that editors find the place.
    #[allow(clippy::print_stderr, reason = "what is wrong, for people and editors")]
    fn tell(&mut self, why: &dyn std::fmt::Display) {
        self.counts.bad += 1;
        eprintln!("{}:{}: {why}", self.named, self.counts.lines);
    }

    async fn write(&mut self, batch: &mut Batch) -> anyhow::Result<()> {
        let hashes = batch.take();
        if hashes.is_empty() {
            return Ok(());
        }
        let remember = self.table.remember(hashes, self.reason.to_owned(), Source::Import, self.lasts)?;
        self.counts.new += self.table.ask(&remember).await?;
        Ok(())
    }
}
