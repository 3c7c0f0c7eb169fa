//! A path in three situations that take turns.

use load::{Report, median};

/// What the path lies beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// An empty table.
    Nothing,
    /// A full one.
    Rows,
    /// A full one, from which old rows are being purged.
    Purge,
}

/// The p99 of each turn, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Turns([Vec<f64>; 3]);

impl Turns {
    /// The turns of this round. Each of the three comes first, second and last equally often: what the machine does meanwhile
    /// meets all alike.
    pub(super) fn of(round: usize) -> [Beside; 3] {
        let mut turns = [Beside::Nothing, Beside::Rows, Beside::Purge];
        turns.rotate_left(round % 3);
        turns
    }

    pub(super) fn add(&mut self, beside: Beside, p99: f64) {
        self.0[beside as usize].push(p99);
    }

    /// The median of its turns over the median of those beside nothing.
    pub(super) fn ratio(&self, beside: Beside) -> f64 {
        self.median(beside) / self.median(Beside::Nothing)
    }

    fn median(&self, beside: Beside) -> f64 {
        median(self.0[beside as usize].clone())
    }

    /// Says what the turns were.
    pub(super) fn note(&self, report: &Report) {
        for (name, beside) in
            [("beside nothing", Beside::Nothing), ("beside rows", Beside::Rows), ("while purged", Beside::Purge)]
        {
            let each: Vec<String> = self.0[beside as usize].iter().map(|p99| format!("{p99:.1}")).collect();
            report.note(&format!("p99 {name:<14} {:>6.1} ms, of {}", self.median(beside), each.join(" ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_turn_has_every_place_and_ratios_are_those_of_medians() {
        let mut turns = Turns::default();
        for round in 0..3 {
            for (place, beside) in Turns::of(round).into_iter().enumerate() {
                // The last place is ten times as slow, once for each.
                let slow = if place == 2 { 10.0 } else { 1.0 };
                turns.add(beside, slow * if beside == Beside::Purge { 3.0 } else { 2.0 });
            }
        }
        assert_eq!((turns.ratio(Beside::Rows), turns.ratio(Beside::Purge)), (1.0, 1.5));
    }
}
