//! What the server answers, as a table.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Where in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// A connection was taken; the answer is the greeting.
    Connect,
    /// EHLO or HELO.
    Ehlo,
    /// STARTTLS.
    StartTls,
    /// AUTH, once the credentials are there.
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA, before the content.
    Data,
    /// The dot after the content.
    Content,
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// QUIT.
    Quit,
}

/// Rules, of which the first that fits a command decides; what none fits is answered as a healthy server would.
///
/// `for_recipient`, `for_domain`, `times`, `times_each`, `at_first`, `after`, `above` and `beyond` narrow the rule
/// before them:
/// ```
/// use testkit::{Script, Stage};
/// let greylisting = Script::healthy().reply(Stage::Rcpt, "450 4.7.1 greylisted").times_each(2);
/// let one_is_gone = Script::healthy().reply(Stage::Rcpt, "550 5.1.1 no such user").for_recipient("ann@example.com");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Script {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    stage: Stage,
    act: Act,
    recipient: Option<String>,
    domain: Option<String>,
    after: u32,
    times: Option<u32>,
    times_each: Option<u32>,
    met: u32,
    met_by: HashMap<String, u32>,
    at_first: Option<Duration>,
    first_seen: HashMap<String, Instant>,
    above: Option<(usize, Duration)>,
    beyond: Option<usize>,
    // When it let commands pass that are within the limit.
    passed: VecDeque<Instant>,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    Reply(String),
    Drop,
    /// After the dot: the mail is taken, the reply lost.
    AcceptThenDrop,
    Hang,
    /// Answers late, and goes on to the next rule.
    Delay(Duration),
}

/// What becomes of one command.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Decision {
    pub(crate) delay: Duration,
    /// `None`: what a healthy server does.
    pub(crate) act: Option<Act>,
}

impl Script {
    /// Takes every mail.
    pub fn healthy() -> Self {
        Self::default()
    }

    /// Answers with this reply, such as `450 4.2.0 later`; a line break makes it a reply of several lines. At
    /// [`Stage::Connect`] it takes the greeting's place. After 421 the server closes the connection.
    pub fn reply(self, stage: Stage, reply: &str) -> Self {
        let code = reply.get(..3).is_some_and(|code| code.bytes().all(|b| b.is_ascii_digit()));
        assert!(code, "a reply begins with a code of three digits: {reply:?}");
        self.rule(stage, Act::Reply(reply.to_owned()))
    }

    /// Closes the connection instead of an answer.
    pub fn drop_at(self, stage: Stage) -> Self {
        self.rule(stage, Act::Drop)
    }

    /// Takes the mail, and closes the connection instead of saying so.
    pub fn accept_then_drop(self) -> Self {
        self.rule(Stage::Content, Act::AcceptThenDrop)
    }

    /// Never answers; the connection stays open until the client closes it.
    pub fn hang_at(self, stage: Stage) -> Self {
        self.rule(stage, Act::Hang)
    }

    /// Takes this long for each mail: the answer to the dot comes late.
    pub fn delay(self, delay: Duration) -> Self {
        self.delay_at(Stage::Content, delay)
    }

    /// Answers late at a stage; what it then answers, the other rules say.
    pub fn delay_at(self, stage: Stage, delay: Duration) -> Self {
        self.rule(stage, Act::Delay(delay))
    }

    /// Refuses the first `times` attempts of every recipient with 450.
    pub fn greylisting(self, times: u32) -> Self {
        self.reply(Stage::Rcpt, "450 4.7.1 Greylisted, please try again later").times_each(times)
    }

    /// The rule before holds for this recipient alone (from RCPT on; without regard to case).
    pub fn for_recipient(mut self, address: &str) -> Self {
        self.last().recipient = Some(address.to_lowercase());
        self
    }

    /// The rule before holds for the recipients at this domain, and at those below it (from RCPT on).
    pub fn for_domain(mut self, domain: &str) -> Self {
        self.last().domain = Some(domain.to_lowercase());
        self
    }

    /// The rule before holds `n` times, then no more.
    pub fn times(mut self, n: u32) -> Self {
        self.last().times = Some(n);
        self
    }

