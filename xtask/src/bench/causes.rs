//! Why a leaf op costs natively something else than its bare instruction.

use super::figures::Exactness;

/// An op, its surroundings, and the reason, for each difference that there is; a test allows no other, and none that is
/// not there.
const CAUSES: [(&str, &[&str], &str); 3] = [
    ("cpu::try_read_msr", &["loop", "function", "live"], FAULT),
    ("cpu::try_write_msr", &["loop", "function", "live"], FAULT),
    ("exit::hypercall", &["loop"], STUB),
];

/// What an answer costs where there may be a fault.
const FAULT: &str = "a register says whether the access faulted; it is cleared before and tested behind, \
    which the bare instruction, whose fault is nobody's, is not";

/// What it costs that the instruction is chosen when the first call is made.
const STUB: &str = "the instruction stands in a stub of the vendor's, which is called and returns";

/// Benchmarks of one instruction each that KVM emulates without being told its length.
const DECODED: [&str; 6] =
    ["cpu::cpuid", "cpu::read_cr4", "cpu::write_cr4", "exit::cpuid", "exit::msr", "irq::halt"];

/// What the prefixes of a site cost where KVM counts them one by one.
const DECODING: &str = "KVM decodes what it emulates, each prefix of the site too, on a CPU that does not tell how long \
    an instruction is (SVM without NRIPS, as the rig's)";

/// Returns why the op costs something else, if it does.
pub(super) fn cause(op: &str, surrounding: &str, exactness: Exactness) -> Option<&'static str> {
    let cause = CAUSES.iter().find(|(name, places, _)| *name == op && places.contains(&surrounding));
    let by_host = (exactness == Exactness::Near && DECODED.contains(&op)).then_some(DECODING);
    cause.map(|(.., cause)| *cause).or(by_host)
}
