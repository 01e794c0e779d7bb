//! Why a leaf op costs natively something else than its bare instruction.

/// An op, its surroundings, and the reason, for each difference that there is; a test allows no other, and none that is
/// not there.
const CAUSES: [(&str, &[&str], &str); 2] = [
    ("cpu::try_read_msr", &["loop", "function", "live"], FAULT),
    ("cpu::try_write_msr", &["loop", "function", "live"], FAULT),
];

/// What an answer costs where there may be a fault.
const FAULT: &str = "a register says whether the access faulted; it is cleared before and tested behind, \
    which the bare instruction, whose fault is nobody's, is not";

/// Returns why the op costs something else, if it does.
pub(super) fn cause(op: &str, surrounding: &str) -> Option<&'static str> {
    let cause = CAUSES.iter().find(|(name, places, _)| *name == op && places.contains(&surrounding));
    cause.map(|(.., cause)| *cause)
}
