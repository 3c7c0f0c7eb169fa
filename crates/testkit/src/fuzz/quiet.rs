//! Panics that are expected by the hundred, and must not fill the output.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// While something is tried on this thread: what the last panic said.
    static TRYING: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs it; its panic, with the place, becomes an error.
pub(super) fn catch(run: impl FnOnce()) -> Result<(), String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let tried = TRYING.with_borrow_mut(|said| said.as_mut().map(|said| *said = panic.to_string()).is_some());
            if !tried {
                usual(panic);
            }
        }));
    });
    let before = TRYING.replace(Some(String::new()));
    let ended = panic::catch_unwind(AssertUnwindSafe(run));
    let said = TRYING.replace(before).unwrap_or_default();
    ended.map_err(|_| said)
}
