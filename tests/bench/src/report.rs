//! The table on screen and the file beside it.

use std::path::Path;

use serde::Serialize;

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// Not more than this.
    AtMost(f64),
    /// Not less than this.
    AtLeast(f64),
    /// For the reader; there is no goal.
    None,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    goal: Option<String>,
    ok: Option<bool>,
}

/// All figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Row>);

impl Report {
    /// Says what is being measured: nothing on screen for a minute looks like a hang.
    pub(crate) fn measuring(&self, what: &str) {
        eprintln!("measuring {what} ..");
    }

    /// Says how one round went.
    pub(crate) fn note(&self, what: &str) {
        eprintln!("  {what}");
    }

    /// Adds a figure.
    pub(crate) fn add(&mut self, name: impl Into<String>, value: f64, unit: &'static str, goal: Goal) {
        let (text, ok) = match goal {
            Goal::AtMost(limit) => (Some(format!("<= {limit}")), Some(value <= limit)),
            Goal::AtLeast(limit) => (Some(format!(">= {limit}")), Some(value >= limit)),
            Goal::None => (None, None),
        };
        self.0.push(Row { name: name.into(), value, unit, goal: text, ok });
    }

    /// Prints the table and writes `target/bench/results.json`.
    pub(crate) fn finish(&self) {
        let width = self.0.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        println!("\n{:<width$}  {:>12}  {:<10}  {:<10}  ok", "figure", "value", "unit", "goal");
        for row in &self.0 {
            let ok = row.ok.map_or("", |ok| if ok { "yes" } else { "NO" });
            let goal = row.goal.as_deref().unwrap_or("");
            println!("{:<width$}  {:>12.3}  {:<10}  {goal:<10}  {ok}", row.name, row.value, row.unit);
        }
        let short = self.0.iter().filter(|row| row.ok == Some(false)).count();
        println!(
            "\n{}",
            if short == 0 {
                "every goal is met".to_owned()
            } else {
                format!("{short} figures fall short of their goals")
            }
        );
        let path = Path::new("target/bench/results.json");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, serde_json::to_vec_pretty(&self.0).unwrap()).unwrap();
        println!("written to {}", path.display());
    }
}
