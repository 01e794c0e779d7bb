//! The counter's frequency, measured against a counter of known frequency.

/// A counter of known frequency.
pub(super) trait Reference {
    /// Counts per second.
    const HZ: u64;
    /// The bits in which it counts, from the lowest on.
    const MASK: u32;

    /// Reads it, or tells that it is missing or cannot be trusted any longer.
    fn sample(&mut self) -> Option<Sample>;
}

/// One reading of the reference, between two of the time-stamp counter.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    /// Time-stamp counter before the reading.
    pub(super) before: u64,
    /// What the reference said, counting up.
    pub(super) ticks: u32,
    /// Time-stamp counter after the reading.
    pub(super) after: u64,
}

impl Sample {
    fn window(&self) -> u64 {
        self.after.saturating_sub(self.before)
    }
}

/// A frequency and how far it may be off.
struct Estimate {
    hz: u64,
    error_ppm: u64,
}

impl Estimate {
    /// Tells whether two estimates of the same counter may both be right.
    fn agrees(&self, other: &Self) -> bool {
        let allowed_ppm = self.error_ppm.saturating_add(other.error_ppm + BAD_PPM);
        u128::from(self.hz.abs_diff(other.hz)) * 1_000_000 <= u128::from(other.hz) * u128::from(allowed_ppm)
    }
}

/// Milliseconds between two samples.
const ROUND_MS: u64 = 4;
/// The samples that are always taken, and the most: 52 ms, a little less than the PIT's period.
const ROUNDS: core::ops::RangeInclusive<usize> = 3..=13;
/// An error at which no further rounds are taken.
const GOOD_PPM: u64 = 500;
/// An error at which the result is not believed.
const BAD_PPM: u64 = 20_000;
/// What a time-stamp counter may run at.
const PLAUSIBLE_HZ: core::ops::RangeInclusive<u64> = 1_000_000..=1_000_000_000_000;
/// Readings without a change that say that the reference stands still: each takes well over a hundredth of a
/// tick.
const STUCK: u32 = 1 << 14;
/// Readings in a round, at most.
const READINGS: u32 = 1 << 20;
/// Readings at a sample point, of which the quickest is taken.
const TRIES: usize = 5;

/// Measures: takes a few samples, and of all pairs the one whose error is smallest. Takes 12 ms, up to 52 ms
/// where a reading of the reference is slow.
///
/// A virtual machine may be away for any time, and a reference that stands still meanwhile does not show it: what a round
/// says must be what all say, or there is no result.
pub(super) fn frequency<R: Reference>(reference: &mut R) -> Option<u64> {
    let mut samples = [quickest(reference)?; *ROUNDS.end() + 1];
    let mut best: Option<Estimate> = None;
    let mut taken = 0;
    for round in 1..samples.len() {
        // A reference that ends before the last round has been measured all the same.
        let Some(next) = after_a_round(reference, samples[round - 1]) else {
            break;
        };
        (samples[round], taken) = (next, round);
        for earlier in &samples[..round] {
            let Some(estimate) = estimate::<R>(earlier, &next) else {
                continue;
            };
            if best.as_ref().is_none_or(|best| estimate.error_ppm < best.error_ppm) {
                best = Some(estimate);
            }
        }
        if round >= *ROUNDS.start() && best.as_ref().is_some_and(|best| best.error_ppm <= GOOD_PPM) {
            break;
        }
    }
    let best = best.filter(|best| best.error_ppm <= BAD_PPM && PLAUSIBLE_HZ.contains(&best.hz))?;
    let agrees =
        |round: &[Sample]| estimate::<R>(&round[0], &round[1]).is_some_and(|round| round.agrees(&best));
    samples[..=taken].windows(2).all(agrees).then_some(best.hz)
}

/// Returns a sample at least a round behind an earlier one.
fn after_a_round<R: Reference>(reference: &mut R, earlier: Sample) -> Option<Sample> {
    let mut last = earlier.ticks;
    let mut unchanged = 0;
    for _ in 0..READINGS {
        let ticks = reference.sample()?.ticks;
        if u64::from(ticks.wrapping_sub(earlier.ticks) & R::MASK) * 1000 >= R::HZ * ROUND_MS {
            return quickest(reference);
        }
        unchanged = if ticks == last { unchanged + 1 } else { 0 };
        if unchanged == STUCK {
            return None;
        }
        last = ticks;
    }
    None
}

/// Returns the quickest of a few samples: an interruption in one does not matter.
fn quickest<R: Reference>(reference: &mut R) -> Option<Sample> {
    let mut best = reference.sample()?;
    for _ in 1..TRIES {
        let sample = reference.sample()?;
        if sample.window() < best.window() {
            best = sample;
        }
    }
    Some(best)
}

