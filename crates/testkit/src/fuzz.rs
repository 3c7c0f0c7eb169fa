//! Fuzzing on the stable compiler: a property is run on every file of a committed corpus, and on mutations of them.
//!
//! An input is bytes, always, so that whatever fails is a file: it is made small, kept below `target/fuzz`, and one `cp` puts it into
//! `tests/fuzz/corpus/<target>/`, where it runs first for ever. What kills the process or never ends is a file, too:
//! `target/fuzz/<target>/running-<process>`. `docs/decisions/0014-fuzzing.md` says why it is done so.

mod mutate;
mod quiet;
mod running;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use mutate::Mutator;
use running::Running;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus");
/// Attempts at making a failing input smaller.
const SHRINKING: u32 = 2_000;
/// Nor longer than this: a property that waits for servers takes its time to fail.
const SHRINKING_TIME: Duration = Duration::from_secs(120);

/// A parser under test.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Its corpus: a directory in `tests/fuzz/corpus`.
    pub name: &'a str,
    /// What its inputs are made of: put in whole.
    pub words: &'a [&'a [u8]],
    /// Mutations, where no time is given (`FUZZ_TIME=60s`).
    pub runs: u32,
    /// Inputs are at most so long, in bytes.
    pub longest: usize,
    /// Ends that must not be rare, each with the mutations in a thousand that come to it at least: some third of what do.
    pub floors: &'a [(&'static str, u32)],
}

/// What became of so many inputs, by the property's own words.
type Ends = BTreeMap<&'static str, u64>;

impl Target<'_> {
    /// Runs `property`, which panics when it does not hold, and tells what became of the input. `FUZZ_SEED` repeats a run.
    ///
    /// # Panics
    /// When it does not hold for an input, with the path of the file that holds it; or when fewer inputs than a floor asks for
    /// come to that end: what it holds there is hardly ever looked at.
    #[allow(
        clippy::print_stderr,
        reason = "shown with the output of a failed test, and to whoever asks with --nocapture"
    )]
    pub fn fuzz(&self, property: impl Fn(&[u8]) -> &'static str) {
        let running = Running::new(&directory(self.name));
        let ends = RefCell::new(Ends::new());
        let property = |input: &[u8]| {
            running.note(input);
            let end = property(input);
            *ends.borrow_mut().entry(end).or_default() += 1;
        };
        let corpus = read(&Path::new(CORPUS).join(self.name));
        assert!(!corpus.is_empty(), "no corpus in {CORPUS}/{}", self.name);
        for (path, input) in &corpus {
            if let Err(why) = quiet::catch(|| property(input)) {
                panic!("{}: {}\n{why}", self.name, path.display());
            }
        }
        let seed = variable("FUZZ_SEED").map_or_else(rand::random, |text| text.parse().expect("FUZZ_SEED is a number"));
        let time = variable("FUZZ_TIME").map(|text| duration(&text));
        eprintln!("fuzz {:<14} FUZZ_SEED={seed}, what runs is in {}", self.name, running.path().display());
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut inputs: Vec<Vec<u8>> = corpus.into_iter().map(|(_, input)| input).collect();
        let files = inputs.len();
        let mut coverage = coverage::Coverage::new();
        let started = Instant::now();
        let mut runs = 0_u64;
        ends.take();
        while time.map_or(runs < self.runs.into(), |time| started.elapsed() < time) {
            // Every other one from the files, which are what comes to the ends with a floor.
            let from = if inputs.len() > files && rng.random() { &inputs[..files] } else { &inputs };
            let input = Mutator { inputs: from, words: self.words, longest: self.longest }.next(&mut rng);
            coverage.as_ref().inspect(|coverage| coverage.restart());
            if let Err(why) = quiet::catch(|| property(&input)) {
                let (input, why) = shrink(input, why, &property);
                let path = keep(self.name, &input);
                panic!(
                    "{}, FUZZ_SEED={seed}, run {runs}, {} bytes in {}\n{why}\nKeep it, with a name that says what it is: \
                     cp {} tests/fuzz/corpus/{}/",
                    self.name,
                    input.len(),
                    path.display(),
                    path.display(),
                    self.name
                );
            }
            runs += 1;
            // Where branches are counted, what came to a new one is mutated further.
            if coverage.as_mut().is_some_and(coverage::Coverage::is_new) {
                inputs.push(input);
            }
        }
        let ends = ends.take();
        let time = started.elapsed();
        if let Some((came, all)) = coverage.map(|coverage| coverage.branches()) {
            eprintln!("fuzz {:<14} {} inputs kept, {came} branches of {all}", self.name, inputs.len() - files);
        }
        eprintln!("fuzz {:<14} {files:>3} files, {runs:>9} mutations in {time:.1?}: {ends:?}", self.name);
        if let Some((end, floor)) = self.missed(runs, &ends) {
            panic!(
                "{}: of {runs} mutations fewer than {floor} in 1000 were {end:?}: {ends:?}. The corpus in tests/fuzz/corpus/{0} or \
                 the words need more of what is",
                self.name
            );
        }
    }

    /// The first floor that was not reached.
    fn missed(&self, runs: u64, ends: &Ends) -> Option<(&'static str, u32)> {
        self.floors.iter().copied().find(|(end, floor)| {
            let came = ends.get(end).copied().unwrap_or_default();
            came * 1_000 < runs * u64::from(*floor)
        })
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// `60s`, `10m` or a bare number of seconds.
fn duration(text: &str) -> Duration {
    let (number, factor) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let number: u64 = number.parse().unwrap_or_else(|_| panic!("FUZZ_TIME={text} is no time such as 60s or 10m"));
    Duration::from_secs(number * factor)
}

/// The files of one target by name, hidden ones left out.
fn read(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a directory entry").path()).collect();
    paths.retain(|path| {
        path.is_file() && !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    });
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(&path).expect("a file of the corpus"))).collect()
}

