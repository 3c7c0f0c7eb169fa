use super::{LeftOut, Relaying, State, Step};
use crate::{ends, fails, holds, sticks};

#[test]
fn no_order_of_steps_loses_a_task_or_publishes_it_again_without_a_reason() {
    let states = holds(Relaying::sound());
    assert!(states > 10_000, "{states} states: the model does next to nothing");
}

#[test]
fn a_row_that_was_skipped_is_found_by_a_look_from_the_beginning() {
    ends(&Relaying { faults: 1, ..Relaying::sound() }, Step::is_calm, State::is_relayed);
}

#[test]
fn without_looks_from_the_beginning_a_row_that_is_committed_late_stays_for_ever() {
    sticks(&Relaying { faults: 0, left_out: LeftOut::FromTheBeginning }, Step::is_calm, State::is_relayed);
}

#[test]
fn deleting_before_the_confirm_loses_tasks() {
    fails(Relaying::without(LeftOut::Confirms), "not lost");
}

#[test]
fn reading_rows_without_a_lock_publishes_them_twice() {
    fails(Relaying::without(LeftOut::Locks), "published again only for a reason");
}
