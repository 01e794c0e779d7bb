//! Cycles to nanoseconds.

/// Fraction bits of a multiplier: it is exact to a billionth below 4 GHz, and 1 Hz still fits.
const SHIFT: u32 = 32;
const NS_PER_SECOND: u64 = 1_000_000_000;

/// Returns nanoseconds per cycle with [`SHIFT`] fraction bits, rounded and never 0; one for an unknown
/// frequency, 0.
pub(super) const fn multiplier(hz: u64) -> u64 {
    if hz == 0 {
        return 1 << SHIFT;
    }
    let exact = ((NS_PER_SECOND as u128) << SHIFT) + hz as u128 / 2;
    let rounded = (exact / hz as u128) as u64;
    if rounded == 0 { 1 } else { rounded }
}

/// Returns the nanoseconds that some cycles take, or `u64::MAX` where they are more.
#[inline]
pub(super) const fn to_ns(cycles: u64, multiplier: u64) -> u64 {
    let ns = (cycles as u128 * multiplier as u128) >> SHIFT;
    if ns > u64::MAX as u128 { u64::MAX } else { ns as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn extremes_are_exact() {
        assert_eq!(to_ns(u64::MAX, multiplier(0)), u64::MAX);
        assert_eq!(to_ns(u64::MAX, multiplier(NS_PER_SECOND)), u64::MAX);
        assert_eq!(to_ns(u64::MAX, multiplier(2 * NS_PER_SECOND)), u64::MAX / 2);
        assert_eq!(to_ns(0, u64::MAX), 0);
        assert_eq!(to_ns(1, multiplier(1)), NS_PER_SECOND);
        assert_eq!(to_ns(u64::MAX, multiplier(1)), u64::MAX, "does not wrap");
        assert_ne!(multiplier(u64::MAX), 0, "0 says that the clock never started");
    }

    proptest! {
        #[test]
        fn a_reading_is_within_a_billionth_of_the_quotient(cycles: u64, hz in 1_000_000u64..=4_000_000_000) {
            let exact = u128::from(cycles) * u128::from(NS_PER_SECOND) / u128::from(hz);
            let ns = u128::from(to_ns(cycles, multiplier(hz)));
            if exact > u128::from(u64::MAX) + exact / NS_PER_SECOND as u128 {
                prop_assert_eq!(ns, u128::from(u64::MAX));
            } else {
                prop_assert!(ns.abs_diff(exact) <= exact / u128::from(NS_PER_SECOND) + 1, "{} for {}", ns, exact);
            }
        }

        #[test]
        fn a_later_cycle_is_never_earlier_time(cycles: u64, more: u64, multiplier: u64) {
            prop_assert!(to_ns(cycles, multiplier) <= to_ns(cycles.saturating_add(more), multiplier));
        }

        #[test]
        fn every_frequency_has_a_multiplier(hz: u64) {
            prop_assert_ne!(multiplier(hz), 0);
        }
    }
}
