//! What the document says of one benchmark, found and put in order.

use super::variant;
use crate::bench::document::{Document, Figure, HostFigures, Kind};
use crate::bench::unique::unique;

/// The surroundings of ops, in the order in which they are shown.
pub(super) const SURROUNDINGS: [&str; 3] = ["loop", "function", "live"];

/// The phases of which a figure stands for an op, the best first: what a kernel does most is done after
/// `vmi::init`.
const PHASES: [&str; 3] = ["after", "before", "teardown"];

/// Returns the names of a host's benchmarks of a kind, in the order in which they were measured.
pub(super) fn names(host: &HostFigures, kind: Kind) -> Vec<&str> {
    unique(host.figures.iter().map(|figure| &*figure.name).filter(|name| Kind::of(name) == kind))
}

/// Returns the names of benchmarks of a kind on all hosts.
pub(super) fn names_anywhere(document: &Document, kind: Kind) -> Vec<&str> {
    unique(document.hosts.iter().flat_map(|host| names(host, kind)))
}

/// Returns the variants of a benchmark, in the order in which they are shown.
pub(super) fn variants<'a>(host: &'a HostFigures, name: &str) -> Vec<&'a str> {
    let of = host.figures.iter().filter(|figure| figure.name == name);
    let mut variants = unique(of.map(|figure| &*figure.variant));
    variants.sort_by_key(|name| variant::place(name));
    variants
}

/// Returns the surroundings of some figures, in the order in which they are shown.
pub(super) fn surroundings<'a>(figures: impl Iterator<Item = &'a Figure>) -> Vec<&'a str> {
    let mut surroundings = unique(figures.map(|figure| &*figure.surrounding));
    surroundings.sort_by_key(|name| {
        SURROUNDINGS.iter().position(|known| known == name).unwrap_or(SURROUNDINGS.len())
    });
    surroundings
}

/// Returns the number that a name ends with: 16 of `batch_16`.
pub(super) fn many(name: &str) -> Option<f64> {
    name.rsplit_once('_')?.1.parse::<u32>().ok().map(f64::from)
}

/// Returns the figure that stands for a variant in a surrounding.
pub(super) fn figure<'a>(
    host: &'a HostFigures,
    name: &str,
    variant: &str,
    surrounding: &str,
) -> Option<&'a Figure> {
    let same = |figure: &&Figure| {
        (&*figure.name, &*figure.variant, &*figure.surrounding) == (name, variant, surrounding)
    };
    let rank =
        |figure: &&Figure| PHASES.iter().position(|phase| *phase == figure.phase).unwrap_or(PHASES.len());
    host.figures.iter().filter(same).min_by_key(rank)
}

/// Returns the figure of the bare instruction that a figure is held against.
pub(super) fn bare<'a>(host: &'a HostFigures, of: &Figure) -> Option<&'a Figure> {
    host.figure(&of.name, "bare", &of.surrounding, &of.phase)
        .or_else(|| figure(host, &of.name, "bare", &of.surrounding))
}

/// Returns the figure of what the library does on a host: as its backend wants it, or natively.
pub(super) fn library<'a>(host: &'a HostFigures, name: &str) -> Option<&'a Figure> {
    ["backend", "native"].into_iter().find_map(|variant| figure(host, name, variant, "loop"))
}

/// Returns what something is called without its kind: `cpuid` of `exit::cpuid`.
pub(super) fn short(name: &str) -> &str {
    match Kind::of(name) {
        Kind::Op => name,
        _ => name.split_once("::").map_or(name, |(_, short)| short),
    }
}
