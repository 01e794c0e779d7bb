//! All tests, cheap ones first.

use super::run::Test;
use super::{
    bench, budgets, damage, demos, disassembly, doors, init_cost, interruptions, kvm_cost, life, matrix,
    mutations, one_image, outside, report, rows, sample_kernel, siteless, source, timings, trace, verdicts,
    vmi_run,
};

/// The tests in the order in which they run.
pub(super) fn all() -> impl Iterator<Item = &'static Test> {
    let topics: [&'static [Test]; 23] = [
        source::TESTS,
        disassembly::TESTS,
        one_image::TESTS,
        siteless::TESTS,
        init_cost::TESTS,
        kvm_cost::TESTS,
        doors::TESTS,
        verdicts::TESTS,
        interruptions::TESTS,
        bench::TESTS,
        timings::TESTS,
        demos::TESTS,
        report::TESTS,
        damage::TESTS,
        rows::TESTS,
        mutations::TESTS,
        life::TESTS,
        trace::TESTS,
        budgets::TESTS,
        sample_kernel::TESTS,
        outside::TESTS,
        matrix::TESTS,
        vmi_run::TESTS,
    ];
    topics.into_iter().flatten()
}
