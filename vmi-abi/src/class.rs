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
}
