//! The commands for whoever writes mails.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use contract::{EmailAddress, TaskId};
use mail::{Language, MailOptions, MailType, MailTypes, Problems, Rendered, Renderer, Request, starter_files};
use platform::shutdown;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::config::{MailsArgs, MailsCommand, PreviewArgs, RenderArgs, SendTestArgs, Shown, WhichArgs};
use crate::preview::Preview;
use crate::typed_data;
use platform::table::Table;

/// A set of files, or the data for one of them, is not what it must be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotRight(pub(super) String);

pub(super) async fn mails(args: MailsArgs) -> anyhow::Result<()> {
    match args.command {
        MailsCommand::Init { directory } => init(&directory),
        MailsCommand::Check { directory } => check(&directory),
        MailsCommand::Preview(args) => preview(*args).await,
        MailsCommand::Render(args) => render(*args),
        MailsCommand::SendTest(args) => send_test(*args).await,
    }
}

/// All of them or none: what is there already is somebody's work.
fn init(directory: &Path) -> anyhow::Result<()> {
    let shown = directory.display();
    std::fs::create_dir_all(directory).with_context(|| format!("making the directory {shown}"))?;
    if let Some((name, _)) = starter_files().iter().find(|(name, _)| directory.join(name).exists()) {
        return Err(NotRight(format!("{shown}/{name} is there already: nothing was written")).into());
    }
    let mut said = String::new();
    for (name, content) in starter_files() {
        let path = directory.join(name);
        let mut file = std::fs::File::create_new(&path).with_context(|| format!("writing {}", path.display()))?;
        file.write_all(content.as_bytes()).with_context(|| format!("writing {}", path.display()))?;
        said += &format!("{}\n", path.display());
    }
    print(&format!("{said}\nnext: email-worker mails check {shown}\n"))
}

fn check(directory: &Path) -> anyhow::Result<()> {
    let types = load(Some(directory))?;
    let mut table = Table::new(std::io::stdout(), &["TYPE", "LANGUAGES", "FIELDS"]).uncut();
    let printed = types.iter().try_for_each(|mail_type| table.push(row(mail_type))).and_then(|()| table.flush());
    printed.context("printing")
}

fn row(mail_type: &MailType) -> Vec<String> {
    let name =
        if mail_type.is_built_in() { format!("{} (built in)", mail_type.name()) } else { mail_type.name().to_string() };
    let languages: Vec<_> = mail_type.languages().map(Language::to_string).collect();
    let fields: Vec<_> = mail_type.fields().keys().map(String::as_str).collect();
    vec![name, languages.join(" "), fields.join(" ")]
}

async fn preview(args: PreviewArgs) -> anyhow::Result<()> {
    // Before it says where it is: whoever reads the line may end it at once.
    let stop = shutdown::on_signals();
    let preview = Preview::open(&args.directory, args.addr, args.sender.mail()).await?;
    print(&format!("the mails of {} are at {} until Ctrl-C\n", args.directory.display(), preview.url()))?;
    preview.run(stop).await
}

fn render(args: RenderArgs) -> anyhow::Result<()> {
    let mail = written(&args.which, &args.to, args.sender.mail(), |renderer| renderer)?;
    let text = match args.show {
        Shown::Text => format!("Subject: {}\n\n{}\n", mail.subject(), mail.text().trim_end()),
        Shown::Html => mail.html().context("this type has no HTML part in this language")?.to_owned(),
        Shown::Eml => String::from_utf8_lossy(mail.bytes()).into_owned(),
    };
    print(&text)
}

async fn send_test(args: SendTestArgs) -> anyhow::Result<()> {
    let transport = args.mail.transport(args.app_env)?;
    let (return_path, dkim) = (args.mail.mail_return_path.clone(), args.mail.dkim()?);
    let sent = |renderer: Renderer| renderer.returning_to(return_path).signed_by(dkim);
    let mail = written(&args.which, &args.to, args.mail.mail(), sent)?;
    let attempted = || format!("sending {} to {}", args.which.mail_type, args.to.as_str());
    let mut session = transport.open().await.with_context(attempted)?;
    let accepted = session.send(&mail).await.with_context(attempted)?;
    session.quit().await;
    print(&format!("sent: {}\n", if accepted.reply.is_empty() { "written to the folder" } else { &accepted.reply }))
}

fn written(
    which: &WhichArgs,
    to: &EmailAddress,
    options: MailOptions,
    sent: impl FnOnce(Renderer) -> Renderer,
) -> anyhow::Result<Rendered> {
    let types = load(which.directory.as_deref())?;
    let name = which.mail_type.as_str();
    let mail_type = types.get(name).ok_or_else(|| NotRight(unknown(which, &types)))?;
    tell_of_another_language(which, mail_type);
    let data = match &which.data {
        Some(given) => data(given)?,
        None => {
            let language = mail_type.language(which.locale.as_deref()).context("a type without a language")?;
            mail_type.sample(language)
        }
    };
    let renderer = sent(Renderer::with_types(options, types));
    let (name, locale) = (which.name.as_deref(), which.locale.as_deref());
    let request = Request { kind: Some(which.mail_type.as_str()), email: to, name, locale, data: &data };
    let written = renderer.render_request(&request, TaskId::new(), OffsetDateTime::now_utc());
    Ok(written.map_err(|unwritable| NotRight(unwritable.to_string()))?)
}

fn unknown(which: &WhichArgs, types: &MailTypes) -> String {
    let known: Vec<_> = types.iter().map(|known| known.name().as_str()).collect();
    let hint = if which.directory.is_none() { " (MAILS_DIR, or --dir, names the directory of your own)" } else { "" };
    format!("there is no type `{}`; there is {}{hint}", which.mail_type, known.join(", "))
}

/// Somebody who asks for a language by hand wants to know when it is another one that they get.
#[allow(clippy::print_stderr, reason = "a remark beside what is printed")]
fn tell_of_another_language(which: &WhichArgs, mail_type: &MailType) {
    let (Some(wanted), Some(chosen)) = (which.locale.as_deref(), mail_type.language(which.locale.as_deref())) else {
        return;
    };
    if !wanted.replace('_', "-").eq_ignore_ascii_case(chosen.as_str()) {
        eprintln!("there is no {wanted:?} of {}: this is {chosen}", mail_type.name());
    }
}

fn load(directory: Option<&Path>) -> anyhow::Result<MailTypes> {
    let types = directory.map_or_else(MailTypes::built_in, MailTypes::load);
    types.map_err(|problems| refused(&problems, directory.unwrap_or(Path::new(""))).into())
}

/// Tells each, one a line as compilers do, so that editors find the place.
#[allow(clippy::print_stderr, reason = "what is wrong, for people and editors")]
fn refused(problems: &Problems, directory: &Path) -> NotRight {
    for problem in problems {
        // The directory itself, or a file in it.
        let is_all = Path::new(&problem.file) == directory;
        eprintln!(
            "{}",
            if is_all { problem.to_string().into() } else { directory.join(problem.to_string()) }.display()
        );
    }
    let count = problems.iter().count();
    NotRight(format!("{count} mistake{} in {}", if count == 1 { "" } else { "s" }, directory.display()))
}

fn data(given: &str) -> anyhow::Result<Map<String, Value>> {
    let text = match given.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("reading {file} (--data)"))?,
        None => given.to_owned(),
    };
    typed_data::object(&text, "--data").map_err(|why| NotRight(why).into())
}

pub(super) fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("printing")
}
