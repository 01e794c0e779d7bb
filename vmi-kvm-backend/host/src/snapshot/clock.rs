//! How far the clocks go on over a snapshot.

use std::time::{SystemTime, UNIX_EPOCH};

/// The least that they go on by: what was read of a clock in a guest may be ahead of what KVM tells of it, by what the
/// two round differently.
const LEAST_NS: u64 = 1_000_000;
/// CPUs whose counters are not farther apart than this many milliseconds have one and the same: they were read one after
/// the other.
const SAME_MS: u64 = 1000;

/// Returns the time by the calendar of this machine: nanoseconds since 1970.
pub(super) fn real_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Returns for how many nanoseconds a guest has been away, by the calendar then and now.
pub(super) fn away_ns(then_ns: u64, now_ns: u64) -> u64 {
    now_ns.saturating_sub(then_ns).max(LEAST_NS)
}

/// Moves counters of that frequency on.
pub(super) fn move_on(counters: &mut [u64], khz: u32, away_ns: u64) {
    let highest = counters.iter().copied().max().unwrap_or(0);
    let ticks = u128::from(away_ns) * u128::from(khz) / 1_000_000;
    for counter in counters {
        let is_same = highest - *counter <= u64::from(khz) * SAME_MS;
        let before = if is_same { highest } else { *counter };
        *counter = before.wrapping_add(ticks as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_on_by_the_calendar_and_never_back() {
        assert_eq!(away_ns(5, 60_000_000_005), 60_000_000_000);
        assert_eq!(away_ns(5, 6), LEAST_NS);
        assert_eq!(away_ns(60_000_000_000, 5), LEAST_NS, "the calendar was set back");
    }

    #[test]
    fn counters_that_were_one_are_one_again_and_none_goes_back() {
        let mut counters = [1_000_000, 1_003_000, 1_001_000];
        move_on(&mut counters, 2_000_000, 1_500_000_000);
        assert_eq!(counters, [3_001_003_000; 3]);
        let mut apart = [0, u64::MAX, 7_000_000_000];
        move_on(&mut apart, 1_000_000, 1_000_000);
        assert_eq!(
            apart,
            [1_000_000, u64::MAX.wrapping_add(1_000_000), 7_001_000_000],
            "the guest set them apart"
        );
        let mut years = [0];
        move_on(&mut years, 5_000_000, 100 * 365 * 86_400 * 1_000_000_000);
        assert_eq!(years, [100 * 365 * 86_400 * 5_000_000_000]);
        move_on(&mut [], 0, 0);
    }
}
