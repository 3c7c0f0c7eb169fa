//! How long a task may be held, unacknowledged: the broker takes back what is held for longer than its `consumer_timeout`,
//! and closes the channel.

use std::time::Duration;

use humantime::format_duration as time;

/// RabbitMQ's own `consumer_timeout`, if nobody has set another.
pub(crate) const CONSUMER_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// It is to be so many times as long as anything is held.
const ROOM: u32 = 2;

/// What is left before `MAIL`, however long the conversation: so that an outage does not send tasks in circles.
const BEFORE_MAIL: Duration = Duration::from_secs(60);

/// How long an answer may be waited for at most, with that before `MAIL`.
pub(crate) fn longest_answer() -> Duration {
    CONSUMER_TIMEOUT / ROOM - BEFORE_MAIL
}

/// What is left of the hold before `MAIL`, so that it ends with the longest conversation.
pub(crate) fn before_mail(limit: Duration, conversation: Duration) -> Duration {
    limit.saturating_sub(conversation).max(limit.min(BEFORE_MAIL))
}

/// How long a task may be held at most, where that is more than a broker bears as it is by default.
fn too_long(limit: Duration, conversation: Duration) -> Option<Duration> {
    let longest = before_mail(limit, conversation) + conversation;
    (longest > CONSUMER_TIMEOUT / ROOM).then_some(longest)
}

/// Warns of a hold that a broker as it is by default does not bear.
pub(crate) fn warn_of_long(limit: Duration, conversation: Duration) {
    if let Some(longest) = too_long(limit, conversation) {
        tracing::warn!("{}", warning(longest));
    }
}

fn warning(longest: Duration) -> String {
    let (longest, needed, default) = (time(longest), time(longest * ROOM), time(CONSUMER_TIMEOUT));
    format!(
        "a task may be held for {longest} (HOLD_LIMIT, SEND_TIMEOUT and SMTP_DATA_TIMEOUT): the broker's consumer_timeout \
         must be {needed} or more, and is {default} by default"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hold_before_mail_leaves_room_for_the_longest_conversation() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        for (limit, conversation, expected) in [
            (minutes(15), minutes(11), minutes(4)),
            (minutes(15), minutes(14), minutes(1)),
            // A conversation that takes all of it: a minute is left, so that an outage does not send tasks in circles.
            (minutes(15), minutes(20), minutes(1)),
            (Duration::from_secs(2), minutes(11), Duration::from_secs(2)),
        ] {
            assert_eq!(before_mail(limit, conversation), expected, "{limit:?} less {conversation:?}");
        }
    }

    #[test]
    fn an_answer_may_take_what_the_broker_bears_less_a_minute() {
        assert_eq!(longest_answer(), Duration::from_secs(14 * 60));
        assert_eq!(too_long(Duration::ZERO, longest_answer()), None);
    }

    #[test]
    fn a_hold_is_too_long_above_half_the_brokers_consumer_timeout() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        for (limit, conversation, expected) in [
            (minutes(15), minutes(11), None),
            (minutes(16), minutes(11), Some(minutes(16))),
            (minutes(15), minutes(14), None),
            (minutes(15), minutes(20), Some(minutes(21))),
        ] {
            assert_eq!(too_long(limit, conversation), expected, "{limit:?} with {conversation:?}");
        }
        let said = warning(minutes(21));
        assert!(said.contains("held for 21m ") && said.contains("must be 42m or more, and is 30m by"), "{said}");
    }
}
