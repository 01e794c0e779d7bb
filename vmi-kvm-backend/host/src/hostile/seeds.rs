//! Cases by number, as the tests of that name have them in common.

use std::env;
use std::panic;
use std::str::FromStr;
use std::time::Instant;

use super::Numbers;

/// How many cases of a kind are tried where nobody says: a million of all four.
const CASES: u64 = 250_000;

/// Tries one of so many parts of a kind's cases, by numbers that make each its own. Of a case that fails the number is printed,
/// and `VMI_HOSTILE_CASE` tries it alone; `VMI_HOSTILE_CASES` is how many there are, `VMI_HOSTILE_SEED` what they start from.
pub(crate) fn try_all(parts: usize, case: fn(Numbers)) {
    let seed: u64 = told("VMI_HOSTILE_SEED").unwrap_or(0);
    let numbers = |number: u64| Numbers::Seeded(Numbers::Seeded(seed ^ number.rotate_left(32)).next());
    if let Some(number) = told("VMI_HOSTILE_CASE") {
        return case(numbers(number));
    }
    let start = Instant::now();
    let cases = told("VMI_HOSTILE_CASES").unwrap_or(CASES).div_ceil(parts as u64);
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

#[test]
fn numbers_take_of_given_bytes_what_they_need() {
    let mut numbers = Numbers::given(&[7, 0xfe, 1, 2, 3, 4, 5, 255, 9]);
    assert_eq!(numbers.below(4), 3);
    assert!(numbers.odds(2) && !numbers.odds(254));
    assert_eq!(numbers.below(257), 0x0302 % 257);
    assert_eq!(numbers.pick(&[8; 4]), 8);
    assert_eq!(numbers.below(1), 0);
    assert_eq!(numbers.next_u32(), 0x0009_ff05);
    assert_eq!(numbers.next(), 0);
    assert!(!numbers.odds(255) && numbers.odds(256));
}
