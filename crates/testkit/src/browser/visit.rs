//! A browser that is driven: it fills in forms, presses keys, and looks.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{ALONE, PATIENCE, chromium};
use crate::dir::Dir;
use crate::eventually::eventually;
use crate::node;
use crate::process::Process;

/// What somebody does in a browser of their own, one step after the other.
#[derive(Debug, Clone)]
pub struct Visit {
    locale: String,
    size: (u32, u32),
    steps: Vec<Value>,
}

impl Visit {
    /// In this language, with a window of this width and height.
    pub fn new(locale: &str, size: (u32, u32)) -> Self {
        Self { locale: locale.to_owned(), size, steps: Vec::new() }
    }

    /// Goes to this address. Answers where that led.
    #[must_use]
    pub fn goes_to(self, url: &str) -> Self {
        self.step(json!(["goto", url]))
    }

    /// Types into a field.
    #[must_use]
    pub fn fills(self, field: &str, text: &str) -> Self {
        self.step(json!(["fill", field, text]))
    }

    /// Chooses of a list.
    #[must_use]
    pub fn selects(self, field: &str, value: &str) -> Self {
        self.step(json!(["select", field, value]))
    }

    /// Clicks, and waits for the page that this leads to. Answers its address.
    #[must_use]
    pub fn clicks(self, what: &str) -> Self {
        self.step(json!(["click", what]))
    }

    /// Waits until this is there. Answers where.
    #[must_use]
    pub fn waits_for(self, what: &str) -> Self {
        self.step(json!(["wait", what]))
    }

    /// Reads. Answers the text.
    #[must_use]
    pub fn reads(self, what: &str) -> Self {
        self.step(json!(["text", what]))
    }

    /// Takes a picture of the whole page.
    #[must_use]
    pub fn takes_picture(self, path: &Path) -> Self {
        self.step(json!(["picture", path]))
    }

    /// Has axe-core look at the page. Answers `{"violations": [..], "passes": n}`.
    #[must_use]
    pub fn asks_axe(self) -> Self {
        self.step(json!(["axe"]))
    }

    /// Looks how many pixels the page is wider than the window.
    #[must_use]
    pub fn measures_overflow(self) -> Self {
        self.step(json!(["overflow"]))
    }

    /// Goes through the page with the Tab key. Answers how many actions were `reached`, which were `missed`, and which have no mark while
    /// they have the focus (`unmarked`).
    #[must_use]
    pub fn tabs_through(self) -> Self {
        self.step(json!(["keyboard"]))
    }

    fn step(mut self, step: Value) -> Self {
        self.steps.push(step);
        self
    }

    fn asked(&self) -> Value {
        json!({ "locale": self.locale, "width": self.size.0, "height": self.size.1, "steps": self.steps })
    }
}

/// Does all of this in Chromium, each visit with a profile of its own; what came of each step. Needs what `scripts/setup browser`
/// installs.
///
/// # Panics
/// There is no Chromium, a step can't be done, or a visit takes two minutes.
pub async fn in_chromium(visits: &[Visit]) -> Vec<Vec<Value>> {
    let home = Dir::new("visits");
    let file = |name: &str| home.path().join(name);
    let asked = json!({
        "chromium": chromium(), "arguments": ALONE, "visits": visits.iter().map(Visit::asked).collect::<Vec<_>>(),
    });
    std::fs::write(file("asked.json"), asked.to_string()).unwrap();
    let mut command = Command::new("node");
    command
        .arg(node::script("browser.mjs"))
        .env("HOME", home.path())
        .stdin(Stdio::from(File::open(file("asked.json")).unwrap()))
        .stdout(File::create(file("came.json")).unwrap())
        .stderr(File::create(file("errors.log")).unwrap());
    let browser = Process::spawn(&mut command).expect("starting node");
    let patience = PATIENCE * u32::try_from(visits.len()).unwrap_or(1);
    let status = eventually("the browser has seen everything", patience, async || browser.status()).await;
    let errors = std::fs::read_to_string(file("errors.log")).unwrap_or_default();
    assert!(status.success(), "the browser: {status}\n{errors}");
    serde_json::from_str(&std::fs::read_to_string(file("came.json")).unwrap()).expect("what came of each step")
}
