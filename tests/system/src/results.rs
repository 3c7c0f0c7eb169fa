//! `results.json`: what a run has measured, for programs and for whoever compares two runs.

use std::fs;
use std::path::PathBuf;

use serde::Serialize;

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// How much it is.
    pub value: f64,
    /// Of what.
    pub unit: String,
    /// What it should be, such as `<= 50`.
    pub goal: Option<String>,
    /// Whether it is.
    pub ok: Option<bool>,
}

/// Where the run of this name leaves its files: a folder below cargo's, made if it is not there.
///
/// # Panics
/// When it cannot be made.
pub fn folder(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let folder = PathBuf::from(target).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Writes `results.json` there, and tells where that is.
///
/// # Panics
/// When it cannot be written.
pub fn write(name: &str, figures: &[&Figure]) -> PathBuf {
    let path = folder(name).join("results.json");
    fs::write(&path, serde_json::to_vec_pretty(figures).unwrap()).unwrap();
    path
}