    /// The rule before holds `n` times for each recipient.
    pub fn times_each(mut self, n: u32) -> Self {
        self.last().times_each = Some(n);
        self
    }

    /// The rule before holds for each recipient until so long after its first attempt.
    pub fn at_first(mut self, long: Duration) -> Self {
        self.last().at_first = Some(long);
        self
    }

    /// The rule before lets the first `n` pass.
    pub fn after(mut self, n: u32) -> Self {
        self.last().after = n;
        self
    }

    /// The rule before lets `n` pass within any such time, and holds for what comes above that: a limit on the speed.
    pub fn above(mut self, n: usize, within: Duration) -> Self {
        self.last().above = Some((n, within));
        self
    }

    /// The rule before lets the `n` connections pass that have been open longest, and holds for all others: a limit on how
    /// many are open at once.
    pub fn beyond(mut self, n: usize) -> Self {
        self.last().beyond = Some(n);
        self
    }

    fn rule(mut self, stage: Stage, act: Act) -> Self {
        let rule = Rule {
            stage,
            act,
            recipient: None,
            domain: None,
            after: 0,
            times: None,
            times_each: None,
            met: 0,
            met_by: HashMap::new(),
            at_first: None,
            first_seen: HashMap::new(),
            above: None,
            beyond: None,
            passed: VecDeque::new(),
        };
        self.rules.push(rule);
        self
    }

    fn last(&mut self) -> &mut Rule {
        self.rules.last_mut().expect("narrowing needs a rule before it")
    }

    /// Decides about one command, and counts it. `older`: how many open connections are older than this one.
    pub(crate) fn decide(&mut self, stage: Stage, recipients: &[String], older: usize) -> Decision {
        self.decide_at(Instant::now(), stage, recipients, older)
    }

    fn decide_at(&mut self, now: Instant, stage: Stage, recipients: &[String], older: usize) -> Decision {
        let mut decision = Decision::default();
        for rule in self.rules.iter_mut().filter(|rule| rule.stage == stage) {
            if !rule.fits(recipients, now, older) {
                continue;
            }
            match &rule.act {
                Act::Delay(delay) => decision.delay += *delay,
                act => {
                    decision.act = Some(act.clone());
                    break;
                }
            }
        }
        decision
    }
}

impl Rule {
    fn fits(&mut self, recipients: &[String], now: Instant, older: usize) -> bool {
        let key = recipients.first().map(|r| r.to_lowercase()).unwrap_or_default();
        if let Some(wanted) = &self.recipient
            && !recipients.iter().any(|r| r.to_lowercase() == *wanted)
        {
            return false;
        }
        if self.beyond.is_some_and(|n| older < n) {
            return false;
        }
        if self.above.is_some_and(|(n, within)| self.is_within(now, n, within)) {
            return false;
        }
        if let Some(wanted) = &self.domain
            && !recipients.iter().any(|r| is_at(&r.to_lowercase(), wanted))
        {
            return false;
        }
        if self.at_first.is_some_and(|long| now >= *self.first_seen.entry(key.clone()).or_insert(now) + long) {
            return false;
        }
        self.met += 1;
        if self.met <= self.after || self.times.is_some_and(|times| self.met > self.after + times) {
            return false;
        }
        self.times_each.is_none_or(|times| {
            let met = self.met_by.entry(key).or_default();
            *met += 1;
            *met <= times
        })
    }

    /// Is this one still within the limit? Then it counts.
    fn is_within(&mut self, now: Instant, n: usize, within: Duration) -> bool {
        while self.passed.front().is_some_and(|at| now.duration_since(*at) >= within) {
            self.passed.pop_front();
        }
        let passes = self.passed.len() < n;
        if passes {
            self.passed.push_back(now);
        }
        passes
    }
}

