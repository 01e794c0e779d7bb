//! What a backend puts in place of ops.

// UNSAFETY: declares the contract of replacements without a type; holds no unsafe block.
#![expect(unsafe_code)]

use crate::{Entry, Op, Operation, Override};

/// What a backend puts in place of ops, by op number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replacements([Override<usize>; Op::COUNT]);

impl Replacements {
    /// Every op stays as it is.
    pub const KEEP: Self = Self([Override::Keep; Op::COUNT]);

    /// Says what stands in place of op `O`.
    pub fn set<O: Operation>(&mut self, with: Override<O::Function>) {
        self.0[O::OP.index()] = match with {
            Override::Keep => Override::Keep,
            Override::Call(function) => Override::Call(function.address()),
            Override::Inline(code) => Override::Inline(code),
            Override::Nop => Override::Nop,
        };
    }

    /// Says what stands in place of an op, for code that knows ops by number: `Call` holds the address of a function.
    ///
    /// # Safety
    ///
    /// - What stands there keeps the contract of the op: a function is of the type [`Operation::Function`].
    pub unsafe fn set_raw(&mut self, op: Op, with: Override<usize>) {
        self.0[op.index()] = with;
    }

    /// Returns what stands in place of an op; `Call` holds the address of the function.
    pub fn get(&self, op: Op) -> Override<usize> {
        self.0[op.index()]
    }

    /// Tells whether every op stays as it is.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|with| *with == Override::Keep)
    }
}
