//! Leaf ops that natively cost something else than their bare instruction.

use vmi_abi::{Class, Op};

use super::document::{Figure, HostFigures, Kind};

/// By how much figures that include the host's kernel may differ from run to run.
pub(super) const TOLERANCE: f64 = 1.0;

/// A native figure that is not that of the bare instruction.
#[derive(Debug)]
pub(crate) struct Difference<'a> {
    pub(crate) native: &'a Figure,
    pub(crate) bare: &'a Figure,
    tolerance: f64,
}

/// Holds every leaf op, and every exit by one, that was measured natively against its bare instruction in the same
/// surrounding.
pub(crate) fn compared(host: &HostFigures) -> impl Iterator<Item = Difference<'_>> {
    let tolerance = if host.includes_host { TOLERANCE } else { 0.0 };
    let natively = host.figures.iter().filter(|figure| is_unedited(&figure.name, &figure.variant));
    natively.filter_map(move |native| Some(Difference { native, bare: bare(host, native)?, tolerance }))
}

/// Tells whether a figure is that of the one instruction of an unedited site. No backend replaces what exits are measured by.
pub(super) fn is_unedited(name: &str, variant: &str) -> bool {
    match variant {
        "native" => is_leaf(name) || Kind::of(name) == Kind::Exit,
        "backend" => Kind::of(name) == Kind::Exit,
        _ => false,
    }
}

/// Returns the figure of the bare instruction: in the same phase, or in the first one, since the kernel's life makes no
/// difference to it.
pub(crate) fn bare<'a>(host: &'a HostFigures, native: &Figure) -> Option<&'a Figure> {
    let measured = |phase| host.figure(&native.name, "bare", &native.surrounding, phase);
    measured(&native.phase).or_else(|| measured("before"))
}

/// Tells whether a benchmark is that of a leaf op.
pub(super) fn is_leaf(name: &str) -> bool {
    Op::named(name).is_some_and(|op| op.class() == Class::Leaf)
}

impl Difference<'_> {
    /// Tells whether the figures are not the same, as far as figures of this host ever are.
    pub(crate) fn is_real(&self) -> bool {
        self.added().abs() > self.tolerance
    }

    /// Returns how many instructions the op adds to the bare one.
    pub(super) fn added(&self) -> f64 {
        self.native.instructions.least - self.bare.instructions.least
    }
}
