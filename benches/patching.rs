//! How many sites does the patcher validate, edit and put back in a second?

// UNSAFETY: edits text that is never executed.
#![expect(unsafe_code)]

use std::arch::x86_64::__cpuid;
use std::hint::black_box;
use std::time::{Duration, Instant};

use benches::many_sites::{ManySites, replacements};
use benches::{question::BASELINE, settings};
use criterion::{
    Criterion, SamplingMode, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use vmi::patch::{Edited, Plan, Validated};

fn patching(criterion: &mut Criterion) {
    for count in [10, 1_000, 100_000] {
        sites(criterion, count);
    }
}

fn sites(criterion: &mut Criterion, count: usize) {
    let mut group = criterion.benchmark_group(format!("patching/{count}"));
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(count as u64));

    let mut by_hand = ManySites::new(count);
    group.bench_function(format!("stores by hand and cpuid{BASELINE}"), |bencher| {
        bencher.iter(|| {
            by_hand.store_by_hand(black_box(0x90_9090_9090));
            black_box(__cpuid(0));
        });
    });
    drop(by_hand);

    let sites = ManySites::new(count);
    let plan = Plan::new(&replacements()).expect("replacements that fit");
    let validate = || plan.validate(sites.records(), &sites).expect("valid records");
    group.bench_function("validate", |bencher| bencher.iter(|| black_box(validate()).counts()));
    group.bench_function("edit", |bencher| {
        bencher.iter_custom(|turns| {
            let turn = || {
                let (time, edited) = timed(validate(), edit);
                put_back(edited);
                time
            };
            (0..turns).map(|_| turn()).sum()
        });
    });
    group.bench_function("put back", |bencher| {
        bencher.iter_custom(|turns| (0..turns).map(|_| timed(edit(validate()), put_back).0).sum());
    });
    group.finish();
}

fn edit(sites: Validated<'_>) -> Edited<'_> {
    // SAFETY: this text is never executed.
    unsafe { sites.apply() }
}

fn put_back(sites: Edited<'_>) {
    // SAFETY: this text is never executed.
    unsafe { sites.restore() }
}

fn timed<A, B>(argument: A, run: impl FnOnce(A) -> B) -> (Duration, B) {
    let start = Instant::now();
    let result = run(argument);
    (start.elapsed(), result)
}

criterion_group! {
    name = benches;
    config = settings::criterion(WallTime);
    targets = patching
}
criterion_main!(benches);
