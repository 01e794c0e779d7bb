//! What is said more than once, once.

use std::collections::HashSet;

/// Returns each of the words once, in the order in which they come.
pub(super) fn unique<'a>(words: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    words.filter(|word| seen.insert(*word)).collect()
}
