//! A task as the broker gets it from user-api.

use std::time::{SystemTime, UNIX_EPOCH};

use amqp::{Headers, Outgoing, Properties};
use contract::{MailTask, TaskId, header, queue};

/// The task of somebody's registration, with everything that the relay gives it. Its trace is told by its id.
///
/// # Panics
/// When that is no address.
pub fn task(id: TaskId, email: &str, username: &str) -> Outgoing {
    task_of(id, &MailTask::welcome(email.parse().unwrap(), username.to_owned(), None))
}

/// The same for any mail.
pub(crate) fn task_of(id: TaskId, mail: &MailTask) -> Outgoing {
    // Traces are random, other than ids, which are in the order of time.
    let trace = id.as_uuid().as_u128().wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let span = id.as_uuid().as_u64_pair().1;
    let mut headers = Headers::default();
    headers.set_str(header::TRACEPARENT, &format!("00-{trace:032x}-{span:016x}-01"));
    Outgoing {
        queue: queue::EMAIL.to_owned(),
        body: mail.encode(),
        properties: Properties {
            message_id: Some(id.to_string()),
            kind: Some(mail.mail_type.to_string()),
            timestamp: Some(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()),
            app_id: Some("user-api".to_owned()),
            content_type: Some("application/json".to_owned()),
            content_encoding: None,
            priority: None,
            headers,
        },
    }
}