/// Whether the address is at this domain, or at one below it.
fn is_at(address: &str, domain: &str) -> bool {
    let rest = address.rsplit_once('@').and_then(|(_, at)| at.strip_suffix(domain));
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(script: &mut Script, stage: Stage, to: &[&str]) -> Vec<&'static str> {
        to.iter()
            .map(|to| match script.decide(stage, &[(*to).to_owned()], 0).act {
                None => "ok",
                Some(Act::Reply(reply)) if reply.starts_with('4') => "later",
                Some(Act::Reply(_)) => "never",
                Some(Act::Drop) => "dropped",
                Some(_) => "other",
            })
            .collect()
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let table: &[(&str, Script, &[&str], &[&str])] = &[
            ("healthy", Script::healthy(), &["a", "b"], &["ok", "ok"]),
            ("everyone", Script::healthy().reply(Stage::Rcpt, "550 no"), &["a", "b"], &["never", "never"]),
            (
                "one recipient",
                Script::healthy().reply(Stage::Rcpt, "550 no").for_recipient("B"),
                &["a", "b"],
                &["ok", "never"],
            ),
            (
                "twice",
                Script::healthy().reply(Stage::Rcpt, "450 no").times(2),
                &["a", "b", "c"],
                &["later", "later", "ok"],
            ),
            ("greylisting", Script::healthy().greylisting(1), &["a", "b", "a", "b"], &["later", "later", "ok", "ok"]),
            (
                "after one",
                Script::healthy().drop_at(Stage::Rcpt).after(1).times(1),
                &["a", "b", "c"],
                &["ok", "dropped", "ok"],
            ),
            (
                "a spent rule gives way to the next",
                Script::healthy().reply(Stage::Rcpt, "450 no").times(1).reply(Stage::Rcpt, "550 no"),
                &["a", "a"],
                &["later", "never"],
            ),
            ("another stage", Script::healthy().reply(Stage::Mail, "450 no"), &["a"], &["ok"]),
        ];
        for (name, script, to, want) in table {
            assert_eq!(replies(&mut script.clone(), Stage::Rcpt, to), *want, "{name}");
        }
    }

    #[test]
    fn a_limit_on_the_speed_refuses_what_is_above_it_and_counts_what_it_let_pass_alone() {
        let (second, began) = (Duration::from_secs(1), Instant::now());
        let mut script = Script::healthy().reply(Stage::Content, "454 4.7.0 too fast").above(2, second);
        let at = [0, 100, 200, 300, 999, 1_000, 1_050, 1_100, 1_101].map(|ms| began + Duration::from_millis(ms));
        let taken = at.map(|now| script.decide_at(now, Stage::Content, &[], 0).act.is_none());
        assert_eq!(taken, [true, true, false, false, false, true, false, true, false]);
    }

    #[test]
    fn a_recipient_is_refused_at_first_and_taken_once_its_time_is_over() {
        let began = Instant::now();
        let mut script = Script::healthy().reply(Stage::Rcpt, "450 later").at_first(Duration::from_secs(20));
        let tries = [("a", 0), ("b", 5), ("a", 19), ("a", 20), ("b", 24), ("b", 25), ("a", 90)];
        let taken = tries.map(|(to, second)| {
            let now = began + Duration::from_secs(second);
            script.decide_at(now, Stage::Rcpt, &[to.to_owned()], 0).act.is_none()
        });
        assert_eq!(taken, [false, false, false, true, false, true, true]);
    }

    #[test]
    fn a_domain_is_its_own_and_those_below() {
        for (address, expected) in
            [("a@bad.example", true), ("a@d1.bad.example", true), ("a@notbad.example", false), ("bad.example", false)]
        {
            assert_eq!(is_at(address, "bad.example"), expected, "{address}");
        }
    }

    #[test]
    fn a_limit_on_connections_refuses_the_youngest() {
        let mut script = Script::healthy().reply(Stage::Connect, "421 too many connections").beyond(2);
        let taken = [0, 1, 2, 3].map(|older| script.decide(Stage::Connect, &[], older).act.is_none());
        assert_eq!(taken, [true, true, false, false]);
    }

    #[test]
    fn delays_add_up_and_leave_the_answer_to_the_other_rules() {
        let second = Duration::from_secs(1);
        let mut script = Script::healthy().delay(second).delay(second).drop_at(Stage::Content);
        assert_eq!(script.decide(Stage::Content, &[], 0), Decision { delay: 2 * second, act: Some(Act::Drop) });
    }
}
