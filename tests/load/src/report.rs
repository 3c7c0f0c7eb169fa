//! The table on screen and the file beside it.

use std::path::PathBuf;

use system::results::{self, Figure};

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// Not more than this.
    AtMost(f64),
    /// Not less than this.
    AtLeast(f64),
    /// For the reader; there is no goal.
    None,
}

#[derive(Debug)]
struct Row {
    figure: Figure,
    /// Whether it is a promise of the product, and not a goal for its speed.
    promise: bool,
}

/// All figures of a run.
#[derive(Debug)]
pub struct Report {
    name: &'static str,
    rows: Vec<Row>,
}

impl Report {
    /// Nothing yet. The name is that of the directory below `target/` that the results go to.
    pub fn new(name: &'static str) -> Self {
        Self { name, rows: Vec::new() }
    }

    /// Says what is being measured: nothing on screen for a minute looks like a hang.
    pub fn measuring(&self, what: &str) {
        eprintln!("measuring {what} ..");
    }

    /// Says how one round went.
    pub fn note(&self, what: &str) {
        eprintln!("  {what}");
    }

    /// Adds a figure.
    pub fn add(&mut self, name: impl Into<String>, value: f64, unit: &str, goal: Goal) {
        let (text, ok) = match goal {
            Goal::AtMost(limit) => (Some(format!("<= {limit}")), Some(value <= limit)),
            Goal::AtLeast(limit) => (Some(format!(">= {limit}")), Some(value >= limit)),
            Goal::None => (None, None),
        };
        let figure = Figure { name: name.into(), value, unit: unit.to_owned(), goal: text, ok };
        self.rows.push(Row { figure, promise: false });
    }

    /// Adds a count of broken promises, which has to be 0.
    pub fn promise(&mut self, name: &str, broken: usize) {
        self.add(name, broken as f64, "", Goal::AtMost(0.0));
        if let Some(row) = self.rows.last_mut() {
            row.promise = true;
        }
    }

    /// Whether no promise was broken.
    pub fn kept_promises(&self) -> bool {
        self.rows.iter().all(|row| !row.promise || row.figure.ok == Some(true))
    }

    /// Writes what there is so far: the figures of an hour are not to be lost with the next.
    pub fn write(&self) -> PathBuf {
        let figures: Vec<&Figure> = self.rows.iter().map(|row| &row.figure).collect();
        results::write(self.name, &figures)
    }

    /// Prints the table and writes `target/<name>/results.json`. Tells whether every goal is met.
    pub fn finish(&self) -> bool {
        let figures: Vec<&Figure> = self.rows.iter().map(|row| &row.figure).collect();
        let width = figures.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        println!("\n{:<width$}  {:>12}  {:<10}  {:<10}  ok", "figure", "value", "unit", "goal");
        for row in &figures {
            let ok = row.ok.map_or("", |ok| if ok { "yes" } else { "NO" });
            let goal = row.goal.as_deref().unwrap_or("");
            println!("{:<width$}  {:>12.3}  {:<10}  {goal:<10}  {ok}", row.name, row.value, row.unit);
        }
        let short = figures.iter().filter(|row| row.ok == Some(false)).count();
        println!(
            "\n{}",
            if short == 0 {
                "every goal is met".to_owned()
            } else {
                format!("{short} of {} figures fall short of their goals", figures.len())
            }
        );
        println!("written to {}", self.write().display());
        short == 0
    }
}
