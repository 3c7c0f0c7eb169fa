//! Queue names. All are reached through the default exchange.

use std::time::Duration;

/// Where tasks wait for a worker.
pub const EMAIL: &str = "email_queue";

/// Where tasks end that cannot be mailed.
pub const DEAD: &str = "email_queue.dead";

/// AMQP's `priority` of a task that goes before others; others have none. RabbitMQ 4.0 to 4.2 takes each number above 4 as high, and
/// delivers two high messages for one normal; from 4.3 on numbers count by themselves up to 31, strictly, and a message without one has 4
/// (<https://www.rabbitmq.com/docs/4.3/priority#quorum-queues>). 5 is the first that means the same to all of them. RabbitMQ 3 overlooks it.
pub const HIGH_PRIORITY: u8 = 5;

/// Queues of their own are named so; how their names end is the worker's.
const APART: &str = "email_queue.apart.";

/// Where the tasks wait that are sent at a speed of their own: `email_queue.apart.domain:gmail.com`, `email_queue.apart.type:shop.receipt`.
pub fn apart(name: &str) -> String {
    format!("{APART}{name}")
}

/// Is it the name of such a queue?
pub fn is_apart(queue: &str) -> bool {
    queue.len() > APART.len() && queue.starts_with(APART)
}

/// The queue where a task waits for `delay`: `email_queue.retry.5s`, `.2m`, `.1h`, `.200ms`.
pub fn retry(delay: Duration) -> String {
    let (milliseconds, seconds) = (delay.as_millis(), delay.as_secs());
    let wait = match seconds {
        _ if milliseconds % 1_000 != 0 => format!("{milliseconds}ms"),
        1.. if seconds % 3_600 == 0 => format!("{}h", seconds / 3_600),
        1.. if seconds % 60 == 0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    };
    format!("{EMAIL}.retry.{wait}")
}

/// How long a task waits on the retry queue of this name; `None` if [`retry`] gives no such name.
pub fn retry_delay(name: &str) -> Option<Duration> {
    let wait = name.strip_prefix(EMAIL)?.strip_prefix(".retry.")?;
    let digits = wait.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = wait[..digits].parse().ok()?;
    let delay = match &wait[digits..] {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(3_600)?),
        _ => return None,
    };
    (retry(delay) == name).then_some(delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_queue_is_named_by_its_wait_in_the_largest_whole_unit() {
        for (milliseconds, name) in [
            (5_000, "email_queue.retry.5s"),
            (30_000, "email_queue.retry.30s"),
            (120_000, "email_queue.retry.2m"),
            (600_000, "email_queue.retry.10m"),
            (3_600_000, "email_queue.retry.1h"),
            (90_000, "email_queue.retry.90s"),
            (200, "email_queue.retry.200ms"),
            (0, "email_queue.retry.0s"),
        ] {
            let delay = Duration::from_millis(milliseconds);
            assert_eq!((retry(delay).as_str(), retry_delay(name)), (name, Some(delay)));
        }
    }

    #[test]
    fn a_queue_apart_is_known_by_its_name() {
        assert_eq!(apart("domain:gmail.com"), "email_queue.apart.domain:gmail.com");
        for (name, is_one) in
            [("email_queue.apart.domain:gmail.com", true), ("email_queue.apart.", false), (EMAIL, false), (DEAD, false)]
        {
            assert_eq!(is_apart(name), is_one, "{name}");
        }
    }

    #[test]
    fn what_is_no_retry_queue_has_no_wait() {
        for name in [
            EMAIL,
            DEAD,
            "other.retry.5s",
            "email_queue.5s",
            "email_queue.retry.",
            "email_queue.retry.5",
            "email_queue.retry.s",
            "email_queue.retry.5d",
            "email_queue.retry.60s",
            "email_queue.retry.05s",
            "email_queue.retry.1000ms",
            "email_queue.retry.18446744073709551615h",
        ] {
            assert_eq!(retry_delay(name), None, "{name}");
        }
    }
}
