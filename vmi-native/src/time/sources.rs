//! Who knows the frequency of the time-stamp counter.

use super::{measure, pit::Pit, pm_timer::PmTimer};
use crate::Native;
use core::arch::x86_64::CpuidResult;
use vmi_abi::Cpu;

/// How often a timer that is there is tried: one measurement is lost if the machine itself is held up for as long as the
/// PIT counts, 55 ms, which happens to virtual ones.
const ATTEMPTS: u32 = 8;

/// Returns the frequency in hertz by the best source that works, or 0.
///
/// CPUID's nominal frequency comes last: it is a round number up to 0.3 % off the counter (3200 MHz where the
/// counter runs at 3192), and Intel does not promise that the counter follows it; but that is near, and
/// guessing is not.
pub(super) fn frequency() -> u64 {
    by_crystal(&Native::cpuid)
        .or_else(|| (0..ATTEMPTS).find_map(|_| measure::frequency(&mut Pit::start()?)))
        .or_else(|| (0..ATTEMPTS).find_map(|_| measure::frequency(&mut PmTimer::told()?)))
        .or_else(|| by_nominal(&Native::cpuid))
        .unwrap_or(0)
}

/// What a counter may run at.
fn plausible(hz: u64) -> Option<u64> {
    (1_000_000..=1_000_000_000_000).contains(&hz).then_some(hz)
}

/// Returns the frequency by the crystal clock: Intel SDM, volume 2, "CPUID", leaf 15H.
fn by_crystal(cpuid: &dyn Fn(u32, u32) -> CpuidResult) -> Option<u64> {
    // Leaves above the last one echo another.
    if cpuid(0, 0).eax < 0x15 {
        return None;
    }
    let CpuidResult { eax: denominator, ebx: numerator, ecx: crystal_hz, .. } = cpuid(0x15, 0);
    plausible((u64::from(crystal_hz) * u64::from(numerator)).checked_div(denominator.into())?)
}

/// Returns the frequency by the processor's base frequency in MHz: Intel SDM, volume 2, "CPUID", leaf 16H.
fn by_nominal(cpuid: &dyn Fn(u32, u32) -> CpuidResult) -> Option<u64> {
    if cpuid(0, 0).eax < 0x16 {
        return None;
    }
    plausible(u64::from(cpuid(0x16, 0).eax & 0xffff) * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn machine(last: u32, crystal: [u32; 3], mhz: u32) -> impl Fn(u32, u32) -> CpuidResult {
        let [eax, ebx, ecx] = crystal;
        move |leaf, _| match leaf {
            0 => CpuidResult { eax: last, ebx: 0, ecx: 0, edx: 0 },
            0x15 => CpuidResult { eax, ebx, ecx, edx: 0 },
            0x16 => CpuidResult { eax: mhz, ebx: 0, ecx: 0, edx: 0 },
            _ => panic!("leaf {leaf:#x} is not asked for"),
        }
    }

    #[test]
    fn the_crystal_tells_the_frequency() {
        let cpuid = machine(0x16, [2, 168, 38_400_000], 3200);
        assert_eq!(by_crystal(&cpuid), Some(3_225_600_000));
        assert_eq!(by_nominal(&cpuid), Some(3_200_000_000));
    }

    #[test]
    fn a_leaf_that_says_nothing_is_not_believed() {
        for crystal in [
            [0, 168, 24_000_000],
            [2, 0, 24_000_000],
            [2, 168, 0],
            [0, 0, 0],
            [1, 1, 1],
            [1, u32::MAX, u32::MAX],
        ] {
            assert_eq!(by_crystal(&machine(0x16, crystal, 0)), None, "{crystal:?}");
        }
        assert_eq!(by_nominal(&machine(0x16, [0; 3], 0)), None);
    }

    #[test]
    fn leaves_above_the_last_are_not_read() {
        let echo = |leaf, _| {
            assert_eq!(leaf, 0, "above the last leaf");
            CpuidResult { eax: 0xd, ebx: 0, ecx: 0, edx: 0 }
        };
        assert_eq!(by_crystal(&echo), None);
        assert_eq!(by_nominal(&echo), None);
    }

    proptest! {
        #[test]
        fn any_leaf_is_survived(last: u32, crystal: [u32; 3], mhz: u32) {
            let cpuid = machine(last, crystal, mhz);
            for hz in [by_crystal(&cpuid), by_nominal(&cpuid)].into_iter().flatten() {
                prop_assert_eq!(plausible(hz), Some(hz));
            }
        }
    }
}
