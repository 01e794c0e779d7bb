//! What a call passes.

/// The arguments of a hypercall: an array of up to four integers.
pub trait Arguments: sealed::Sealed + Copy + AsRef<[u64]> {}

impl Arguments for [u64; 0] {}
impl Arguments for [u64; 1] {}
impl Arguments for [u64; 2] {}
impl Arguments for [u64; 3] {}
impl Arguments for [u64; 4] {}

mod sealed {
    /// What other crates cannot implement.
    pub trait Sealed {}

    impl<const N: usize> Sealed for [u64; N] {}
}
