//! What a provider says of somebody: their name and their groups.

use serde_json::Value;

use crate::console::roles::Roles;
use crate::console::who::Role;
use crate::paper::one_line;

/// The longest name, in characters.
const LONGEST: usize = 100;

/// Which claims are read, and what they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// The claim with the name.
    pub(crate) name: String,
    /// The claim with the groups.
    pub(crate) role: String,
    /// What they may do for them.
    pub(crate) roles: Roles,
}

impl Meaning {
    /// Does it say which groups they have?
    pub(super) fn is_told_by(&self, claims: &Value) -> bool {
        at(claims, &self.role).is_some()
    }

    /// Who it is, and what they may do: nothing, if none of their groups is known here.
    pub(super) fn of(&self, claims: &Value) -> (String, Option<Role>) {
        let role = self.roles.of(&self.groups(claims));
        (self.name(claims), role)
    }

    /// The name of the claim, else the subject, which each has.
    fn name(&self, claims: &Value) -> String {
        let text = |claim: &str| {
            at(claims, claim)
                .and_then(Value::as_str)
                .map(|name| one_line(name, LONGEST))
                .filter(|name| !name.is_empty())
        };
        text(&self.name).or_else(|| text("sub")).unwrap_or_default()
    }

    /// A text, or a list of texts. An address counts if the provider has seen that it is theirs.
    fn groups(&self, claims: &Value) -> Vec<String> {
        if self.role == "email" && at(claims, "email_verified") != Some(&Value::Bool(true)) {
            return Vec::new();
        }
        match at(claims, &self.role) {
            Some(Value::String(group)) => vec![group.clone()],
            Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    }
}

/// The claim of this name; else, along its dots, one within others: `realm_access.roles`.
fn at<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| name.split('.').try_fold(claims, |within, part| within.get(part)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn meaning(role: &str) -> Meaning {
        let list = |name: &str| vec![name.to_owned()];
        let roles = Roles { operators: list("ops"), viewers: list("desk@example.com") };
        Meaning { name: "preferred_username".to_owned(), role: role.to_owned(), roles }
    }

    #[test]
    fn groups_are_read_where_they_are_said_to_be() {
        for (claim, claims, role) in [
            ("groups", json!({ "groups": ["all", "ops"] }), Some(Role::Operator)),
            ("groups", json!({ "groups": "ops" }), Some(Role::Operator)),
            ("groups", json!({ "groups": ["ops2", 7, null, ["ops"]] }), None),
            ("groups", json!({ "groups": { "ops": true } }), None),
            ("groups", json!({ "roles": ["ops"] }), None),
            ("groups", json!("ops"), None),
            ("realm_access.roles", json!({ "realm_access": { "roles": ["ops"] } }), Some(Role::Operator)),
            ("https://a.example/roles", json!({ "https://a.example/roles": ["ops"] }), Some(Role::Operator)),
            ("email", json!({ "email": "desk@example.com", "email_verified": true }), Some(Role::Viewer)),
            ("email", json!({ "email": "desk@example.com", "email_verified": false }), None),
            ("email", json!({ "email": "desk@example.com" }), None),
        ] {
            assert_eq!(meaning(claim).of(&claims).1, role, "{claim} in {claims}");
        }
    }

    #[test]
    fn the_name_is_one_line_and_the_subject_where_there_is_none() {
        for (claims, name) in [
            (json!({ "sub": "7", "preferred_username": " ada\n" }), "ada"),
            (json!({ "sub": "7", "preferred_username": " " }), "7"),
            (json!({ "sub": "7", "preferred_username": 8 }), "7"),
            (json!({ "sub": "7" }), "7"),
        ] {
            assert_eq!(meaning("groups").of(&claims).0, name, "{claims}");
        }
        let long = json!({ "preferred_username": "x".repeat(1000) });
        assert_eq!(meaning("groups").of(&long).0.len(), LONGEST);
    }
}
