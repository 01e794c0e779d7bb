//! The page's formula, as pure functions.

use core::fmt;

use super::TimeInfo;

/// The widest shift either way that a page may ask for, in bits.
const SHIFT_MAX: i8 = 31;

/// The latest time that is believed, in nanoseconds: 292 years, where a signed count ends. A clock near the end of 64 bits is
/// broken, and whoever followed it would soon see time begin again at 0.
pub(super) const NS_MAX: u64 = i64::MAX as u64;

/// Why a clock page tells no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PageError {
    /// The version stayed odd: the host never finished writing. The last version seen.
    Unfinished(u32),
    /// The version changed under every try. The last version seen.
    Unsteady(u32),
    /// The multiplier is 0: the page was never filled, or time stands still.
    ZeroMultiplier,
    /// The shift lies outside -31..=31.
    Shift(i8),
    /// The result does not fit 63 bits: the ticks since the page's time stamp, and the page's system time in
    /// nanoseconds.
    Overflow(u64, u64),
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfinished(version) => {
                write!(f, "the clock page is never finished, its version stays at {version}")
            }
            Self::Unsteady(version) => {
                write!(f, "the clock page changes under every read, its version is {version}")
            }
            Self::ZeroMultiplier => f.write_str("the clock page has the multiplier 0"),
            Self::Shift(shift) => write!(f, "the clock page has the shift {shift}, not one from -31 to 31"),
            Self::Overflow(ticks, ns) => {
                write!(f, "the clock page leads past 63 bits: {ticks} ticks behind {ns} ns")
            }
        }
    }
}

impl core::error::Error for PageError {}

/// Returns the nanoseconds that `info` gives for a reading `tsc` of the time-stamp counter:
/// `system_time + ((tsc - tsc_timestamp) shifted by tsc_shift) * tsc_to_system_mul / 2^32`, rounded down at the
/// shift and at the division. A `tsc` below the page's counts as equal to it. The version is not looked at.
///
/// # Errors
///
/// [`PageError::ZeroMultiplier`], [`PageError::Shift`], [`PageError::Overflow`].
pub fn nanoseconds(info: &TimeInfo, tsc: u64) -> Result<u64, PageError> {
    check(info)?;
    let ticks = tsc.saturating_sub(info.tsc_timestamp);
    let overflow = PageError::Overflow(ticks, info.system_time);
    // Below 2^95, so the product is below 2^127.
    let shifted = match info.tsc_shift {
        left @ 0.. => u128::from(ticks) << left,
        right => u128::from(ticks >> -right),
    };
    let passed = (shifted * u128::from(info.tsc_to_system_mul)) >> 32;
    let passed = u64::try_from(passed).map_err(|_| overflow)?;
    info.system_time.checked_add(passed).filter(|&now| now <= NS_MAX).ok_or(overflow)
}

/// Returns the rate of the time-stamp counter in hertz, as `info` tells it.
///
/// The host rounds the multiplier down, so a whole range of rates leads to the same one. KVM keeps the rate in
/// kilohertz: the one whole number of kilohertz in the range, if it is there, is the very rate the host has. Else the
/// highest rate of the range.
///
/// # Errors
///
/// [`PageError::ZeroMultiplier`], [`PageError::Shift`], and [`PageError::Overflow`] (with 0 and 0) where the rate does
/// not fit 64 bits.
pub fn frequency_hz(info: &TimeInfo) -> Result<u64, PageError> {
    check(info)?;
    // One second is 10^9 ns = (hz shifted) * mul / 2^32; hz is solved for. At most 2^93.
    let second = 1_000_000_000_u128 << (32 - i32::from(info.tsc_shift).min(0));
    let left = info.tsc_shift.max(0);
    let multiplier = u128::from(info.tsc_to_system_mul);
    let highest = second / (multiplier << left);
    // The lowest rate is the first above the one that gives the next multiplier.
    let above = second / ((multiplier + 1) << left);
    let whole_khz = highest - highest % 1000;
    let hz = if whole_khz > above { whole_khz } else { highest };
    u64::try_from(hz).map_err(|_| PageError::Overflow(0, 0))
}

/// Refuses what no formula can use.
fn check(info: &TimeInfo) -> Result<(), PageError> {
    if info.tsc_to_system_mul == 0 {
        Err(PageError::ZeroMultiplier)
    } else if !(-SHIFT_MAX..=SHIFT_MAX).contains(&info.tsc_shift) {
        Err(PageError::Shift(info.tsc_shift))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Multiplier and shift as a host finds them: the rate is halved or doubled until it lies in (10^9, 2 * 10^9],
    /// and the multiplier is rounded down.
    fn page_of(hz: u64) -> TimeInfo {
        let mut scaled = u128::from(hz) << 64;
        let mut tsc_shift = 0;
        while scaled > 2_000_000_000 << 64 {
            scaled >>= 1;
            tsc_shift -= 1;
        }
        while scaled <= 1_000_000_000 << 64 {
            scaled <<= 1;
            tsc_shift += 1;
        }
        let tsc_to_system_mul = ((1_000_000_000 << 96) / scaled) as u32;
        TimeInfo { tsc_to_system_mul, tsc_shift, ..TimeInfo::default() }
    }

    #[test]
    fn rates_of_real_machines() {
        for khz in [999_999, 1_000_000, 1_000_001, 2_399_998, 2_400_000, 2_894_561, 3_000_000, 5_700_000] {
            assert_eq!(frequency_hz(&page_of(khz * 1000)), Ok(khz * 1000), "{khz} kHz");
        }
    }

    #[test]
    fn rates_that_a_page_cannot_have() {
        let page = |mul, shift| TimeInfo { tsc_to_system_mul: mul, tsc_shift: shift, ..TimeInfo::default() };
        assert_eq!(frequency_hz(&page(0, 0)), Err(PageError::ZeroMultiplier));
        assert_eq!(frequency_hz(&page(1, 32)), Err(PageError::Shift(32)));
        assert_eq!(frequency_hz(&page(1, -31)), Err(PageError::Overflow(0, 0)));
        assert_eq!(frequency_hz(&page(u32::MAX, 31)), Ok(0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn every_whole_number_of_kilohertz_comes_back(khz in 1_000_u64..100_000_000) {
            prop_assert_eq!(frequency_hz(&page_of(khz * 1000)), Ok(khz * 1000));
        }

        /// A host whose rate is no whole number of kilohertz is met within what its multiplier can tell, or by the
        /// whole number it cannot tell from its own.
        #[test]
        fn any_other_rate_is_met_as_well_as_the_page_tells_it(hz in 1_000_000_u64..100_000_000_000) {
            let page = page_of(hz);
            let found = frequency_hz(&page).unwrap();
            prop_assert!(found == hz || page_of(found).tsc_to_system_mul == page.tsc_to_system_mul, "{found} for {hz}");
            prop_assert!(found.abs_diff(hz) <= hz / (1 << 31) + 1, "{found} for {hz}");
        }
    }
}
