//! clap's errors, told in one line that names the variable.

use std::error::Error as _;
use std::ffi::OsString;
use std::num::{IntErrorKind, ParseIntError};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use super::{Refused, renamed, variables};

/// Longest piece of a refused value that is shown, in characters.
const SHOWN: usize = 60;

/// `commands` are those that the command line names.
pub(super) fn explain<'a>(
    commands: impl Iterator<Item = &'a Command>,
    err: &clap::Error,
    var: &dyn Fn(&str) -> Option<OsString>,
) -> Refused {
    let names = strings(err, ContextKind::InvalidArg);
    let commands: Vec<&Command> = commands.collect();
    let arg = names.iter().find_map(|name| find(&commands, name));
    let line = match err.kind() {
        ErrorKind::DisplayVersion | ErrorKind::DisplayHelp => return Refused::Asked(err.to_string()),
        ErrorKind::MissingRequiredArgument => {
            let missing = names.iter().map(|name| match find(&commands, name) {
                Some((arg, variable)) => format!("{variable} is not set (expected: {})", summary(arg)),
                None => format!("{name} is missing"),
            });
            missing.collect::<Vec<_>>().join("; ")
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::WrongNumberOfValues => match arg {
            Some((arg, variable)) => invalid(arg, variable, err, var),
            None => {
                let value = strings(err, ContextKind::InvalidValue);
                format!("{}: {} is not valid{}", names.join(", "), shown(&value.join(" ")), why(err, None))
            }
        },
        ErrorKind::UnknownArgument => format!("unknown argument {}; --help lists what there is", names.join(", ")),
        ErrorKind::InvalidSubcommand => {
            format!("unknown command {}; --help lists them", strings(err, ContextKind::InvalidSubcommand).join(" "))
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let inner =
                commands.last().map(|command| command.get_subcommands().map(Command::get_name).collect::<Vec<_>>());
            let name = commands.last().map(|command| command.get_name()).unwrap_or_default();
            format!("{name} what? One of: {}", inner.unwrap_or_default().join(", "))
        }
        _ => first_line(err),
    };
    Refused::Invalid(line.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn invalid(arg: &Arg, variable: &str, err: &clap::Error, var: &dyn Fn(&str) -> Option<OsString>) -> String {
    let (variable, value) = renamed::given(arg, variable, var).unwrap_or((variable, OsString::new()));
    let value = value.to_string_lossy();
    let secret = arg.is_hide_env_values_set();
    let given = if secret { String::new() } else { format!(" {}", shown(&value)) };
    let why = why(err, secret.then_some(&*value));
    format!("{variable}{given} is not valid{why} (expected: {})", summary(arg))
}

/// The reason, with a secret cut out should a parser have repeated it.
fn why(err: &clap::Error, secret: Option<&str>) -> String {
    let allowed = strings(err, ContextKind::ValidValue);
    if !allowed.is_empty() {
        return format!(": must be {}", allowed.join(" or "));
    }
    let Some(source) = err.source() else { return String::new() };
    let text = match source.downcast_ref::<ParseIntError>().map(ParseIntError::kind) {
        Some(IntErrorKind::InvalidDigit | IntErrorKind::Empty) => "not a whole number".to_owned(),
        _ => source.to_string(),
    };
    format!(": {}", secret.map_or(text.clone(), |value| text.replace(value, "<secret>")))
}

/// What `--help` says of a variable, in its first sentence.
fn summary(arg: &Arg) -> String {
    arg.get_help().map(ToString::to_string).unwrap_or_else(|| "see --help".to_owned())
}

fn shown(value: &str) -> String {
    let cut = value.chars().count() > SHOWN;
    let head: String = value.chars().take(SHOWN).collect();
    format!("{head:?}{}", if cut { ".." } else { "" })
}

/// `--http-addr <HTTP_ADDR>` back to its argument and variable.
fn find<'a>(commands: &[&'a Command], name: &str) -> Option<(&'a Arg, &'a str)> {
    let long = name.strip_prefix("--")?.split([' ', '=']).next()?;
    commands.iter().flat_map(|command| variables(command)).find(|(arg, _)| arg.get_long() == Some(long))
}

fn strings(err: &clap::Error, kind: ContextKind) -> Vec<String> {
    match err.get(kind) {
        Some(ContextValue::String(one)) => vec![one.clone()],
        Some(ContextValue::Strings(many)) => many.clone(),
        _ => Vec::new(),
    }
}

fn first_line(err: &clap::Error) -> String {
    let text = err.to_string();
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("invalid arguments");
    line.trim_start_matches("error:").trim().to_owned()
}
