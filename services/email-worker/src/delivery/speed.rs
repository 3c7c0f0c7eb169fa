//! Refusals that are about how fast we send: they cost the mail nothing, and slow the fleet down.

use std::time::Duration;

use tokio::time::Instant;

use crate::rate::FleetRate;
use crate::send::classify::{Advice, Classification, Doubts, Kind, Outage, Reason, Unclear, Whose};
use crate::smtp::{Reply, SendError, Stage};

/// A mail that was refused for the speed so often, while so many others were taken, is refused for itself, whatever is said.
const STUBBORN: (u32, u64) = (5, 50);

/// Before a mail goes again of which nobody knows yet whose limit it met.
const WAIT_AND_SEE: Duration = Duration::from_millis(500);

/// What one mail has been through in this run.
#[derive(Debug, Default)]
pub(crate) struct Trials {
    /// Refused without a reason, the last time, while mails went as usual: if it is taken next, the reason was the speed.
    unclear: Option<Unclear>,
    /// The episode of the fleet's rate in which it was let go that time.
    episode: i64,
    /// Refused without a reason at some time.
    was_unclear: bool,
    /// Refused for the speed so often, since so many others had been taken.
    too_fast: (u32, u64),
    /// It broke off, and whose fault it was could not be learnt.
    unsettled: bool,
}

impl Trials {
    /// It broke off, and no other connection was to be had to see whose fault it was. True: once more, for nothing; but
    /// only once, or a mail that ends every conversation would never end.
    pub(super) fn once_more(&mut self) -> bool {
        !std::mem::replace(&mut self.unsettled, true)
    }

    /// It was refused for the speed once more, after so many mails had been taken in all. True: so often, while so many others
    /// went, that it is refused for itself.
    fn is_stubborn(&mut self, taken: u64) -> bool {
        let (times, before) = &mut self.too_fast;
        if *times == 0 {
            *before = taken;
        }
        *times += 1;
        *times >= STUBBORN.0 && taken >= *before + STUBBORN.1
    }

    /// It was refused without a reason. `None` while the fleet pauses: the fleet has slowed down already, and the mail asks
    /// whether that is over. That it is taken later is no news then.
    fn refused_without_a_reason(&mut self, kind: Kind, began: Instant, fleet_pauses: bool) -> Option<Unclear> {
        self.was_unclear = true;
        let before = self.unclear.take().filter(|before| before.kind == kind);
        let tries = before.map_or(0, |before| before.tries + 1);
        self.unclear = (!fleet_pauses).then_some(Unclear { kind, tries, began });
        self.unclear
    }
}

/// The mail that was refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent<'a> {
    /// The recipient's.
    pub(crate) domain: &'a str,
    /// When the conversation did.
    pub(crate) began: Instant,
    /// In which episode of the fleet's rate it was let go.
    pub(crate) episode: i64,
}

/// What a refusal means once it is known whether it was for the speed.
pub(crate) enum Weighed<'a> {
    /// This.
    Known(Classification),
    /// This, and as far as anybody knows it may be the own limit of this domain.
    Perhaps(Classification, &'a str),
    /// Nobody knows yet: the same mail again, after this time.
    AgainIn(Duration),
}

/// What is known about the speed: by the fleet, and by this worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speed<'w> {
    pub(crate) rate: &'w FleetRate,
    pub(crate) doubts: &'w Doubts,
}