/// Returns the frequency by two samples, if the counter went on between them.
fn estimate<R: Reference>(from: &Sample, to: &Sample) -> Option<Estimate> {
    let ticks = u128::from(to.ticks.wrapping_sub(from.ticks) & R::MASK);
    let most = u128::from(to.after.checked_sub(from.before)?);
    let least = u128::from(to.before.checked_sub(from.after)?);
    let cycles = (most + least) / 2;
    if ticks == 0 || cycles == 0 {
        return None;
    }
    // Half the uncertain cycles, and a tick: each reading may have come anywhere within one.
    let error_ppm = most.checked_sub(least)? * 500_000 / cycles + 1_000_000 / ticks;
    Some(Estimate {
        hz: u64::try_from(cycles * u128::from(R::HZ) / ticks).ok()?,
        error_ppm: u64::try_from(error_ppm).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A machine whose reference is read in `access` cycles, with an interruption of `pause` cycles every 7th
    /// time.
    struct Machine {
        hz: u64,
        cycles: u64,
        access: u64,
        pause: u64,
        reads: u64,
        ends_at: u64,
        /// At this reading it is away for so many cycles, in which the reference stands still.
        away: (u64, u64),
        lost: u64,
    }

    impl Machine {
        fn new(hz: u64) -> Self {
            Self {
                hz,
                cycles: 1 << 40,
                access: hz / 1_000_000,
                pause: 0,
                reads: 0,
                ends_at: u64::MAX,
                away: (0, 0),
                lost: 0,
            }
        }
    }

    impl Reference for Machine {
        const HZ: u64 = 1_193_182;
        const MASK: u32 = 0xffff;

        fn sample(&mut self) -> Option<Sample> {
            self.reads += 1;
            if self.reads > self.ends_at {
                return None;
            }
            if self.reads == self.away.0 {
                self.cycles += self.away.1;
                self.lost += self.away.1;
            }
            let before = self.cycles;
            self.cycles += self.access / 2 + if self.reads.is_multiple_of(7) { self.pause } else { 0 };
            let ticks = (u128::from(self.cycles - self.lost) * u128::from(Self::HZ) / u128::from(self.hz))
                as u32
                & Self::MASK;
            self.cycles += self.access - self.access / 2;
            Some(Sample { before, ticks, after: self.cycles })
        }
    }

    /// A reference that never changes, and how often it was read.
    struct Still(u32);

    impl Reference for Still {
        const HZ: u64 = 1_193_182;
        const MASK: u32 = 0xffff;

        fn sample(&mut self) -> Option<Sample> {
            self.0 += 1;
            Some(Sample { before: 1, ticks: 0xffff, after: 2 })
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_counter_is_found_to_a_thousandth(hz in 10_000_000u64..8_000_000_000) {
            let found = frequency(&mut Machine::new(hz)).unwrap();
            prop_assert!(found.abs_diff(hz) <= hz / 1000, "{} for {}", found, hz);
        }

        #[test]
        fn interruptions_do_not_show(hz in 1_000_000_000u64..4_000_000_000, pause_us in 0u64..1000) {
            let mut machine = Machine { pause: hz / 1_000_000 * pause_us, ..Machine::new(hz) };
            let found = frequency(&mut machine).unwrap();
            prop_assert!(found.abs_diff(hz) <= hz / 1000, "{} for {}", found, hz);
        }

        #[test]
        fn a_machine_that_was_away_is_measured_right_or_not_at_all(reads in 1u64..14_000, away_us in 0u64..10_000_000) {
            let hz = 3_000_000_000;
            let mut machine = Machine { away: (reads, hz / 1_000_000 * away_us), ..Machine::new(hz) };
            let found = frequency(&mut machine).unwrap_or(hz);
            prop_assert!(found.abs_diff(hz) <= hz / 100, "{}", found);
        }

        #[test]
        fn slow_accesses_take_longer_rounds(hz in 1_000_000_000u64..4_000_000_000) {
            let mut machine = Machine { access: hz / 10_000, ..Machine::new(hz) };
            let found = frequency(&mut machine).unwrap();
            prop_assert!(found.abs_diff(hz) <= hz / 250, "{} for {}", found, hz);
            let ms = (machine.cycles - (1 << 40)) * 1000 / hz;
            prop_assert!((ROUND_MS * 4..60).contains(&ms), "{} ms", ms);
        }

        #[test]
        fn any_two_samples_are_survived(a: (u64, u32, u64), b: (u64, u32, u64)) {
            let sample = |(before, ticks, after)| Sample { before, ticks, after };
            let _ = estimate::<Machine>(&sample(a), &sample(b));
        }
    }

    #[test]
    fn a_quick_measurement_ends_after_the_least_rounds() {
        let mut machine = Machine::new(3_000_000_000);
        frequency(&mut machine).unwrap();
        assert!(machine.cycles - (1 << 40) < 3_000_000_000 / 1000 * 14);
    }

    #[test]
    fn a_reference_that_stands_still_is_none() {
        let mut still = Still(0);
        assert_eq!(frequency(&mut still), None);
        assert!(still.0 < 2 * STUCK, "given up early");
    }

    #[test]
    fn a_reference_that_ends_is_used_as_far_as_it_went() {
        let full = Machine { access: 300_000, ..Machine::new(3_000_000_000) };
        assert!(frequency(&mut Machine { ends_at: 100, ..full }).is_some());
        assert!(frequency(&mut Machine { ends_at: 3, ..Machine::new(3_000_000_000) }).is_none());
    }

    #[test]
    fn a_counter_that_stands_still_is_none() {
        struct NoCycles(u32);
        impl Reference for NoCycles {
            const HZ: u64 = 3_579_545;
            const MASK: u32 = 0xff_ffff;
            fn sample(&mut self) -> Option<Sample> {
                self.0 += 1;
                Some(Sample { before: 5, ticks: self.0, after: 5 })
            }
        }
        assert_eq!(frequency(&mut NoCycles(0)), None);
    }
}
