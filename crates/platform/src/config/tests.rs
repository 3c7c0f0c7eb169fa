#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::time::Duration;

use super::*;

#[derive(Debug, Parser)]
#[command(name = "demo", version = "1.2.3", about = "Shows variables.")]
enum Demo {
    /// Serve requests
    Serve(Box<Serve>),
    /// Migrate the database
    Migrate(DatabaseArgs<1>),
    /// Put dead letters back
    Redrive {
        #[command(flatten)]
        database: DatabaseArgs<1>,
        /// How many at most
        #[arg(long)]
        limit: Option<u32>,
    },
    /// Look at dead letters
    Dead {
        #[command(flatten)]
        database: DatabaseArgs<1>,
        #[command(subcommand)]
        what: Dead,
    },
}

#[derive(Debug, clap::Subcommand)]
enum Dead {
    /// List them
    List {
        /// Show addresses
        #[arg(long)]
        addresses: bool,
        /// How long to look
        #[arg(long, env = "LOOK", default_value = "1s", value_parser = duration, help_heading = "Dead letters")]
        look: Duration,
    },
}

#[derive(Debug, clap::Args)]
struct Serve {
    #[command(flatten)]
    common: CommonArgs<1>,
    #[command(flatten)]
    broker: BrokerArgs<Url>,
    /// How long a shutdown may take
    #[arg(long, env = "SHUTDOWN_GRACE", default_value = "25s", value_parser = duration, help_heading = "Process")]
    shutdown_grace: Duration,
    /// How long a request may take
    #[arg(long, env = "REQUEST_TIMEOUT", default_value = "15s", value_parser = duration, help_heading = "HTTP")]
    request_timeout: Duration,
    /// Delays of the retry schedule
    #[arg(long, env = "RETRY_DELAYS", default_value = "5s,30s", value_delimiter = ',', value_parser = duration, help_heading = "HTTP")]
    retry_delays: Vec<Duration>,
}

/// A URL whose parser is so careless as to repeat it.
#[derive(Debug, Clone)]
struct Url;
#[derive(Debug, thiserror::Error)]
#[error("cannot read {0}")]
struct BadUrl(String);
impl std::str::FromStr for Url {
    type Err = BadUrl;
    fn from_str(text: &str) -> Result<Self, BadUrl> {
        text.starts_with("amqp://").then_some(Self).ok_or_else(|| BadUrl(text.to_owned()))
    }
}

const GOOD: &[(&str, &str)] = &[("DATABASE_URL", "postgres://u:p@h/d"), ("AMQP_URL", "amqp://u:p@h")];

fn read(args: &[&str], sets: &[&[(&str, &str)]]) -> Result<Demo, Refused> {
    let vars: HashMap<&str, &str> = sets.iter().flat_map(|set| set.iter().copied()).collect();
    try_parse(std::iter::once("demo").chain(args.iter().copied()), |name| vars.get(name).map(Into::into))
}

