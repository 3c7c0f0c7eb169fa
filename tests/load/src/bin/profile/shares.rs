//! What a process did, in shares of its time: a sample belongs to the part that its innermost known frame belongs to.

use std::collections::BTreeMap;
use std::fmt;

/// A part, and how the names of its functions begin. What stands first wins; names of the kernel end in `_[k]`.
const PARTS: [(&str, &[&str]); 14] = [
    (
        "kernel: network",
        &[
            "tcp_",
            "inet_",
            "sock_",
            "__sys_sendto",
            "__sys_recvfrom",
            "ip_",
            "__ip_",
            "skb_",
            "net_rx",
            "process_backlog",
        ],
    ),
    (
        "kernel: putting threads to sleep and waking them",
        &["futex", "do_futex", "__futex", "schedule", "__schedule", "try_to_wake_up", "wake_up", "finish_task_switch"],
    ),
    ("kernel: epoll and wakers", &["ep_", "do_epoll", "__x64_sys_epoll", "eventfd"]),
    (
        "the allocator",
        &[
            "malloc",
            "_int_malloc",
            "_int_free",
            "cfree",
            "free",
            "realloc",
            "_int_realloc",
            "calloc",
            "unlink_chunk",
            "tcache",
            "malloc_consolidate",
            "sysmalloc",
            "__libc_malloc",
            "__libc_free",
            "__rust_alloc",
            "__rust_dealloc",
            "__rdl_",
        ],
    ),
    ("hashing", &["argon2_rust::", "user_api::hashing", "phc::"]),
    (
        "telemetry",
        &[
            "tracing",
            "opentelemetry",
            "platform::telemetry",
            "email_worker::spans",
            "user_api::telemetry",
            "email_worker::metrics",
        ],
    ),
    ("AMQP", &["lapin::", "amq_protocol", "amqp::"]),
    ("HTTP", &["hyper", "axum", "http::", "httparse::", "tower", "web::", "user_api::routes"]),
    (
        "the database's client, claims and marks",
        &["sqlx", "user_api::db", "email_worker::ledger", "email_worker::rate"],
    ),
    ("writing the mail", &["minijinja", "mail::render", "mail::encoding", "mail::message"]),
    ("SMTP", &["email_worker::smtp", "lettre::"]),
    (
        "reading requests and tasks",
        &["serde", "contract::", "email_worker::delivery::task", "user_api::domain", "zxcvbn"],
    ),
    ("the service itself", &["user_api::", "email_worker::"]),
    ("the runtime", &["tokio", "mio::", "futures", "std::sys", "parking_lot"]),
];
const KERNEL: &str = "kernel: all else";
const REST: &str = "no name";

/// Nanoseconds of CPU that each part took.
#[derive(Debug, Default)]
pub(crate) struct Shares(BTreeMap<&'static str, usize>);

impl Shares {
    pub(crate) fn of<'s>(stacks: impl Iterator<Item = (Vec<&'s str>, usize)>) -> Self {
        let mut shares = Self::default();
        for (frames, took) in stacks {
            *shares.0.entry(part(&frames)).or_default() += took;
        }
        shares
    }
}

/// Most first, as a table in Markdown.
impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: usize = self.0.values().sum();
        let mut parts: Vec<_> = self.0.iter().collect();
        parts.sort_by_key(|(_, took)| std::cmp::Reverse(**took));
        writeln!(f, "| share | of {:.1} s of CPU |\n|---|---|", all as f64 / 1e9)?;
        for (part, took) in parts {
            writeln!(f, "| {:>2.0} % | {part} |", *took as f64 / all as f64 * 100.0)?;
        }
        Ok(())
    }
}

fn part(frames: &[&str]) -> &'static str {
    // What the kernel does is its own, whoever called it.
    let in_kernel = frames.last().is_some_and(|frame| is_kernel(frame));
    let known = frames.iter().rev().filter(|frame| is_kernel(frame) == in_kernel).find_map(|frame| {
        let name = plain(frame);
        let claims = |(part, begins): &&(&str, &[&str])| {
            part.starts_with("kernel") == in_kernel && begins.iter().any(|begin| name.starts_with(begin))
        };
        PARTS.iter().find(claims).map(|(part, _)| *part)
    });
    known.unwrap_or(if in_kernel { KERNEL } else { REST })
}

fn is_kernel(frame: &str) -> bool {
    frame.ends_with("_[k]")
}

/// `<a::B<c::D> as e::F>::g` begins with `a::B`.
fn plain(frame: &str) -> &str {
    let name = frame.trim_start_matches(['<', '&', '(']);
    let name = name.strip_prefix("mut ").unwrap_or(name);
    name.strip_prefix("dyn ").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_belongs_to_its_innermost_known_frame() {
        for (frames, wanted) in [
            (&["email-worker", "tokio::runtime::task", "lapin::channel::Channel", "memcpy"][..], "AMQP"),
            (
                &["user-api", "<hyper::proto::h1::Conn<I, B, T> as core::future::future::Future>::poll", "cfree"],
                "the allocator",
            ),
            (
                &["user-api", "tokio::net", "__send", "do_syscall_64_[k]", "tcp_sendmsg_[k]", "_raw_spin_lock_[k]"],
                "kernel: network",
            ),
            (&["user-api", "sqlx_core::net", "clear_page_erms_[k]"], KERNEL),
            (&["user-api", "[unknown]"], REST),
        ] {
            assert_eq!(part(frames), wanted, "{frames:?}");
        }
    }

    #[test]
    fn shares_are_told_most_first() {
        let stacks = [(vec!["a", "lapin::x"], 1_000_000_000), (vec!["a", "sqlx_core::y"], 3_000_000_000)];
        let told = Shares::of(stacks.into_iter()).to_string();
        assert!(told.contains("of 4.0 s") && told.find("75 %") < told.find("25 %"), "{told}");
    }
}
