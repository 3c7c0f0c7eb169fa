//! Models of the pieces whose interleavings matter. Each is small enough to be looked at whole: every order of every step, with
//! crashes and lost answers anywhere. A model has no I/O and no time but what it says.
//!
//! | model | of | claims |
//! |---|---|---|
//! | [`delivery`] | `services/email-worker`: consumer, delivery, ledger | every task becomes a mail or a dead letter; a mail is repeated only in the windows that the README names |
//! | [`bare`] | `services/email-worker`: delivery | of tasks that nothing tells apart, as many are mailed as were published; more only in those windows |
//! | [`relay`] | `services/user-api`: relay, cursor, outbox | a row goes only after the broker has kept its task, and none is skipped for ever; a repetition has a cause that is named |
//! | [`rate`] | `services/email-worker`: rate | no window of time sees more mails than the rate, and the tolerance for late permits |
//! | [`rate::queue`] | `services/email-worker`: rate | mails that wait longer than their claims last are sent at the rate all the same |
//!
//! Each model can also leave one of its rules out, and the checker must then find what the rule is there for: a model that can't
//! fail proves nothing.

pub mod bare;
pub mod delivery;
pub mod rate;
pub mod relay;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker as _, HasDiscoveries, Model};

/// Looks at every state that can be reached; the properties of the model must hold in all of them. Returns how many there are.
///
/// # Panics
/// With the shortest way to a state in which one does not.
pub fn holds<M>(model: M) -> usize
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
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
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let first = HasDiscoveries::AnyOf([property].into());
    let checked = model.checker().finish_when(first).spawn_bfs().join();
    assert!(checked.discovery(property).is_some(), "`{property}` holds although a rule was left out");
}

/// Whatever has happened, the end can still be reached by calm steps alone: nothing is stuck, and no further fault is needed to go on.
///
/// # Panics
/// With a state from which it can't.
pub fn ends<M>(model: &M, calm: impl Fn(&M::Action) -> bool, end: impl Fn(&M::State) -> bool)
where
    M: Model,
    M::State: Clone + Debug + Eq + Hash,
{
    let stuck = stuck(model, calm, end);
    assert!(stuck.is_none(), "no calm way leads to the end from {stuck:#?}");
}

/// The same the other way around: something must be stuck.
///
/// # Panics
/// When nothing is.
pub fn sticks<M>(model: &M, calm: impl Fn(&M::Action) -> bool, end: impl Fn(&M::State) -> bool)
where
    M: Model,
    M::State: Clone + Debug + Eq + Hash,
{
    assert!(stuck(model, calm, end).is_some(), "nothing is stuck although a rule was left out");
}

/// A state from which no calm steps lead to the end: all states forwards, then the calm steps backwards from the ends.
fn stuck<M>(model: &M, calm: impl Fn(&M::Action) -> bool, end: impl Fn(&M::State) -> bool) -> Option<M::State>
where
    M: Model,
    M::State: Clone + Eq + Hash,
{
    let mut states = model.init_states();
    let mut numbers: HashMap<M::State, usize> = states.iter().cloned().zip(0..).collect();
    // For each state, those that a calm step leads to it from.
    let mut before = vec![Vec::new(); states.len()];
    let mut steps = Vec::new();
    let mut at = 0;
    while at < states.len() {
        model.actions(&states[at], &mut steps);
        for step in steps.drain(..) {
            let is_calm = calm(&step);
            let next = model.next_state(&states[at], step).filter(|next| model.within_boundary(next));
            let Some(next) = next else { continue };
            let number = match numbers.entry(next) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    states.push(new.key().clone());
                    before.push(Vec::new());
                    *new.insert(states.len() - 1)
                }
            };
            if is_calm {
                before[number].push(at);
            }
        }
        at += 1;
    }
    let mut ended: Vec<bool> = states.iter().map(end).collect();
    let mut from: Vec<usize> = (0..states.len()).filter(|number| ended[*number]).collect();
    while let Some(number) = from.pop() {
        for earlier in std::mem::take(&mut before[number]) {
            if !std::mem::replace(&mut ended[earlier], true) {
                from.push(earlier);
            }
        }
    }
    let stuck = ended.iter().position(|ended| !ended)?;
    Some(states.swap_remove(stuck))
}
