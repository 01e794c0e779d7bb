//! How long, and how often, everything is measured.

use std::time::Duration;

use criterion::{Criterion, measurement::Measurement};

/// Returns criterion as all benchmarks use it: some fifty of them are to be done in well under two minutes on a machine
/// that does other things as well. Options on the command line overrule it.
pub fn criterion<M: Measurement + 'static>(measurement: M) -> Criterion<M> {
    Criterion::default()
        .with_measurement(measurement)
        .without_plots()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(600))
        .sample_size(20)
        .nresamples(2_000)
}
