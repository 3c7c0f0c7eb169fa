//! `make run`: one registration becomes one mail, on real servers of its own, with one trace through all of it; and so does one
//! `POST /v1/mails` of an own type.

mod inbox;
mod mail;
mod maildev;
mod stage;
mod tour;
mod trace;
mod ui;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;

use futures_util::FutureExt as _;
use platform::{exit, shutdown};
use tokio_util::sync::CancellationToken;
use ui::{Style, Ui};

#[tokio::main]
async fn main() -> ExitCode {
    let ui = Ui::new();
    let stop = shutdown::on_signals();
    // What a fixture has to say when it fails is told below, in one line.
    std::panic::set_hook(Box::new(|_| {}));
    let shown = AssertUnwindSafe(Box::pin(show(&ui, &stop))).catch_unwind().await;
    let code = match shown {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(_)) if stop.is_cancelled() => ExitCode::from(130),
        Ok(Err(error)) => fail(&ui, &exit::report(&error)),
        Err(panic) => fail(&ui, &format!("error: {}", reason(&*panic))),
    };
    // Nothing may be left when the prompt is back.
    let _ = tokio::task::spawn_blocking(testkit::stop_everything).await;
    code
}

/// The whole show: set the stage, register, look at the mail and the trace, stay while somebody watches.
async fn show(ui: &Ui, stop: &CancellationToken) -> anyhow::Result<()> {
    let target = build_directory()?;
    let set_up = Box::pin(stage::set_up(ui, &target));
    let mut stage = match stop.run_until_cancelled(set_up).await {
        Some(stage) => stage?,
        None => anyhow::bail!("interrupted"),
    };
    let toured = match stop.run_until_cancelled(tour::run(ui, &mut stage)).await {
        Some(toured) => toured,
        None => Err(anyhow::anyhow!("interrupted")),
    };
    if toured.is_ok() && ui.is_terminal() {
        tour::stay(ui, &mut stage, stop).await;
    }
    let logs = toured.is_err() && !stop.is_cancelled();
    stage.take_down(ui, logs).await;
    toured
}

fn fail(ui: &Ui, line: &str) -> ExitCode {
    ui.say(&ui.styled(Style::Bad, line));
    ExitCode::FAILURE
}

fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_else(|| "crashed".to_owned())
}

/// `target/`: this program stands in `target/debug` or `target/release`.
fn build_directory() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.parent().and_then(std::path::Path::parent);
    target.map(PathBuf::from).ok_or_else(|| anyhow::anyhow!("{} is not in a build directory", program.display()))
}
