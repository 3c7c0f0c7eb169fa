//! What a dead letter says, with or without its personal data.

use serde_json::Value;

use crate::console::who::Role;
use crate::dead_letters::snapshot::Kept;

/// The task as text. For whoever only looks every text in it is replaced by its length: names, addresses and what a mail is about are
/// personal data.
pub(super) fn shown(kept: &Kept, role: Role) -> String {
    let (length, cut) = (kept.body_length, kept.body_length > kept.body.len());
    let personal = role >= Role::Operator;
    match serde_json::from_slice::<Value>(&kept.body) {
        Ok(task) => {
            let task = if personal { task } else { blotted(task) };
            serde_json::to_string_pretty(&task).unwrap_or_default()
        }
        Err(_) if personal && cut => format!("{}\n… ({length} bytes)", kept.body.escape_ascii()),
        Err(_) if personal => kept.body.escape_ascii().to_string(),
        Err(_) => format!("({length} bytes, which are no JSON)"),
    }
}

fn blotted(value: Value) -> Value {
    match value {
        Value::String(text) => {
            let length = text.chars().count();
            Value::String(format!("({length} character{})", if length == 1 { "" } else { "s" }))
        }
        Value::Number(_) => Value::String("(a number)".to_owned()),
        Value::Array(items) => Value::Array(items.into_iter().map(blotted).collect()),
        // Names of fields are written by programs.
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, blotted(value))).collect())
        }
        plain @ (Value::Null | Value::Bool(_)) => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letters::Letter;

    #[test]
    fn personal_data_is_for_operators_alone() {
        let kept = |body: &str| Kept::new(Letter::default(), body.as_bytes());
        let task = r#"{"email":"ada@example.com","data":{"paid":12.5,"gift":true,"lines":["a","bc"],"note":null}}"#;
        let seen = shown(&kept(task), Role::Viewer);
        let wanted = serde_json::json!({
            "email": "(15 characters)",
            "data": {"paid": "(a number)", "gift": true, "lines": ["(1 character)", "(2 characters)"], "note": null},
        });
        assert_eq!(serde_json::from_str::<Value>(&seen).ok(), Some(wanted), "{seen}");
        assert!(shown(&kept(task), Role::Operator).contains("ada@example.com"));
        let torn = r#"{"email":"ada@exam"#;
        assert_eq!(shown(&kept(torn), Role::Viewer), "(18 bytes, which are no JSON)");
        assert!(shown(&kept(torn), Role::Operator).contains("ada@exam"));
        let long = format!("{{\"email\":\"{}\"}}", "a".repeat(50_000));
        assert!(shown(&kept(&long), Role::Operator).ends_with("(50012 bytes)"));
        assert!(!shown(&kept(&long), Role::Viewer).contains('a'.to_string().repeat(10).as_str()));
    }
}
