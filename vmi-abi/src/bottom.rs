//! What lies under all layers.

// UNSAFETY: declares the contract of an unsafe trait; holds no unsafe block.
#![expect(unsafe_code)]

use crate::{Replacements, Table, Text, cpuid::Cpuid};

/// What lies under all layers, and does for the library itself what ring 0 does: masks interrupts, serialises, asks CPUID,
/// writes text.
///
/// Every kernel gets that of bare metal without asking. A mock in user space, or a kernel that is started in ring 3, has
/// another, by which it also says what stands in place of ops that its machine does not do in the native way.
///
/// # Safety
///
/// The implementer promises that
/// - the functions of its [`table`](Self::table), and its [`replacements`](Self::replacements), do what the ops'
///   documentation says on the machine that it is for;
/// - between [`mask`](Self::mask) and [`unmask`](Self::unmask) nothing interrupts this CPU but what cannot be masked;
/// - after [`serialise`](Self::serialise) this CPU executes no bytes that it fetched before;
/// - the [`writer`](Self::writer) keeps the promises of [`Text`].
pub unsafe trait Bottom: Sync {
    /// Returns the functions that serve what no layer does.
    fn table(&self) -> &'static Table;

    /// Returns what stands in place of ops that no layer replaces.
    fn replacements(&self) -> Replacements {
        Replacements::KEEP
    }

    /// Masks interrupts of this CPU, and returns what [`unmask`](Self::unmask) needs to undo it.
    fn mask(&self) -> u64;

    /// Puts the mask back to what it was.
    ///
    /// # Safety
    ///
    /// - `before` is what [`mask`](Self::mask) returned on this CPU, and what was masked since then is unmasked.
    unsafe fn unmask(&self, before: u64);

    /// Has this CPU drop what it fetched ahead.
    fn serialise(&self);

    /// Returns what tells CPUID leaves.
    fn cpuid(&self) -> &Cpuid<'_>;

    /// Returns what writes a text: the text itself, or where the kernel may not do so, what asks for it to be written.
    fn writer<'a>(&'a self, text: &'a dyn Text) -> &'a dyn Text {
        text
    }
}
