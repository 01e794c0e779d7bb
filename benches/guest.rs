//! What does a way to the hypervisor cost a guest on this machine, beside `cpuid`?
//!
//! Where no KVM answers in time that is said, and nothing is measured.

use std::cell::RefCell;
use std::time::Duration;

use benches::guest::Guests;
use benches::{question::BASELINE, ratio::Ratio, settings};
use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};

/// The exit that every guest has, and about the cheapest: in what the others are measured.
const BASIS: &str = "exit::cpuid, bare";

fn guest(criterion: &mut Criterion<Ratio>) {
    let guests = match Guests::find() {
        Ok(guests) if guests.names().iter().any(|name| name == BASIS) => guests,
        Ok(_) => return eprintln!("SKIP guest: the image measures no `{BASIS}`"),
        Err(reason) => return eprintln!("SKIP guest: {reason}"),
    };
    let names = guests.names();
    let guests = RefCell::new(guests);
    let mut group = criterion.benchmark_group("guest");
    // A sample is a boot, which measures everything; the first of them is the one that warms up.
    group.sampling_mode(SamplingMode::Flat).sample_size(10).warm_up_time(Duration::from_nanos(1));
    let mut candidate = |id: &str, name: &str| {
        let boot = RefCell::new(0..);
        group.bench_function(id, |bencher| {
            bencher.iter_custom(|turns| {
                let boot = boot.borrow_mut().next().expect("a number");
                let mut guests = guests.borrow_mut();
                // The baseline is measured against that of another boot: in its own it is no noise to itself.
                let other = boot + usize::from(name == BASIS);
                turns as f64 * guests.figure(other, name) / guests.figure(boot, BASIS)
            });
        });
    };
    candidate(&format!("{BASIS}{BASELINE}"), BASIS);
    names.iter().filter(|name| *name != BASIS).for_each(|name| candidate(name, name));
}

criterion_group! {
    name = benches;
    config = settings::criterion(Ratio);
    targets = guest
}
criterion_main!(benches);
