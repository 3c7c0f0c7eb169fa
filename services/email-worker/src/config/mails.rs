//! The arguments of `email-worker mails`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use contract::{EmailAddress, TypeName};
use mail::{MailOptions, Sender};
use platform::config::AppEnv;

use super::{MailArgs, mail::product_name};

/// What to do with the files of mail types.
#[derive(Debug, Args)]
pub struct MailsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: MailsCommand,
}

/// What to do with the files of mail types.
#[derive(Debug, Subcommand)]
pub enum MailsCommand {
    /// Write the files of an example type, in two languages, to begin with
    Init {
        /// The directory; made when missing. No file in it is replaced
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Read all types, in every language with their sample data; exits with 65 and names file and line where something is wrong
    Check {
        /// The directory
        #[arg(value_name = "DIR", env = "MAILS_DIR")]
        directory: PathBuf,
    },
    /// Show all mails in a browser, anew whenever a file is saved
    Preview(Box<PreviewArgs>),
    /// Print one mail as it would be sent
    Render(Box<RenderArgs>),
    /// Send one mail, with its sample data or with data of yours
    SendTest(Box<SendTestArgs>),
}

/// Which mail, and for whom.
#[derive(Debug, Args)]
pub struct WhichArgs {
    /// Its type
    #[arg(value_name = "TYPE")]
    pub mail_type: TypeName,
    /// Where the files of mail types are; without it there are the built-in ones alone
    #[arg(long = "dir", value_name = "DIR", env = "MAILS_DIR")]
    pub directory: Option<PathBuf>,
    /// The language, such as de or zh-Hant; the type's default when not set
    #[arg(long)]
    pub locale: Option<String>,
    /// Its data: JSON, or @FILE; the type's sample when not set
    #[arg(long, value_name = "JSON")]
    pub data: Option<String>,
    /// How the recipient is called
    #[arg(long)]
    pub name: Option<String>,
}

/// What of a mail is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shown {
    /// Subject and text, for people.
    Text,
    /// The HTML part.
    Html,
    /// Everything, as it goes over the wire; for a file that ends in .eml.
    Eml,
}

/// Which mail to print, and what of it.
#[derive(Debug, Args)]
pub struct RenderArgs {
    /// Which mail.
    #[command(flatten)]
    pub which: WhichArgs,
    /// What of it
    #[arg(long, value_enum, default_value_t = Shown::Text)]
    pub show: Shown,
    /// Who it is for
    #[arg(long, value_name = "ADDRESS", default_value = "ada@example.com")]
    pub to: EmailAddress,
    /// What all mails have in common.
    #[command(flatten)]
    pub sender: SenderArgs,
}

/// What all mails have in common, where none is sent.
#[derive(Debug, Args)]
pub struct SenderArgs {
    /// Sender of every mail
    #[arg(long, env = "MAIL_FROM", default_value = "Sluice <no-reply@example.com>")]
    pub mail_from: Sender,
    /// What the product calls itself in its mails
    #[arg(long, env = "MAIL_PRODUCT_NAME", default_value = "Sluice", value_parser = product_name)]
    pub mail_product_name: String,
}

impl SenderArgs {
    /// The same for whoever writes them.
    pub fn mail(self) -> MailOptions {
        MailOptions { from: self.mail_from, product: self.mail_product_name }
    }
}

/// Which mails to show, and where.
#[derive(Debug, Args)]
pub struct PreviewArgs {
    /// The directory
    #[arg(value_name = "DIR", env = "MAILS_DIR")]
    pub directory: PathBuf,
    /// Where the page is served; this machine alone can see it, unless this is an address that others reach
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8025")]
    pub addr: SocketAddr,
    /// What all mails have in common.
    #[command(flatten)]
    pub sender: SenderArgs,
}

/// Which mail to send, and which way.
#[derive(Debug, Args)]
pub struct SendTestArgs {
    /// Which mail.
    #[command(flatten)]
    pub which: WhichArgs,
    /// Who gets it
    #[arg(long, value_name = "ADDRESS")]
    pub to: EmailAddress,
    /// The mail server.
    #[command(flatten)]
    pub mail: MailArgs,
    /// What the process runs for; production refuses MAIL_TRANSPORT=file
    #[arg(long, env = "APP_ENV", value_enum, default_value_t = AppEnv::Development, help_heading = "Process")]
    pub app_env: AppEnv,
}
