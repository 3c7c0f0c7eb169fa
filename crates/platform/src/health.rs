//! What a process says about itself: ready or not, and what it is waiting for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::{KeyValue, global};
use serde::Serialize;

use crate::tls;

/// Whether traffic may come while a component is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Not ready without it.
    Required,
    /// Not ready before it was up for the first time. Afterwards shown in the report only.
    ToStart,
    /// Shown in the report only: taking the pod out of service would not help.
    Informative,
}

/// The health of a process. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Health {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    draining: bool,
    components: BTreeMap<Cow<'static, str>, Entry>,
}

#[derive(Debug)]
struct Entry {
    need: Need,
    status: ComponentStatus,
    reason: Option<String>,
    proven: bool,
}

impl Entry {
    fn keeps_traffic_away(&self) -> bool {
        match self.need {
            Need::Required => self.status != ComponentStatus::Up,
            Need::ToStart => !self.proven,
            Need::Informative => false,
        }
    }
}

impl Health {
    /// Ready, without components.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a component that is still starting: not ready yet if it is required. The same name again replaces it.
    pub fn component(&self, name: impl Into<Cow<'static, str>>, need: Need) -> Component {
        let name = name.into();
        let entry = Entry { need, status: ComponentStatus::Starting, reason: None, proven: false };
        self.lock().components.insert(name.clone(), entry);
        Component { health: self.clone(), name }
    }

    /// Not ready from now on, whatever the components say.
    pub fn start_draining(&self) {
        self.lock().draining = true;
    }

    /// The state of this moment.
    pub fn report(&self) -> Report {
        let state = self.lock();
        let status = if state.draining {
            Status::Draining
        } else if state.components.values().any(Entry::keeps_traffic_away) {
            Status::Unavailable
        } else if state.components.values().any(|entry| entry.status == ComponentStatus::Down) {
            Status::Degraded
        } else {
            Status::Ok
        };
        let components = state.components.iter().map(|(name, entry)| {
            (name.clone().into_owned(), ComponentReport { status: entry.status, reason: entry.reason.clone() })
        });
        Report { ready: matches!(status, Status::Ok | Status::Degraded), status, components: components.collect() }
    }

    /// `sluice.component.down`, of the service `meter`: 1 while a component is down, with its cause: `tls` where no secure
    /// connection comes about, else `other`.
    pub fn observe(&self, meter: &'static str) {
        let health = self.clone();
        global::meter(meter)
            .u64_observable_gauge("sluice.component.down")
            .with_description(
                "1 while a component is down, with the cause: tls (no secure connection) or other; else 0.",
            )
            .with_callback(move |gauge| {
                for (name, component) in health.report().components {
                    let name = KeyValue::new("sluice.component", name);
                    match component.cause() {
                        Some(cause) => gauge.observe(1, &[name, KeyValue::new("sluice.cause", cause)]),
                        None => gauge.observe(0, &[name]),
                    }
                }
            })
            .build();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can leave it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thing that the process depends on. Clones report on the same component.
#[derive(Debug, Clone)]
pub struct Component {
    health: Health,
    name: Cow<'static, str>,
}

impl Component {
    /// It works.
    pub fn up(&self) {
        self.set(ComponentStatus::Up, None);
    }

    /// It works, and does less than it might. The reason is shown as with [`down`](Self::down).
    pub fn limited(&self, reason: impl Into<String>) {
        self.set(ComponentStatus::Up, Some(reason.into()));
    }

    /// It does not work. The reason is shown to whoever asks: no secrets and no personal data.
    pub fn down(&self, reason: impl Into<String>) {
        self.set(ComponentStatus::Down, Some(reason.into()));
    }

    fn set(&self, status: ComponentStatus, reason: Option<String>) {
        if let Some(entry) = self.health.lock().components.get_mut(&self.name) {
            entry.status = status;
            entry.reason = reason;
            entry.proven |= status == ComponentStatus::Up;
        }
    }
}

/// What `/readyz` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether traffic may come.
    #[serde(skip)]
    pub ready: bool,
    /// The whole in a word.
    pub status: Status,
    /// Each component by its name.
    pub components: BTreeMap<String, ComponentReport>,
}

/// A whole process in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Everything is up.
    Ok,
    /// Ready, though something that is not required is down.
    Degraded,
    /// Something required is down or still starting.
    Unavailable,
    /// On the way out.
    Draining,
}

