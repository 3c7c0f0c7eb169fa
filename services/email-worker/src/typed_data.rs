//! Data of a mail as a person types it.

use contract::{NotUnique, Unique};
use serde_json::{Map, Value};

/// The object that was typed, or why it is none; `what` is what it is called.
pub(crate) fn object(typed: &str, what: &str) -> Result<Map<String, Value>, String> {
    match Unique::read(typed) {
        Ok(Value::Object(data)) => Ok(data),
        Ok(_) => Err(format!("{what} is not a JSON object")),
        Err(NotUnique::Repeated(way)) => Err(format!("{what} has `{}` more than once", way.join("."))),
        Err(NotUnique::Unreadable(why)) => Err(format!("{what} is not JSON: {why}")),
    }
}
