//! How many site records are read in a second?

use std::hint::black_box;

use benches::many_sites::ManySites;
use benches::{question::BASELINE, settings};
use criterion::{
    Criterion, SamplingMode, Throughput, criterion_group, criterion_main, measurement::WallTime,
};

/// Fits the cache of a core, as the records of a kernel do that were read once.
const COUNT: usize = 4096;

fn records(criterion: &mut Criterion) {
    let sites = ManySites::new(COUNT);
    let mut group = criterion.benchmark_group("records");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(COUNT as u64));
    group.bench_function(format!("sum of their offsets{BASELINE}"), |bencher| {
        bencher.iter(|| black_box(sites.sites()).iter().map(|site| site.offset as usize).sum::<usize>());
    });
    group.bench_function("sum of their places", |bencher| {
        bencher.iter(|| black_box(sites.records()).iter().map(|(place, _)| place).sum::<usize>());
    });
    group.bench_function("places and ops", |bencher| {
        bencher.iter(|| {
            for (place, site) in black_box(sites.records()).iter() {
                black_box((place, vmi::Op::new(site.op)));
            }
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = settings::criterion(WallTime);
    targets = records
}
criterion_main!(benches);
