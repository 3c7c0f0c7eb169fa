//! Configuration from the environment alone: one struct a service, `--help` is its manual.
//!
//! A field is an ordinary clap argument with `long` and `env`; its doc comment says what the variable expects. The flag
//! itself cannot be used: what can be given in two ways is looked up in the wrong one.
//!
//! ```
//! #[derive(clap::Parser)]
//! struct Config {
//!     /// Where to listen, address and port
//!     #[arg(long, env = "HTTP_ADDR", default_value = "0.0.0.0:8080")]
//!     http_addr: std::net::SocketAddr,
//! }
//! let config: Config = platform::config::try_parse(["demo"], |_| None).unwrap_or_else(|_| unreachable!());
//! ```

mod args;
mod diagnostic;
mod help;
pub(crate) mod log;
mod mistyped;
mod renamed;
mod values;

use std::ffi::{OsStr, OsString};

use clap::{ArgAction, Command, CommandFactory, Parser};

pub use args::{AdminArgs, BrokerArgs, CommonArgs, DatabaseArgs, MigrateArgs};
pub use values::{AppEnv, Contradiction, InvalidValue, Secret, database_url, duration};

use crate::exit::Exit;

/// Reads the environment and the command line. On `--help` and `--version` prints and exits 0; on anything missing or
/// invalid prints one line on stderr that names the variable, and exits 64.
///
/// When the command line names no subcommand, the first one declared is taken.
pub fn parse<C: Parser>() -> C {
    match try_parse(std::env::args_os(), |name| std::env::var_os(name)) {
        Ok(config) => config,
        Err(Refused::Asked(text)) => end(std::io::stdout(), text.trim_end(), 0),
        Err(Refused::Invalid(line)) => end(std::io::stderr(), &format!("error: {line}"), Exit::Usage as i32),
    }
}

fn end(mut out: impl std::io::Write, text: &str, code: i32) -> ! {
    // Whoever closed our stdout does not want to know.
    let _ = writeln!(out, "{text}");
    std::process::exit(code)
}

/// Why there is no configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// `--help` or `--version`: the text asked for.
    Asked(String),
    /// One line that names what is wrong.
    Invalid(String),
}

/// Variables that stand here instead of in the environment, for [`try_parse`]; the first of a name counts.
pub fn given<'v>(variables: &'v [(&'v str, &'v str)]) -> impl Fn(&str) -> Option<OsString> + 'v {
    |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
}

/// [`parse`] for a given command line (the first item is the program) and environment.
pub fn try_parse<C: Parser>(
    args: impl IntoIterator<Item = impl Into<OsString>>,
    var: impl Fn(&str) -> Option<OsString>,
) -> Result<C, Refused> {
    let var = |name: &str| var(name).map(without_line_break);
    let manual = C::command();
    let mut args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    if args.is_empty() {
        args.push(manual.get_name().into());
    }
    let path = named(&manual, &mut args);
    let all = || path.iter().flat_map(|(_, command)| variables(command));
    if let Some(name) = args.iter().skip(1).find_map(|flag| variable_of_flag(all(), flag)) {
        return Err(Refused::Invalid(format!("{name} is set in the environment, not on the command line")));
    }
    if args.iter().skip(1).any(|arg| arg == "--help" || arg == "-h" || arg == "help") {
        return Err(Refused::Asked(help::render(&manual)));
    }
    let unreadable = |(arg, name)| renamed::given(arg, name, &var).filter(|(_, value)| value.to_str().is_none());
    if let Some((name, _)) = all().find_map(unreadable) {
        return Err(Refused::Invalid(format!("{name} is not valid UTF-8")));
    }
    // Values go in as flags, so that the environment given here is the only one that counts, and an empty variable is
    // the same as none. From the end, where places do not move.
    for (at, command) in path.iter().rev() {
        let options = variables(command).filter_map(|(arg, name)| {
            let (_, value) = renamed::given(arg, name, &var)?;
            let mut option = OsString::from(format!("--{}=", arg.get_long().unwrap_or_default()));
            option.push(value);
            Some(option)
        });
        args.splice(at..at, options);
    }

    let matches = without_env(C::command()).try_get_matches_from(args);
    matches
        .and_then(|mut matches| C::from_arg_matches_mut(&mut matches))
        .map_err(|err| diagnostic::explain(path.iter().map(|(_, command)| *command), &err, &var))
}

/// Tells the log which variables of this process are almost those of the configuration `C`, or have a name that is no
/// longer theirs.
pub fn warn_of_names<C: CommandFactory>() {
    let manual = C::command();
    mistyped::warn(&manual);
    renamed::warn(&manual);
}

/// A value from a file often ends with one; no variable of ours does.
fn without_line_break(value: OsString) -> OsString {
    match value.to_str().map(|text| text.trim_end_matches(['\r', '\n'])) {
        Some(text) if text.len() < value.len() => OsString::from(text),
        _ => value,
    }
}

/// The command and the subcommands that the command line names, outermost first, each with where its arguments begin. The
/// default one is written into `args` where none is named.
fn named<'a>(manual: &'a Command, args: &mut Vec<OsString>) -> Vec<(usize, &'a Command)> {
    let first = args.get(1).and_then(|arg| arg.to_str());
    let names_none = match first {
        None => args.len() == 1,
        Some(arg) => arg.starts_with('-') && !matches!(arg, "-V" | "--version"),
    };
    if let Some(default) = manual.get_subcommands().next().filter(|_| names_none) {
        args.insert(1, default.get_name().into());
    }
    let mut path = vec![(1, manual)];
    for (at, arg) in args.iter().enumerate().skip(1) {
        let inner = path.last().and_then(|(_, command)| command.find_subcommand(arg.to_str()?));
        match inner {
            Some(command) => path.push((at + 1, command)),
            None => break,
        }
    }
    path
}

/// Every argument that is set by a variable, with the variable's name.
fn variables(command: &Command) -> impl Iterator<Item = (&clap::Arg, &str)> {
    command.get_arguments().filter_map(|arg| Some((arg, arg.get_env().and_then(OsStr::to_str)?)))
}

fn variable_of_flag<'a>(mut all: impl Iterator<Item = (&'a clap::Arg, &'a str)>, given: &OsStr) -> Option<&'a str> {
    let flag = given.to_str()?.strip_prefix("--")?.split('=').next()?;
    all.find(|(arg, _)| arg.get_long() == Some(flag) || renamed::former(arg).any(|name| name == flag))
        .map(|(_, name)| name)
}

fn without_env(command: Command) -> Command {
    let command = command.disable_help_flag(true).disable_help_subcommand(true);
    let command = command.mut_args(|arg| {
        debug_assert!(
            arg.get_env().is_none() || matches!(arg.get_action(), ArgAction::Set | ArgAction::Append),
            "a variable has a value: ArgAction::Set"
        );
        arg.env(None::<&'static str>)
    });
    command.mut_subcommands(without_env)
}

#[cfg(test)]
mod tests;