fn line(args: &[&str], sets: &[&[(&str, &str)]]) -> String {
    match read(args, sets) {
        Err(Refused::Invalid(line)) => line,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn defaults_hold_where_nothing_is_set_and_an_empty_variable_is_not_set() {
    for extra in [&[][..], &[("ADMIN_ADDR", ""), ("REQUEST_TIMEOUT", "")][..]] {
        let Ok(Demo::Serve(config)) = read(&[], &[GOOD, extra]) else { panic!("serve is the default") };
        assert_eq!(config.common.admin.admin_addr.to_string(), "0.0.0.0:9090");
        assert_eq!(config.common.database.database_pool_size, 8);
        assert_eq!(config.shutdown_grace, Duration::from_secs(25));
        assert_eq!(config.common.app_env, AppEnv::Development);
        assert_eq!(config.request_timeout, Duration::from_secs(15));
        assert_eq!(config.retry_delays, [Duration::from_secs(5), Duration::from_secs(30)]);
        let _ = config.broker.amqp_url;
    }
}

#[test]
fn a_line_break_at_the_end_of_a_value_is_not_part_of_it() {
    for end in ["\n", "\r\n", "\n\n"] {
        let values = [format!("postgres://u:p@h/d{end}"), format!("7{end}"), end.to_owned()];
        let names = ["DATABASE_URL", "DATABASE_POOL_SIZE", "REQUEST_TIMEOUT"];
        let set: Vec<(&str, &str)> = names.into_iter().zip(values.iter().map(String::as_str)).collect();
        let Ok(Demo::Serve(config)) = read(&[], &[GOOD, &set]) else { panic!("{set:?} is refused") };
        assert_eq!(config.common.database.database_url.expose(), "postgres://u:p@h/d");
        assert_eq!(config.common.database.database_pool_size, 7);
        assert_eq!(config.request_timeout, Duration::from_secs(15), "nothing but line breaks is not set");
    }
}

#[test]
fn a_pool_may_have_to_have_a_least_size() {
    #[derive(Debug, Parser)]
    struct Needs {
        #[command(flatten)]
        database: DatabaseArgs<4>,
    }
    let read = |size: &str| {
        try_parse::<Needs>(["needs"], |name| match name {
            "DATABASE_URL" => Some("postgres://u:p@h/d".into()),
            _ => Some(size.into()),
        })
    };
    assert_eq!(read("4").unwrap().database.database_pool_size, 4);
    let Err(Refused::Invalid(line)) = read("3") else { panic!("3 is taken") };
    assert!(line.contains("3 is not in 4..=1000"), "{line}");
    let Err(Refused::Asked(help)) = try_parse::<Needs>(["needs", "--help"], |_| None) else { panic!("no help") };
    assert!(help.contains("at most, 4 to 1000"), "{help}");
}

#[test]
fn variables_reach_the_subcommand_that_has_them() {
    let set: &[_] = &[("DATABASE_POOL_SIZE", "3"), ("RETRY_DELAYS", "1s, 2m"), ("APP_ENV", "production")];
    let Ok(Demo::Serve(config)) = read(&["serve"], &[GOOD, set]) else { panic!() };
    assert_eq!(config.common.database.database_pool_size, 3);
    assert_eq!(config.common.app_env, AppEnv::Production);
    assert_eq!(config.retry_delays, [Duration::from_secs(1), Duration::from_secs(120)]);
    let Ok(Demo::Migrate(database)) = read(&["migrate"], &[&GOOD[..1], &[("AMQP_URL", "nonsense")]]) else { panic!() };
    assert_eq!(database.database_url.expose(), "postgres://u:p@h/d");
    let Ok(Demo::Redrive { limit, .. }) = read(&["redrive", "--limit", "5"], &[&GOOD[..1]]) else { panic!() };
    assert_eq!(limit, Some(5));
    let set: &[_] = &[GOOD[0], ("LOOK", "3s")];
    let Ok(Demo::Dead { database, what }) = read(&["dead", "list", "--addresses"], &[set]) else { panic!() };
    let Dead::List { addresses, look } = what;
    assert!(addresses && look == Duration::from_secs(3) && database.database_url.expose() == GOOD[0].1);
}

#[test]
fn what_is_wrong_is_told_in_one_line_that_names_the_variable() {
    let long = "x".repeat(500);
    let table: &[(&[(&str, &str)], &str)] = &[
        (
            &[("DATABASE_URL", "")],
            "DATABASE_URL is not set (expected: PostgreSQL: postgres://user:password@host:5432/database)",
        ),
        (
            &[("ADMIN_ADDR", "nine")],
            "ADMIN_ADDR \"nine\" is not valid: invalid socket address syntax (expected: Where /livez",
        ),
        (&[("DATABASE_POOL_SIZE", "0")], "DATABASE_POOL_SIZE \"0\" is not valid: 0 is not in 1..=1000"),
        (&[("DATABASE_POOL_SIZE", "-4")], "DATABASE_POOL_SIZE \"-4\" is not valid: "),
        (&[("DATABASE_POOL_SIZE", "1.5")], "DATABASE_POOL_SIZE \"1.5\" is not valid: not a whole number"),
        (&[("SHUTDOWN_GRACE", "soon")], "SHUTDOWN_GRACE \"soon\" is not valid: not a length of time"),
        (&[("SHUTDOWN_GRACE", "--help")], "SHUTDOWN_GRACE \"--help\" is not valid"),
        (&[("SHUTDOWN_GRACE", "a\nb")], "SHUTDOWN_GRACE \"a\\nb\" is not valid"),
        (
            &[("SHUTDOWN_GRACE", &long)],
            "SHUTDOWN_GRACE \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\".. is",
        ),
        (&[("APP_ENV", "test")], "APP_ENV \"test\" is not valid: must be development or production"),
        (&[("RETRY_DELAYS", "5s,x")], "RETRY_DELAYS \"5s,x\" is not valid: not a length of time"),
    ];
    for (set, start) in table {
        let line = line(&[], &[GOOD, set]);
        assert!(line.starts_with(start), "{set:?}: {line}");
        assert!(!line.contains('\n'), "{line}");
    }
    let both = line(&[], &[]);
    assert!(both.contains("DATABASE_URL is not set") && both.contains("; AMQP_URL is not set"), "{both}");
}

#[test]
fn a_variable_that_is_not_utf8_is_named() {
    use std::os::unix::ffi::OsStringExt as _;
    for name in ["DATABASE_URL", "ADMIN_ADDR", "APP_ENV"] {
        let vars = |asked: &str| {
            let good = given(GOOD)(asked);
            if asked == name { Some(OsString::from_vec(vec![b'x', 0xff])) } else { good }
        };
        assert_eq!(
            try_parse::<Demo>(["demo"], vars).unwrap_err(),
            Refused::Invalid(format!("{name} is not valid UTF-8"))
        );
    }
}

#[test]
fn secrets_are_never_shown() {
    for (name, value) in [("DATABASE_URL", "mysql://u:hunter2@h"), ("AMQP_URL", "http://u:hunter2@h")] {
        let line = line(&[], &[GOOD, &[(name, value)]]);
        assert!(line.starts_with(&format!("{name} is not valid: ")), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
    let config = format!("{:?} {:?}", read(&[], &[GOOD]).unwrap(), Secret::from("hunter2".to_owned()));
    assert!(!config.contains("u:p@h") && !config.contains("hunter2"), "{config}");
}

#[test]
fn the_command_line_takes_no_variables_and_nothing_unknown() {
    assert_eq!(
        line(&["serve", "--database-url=postgres://u:hunter2@h"], &[GOOD]),
        "DATABASE_URL is set in the environment, not on the command line"
    );
    assert_eq!(line(&["swerve"], &[GOOD]), "unknown command swerve; --help lists them");
    assert_eq!(line(&["serve", "--fast"], &[GOOD]), "unknown argument --fast; --help lists what there is");
    assert_eq!(line(&["--fast"], &[GOOD]), "unknown argument --fast; --help lists what there is");
    assert_eq!(line(&["serve", "now"], &[GOOD]), "unknown argument now; --help lists what there is");
    assert_eq!(line(&["dead"], &[GOOD]), "dead what? One of: list");
    assert_eq!(
        line(&["dead", "list", "--look=2s"], &[GOOD]),
        "LOOK is set in the environment, not on the command line"
    );
    assert!(line(&["dead", "list"], &[&[GOOD[0], ("LOOK", "x")]]).starts_with("LOOK \"x\" is not valid: "));
    assert!(line(&["redrive", "--limit", "x"], &[GOOD]).starts_with("--limit <LIMIT>: \"x\" is not valid: "));
}

#[test]
fn help_lists_every_variable_by_heading_and_needs_none() {
    for args in [&["--help"][..], &["-h"], &["serve", "--help"], &["help"], &["migrate", "-h"]] {
        let Err(Refused::Asked(text)) = read(args, &[]) else { panic!("{args:?} gave no help") };
        for expected in [
            "Usage: demo [command]",
            "serve      Serve requests (default)",
            "dead list  List them",
            "Flags of dead list:\n  --addresses  Show addresses\n",
            "Dead letters:\n  LOOK  How long to look [default: 1s]",
            "Flags of redrive:\n  --limit <LIMIT>  How many at most",
            "Database:\n  DATABASE_URL        PostgreSQL: postgres://user:password@host:5432/database [required]",
            "Connections to the database at most, 1 to 1000 [default: 8]",
            "Process:\n  ADMIN_ADDR      Where /livez",
            "[development|production] [default: development]",
            "HTTP:\n  REQUEST_TIMEOUT  How long a request may take [default: 15s]",
            "[default: 5s,30s]",
        ] {
            assert!(text.contains(expected), "no `{expected}` in\n{text}");
        }
        assert_eq!(text.matches("DATABASE_URL").count(), 1, "each once:\n{text}");
    }
    assert_eq!(read(&["--version"], &[]).unwrap_err(), Refused::Asked("demo 1.2.3\n".to_owned()));
}
