//! What does a reading of the clock cost, beside a reading of the bare counter?

use std::hint::black_box;
use std::time::Instant;

use benches::clock::{self, read, read_counter};
use benches::{question::Question, ratio::Ratio, settings};
use criterion::{Criterion, criterion_group, criterion_main};
use vmi_abi::time;
use vmi_kvm_backend::pvclock::nanoseconds;

/// Any rate will do: what the clock says is not looked at. Without one it would ask ports, which a program may not.
const HERTZ: u64 = 2_000_000_000;

/// A whole reading, the counter included.
fn readings(criterion: &mut Criterion<Ratio>) {
    vmi_native::set_frequency(HERTZ);
    let native = vmi::table().get::<time::now_ns>();
    let page = clock::of_kvm();
    let mut question = Question::ask(criterion, "clock/read", "rdtsc", &read_counter);
    question.candidate("native clock", &|turns| read(native, turns));
    question.candidate("KVM's clock page", &|turns| read(page, turns));
    question.candidate("the operating system's, by `Instant`", &|turns| {
        for _ in 0..turns {
            black_box(Instant::now());
        }
    });
}

/// The formula alone, each turn waiting for the last one's result.
fn arithmetic(criterion: &mut Criterion<Ratio>) {
    let page = clock::page();
    let start = page.tsc_timestamp;
    let by_hand = |turns| {
        let (page, mut ticks) = (black_box(page), 0);
        for _ in 0..turns {
            let product = u128::from(ticks >> 1) * u128::from(page.tsc_to_system_mul);
            ticks = black_box(page.system_time + (product >> 32) as u64) & 0xffff_ffff;
        }
    };
    let checked = |turns| {
        let (page, mut ticks) = (black_box(page), 0);
        for _ in 0..turns {
            let ns = nanoseconds(&page, start + ticks).unwrap_or_default();
            ticks = black_box(ns) & 0xffff_ffff;
        }
    };
    let mut question = Question::ask(criterion, "clock/arithmetic", "one multiplication", &by_hand);
    question.candidate("the page's formula, checked", &checked);
}

criterion_group! {
    name = benches;
    config = settings::criterion(Ratio);
    targets = readings, arithmetic
}
criterion_main!(benches);
