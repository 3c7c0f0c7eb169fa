//! The manual: what `--help` prints.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::variables;

/// Columns of text at most.
const WIDTH: usize = 110;

/// Commands, their flags, and every variable by its heading, each once.
pub(super) fn render(manual: &Command) -> String {
    let mut out = String::new();
    if let Some(about) = manual.get_about() {
        let _ = writeln!(out, "{about}\n");
    }
    let name = manual.get_name();
    let mut commands = Vec::new();
    collect("", manual, &mut commands);
    let default = manual.get_subcommands().next().map(Command::get_name);
    if default.is_some() {
        let _ = writeln!(out, "Usage: {name} [command]\n\nCommands:");
        let rows = commands.iter().filter(|(_, command)| !command.has_subcommands()).map(|(path, command)| {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            (path.clone(), if Some(path.as_str()) == default { format!("{about} (default)") } else { about })
        });
        table(&mut out, rows.collect());
    } else {
        let _ = writeln!(out, "Usage: {name}");
    }
    for (path, command) in &commands {
        let flags: Vec<_> = command.get_arguments().filter(|arg| is_flag(arg)).map(flag_row).collect();
        if !flags.is_empty() {
            let _ = writeln!(out, "\nFlags of {}:", if path.is_empty() { name } else { path });
            table(&mut out, flags);
        }
    }
    for (heading, rows) in by_heading(&commands) {
        let _ = writeln!(out, "\n{heading}:");
        table(&mut out, rows);
    }
    out.push_str("\nEverything is set by variables of the environment; an empty one counts as not set.\n");
    out
}

type Rows = Vec<(String, String)>;

/// The command and all below it, each with what to type for it.
fn collect<'a>(path: &str, command: &'a Command, all: &mut Vec<(String, &'a Command)>) {
    all.push((path.to_owned(), command));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        collect(format!("{path} {}", sub.get_name()).trim_start(), sub, all);
    }
}

/// Headings in the order in which they first come up, each with its variables.
fn by_heading(commands: &[(String, &Command)]) -> Vec<(String, Rows)> {
    let mut headings: Vec<(String, Rows)> = Vec::new();
    for (_, command) in commands {
        for (arg, name) in variables(command).filter(|(arg, _)| !arg.is_hide_set()) {
            let heading = arg.get_help_heading().unwrap_or("Variables");
            let at = headings.iter().position(|(title, _)| title == heading).unwrap_or_else(|| {
                headings.push((heading.to_owned(), Vec::new()));
                headings.len() - 1
            });
            if headings.iter().all(|(_, rows)| rows.iter().all(|(seen, _)| seen != name)) {
                headings[at].1.push((name.to_owned(), describe(arg)));
            }
        }
    }
    headings.retain(|(_, rows)| !rows.is_empty());
    headings
}

fn describe(arg: &Arg) -> String {
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    if !arg.get_action().takes_values() {
        return text;
    }
    let values: Vec<_> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if !values.is_empty() {
        let _ = write!(text, " [{}]", values.join("|"));
    }
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    if !defaults.is_empty() {
        let _ = write!(text, " [default: {}]", defaults.join(","));
    } else if arg.is_required_set() {
        text.push_str(" [required]");
    }
    text
}

fn is_flag(arg: &Arg) -> bool {
    arg.get_env().is_none() && !matches!(arg.get_id().as_str(), "help" | "version")
}

fn flag_row(arg: &Arg) -> (String, String) {
    let name = arg.get_long().map_or_else(|| format!("<{}>", arg.get_id()), |long| format!("--{long}"));
    let takes_value = arg.get_long().is_some() && arg.get_action().takes_values();
    let placeholder = || match arg.get_value_names() {
        Some([name, ..]) => name.to_string(),
        _ => arg.get_id().as_str().to_uppercase(),
    };
    let value = if takes_value { format!(" <{}>", placeholder()) } else { String::new() };
    (name + &value, describe(arg))
}

fn table(out: &mut String, rows: Rows) {
    let column = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0) + 4;
    for (name, text) in rows {
        let mut line = format!("  {name}");
        for _ in name.chars().count() + 2..column {
            line.push(' ');
        }
        let mut used = column;
        for word in text.split_whitespace() {
            let length = word.chars().count();
            if used + 1 + length > WIDTH {
                let _ = writeln!(out, "{}", line.trim_end());
                line = " ".repeat(column);
                used = column;
            } else if used > column {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += length;
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}
