//! Settings that are right one by one and do not go together.

use std::time::Duration;

use humantime::format_duration as time;

use super::Config;

/// The first contradiction, in a sentence that names the variables.
pub(super) fn first(config: &Config) -> Option<String> {
    let Config { shutdown_grace, mail, flow, suppression, .. } = config;
    let (slots, prefetch) = (flow.sending_slots, flow.prefetch_max());
    let found = [
        (*shutdown_grace < mail.send_timeout).then(|| {
            let (grace, send) = (time(*shutdown_grace), time(mail.send_timeout));
            format!(
                "SHUTDOWN_GRACE is {grace} and SEND_TIMEOUT {send}: each end would cut mails off; make SHUTDOWN_GRACE longer"
            )
        }),
        (flow.ledger_retention.is_zero()).then(|| {
            "LEDGER_RETENTION is 0s: every task would be older than the ledger remembers, and put aside".to_owned()
        }),
        (flow.give_up_after.is_zero()).then(|| {
            "MAIL_GIVE_UP_AFTER is 0s: a mail would be given up as soon as it was refused for now".to_owned()
        }),
        (flow.ledger_retention < flow.give_up_after).then(|| {
            let (keep, try_for) = (time(flow.ledger_retention), time(flow.give_up_after));
            format!(
                "LEDGER_RETENTION is {keep} and MAIL_GIVE_UP_AFTER {try_for}: mails would be put aside as too old while \
                 they are still to be tried; make LEDGER_RETENTION longer"
            )
        }),
        (u32::from(prefetch) < 2 * u32::from(slots)).then(|| {
            format!(
                "PREFETCH_MAX is {prefetch} and SENDING_SLOTS {slots}: slots would wait for tasks; make PREFETCH_MAX \
                 {} or more",
                2 * u32::from(slots)
            )
        }),
        (flow.hold_limit == Duration::ZERO)
            .then(|| "HOLD_LIMIT is 0s: every task would go to a retry queue before it is sent".to_owned()),
        (suppression.address_hash_key.is_none() && suppression.address_hash_key_old.is_some()).then(|| {
            "ADDRESS_HASH_KEY_OLD is set and ADDRESS_HASH_KEY is not: no address would be suppressed; set both, or none"
                .to_owned()
        }),
        (suppression.suppression_ttl.is_zero())
            .then(|| "SUPPRESSION_TTL is 0s: no address would be suppressed; leave ADDRESS_HASH_KEY out".to_owned()),
    ];
    found.into_iter().flatten().next()
}

#[cfg(test)]
mod tests {
    use platform::config::{given, try_parse};

    use super::super::Cli;
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn config(vars: &[(&str, &str)]) -> Config {
        let needed = [
            ("DATABASE_URL", "postgres://u:p@localhost/d"),
            ("AMQP_URL", "amqp://u:p@localhost/%2f"),
            ("MAIL_FROM", "no-reply@example.com"),
            ("SMTP_HOST", "mail.example.com"),
        ];
        let all = [vars, &needed].concat();
        match try_parse::<Cli>(["email-worker"], given(&all)) {
            Ok(Cli::Run(config)) => *config,
            other => panic!("no configuration for a worker: {other:?}"),
        }
    }

    #[test]
    fn what_contradicts_itself_is_named_and_what_just_fits_is_not() {
        assert_eq!(first(&config(&[])), None, "the defaults contradict each other");
        for (vars, named) in [
            (&[("SHUTDOWN_GRACE", "25s")][..], &["SHUTDOWN_GRACE is 25s", "SEND_TIMEOUT 1m"][..]),
            (&[("SHUTDOWN_GRACE", "1m")], &[]),
            (&[("SEND_TIMEOUT", "71s")], &["SHUTDOWN_GRACE is 1m 10s", "SEND_TIMEOUT 1m 11s"]),
            (&[("LEDGER_RETENTION", "0s"), ("MAIL_GIVE_UP_AFTER", "0s")], &["LEDGER_RETENTION is 0s"]),
            (&[("MAIL_GIVE_UP_AFTER", "0s")], &["MAIL_GIVE_UP_AFTER is 0s"]),
            (&[("MAIL_GIVE_UP_AFTER", "1s")], &[]),
            (&[("LEDGER_RETENTION", "23h")], &["LEDGER_RETENTION is 23h", "MAIL_GIVE_UP_AFTER 1day"]),
            (&[("LEDGER_RETENTION", "24h")], &[]),
            (&[("MAIL_GIVE_UP_AFTER", "8d")], &["LEDGER_RETENTION is 7days", "MAIL_GIVE_UP_AFTER 8days"]),
            (&[("PREFETCH_MAX", "31")], &["PREFETCH_MAX is 31", "SENDING_SLOTS 16", "32 or more"]),
            (&[("PREFETCH_MAX", "32")], &[]),
            (&[("SENDING_SLOTS", "1000")], &[]),
            (&[("SENDING_SLOTS", "1000"), ("PREFETCH_MAX", "256")], &["SENDING_SLOTS 1000", "2000 or more"]),
            (&[("HOLD_LIMIT", "0s")], &["HOLD_LIMIT is 0s"]),
            (&[("ADDRESS_HASH_KEY_OLD", KEY)], &["ADDRESS_HASH_KEY_OLD is set", "ADDRESS_HASH_KEY is not"]),
            (&[("ADDRESS_HASH_KEY_OLD", KEY), ("ADDRESS_HASH_KEY", KEY)], &[]),
            (&[("ADDRESS_HASH_KEY", KEY)], &[]),
            (&[("SUPPRESSION_TTL", "0s")], &["SUPPRESSION_TTL is 0s"]),
        ] {
            let line = first(&config(vars)).unwrap_or_default();
            assert_eq!(line.is_empty(), named.is_empty(), "{vars:?}: {line}");
            assert!(named.iter().all(|part| line.contains(part)), "{vars:?}: {line}");
        }
    }

    #[test]
    fn every_command_and_its_arguments_fit_together() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
