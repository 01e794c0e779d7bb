//! All tests, cheap ones first.

use super::run::Test;
use super::{demos, doors, interruptions, sample_kernel, source, verdicts};

/// The tests in the order in which they run.
pub(super) fn all() -> impl Iterator<Item = &'static Test> {
    let topics: [&'static [Test]; 6] = [
        source::TESTS,
        doors::TESTS,
        verdicts::TESTS,
        interruptions::TESTS,
        demos::TESTS,
        sample_kernel::TESTS,
    ];
    topics.into_iter().flatten()
}
