//! All tests.

use super::run::Test;
use super::{
    bench, budgets, damage, demos, disassembly, doors, init_cost, interruptions, kvm_cost, kvm_unit_tests,
    life, matrix, mutations, one_image, outside, pages, patches, real_images, report, rows, sample_kernel,
    siteless, snapshots, source, timings, trace, verdicts, vmi_run,
};

/// What mostly compiles, in debug or in a directory of its own, and so does not wait for what boots.
pub(super) const COMPILES: &[&[Test]] = &[
    source::TESTS,
    pages::TESTS,
    siteless::TESTS,
    one_image::TESTS,
    timings::TESTS,
    outside::TESTS,
    patches::TESTS,
    matrix::TESTS,
];

/// What mostly boots the image of release, or a kernel of a few bytes; cheap ones first.
pub(super) const BOOTS: &[&[Test]] = &[
    disassembly::TESTS,
    init_cost::TESTS,
    kvm_cost::TESTS,
    doors::TESTS,
    verdicts::TESTS,
    interruptions::TESTS,
    bench::TESTS,
    demos::TESTS,
    report::TESTS,
    damage::TESTS,
    rows::TESTS,
    mutations::TESTS,
    life::TESTS,
    trace::TESTS,
    sample_kernel::TESTS,
    vmi_run::TESTS,
    kvm_unit_tests::TESTS,
    snapshots::TESTS,
];

/// What has a limit of time for the whole machine.
pub(super) const ALONE: &[&[Test]] = &[budgets::TESTS];

/// What runs only where a filter asks for it: large systems on several CPUs, in which the rig itself, a Linux on an emulated
/// CPU, stands still now and then.
pub(super) const ASKED: &[&[Test]] = &[real_images::TESTS];
