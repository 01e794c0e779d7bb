//! The page's formula, prepared for one multiplication.

use super::{PageError, TimeInfo, local::Word, nanoseconds, scale::NS_MAX};

/// The straight line of time that one content of the page describes, as the fewest steps and one bound: inside the
/// bound the steps give exactly what [`nanoseconds`] gives, and nothing overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<W = u64> {
    /// TSC at which the line starts.
    pub tsc: W,
    /// Ticks behind `tsc` up to which the line holds. A TSC below `tsc` wraps to more than this.
    pub limit: W,
    /// Bits by which ticks are shifted right, at most 31.
    pub right: W,
    /// The multiplier, already shifted left where the page's shift is positive: below 2^63.
    pub factor: W,
    /// Nanoseconds at which the line starts.
    pub ns: W,
}

impl Line {
    /// Prepares the formula of `info`.
    ///
    /// # Errors
    ///
    /// When `info` tells no time even at its own time stamp.
    pub(crate) fn new(info: &TimeInfo) -> Result<Self, PageError> {
        nanoseconds(info, info.tsc_timestamp)?;
        let factor = u64::from(info.tsc_to_system_mul) << info.tsc_shift.max(0);
        let right = u64::from(info.tsc_shift.min(0).unsigned_abs());
        // The largest product that stays within the bound when divided by 2^32 and added to the start.
        let room = u128::from(NS_MAX - info.system_time);
        let product = (room << 32) | u128::from(u32::MAX);
        let shifted = product / u128::from(factor);
        // All ticks that are shifted to at most `shifted`: the bits shifted out may be anything.
        let limit = (shifted << right) | ((1 << right) - 1);
        // Behind the top of the counter lies its bottom: a TSC below the time stamp.
        let ticks_left = u64::MAX - info.tsc_timestamp;
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).min(ticks_left);
        Ok(Self { tsc: info.tsc_timestamp, limit, right, factor, ns: info.system_time })
    }
}

impl<W: Word> Line<W> {
    /// Returns the nanoseconds at `tsc`, or `None` outside the bound. Reads each word once, where it is used.
    #[inline(always)]
    pub(crate) fn at(&self, tsc: u64) -> Option<u64> {
        let ticks = tsc.wrapping_sub(self.tsc.get());
        if ticks > self.limit.get() {
            return None;
        }
        // `wrapping` as the CPU does it, not `checked`, because `right` and the sum are in range by `limit`'s making;
        // a torn line is thrown away.
        let shifted = ticks.wrapping_shr(self.right.get() as u32);
        let product = u128::from(shifted) * u128::from(self.factor.get());
        Some(((product >> 32) as u64).wrapping_add(self.ns.get()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pages() -> impl Strategy<Value = TimeInfo> {
        let tsc = prop_oneof![any::<u64>(), Just(0), Just(u64::MAX), 0..1_u64 << 40];
        let ns = prop_oneof![any::<u64>(), Just(0), Just(NS_MAX), 0..1_u64 << 50];
        let mul = prop_oneof![any::<u32>(), Just(1), Just(u32::MAX)];
        (tsc, ns, mul, any::<i8>()).prop_map(|(tsc_timestamp, system_time, tsc_to_system_mul, tsc_shift)| {
            TimeInfo { tsc_timestamp, system_time, tsc_to_system_mul, tsc_shift, ..TimeInfo::default() }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// Inside the bound the line is the formula; outside, the formula overflows or the TSC is below the page's.
        #[test]
        fn a_line_is_the_formula(info in pages(), tsc in prop_oneof![any::<u64>(), 0..1_u64 << 41]) {
            match Line::new(&info) {
                Err(_) => prop_assert!(nanoseconds(&info, tsc).is_err()),
                Ok(line) => match line.at(tsc) {
                    Some(ns) => prop_assert_eq!(nanoseconds(&info, tsc), Ok(ns)),
                    None => prop_assert!(tsc < info.tsc_timestamp || nanoseconds(&info, tsc).is_err()),
                },
            }
        }

        /// The bound is tight: its last tick is the formula's last.
        #[test]
        fn the_bound_is_the_last_tick(info in pages()) {
            if let Ok(line) = Line::new(&info) {
                let last = info.tsc_timestamp + line.limit;
                prop_assert_eq!(line.at(last), nanoseconds(&info, last).ok());
                prop_assert!(line.at(last).is_some());
                if let Some(next) = last.checked_add(1) {
                    prop_assert!(nanoseconds(&info, next).is_err());
                }
                if let Some(below) = info.tsc_timestamp.checked_sub(1) {
                    prop_assert_eq!(line.at(below), None);
                }
            }
        }
    }
}
