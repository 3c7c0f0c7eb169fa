//! Variables that had another name: the old one is understood for one release.
//!
//! It stands as an `alias` of the argument, written as the variable it was:
//! `#[arg(long, env = "MAIL_RETRY_SCHEDULE", alias = "MAIL_RETRY_LADDER")]`. Where both are set, the new one counts.

use std::ffi::OsString;

use clap::{Arg, Command};

use super::variables;

/// The name by which a variable is set, and its value; an empty one is not set.
pub(super) fn given<'a>(
    arg: &'a Arg,
    name: &'a str,
    var: &dyn Fn(&str) -> Option<OsString>,
) -> Option<(&'a str, OsString)> {
    std::iter::once(name).chain(former(arg)).find_map(|name| Some((name, var(name).filter(|value| !value.is_empty())?)))
}

/// The names that an argument's variable had.
pub(super) fn former(arg: &Arg) -> impl Iterator<Item = &str> {
    arg.get_all_aliases().unwrap_or_default().into_iter()
}

/// Tells the log which variables of the configuration are set by a name that they no longer have.
pub(super) fn warn(manual: &Command) {
    for (old, new) in renamed(manual, &|name| std::env::var_os(name)) {
        tracing::warn!(old, new, "a variable is set by its old name, which the next release will not know: rename it");
    }
}

fn renamed(command: &Command, var: &dyn Fn(&str) -> Option<OsString>) -> Vec<(String, String)> {
    let own = variables(command).filter_map(|(arg, name)| {
        let (by, _) = given(arg, name, var)?;
        (by != name).then(|| (by.to_owned(), name.to_owned()))
    });
    let mut all: Vec<_> = own.chain(command.get_subcommands().flat_map(|inner| renamed(inner, var))).collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::super::{Refused, given as pairs, try_parse};
    use super::*;

    #[derive(Debug, PartialEq, Parser)]
    struct Demo {
        /// How many
        #[arg(long, env = "NEW_NAME", alias = "OLD_NAME", default_value = "1")]
        count: u8,
    }

    #[test]
    fn the_old_name_is_understood_and_told_and_the_new_one_counts() {
        let told = vec![("OLD_NAME".to_owned(), "NEW_NAME".to_owned())];
        for (set, count, warnings) in [
            (&[][..], 1, vec![]),
            (&[("NEW_NAME", "2")], 2, vec![]),
            (&[("OLD_NAME", "3")], 3, told.clone()),
            (&[("OLD_NAME", "")], 1, vec![]),
            (&[("OLD_NAME", "3"), ("NEW_NAME", "2")], 2, vec![]),
            (&[("OLD_NAME", "3"), ("NEW_NAME", "")], 3, told),
        ] {
            assert_eq!(try_parse::<Demo>(["demo"], pairs(set)), Ok(Demo { count }), "{set:?}");
            assert_eq!(renamed(&Demo::command(), &pairs(set)), warnings, "{set:?}");
        }
    }

    #[test]
    fn a_wrong_value_is_told_by_the_name_that_is_set() {
        for name in ["OLD_NAME", "NEW_NAME"] {
            let set = [(name, "many")];
            let Err(Refused::Invalid(line)) = try_parse::<Demo>(["demo"], pairs(&set)) else {
                panic!("taken: {set:?}")
            };
            assert!(line.starts_with(&format!("{name} \"many\" is not valid")), "{line}");
        }
    }

    #[test]
    fn neither_name_is_a_flag() {
        for flag in ["--count=2", "--OLD_NAME=2"] {
            let Err(Refused::Invalid(line)) = try_parse::<Demo>(["demo", flag], |_| None) else { panic!("{flag}") };
            assert!(line.contains("NEW_NAME is set in the environment"), "{line}");
        }
    }
}
