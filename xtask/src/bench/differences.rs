//! Leaf ops that natively cost something else than their bare instruction.

use vmi_abi::{Class, Op};

use super::document::{Figure, HostFigures};

/// A native figure that is not that of the bare instruction.
#[derive(Debug)]
pub(super) struct Difference<'a> {
    pub(super) native: &'a Figure,
    pub(super) bare: &'a Figure,
}

/// Holds every leaf op that was measured natively against its bare instruction in the same surrounding.
pub(super) fn compared(host: &HostFigures) -> impl Iterator<Item = Difference<'_>> {
    let natively = host.figures.iter().filter(|figure| figure.variant == "native" && is_leaf(&figure.name));
    natively.filter_map(|native| Some(Difference { native, bare: bare(host, native)? }))
}

/// Returns the figure of the bare instruction: in the same phase, or in the first one, since the kernel's life makes no
/// difference to it.
pub(crate) fn bare<'a>(host: &'a HostFigures, native: &Figure) -> Option<&'a Figure> {
    let measured = |phase| host.figure(&native.name, "bare", &native.surrounding, phase);
    measured(&native.phase).or_else(|| measured("before"))
}

/// Tells whether a benchmark is that of a leaf op.
pub(super) fn is_leaf(name: &str) -> bool {
    Op::all().any(|op| op.class() == Class::Leaf && op.to_string() == name)
}

impl Difference<'_> {
    /// Tells whether the figures are not the same.
    pub(super) fn is_real(&self) -> bool {
        self.added() != 0.0
    }

    /// Returns how many instructions the op adds to the bare one.
    pub(super) fn added(&self) -> f64 {
        self.native.instructions.least - self.bare.instructions.least
    }
}
