//! What to run: `SEED=3`, `SEEDS=1..10`, `TIME=60s`.

use std::time::Duration;

use anyhow::{Context as _, bail};

/// Ten minutes by hand.
const TIME: Duration = Duration::from_secs(600);

/// In less, next to nothing breaks, and all is well without anything being shown.
const SHORTEST: Duration = Duration::from_secs(10);

/// Which seeds, for how long each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) seeds: Vec<u64>,
    pub(crate) time: Duration,
}

impl Options {
    /// Reads them; an empty variable is none. Without a seed it is `chance`.
    pub(crate) fn read(var: impl Fn(&str) -> Option<String>, chance: u64) -> anyhow::Result<Self> {
        let var = |name| var(name).filter(|text| !text.is_empty());
        let time = match var("TIME") {
            None => TIME,
            Some(text) => {
                humantime::parse_duration(&text).with_context(|| format!("TIME={text}: not a time such as 60s"))?
            }
        };
        if time < SHORTEST {
            bail!("TIME={}: too short to break anything, at least {}", text(time), text(SHORTEST));
        }
        let seeds = match (var("SEED"), var("SEEDS")) {
            (None, None) => vec![chance],
            (Some(text), None) => vec![number("SEED", &text)?],
            (None, Some(text)) => range(&text)?,
            (Some(_), Some(_)) => bail!("SEED and SEEDS: give one of them"),
        };
        Ok(Self { seeds, time })
    }
}

/// As it can be given as `TIME` again.
pub(crate) fn text(time: Duration) -> String {
    humantime::format_duration(time).to_string().replace(' ', "")
}

fn number(name: &str, text: &str) -> anyhow::Result<u64> {
    text.trim().parse().with_context(|| format!("{name}={text}: not a whole number"))
}

/// `1..10`, both ends included, or `3,5,8`.
fn range(text: &str) -> anyhow::Result<Vec<u64>> {
    let seeds: Vec<u64> = match text.split_once("..") {
        Some((from, to)) => (number("SEEDS", from)?..=number("SEEDS", to)?).collect(),
        None => text.split(',').map(|part| number("SEEDS", part)).collect::<anyhow::Result<_>>()?,
    };
    if seeds.is_empty() { bail!("SEEDS={text}: no seed in it, write 1..10") } else { Ok(seeds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> anyhow::Result<Options> {
        Options::read(|name| vars.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned()), 99)
    }

    #[test]
    fn seeds_and_time_are_read() {
        for (vars, seeds, seconds) in [
            (&[][..], vec![99], 600),
            (&[("SEED", ""), ("TIME", "")], vec![99], 600),
            (&[("SEED", "7")], vec![7], 600),
            (&[("SEEDS", "1..3"), ("TIME", "60s")], vec![1, 2, 3], 60),
            (&[("SEEDS", "3,8"), ("TIME", "2m")], vec![3, 8], 120),
        ] {
            let expected = Options { seeds, time: Duration::from_secs(seconds) };
            assert_eq!(read(vars).unwrap(), expected, "{vars:?}");
        }
    }

    #[test]
    fn a_time_that_is_printed_can_be_given_again() {
        for time in ["60s", "10m", "90s", "1500s", "12500ms"] {
            let time = humantime::parse_duration(time).unwrap();
            assert_eq!(read(&[("TIME", &text(time))]).unwrap().time, time);
        }
    }

    #[test]
    fn nonsense_is_named() {
        for (name, text) in [("SEED", "x"), ("SEEDS", "3..1"), ("SEEDS", "a..b"), ("TIME", "60"), ("TIME", "9s")] {
            let error = read(&[(name, text)]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        assert!(read(&[("SEED", "1"), ("SEEDS", "1..2")]).is_err());
    }
}
