//! Which exit code an error means.

use crate::config::Contradiction;
use crate::exit::Exit;
use crate::postgres::{Unfit, is_unfit_pooler};
use crate::shutdown::GraceExceeded;
use crate::tasks::TaskEnded;

impl Exit {
    /// What an error means that both services know; anything else is a server that is away.
    pub fn of(error: &anyhow::Error) -> Self {
        if error.is::<Contradiction>() {
            Self::Usage
        } else if error.is::<TaskEnded>() {
            Self::Software
        } else if error.is::<GraceExceeded>() {
            Self::CutOff
        } else if let Some(unfit) = error.downcast_ref::<Unfit>() {
            match unfit {
                Unfit::Url => Self::Usage,
                Unfit::Migration(_) | Unfit::Encoding(_) => Self::Config,
            }
        } else if is_unfit_pooler(error) {
            Self::Config
        } else {
            Self::Unavailable
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anyhow::anyhow;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::tasks::Tasks;

    #[tokio::test]
    async fn each_error_has_an_exit_code_whatever_was_attempted() {
        let mut tasks = Tasks::breaking("publisher");
        tasks.spawn("publisher", async {});
        let stop = CancellationToken::new();
        let crashed = tasks.guard(&stop, stop.cancelled()).await.expect_err("a task panicked");
        let cases: [(anyhow::Error, Exit); 7] = [
            (Contradiction("A contradicts B".to_owned()).into(), Exit::Usage),
            (Unfit::Url.into(), Exit::Usage),
            (crashed.into(), Exit::Software),
            (GraceExceeded(Duration::ZERO).into(), Exit::CutOff),
            (Unfit::Migration(1).into(), Exit::Config),
            (Unfit::Encoding("LATIN1".to_owned()).into(), Exit::Config),
            (anyhow!("no route"), Exit::Unavailable),
        ];
        for (error, code) in cases {
            let error = error.context("starting");
            assert_eq!(Exit::of(&error), code, "{error:#}");
        }
    }
}
