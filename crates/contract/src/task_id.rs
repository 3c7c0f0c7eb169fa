//! What a task is known by.

use std::fmt;

use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use uuid::{Uuid, Variant};

/// The identity of a task: in the broker its message id, in the ledger its key, in the mail its `Message-ID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(Uuid);

impl TaskId {
    /// A new id. Version 7: ids made later sort later.
    #[allow(clippy::new_without_default, reason = "a default value that differs each time would surprise")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The identity that a producer's message id stands for. A UUID in its usual form is taken as it is; anything else
    /// is hashed, since it will become part of a mail header.
    pub fn from_message_id(id: &str) -> Self {
        match Uuid::try_parse(id) {
            Ok(uuid) if id.len() == uuid::fmt::Hyphenated::LENGTH => Self(uuid),
            _ => Self(hashed("message id", id.as_bytes())),
        }
    }

    /// The identity of a bare task, which has no message id: that of its content, which two tasks may share.
    pub fn from_content(body: &[u8]) -> Self {
        Self(hashed("content", body))
    }

    /// When the id was made, where it says so (version 7, to the millisecond).
    pub fn created_at(self) -> Option<OffsetDateTime> {
        if self.0.get_version_num() != 7 || self.0.get_variant() != Variant::RFC4122 {
            return None;
        }
        let (seconds, nanoseconds) = self.0.get_timestamp()?.to_unix();
        let created = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?;
        created.replace_nanosecond(nanoseconds).ok()
    }

    /// As a UUID.
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

/// A version 8 UUID (RFC 9562, section 5.8) of a SHA-256; the domain keeps kinds of input apart.
fn hashed(domain: &str, input: &[u8]) -> Uuid {
    let digest = Sha256::new().chain_update(domain).chain_update([0]).chain_update(input).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Uuid::new_v8(bytes)
}

impl From<Uuid> for TaskId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_its_own_id_and_anything_else_is_hashed() {
        let plain = "0195f0c4-7d4b-7c3a-9a51-3f2b6f1c9e00";
        assert_eq!(TaskId::from_message_id(plain).to_string(), plain);
        for foreign in
            ["42", "order\r\nBcc: x", "", "{0195f0c4-7d4b-7c3a-9a51-3f2b6f1c9e00}", "0195f0c47d4b7c3a9a513f2b6f1c9e00"]
        {
            let id = TaskId::from_message_id(foreign);
            assert_eq!(id, TaskId::from_message_id(foreign), "the same id each time: {foreign:?}");
            assert_eq!(id.as_uuid().get_version_num(), 8, "{foreign:?}");
            assert!(id.to_string().chars().all(|c| c.is_ascii_hexdigit() || c == '-'), "{foreign:?}");
        }
        assert_ne!(TaskId::from_message_id("a"), TaskId::from_content(b"a"), "a message id is not a content");
    }

    #[test]
    fn an_id_of_ours_tells_when_it_was_made() {
        let made = TaskId::new().created_at().expect("version 7 carries its time");
        assert!((OffsetDateTime::now_utc() - made).abs() < time::Duration::seconds(5), "{made}");
        for (id, what) in [
            ("42", "hashed"),
            ("c232ab00-9414-11ec-b3c8-9f6bdeced846", "version 1, which has a time of its own"),
            ("0195f0c4-7d4b-7c3a-1a51-3f2b6f1c9e00", "version 7 of another variant"),
        ] {
            assert_eq!(TaskId::from_message_id(id).created_at(), None, "{what}");
        }
    }
}
