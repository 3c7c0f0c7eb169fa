use super::{Delivery, LeftOut, State, Step};
use crate::{ends, fails, holds, sticks};

const REPEATED: &str = "repeated only in the named windows";

#[test]
fn no_order_of_steps_loses_a_task_or_repeats_a_mail_outside_the_named_windows() {
    for published in [1, 2] {
        let states = holds(Delivery { published, ..Delivery::sound() });
        assert!(states > 10_000, "{states} states: the model does next to nothing");
    }
}

#[test]
fn from_everywhere_a_task_can_still_become_a_mail_or_a_dead_letter() {
    ends(&Delivery { faults: 1, ..Delivery::sound() }, Step::is_calm, State::is_quiet);
}

#[test]
fn a_claim_that_never_runs_out_holds_a_task_for_ever() {
    sticks(&Delivery { faults: 1, ..Delivery::without(LeftOut::Expiry) }, Step::is_calm, State::is_quiet);
}

#[test]
fn acknowledging_at_once_loses_tasks() {
    fails(Delivery::without(LeftOut::AckAfterMark), "not lost");
}

#[test]
fn acknowledging_before_the_copy_is_published_loses_tasks() {
    fails(Delivery::without(LeftOut::CopyBeforeAck), "not lost");
}

#[test]
fn settling_the_published_copy_with_the_flight_that_published_it_loses_tasks() {
    fails(Delivery::without(LeftOut::LeavingBeforeCopy), "not lost");
}

#[test]
fn sending_without_a_claim_repeats_mails() {
    fails(Delivery::without(LeftOut::Claims), REPEATED);
}

#[test]
fn not_looking_at_the_claim_again_before_mail_repeats_mails() {
    fails(Delivery::without(LeftOut::SecondLook), REPEATED);
}

#[test]
fn flying_a_second_copy_beside_the_first_in_one_worker_repeats_mails() {
    fails(Delivery::without(LeftOut::Attaching), REPEATED);
}

#[test]
fn a_late_release_that_ends_a_later_claim_repeats_mails() {
    fails(Delivery::without(LeftOut::Fence), REPEATED);
}

#[test]
fn repeating_without_a_limit_what_is_never_answered_goes_on_for_ever() {
    fails(
        Delivery { published: 1, faults: 3, ..Delivery::without(LeftOut::RepeatLimit) },
        "an answer that is lost again ends the task",
    );
}

#[test]
fn one_task_that_is_never_answered_for_is_sent_twice() {
    holds(Delivery { published: 1, faults: 3, ..Delivery::sound() });
}
