use super::{Bare, LeftOut, State, Step};
use crate::{ends, fails, holds};

#[test]
fn no_order_of_steps_loses_a_bare_task_or_repeats_a_mail_outside_the_named_windows() {
    for (published, faults) in [(2, 3), (3, 2)] {
        let states = holds(Bare { published, faults, ..Bare::sound() });
        assert!(states > 10_000, "{states} states: the model does next to nothing");
    }
}

#[test]
fn from_everywhere_every_bare_task_can_still_end() {
    ends(&Bare::sound(), Step::is_calm, State::is_quiet);
}

#[test]
fn taking_what_is_delivered_again_for_what_was_mailed_before_loses_tasks() {
    fails(Bare::without(LeftOut::MailedAgain), "not lost");
}

#[test]
fn joining_a_flight_that_has_its_delivery_loses_tasks() {
    fails(Bare::without(LeftOut::JoinsOnlyLost), "not lost");
}
