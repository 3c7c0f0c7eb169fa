//! Which groups make somebody what.

use super::who::Role;

/// Values of a claim or a header, as somebody's groups, and what they may do here for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    /// Whoever has one of these operates.
    pub operators: Vec<String>,
    /// Whoever has one of these looks.
    pub viewers: Vec<String>,
}

impl Roles {
    /// Nobody may do anything.
    pub fn are_nobodys(&self) -> bool {
        self.operators.is_empty() && self.viewers.is_empty()
    }

    /// The most that somebody with these groups may do. Each counts as it is written, in full.
    pub(super) fn of(&self, groups: &[String]) -> Option<Role> {
        let among = |names: &[String]| groups.iter().any(|group| names.contains(group));
        if among(&self.operators) { Some(Role::Operator) } else { among(&self.viewers).then_some(Role::Viewer) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_that_a_group_allows_is_allowed_and_a_name_that_is_like_it_allows_nothing() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let roles = Roles { operators: list(&["mail-ops", "root"]), viewers: list(&["desk"]) };
        for (groups, role) in [
            (&["desk"][..], Some(Role::Viewer)),
            (&["all", "desk", "mail-ops"], Some(Role::Operator)),
            (&["root"], Some(Role::Operator)),
            (&["mail-ops2", "Root", "des", ""], None),
            (&[], None),
        ] {
            assert_eq!(roles.of(&list(groups)), role, "{groups:?}");
        }
        assert!(Roles::default().are_nobodys() && !roles.are_nobodys());
    }
}
