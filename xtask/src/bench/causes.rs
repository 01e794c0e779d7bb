//! Why a leaf op costs natively something else than its bare instruction.

/// An op, the surrounding, and the reason, for each difference that there is; a test allows no other, and none that is
/// not there.
const CAUSES: [(&str, &str, &str); 0] = [];

/// Returns why the op costs something else, if it does.
pub(super) fn cause(op: &str, surrounding: &str) -> Option<&'static str> {
    CAUSES.iter().find(|(name, place, _)| (*name, *place) == (op, surrounding)).map(|(.., cause)| *cause)
}
