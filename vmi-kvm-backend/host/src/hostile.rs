//! Hostile input by number: what the tests of that name have in common.
//!
//! There are four kinds: VMI's calls, devices, registers and images. A quarter of a million cases of each is in every run of the
//! tests; `cargo xtask hostile` tries as many as it is told.

use std::env;
use std::panic;
use std::str::FromStr;
use std::time::Instant;

/// How many cases of a kind are tried where nobody says: a million of all four.
const CASES: u64 = 250_000;

/// Numbers that look random and repeat from a seed: Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators".
#[derive(Clone, Debug)]
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Returns a number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Returns one of `choices`.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Tells, so often in 256, yes.
    pub(crate) fn odds(&mut self, of_256: u64) -> bool {
        self.below(256) < of_256
    }
}

/// Tries one of so many parts of a kind's cases, by numbers that make each its own. Of a case that fails the number is printed,
/// and `VMI_HOSTILE_CASE` tries it alone; `VMI_HOSTILE_CASES` is how many there are, `VMI_HOSTILE_SEED` what they start from.
pub(crate) fn try_all(parts: u64, case: impl Fn(Numbers) + panic::RefUnwindSafe) {
    let seed: u64 = told("VMI_HOSTILE_SEED").unwrap_or(0);
    let numbers = |number: u64| Numbers(Numbers(seed ^ number.rotate_left(32)).next());
    if let Some(number) = told("VMI_HOSTILE_CASE") {
        return case(numbers(number));
    }
    let start = Instant::now();
    let cases = told("VMI_HOSTILE_CASES").unwrap_or(CASES).div_ceil(parts);
    for number in 0..cases {
        if let Err(failure) = panic::catch_unwind(|| case(numbers(number))) {
            eprintln!("again by VMI_HOSTILE_SEED={seed} VMI_HOSTILE_CASE={number}");
            panic::resume_unwind(failure);
        }
    }
    println!("{cases} hostile cases in {:?}", start.elapsed());
}

fn told<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`, not a number")))
}