impl Speed<'_> {
    /// Looks at a classification in the light of what else is known.
    pub(crate) fn weigh<'a>(
        &self,
        class: Classification,
        error: &SendError,
        sent: Sent<'a>,
        trials: &mut Trials,
    ) -> Weighed<'a> {
        let SendError::Refused { stage, reply, .. } = error else { return Weighed::Known(class) };
        match class {
            Classification::TooFast => self.too_fast(*stage, sent.domain, trials),
            Classification::Retry(Reason::Unclear) if self.rate.adapts() => {
                match self.is_it_the_speed(kind(*stage, reply), sent, trials) {
                    Advice::TooFast => self.too_fast(*stage, sent.domain, trials),
                    Advice::ItsOwn => Weighed::Known(class),
                    Advice::TryAgainIn(wait) => Weighed::AgainIn(wait),
                }
            }
            other => Weighed::Known(other),
        }
    }

    fn too_fast<'a>(&self, stage: Stage, domain: &'a str, trials: &mut Trials) -> Weighed<'a> {
        if !self.rate.adapts() {
            return Weighed::Known(its_own(stage));
        }
        // At MAIL no recipient was spoken of yet.
        let now = Instant::now();
        let whose = match stage {
            Stage::Connect | Stage::Mail => Whose::Account,
            // One mail after the other asks whether the server takes any again. Those that asked for longest are no worse than
            // the many that went before.
            _ if self.rate.pauses() => self.doubts.whose_limit_alone(domain, now),
            _ => self.doubts.whose_limit(domain, now),
        };
        match whose {
            Whose::Domain => {
                self.rate.unlearn(domain);
                return Weighed::Known(its_own(stage));
            }
            // What one domain teaches would hold for all. A fleet that is held back already loses little by it, until it is
            // known.
            Whose::Unknown if !self.rate.is_held_back() => return Weighed::AgainIn(WAIT_AND_SEE),
            Whose::Unknown | Whose::Account => {}
        }
        let class = self.slower_or(its_own(stage), trials);
        if whose == Whose::Unknown { Weighed::Perhaps(class, domain) } else { Weighed::Known(class) }
    }

    /// The fleet slows down, unless that is of no use: for this mail, or for any.
    fn slower_or(&self, its_own: Classification, trials: &mut Trials) -> Classification {
        if self.doubts.hopeless(Instant::now()) {
            return Classification::CircuitOpen(Outage::Throttled);
        }
        if trials.is_stubborn(self.rate.counts().accepted) { its_own } else { Classification::TooFast }
    }

    fn is_it_the_speed(&self, kind: Kind, sent: Sent<'_>, trials: &mut Trials) -> Advice {
        let now = Instant::now();
        if let Some(found_at) = self.rate.when_found(&kind.to_string()) {
            self.doubts.told(kind, found_at, now);
        }
        trials.episode = sent.episode;
        match trials.refused_without_a_reason(kind, sent.began, self.rate.pauses()) {
            Some(unclear) => self.doubts.refused(unclear, now),
            None => Advice::TooFast,
        }
    }

    /// A mail to this domain was taken; `first`: at its first attempt. If it had been refused without a reason a moment ago,
    /// the reason was the speed.
    pub(crate) fn taken(&self, domain: &str, first: bool, trials: &Trials) {
        let now = Instant::now();
        let at_once = first && !trials.was_unclear;
        self.doubts.taken(domain, at_once, now);
        if let Some(Unclear { kind, .. }) = trials.unclear
            && self.doubts.taken_after(kind, now)
        {
            let Kind { stage, code, .. } = kind;
            tracing::info!(stage = stage.slug(), code, "refused and taken a moment later: it was the speed");
            let reason = format!("{code} without a reason, and taken a moment later");
            self.rate.found(&kind.to_string(), trials.episode, &reason);
        }
    }
}

/// A refusal for the speed where nothing is learnt of it.
fn its_own(stage: Stage) -> Classification {
    if stage <= Stage::Mail {
        Classification::CircuitOpen(Outage::ServerError)
    } else {
        Classification::Retry(Reason::Speeding)
    }
}

