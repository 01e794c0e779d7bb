//! What a replacement of an op may touch.

/// The class of an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Class {
    /// The native form is one instruction, in the registers that instruction uses itself. A replacement preserves
    /// every general register except the op's declared outputs; flags are free.
    Leaf,
    /// The native form is a direct `call` to a bare-metal function in the `sysv64` convention.
    Call,
    /// Control does not come back and the stack is the contract; a replacement is reached by `jmp`.
    Jump,
    /// Natively one NOP that names its op, `0f 1f 44 00` and the op's number: it costs that one instruction, and a
    /// hypervisor that wants to hear of it replaces it. For the rest like a leaf op without a result.
    Note,
}