/// Takes pieces out, large ones first, as long as it still fails.
fn shrink(mut input: Vec<u8>, mut why: String, property: &impl Fn(&[u8])) -> (Vec<u8>, String) {
    let mut attempts = 0;
    let started = Instant::now();
    let goes_on = |attempts| attempts < SHRINKING && started.elapsed() < SHRINKING_TIME;
    let mut piece = input.len().div_ceil(2).max(1);
    loop {
        let mut smaller = false;
        let mut at = 0;
        while at < input.len() && goes_on(attempts) {
            attempts += 1;
            let mut tried = input.clone();
            tried.drain(at..(at + piece).min(input.len()));
            match quiet::catch(|| property(&tried)) {
                Err(still) => (input, why, smaller) = (tried, still, true),
                Ok(()) => at += piece,
            }
        }
        if !goes_on(attempts) || (piece == 1 && !smaller) {
            return (input, why);
        }
        piece = piece.div_ceil(2).max(1);
    }
}

/// What is left behind lies below the build directory: the test program lies in `target/debug/deps`.
fn directory(name: &str) -> PathBuf {
    let me = std::env::current_exe().expect("the path of this program");
    let directory = me.ancestors().nth(3).expect("a build directory").join("fuzz").join(name);
    fs::create_dir_all(&directory).expect("a directory for failing inputs");
    directory
}

fn keep(name: &str, input: &[u8]) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let path = directory(name).join(format!("{:016x}", hasher.finish()));
    fs::write(&path, input).expect("writing the failing input");
    path
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    const TARGET: Target<'_> =
        Target { name: "message-id", words: &[b"needle"], runs: 5_000, longest: 300, floors: &[("even", 100)] };

    fn evenness(input: &[u8]) -> &'static str {
        if input.len().is_multiple_of(2) { "even" } else { "odd" }
    }

    #[test]
    fn a_property_that_does_not_hold_is_found_made_small_and_kept() {
        let found = quiet::catch(|| {
            TARGET.fuzz(|input| {
                assert!(!input.windows(6).any(|w| w == b"needle"), "found it");
                evenness(input)
            });
        });
        let why = found.expect_err("a word of the target gets into an input");
        assert!(why.contains("found it") && why.contains(" 6 bytes in "), "{why}");
        let path = why.split(" bytes in ").nth(1).and_then(|rest| rest.lines().next()).expect("a path");
        assert_eq!(fs::read(path).expect("the kept input"), b"needle");
        fs::remove_file(path).expect("what the test left");
    }

    #[test]
    fn what_kills_the_process_is_left_behind() {
        const DIES: &str = "FUZZ_TEST_DIES";
        if std::env::var_os(DIES).is_some() {
            TARGET.fuzz(|input| {
                if input.windows(6).any(|w| w == b"needle") {
                    std::process::exit(70);
                }
                evenness(input)
            });
        }
        let mut me = Command::new(std::env::current_exe().expect("the path of this program"));
        me.args(["--exact", "fuzz::tests::what_kills_the_process_is_left_behind"]).env(DIES, "1");
        let mut dying = me.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the same test again");
        assert_eq!(dying.wait().expect("its end").code(), Some(70));
        let path = running::path(&directory(TARGET.name), dying.id());
        let input = fs::read(&path).expect("what it ran last");
        assert!(input.windows(6).any(|w| w == b"needle"), "{input:?}");
        fs::remove_file(path).expect("what the test left");
    }

    #[test]
    fn an_end_that_is_hardly_ever_come_to_says_nothing() {
        TARGET.fuzz(evenness);
        for floors in [&[("even", 100), ("never", 1)][..], &[("even", 900)]] {
            let missed = quiet::catch(|| Target { floors, ..TARGET }.fuzz(evenness)).expect_err("a floor is missed");
            let (end, floor) = floors[floors.len() - 1];
            assert!(missed.contains(&format!("fewer than {floor} in 1000 were {end:?}")), "{missed}");
        }
    }

    #[test]
    fn inputs_keep_to_the_longest() {
        TARGET.fuzz(|input| {
            assert!(input.len() <= TARGET.longest, "{} bytes", input.len());
            evenness(input)
        });
    }

    #[test]
    fn times_are_read() {
        for (text, seconds) in [("60s", 60), ("10m", 600), ("5", 5)] {
            assert_eq!(duration(text).as_secs(), seconds);
        }
    }
}