fn kind(stage: Stage, reply: &Reply) -> Kind {
    Kind { stage, code: reply.code, enhanced: reply.enhanced }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Kind = Kind { stage: Stage::Rcpt, code: 450, enhanced: Some((4, 7, 1)) };
    const OTHER: Kind = Kind { stage: Stage::Content, code: 451, enhanced: None };

    #[test]
    fn what_is_refused_while_the_fleet_pauses_is_no_trial_and_still_not_taken_at_once() {
        for (refusals, tries) in [
            (&[][..], None),
            (&[(LATER, false)], Some(0)),
            (&[(LATER, false), (LATER, false)], Some(1)),
            (&[(LATER, false), (OTHER, false)], Some(0)),
            (&[(LATER, true)], None),
            (&[(LATER, false), (LATER, true)], None),
            (&[(LATER, true), (LATER, false)], Some(0)),
        ] {
            let mut trials = Trials::default();
            for (kind, pauses) in refusals {
                trials.refused_without_a_reason(*kind, Instant::now(), *pauses);
            }
            assert_eq!(trials.unclear.map(|unclear| unclear.tries), tries, "{refusals:?}");
            assert_eq!(trials.was_unclear, !refusals.is_empty(), "{refusals:?}");
        }
    }

    #[test]
    fn a_mail_that_broke_off_goes_once_more_for_nothing_and_no_second_time() {
        let mut trials = Trials::default();
        assert!(trials.once_more());
        assert!(!trials.once_more());
        assert!(!trials.once_more());
    }

    #[test]
    fn a_mail_that_is_refused_for_the_speed_again_and_again_while_others_go_is_refused_for_itself() {
        for (taken, stubborn) in [
            (&[0, 0, 0, 0, 50][..], true),
            (&[100, 100, 100, 100, 150], true),
            (&[100, 100, 100, 100, 149], false),
            (&[100, 1_000, 1_000, 1_000], false),
            (&[0, 0, 0, 0, 0], false),
        ] {
            let mut trials = Trials::default();
            let said: Vec<_> = taken.iter().map(|taken| trials.is_stubborn(*taken)).collect();
            let (last, before) = said.split_last().unwrap();
            assert!(*last == stubborn && !before.contains(&true), "{taken:?}: {said:?}");
        }
    }

    #[tokio::test]
    async fn a_mail_that_was_refused_without_a_reason_and_is_taken_a_moment_later_tells_what_that_reply_means() {
        for is_taken in [false, true] {
            let (rate, doubts) = (FleetRate::at_rest(true), Doubts::default());
            let speed = Speed { rate: &rate, doubts: &doubts };
            let refused = |trials: &mut Trials| {
                let reply = Reply::new(450, "4.7.1 later", &[]);
                let error = SendError::Refused { stage: Stage::Mail, reply, fresh: true };
                let sent = Sent { domain: "one.example", began: Instant::now(), episode: 0 };
                speed.weigh(Classification::Retry(Reason::Unclear), &error, sent, trials)
            };
            // Mails are taken at once, as a rule.
            (0..100).for_each(|_| speed.taken("one.example", true, &Trials::default()));
            let mut trials = Trials::default();
            assert!(matches!(refused(&mut trials), Weighed::AgainIn(_)), "nobody knows yet");
            if is_taken {
                speed.taken("one.example", true, &trials);
            }
            let next = refused(&mut Trials::default());
            assert_eq!(matches!(next, Weighed::Known(Classification::TooFast)), is_taken, "of another mail");
        }
    }

    #[test]
    fn where_nothing_is_learnt_a_refusal_for_the_speed_is_the_servers_up_to_mail_and_the_mails_after_it() {
        for (stage, class) in [
            (Stage::Connect, Classification::CircuitOpen(Outage::ServerError)),
            (Stage::Mail, Classification::CircuitOpen(Outage::ServerError)),
            (Stage::Rcpt, Classification::Retry(Reason::Speeding)),
            (Stage::Data, Classification::Retry(Reason::Speeding)),
            (Stage::Content, Classification::Retry(Reason::Speeding)),
        ] {
            assert_eq!(its_own(stage), class, "{stage}");
        }
    }

    /// What a refusal at this stage means, in the words of the table below.
    fn weighed(adapts: bool, class: Classification, stage: Stage) -> String {
        let (rate, doubts) = (FleetRate::at_rest(adapts), Doubts::default());
        let error = SendError::Refused { stage, reply: Reply::new(450, "4.7.1 later", &[]), fresh: true };
        let sent = Sent { domain: "one.example", began: Instant::now(), episode: 0 };
        match (Speed { rate: &rate, doubts: &doubts }).weigh(class, &error, sent, &mut Trials::default()) {
            Weighed::Known(class) => format!("{class:?}"),
            Weighed::Perhaps(class, domain) => format!("perhaps {class:?} of {domain}"),
            Weighed::AgainIn(_) => "again later".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_refusal_is_weighed_where_something_is_learnt_and_by_its_stage() {
        use Stage::{Connect, Content, Mail, Rcpt};
        const FAST: Classification = Classification::TooFast;
        const UNCLEAR: Classification = Classification::Retry(Reason::Unclear);
        for (adapts, class, stage, expected) in [
            (false, FAST, Mail, "CircuitOpen(ServerError)"),
            (false, FAST, Rcpt, "Retry(Speeding)"),
            (false, UNCLEAR, Rcpt, "Retry(Unclear)"),
            (true, FAST, Connect, "TooFast"),
            (true, FAST, Mail, "TooFast"),
            (true, FAST, Rcpt, "again later"),
            (true, FAST, Content, "again later"),
            (true, UNCLEAR, Rcpt, "again later"),
            (true, Classification::Retry(Reason::Greylisted), Rcpt, "Retry(Greylisted)"),
        ] {
            let of = format!("{class:?} at {stage}, learns: {adapts}");
            assert_eq!(weighed(adapts, class, stage), expected, "{of}");
        }
        let (rate, doubts) = (FleetRate::at_rest(true), Doubts::default());
        let sent = Sent { domain: "one.example", began: Instant::now(), episode: 0 };
        let broken = SendError::Unanswered { cause: crate::smtp::Broken::Dropped };
        let weighed = (Speed { rate: &rate, doubts: &doubts }).weigh(FAST, &broken, sent, &mut Trials::default());
        assert!(matches!(weighed, Weighed::Known(Classification::TooFast)), "nobody refused it");
    }
}