/// One component in the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentReport {
    /// Its state.
    pub status: ComponentStatus,
    /// Why it is down, or does less than it might.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ComponentReport {
    /// Why it is down, in a word for metrics.
    fn cause(&self) -> Option<&'static str> {
        let is_tls = self.reason.as_deref().is_some_and(tls::is_trouble);
        (self.status == ComponentStatus::Down).then_some(if is_tls { "tls" } else { "other" })
    }
}

/// The state of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ComponentStatus {
    /// Nothing was reported so far.
    Starting,
    /// It works.
    Up,
    /// It does not.
    Down,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_follows_required_components_only() {
        use ComponentStatus::{Down, Starting, Up};
        // (required, informative, draining) -> (ready, status)
        let table = [
            (Starting, Starting, false, false, Status::Unavailable),
            (Starting, Up, false, false, Status::Unavailable),
            (Up, Starting, false, true, Status::Ok),
            (Up, Up, false, true, Status::Ok),
            (Up, Down, false, true, Status::Degraded),
            (Down, Up, false, false, Status::Unavailable),
            (Down, Down, false, false, Status::Unavailable),
            (Up, Up, true, false, Status::Draining),
            (Down, Up, true, false, Status::Draining),
        ];
        for (required, informative, draining, ready, status) in table {
            let health = Health::new();
            for (component, to) in [
                (health.component("db", Need::Required), required),
                (health.component("mail", Need::Informative), informative),
            ] {
                match to {
                    Starting => {}
                    Up => component.up(),
                    Down => component.down("gone"),
                }
            }
            if draining {
                health.start_draining();
            }
            let report = health.report();
            assert_eq!((report.ready, report.status), (ready, status), "{required:?} {informative:?} {draining}");
        }
    }

    #[test]
    fn what_is_needed_to_start_keeps_traffic_away_until_it_was_up_once() {
        let health = Health::new();
        let database = health.component("database", Need::ToStart);
        let ready = || (health.report().ready, health.report().status);
        assert_eq!(ready(), (false, Status::Unavailable));
        database.down("gone");
        assert_eq!(ready(), (false, Status::Unavailable));
        database.up();
        assert_eq!(ready(), (true, Status::Ok));
        database.down("gone");
        assert_eq!(ready(), (true, Status::Degraded));
    }

    #[test]
    fn the_report_tells_each_component_and_why_it_is_down() {
        let health = Health::new();
        assert!(health.report().ready, "nothing to wait for");
        let database = health.component("database", Need::Required);
        let mail = health.component("mail", Need::Informative);
        database.clone().up();
        mail.down("circuit open: 421 busy");
        assert_eq!(
            serde_json::to_value(health.report()).unwrap(),
            serde_json::json!({"status": "degraded", "components": {
                "database": {"status": "up"}, "mail": {"status": "down", "reason": "circuit open: 421 busy"}}})
        );
        mail.limited("throttled: 14/s");
        let limited = ComponentReport { status: ComponentStatus::Up, reason: Some("throttled: 14/s".to_owned()) };
        assert_eq!((health.report().status, &health.report().components["mail"]), (Status::Ok, &limited));
        mail.up();
        assert_eq!(health.report().components["mail"], ComponentReport { status: ComponentStatus::Up, reason: None });
    }
    #[test]
    fn trouble_with_tls_has_a_cause_of_its_own() {
        let health = Health::new();
        let component = health.component("broker", Need::Required);
        let cause = || health.report().components["broker"].cause();
        assert_eq!(cause(), None, "starting");
        component.down("Connection refused");
        assert_eq!(cause(), Some("other"));
        component.down(tls::trouble("invalid peer certificate: Expired", "").expect("it is about TLS"));
        assert_eq!(cause(), Some("tls"));
        component.up();
        assert_eq!(cause(), None);
    }
}
