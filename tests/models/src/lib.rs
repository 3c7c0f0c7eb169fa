//! Models of the pieces whose interleavings matter. Each is small enough to be looked at whole: every order of every step, with
//! crashes and lost answers anywhere. A model has no I/O and no time but what it says.
//!
//! | model | of | claims |
//! |---|---|---|
//! | [`delivery`] | `services/email-worker`: intake, ledger, flight | no task is lost; a mail is repeated only in the windows that the README names |
//! | [`relay`] | `services/user-api`: relay, outbox | a row goes only after the broker has kept its task; a repetition has a cause that is named |
//! | [`rate`] | `services/email-worker`: rate | no window of time sees more mails than the rate, and the tolerance for late slots |
//!
//! Each model can also leave one of its rules out, and the checker must then find what the rule is there for: a model that can't
//! fail proves nothing.

pub mod delivery;
pub mod rate;
pub mod relay;

/// Looks at every state that can be reached; the properties of the model must hold in all of them. Returns how many there are.
///
/// # Panics
/// With the shortest way to a state in which one does not.
pub fn holds<M>(model: M) -> usize
where
    M: stateright::Model + Send + Sync + 'static,
    M::State: Clone + std::fmt::Debug + std::hash::Hash + PartialEq + Send + Sync,
    M::Action: Clone + std::fmt::Debug + PartialEq + Send + Sync,
{
    use stateright::Checker as _;
    let checked = model.checker().spawn_bfs().join();
    checked.assert_properties();
    checked.unique_state_count()
}

/// The same the other way around: the property must be violated somewhere.
///
/// # Panics
/// When it holds: the rule that was left out is not needed, or the model does not see what it is for.
pub fn fails<M>(model: M, property: &'static str)
where
    M: stateright::Model + Send + Sync + 'static,
    M::State: Clone + std::fmt::Debug + std::hash::Hash + PartialEq + Send + Sync,
    M::Action: Clone + std::fmt::Debug + PartialEq + Send + Sync,
{
    use stateright::Checker as _;
    let checked = model.checker().spawn_bfs().join();
    assert!(checked.discovery(property).is_some(), "`{property}` holds although a rule was left out");
}
