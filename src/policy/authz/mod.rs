//! May they? What a principal must hold to call an operation.

mod ownership;

pub use ownership::{Ownership, Place};

use crate::policy::denial::Denial;
use crate::policy::identity::Principal;

/// Scopes of which all are needed; a security requirement of OpenAPI is a list of such sets, of
/// which one suffices.
pub type ScopeSet = Box<[Box<str>]>;

/// What an operation asks of its caller.
#[derive(Clone, Debug, Default)]
pub struct Requirement {
    /// One of these sets must be held in full; no sets: no scope is needed.
    pub scopes: Box<[ScopeSet]>,
    /// All of these must hold.
    pub ownership: Box<[Ownership]>,
}

impl Requirement {
    pub fn authorize_scopes(&self, principal: &Principal) -> Result<(), Denial> {
        let holds = |set: &ScopeSet| set.iter().all(|scope| principal.has_scope(scope));
        if self.scopes.is_empty() || self.scopes.iter().any(holds) {
            Ok(())
        } else {
            Err(Denial::InsufficientScope)
        }
    }

    /// Whether a rule can only be decided with the body at hand.
    pub fn reads_body(&self) -> bool {
        let mut places = self.ownership.iter().map(|rule| &rule.place);
        places.any(|place| matches!(place, Place::Body(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::identity::Written;

    fn principal(scopes: &[&str]) -> Principal {
        Principal {
            subject: "u".into(),
            client: None,
            scopes: scopes.iter().map(|&scope| scope.into()).collect(),
            claims: serde_json::Map::new(),
            written: Written::default(),
        }
    }

    fn requirement(sets: &[&[&str]]) -> Requirement {
        let set = |set: &&[&str]| set.iter().map(|&scope| scope.into()).collect();
        Requirement {
            scopes: sets.iter().map(set).collect(),
            ownership: Box::default(),
        }
    }

    #[test]
    fn one_whole_set_of_scopes_suffices() {
        let either = requirement(&[&["read", "list"], &["admin"]]);
        for held in [&["read", "list"][..], &["admin"], &["list", "x", "read"]] {
            assert_eq!(either.authorize_scopes(&principal(held)), Ok(()));
        }
        for held in [&["read"][..], &[], &["Admin"], &["read list"]] {
            let refused = either.authorize_scopes(&principal(held));
            assert_eq!(refused, Err(Denial::InsufficientScope), "{held:?}");
        }
        assert_eq!(requirement(&[]).authorize_scopes(&principal(&[])), Ok(()));
        assert_eq!(
            requirement(&[&[]]).authorize_scopes(&principal(&[])),
            Ok(())
        );
    }
}
