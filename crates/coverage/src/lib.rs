//! Which branches ran, where the compiler was told to count them (`make fuzz GUIDED=1`): LLVM's inline 8-bit counters, one for each
//! branch, which each instrumented unit announces before `main`. `docs/decisions/0032-guided-fuzzing.md` says why.

use std::slice;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

/// Where counters lie: address and number.
static ANNOUNCED: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

/// Called by every instrumented unit before `main`, with the ends of all counters of the program.
// SAFETY: nobody else defines this name in a test program: the compiler makes calls of it only, and no sanitizer is linked.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *const AtomicU8, end: *const AtomicU8) {
    let counters = (start.addr(), end.addr().saturating_sub(start.addr()));
    let mut announced = ANNOUNCED.lock().unwrap_or_else(PoisonError::into_inner);
    if counters.1 > 0 && !announced.contains(&counters) {
        announced.push(counters);
    }
}

/// What has run so far, of all inputs.
#[derive(Debug)]
pub struct Coverage {
    counters: Vec<&'static [AtomicU8]>,
    seen: Vec<u8>,
}

impl Coverage {
    /// `None` where nothing is instrumented.
    pub fn new() -> Option<Self> {
        let announced = ANNOUNCED.lock().unwrap_or_else(PoisonError::into_inner);
        let counters: Vec<&'static [AtomicU8]> = announced
            .iter()
            // SAFETY: a section of the program's own data, there until its end, of bytes that are only counted up in place.
            .map(|(at, length)| unsafe { slice::from_raw_parts(std::ptr::with_exposed_provenance(*at), *length) })
            .collect();
        let all = counters.iter().map(|counters| counters.len()).sum();
        (all > 0).then(|| Self { counters, seen: vec![0; all] })
    }

    /// Counts from zero again: before an input runs.
    pub fn restart(&self) {
        self.counters.iter().copied().flatten().for_each(|counter| counter.store(0, Ordering::Relaxed));
    }

    /// Whether a branch ran that no input came to before, or about twice as often as in any.
    pub fn is_new(&mut self) -> bool {
        let mut new = false;
        for (counter, seen) in self.counters.iter().copied().flatten().zip(&mut self.seen) {
            let count = counter.load(Ordering::Relaxed);
            if count > 0 {
                let often = 1 << count.ilog2();
                new |= *seen & often == 0;
                *seen |= often;
            }
        }
        new
    }

    /// Branches that some input came to, and all that there are.
    pub fn branches(&self) -> (usize, usize) {
        (self.seen.iter().filter(|seen| **seen > 0).count(), self.seen.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_first_or_much_more_often_is_new() {
        static COUNTERS: [AtomicU8; 40] = [const { AtomicU8::new(0) }; 40];
        assert!(Coverage::new().is_none(), "this program is not instrumented");
        let ends = COUNTERS.as_ptr_range();
        // Each unit of a program announces all of it.
        for _ in 0..3 {
            __sanitizer_cov_8bit_counters_init(ends.start, ends.end);
        }
        let mut coverage = Coverage::new().expect("it is now");
        for (branch, times, new) in
            [(7, 1, true), (7, 1, false), (39, 1, true), (7, 3, true), (7, 2, false), (7, 255, true), (7, 200, false)]
        {
            coverage.restart();
            assert!(!coverage.is_new(), "nothing ran");
            COUNTERS[branch].store(times, Ordering::Relaxed);
            assert_eq!(coverage.is_new(), new, "branch {branch} ran {times} times");
        }
        assert_eq!(coverage.branches(), (2, 40));
    }
}
