//! The scale of a chart: which number lies how far to the right.

/// From this ratio of the largest number to the smallest on, three orders of magnitude meet: bars in
/// proportion would
/// leave nothing to see of the small ones.
const LOGARITHMIC_FROM: f64 = 100.0;

/// A scale from the left edge of a chart to its right one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scale {
    /// From 0 to `end`, with a mark at each multiple of `step`.
    Linear { end: f64, step: f64 },
    /// From `start`, which is no power of ten, so that a bar of 1 can be seen, to 10 to the power of `end`.
    Logarithmic { start: f64, end: i32 },
}

impl Scale {
    /// Makes the scale that fits all these numbers.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let positive = values.into_iter().filter(|value| value.is_finite() && *value > 0.0);
        let (least, most) = positive
            .fold((f64::INFINITY, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
        if most / least >= LOGARITHMIC_FROM {
            let decade = |value: f64| value.log10();
            return Self::Logarithmic {
                start: 0.5 * 10_f64.powi(decade(least).floor() as i32),
                end: decade(most).ceil() as i32,
            };
        }
        let most = if most > 0.0 { most } else { 1.0 };
        let power = 10_f64.powf((most / 4.0).log10().floor());
        // At most five steps, of 1, 2, 5 or 10 times a power of ten.
        let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
        let step = step.into_iter().find(|step| most / step <= 5.0).unwrap_or(10.0 * power);
        Self::Linear { end: (most / step - 1e-9).ceil() * step, step }
    }

    /// Tells whether equal distances are equal ratios.
    pub(super) fn is_logarithmic(&self) -> bool {
        matches!(self, Self::Logarithmic { .. })
    }

    /// Returns where a number lies, in percent of the width.
    pub(super) fn percent(&self, value: f64) -> f64 {
        let share = match *self {
            Self::Linear { end, .. } => value / end,
            Self::Logarithmic { start, end } => {
                (value.max(start) / start).log10() / (10_f64.powi(end) / start).log10()
            }
        };
        100.0 * share.clamp(0.0, 1.0)
    }

    /// Returns the numbers that are marked.
    pub(super) fn marks(&self) -> Vec<f64> {
        match *self {
            Self::Linear { end, step } => (0..)
                .map(|index| f64::from(index) * step)
                .take_while(|mark| *mark <= end + step / 2.0)
                .collect(),
            Self::Logarithmic { start, end } => {
                let first = start.log10().ceil() as i32;
                // More than six labels would not stand side by side on a phone.
                let step = 1 + (end - first) / 6;
                (first..=end).step_by(step as usize).map(|power| 10_f64.powi(power)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_orders_of_magnitude_make_it_logarithmic() {
        assert!(!Scale::of([1.0, 99.0]).is_logarithmic());
        assert!(Scale::of([1.0, 100.0]).is_logarithmic());
        assert!(!Scale::of([0.0, 0.0]).is_logarithmic());
        assert!(!Scale::of([]).is_logarithmic());
        assert!(!Scale::of([f64::NAN, f64::INFINITY, -3.0]).is_logarithmic());
    }

    #[test]
    fn linear_bars_are_in_proportion_from_zero() {
        let scale = Scale::of([1.0, 9.0, 17.0]);
        assert_eq!(scale, Scale::Linear { end: 20.0, step: 5.0 });
        assert_eq!([0.0, 5.0, 20.0, 99.0].map(|value| scale.percent(value)), [0.0, 25.0, 100.0, 100.0]);
        assert_eq!(scale.marks(), [0.0, 5.0, 10.0, 15.0, 20.0]);
    }

    #[test]
    fn equal_ratios_are_equal_distances_on_a_logarithmic_scale() {
        let scale = Scale::of([1.0, 5603.0]);
        assert_eq!(scale, Scale::Logarithmic { start: 0.5, end: 4 });
        assert_eq!(scale.marks(), [1.0, 10.0, 100.0, 1000.0, 10_000.0]);
        let at = [1.0, 10.0, 100.0, 10_000.0].map(|value| scale.percent(value));
        assert!(at[0] > 5.0 && at[3] == 100.0, "{at:?}");
        assert!(((at[1] - at[0]) - (at[2] - at[1])).abs() < 1e-9, "{at:?}");
        assert_eq!(scale.percent(0.0), 0.0);
    }

    #[test]
    fn every_number_lies_within_the_scale() {
        for most in [0.03, 0.5, 1.0, 4.0, 7.0, 41.0, 99.9, 1000.0, 65_537.0, 1e12] {
            for least in [most, most / 3.0, most / 250.0, most / 1e6] {
                let scale = Scale::of([least, most]);
                let (marks, at) = (scale.marks(), scale.percent(least));
                assert!((2..=7).contains(&marks.len()), "{least} to {most}: {marks:?}");
                assert!(
                    at > 0.0 && scale.percent(most) <= 100.0 && scale.percent(most) >= at,
                    "{least} to {most}"
                );
                assert!(marks.windows(2).all(|pair| pair[0] < pair[1]), "{marks:?}");
            }
        }
    }
}
