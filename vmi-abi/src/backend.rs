//! The trait of what serves ops: a hypervisor, a mock, later a ROM.

// UNSAFETY: declares unsafe methods; holds no unsafe block.
#![expect(unsafe_code)]

use core::fmt;

use crate::{Machine, Platform, Replacements, Table};

/// What serves ops in place of the native functions, as one layer among others.
///
/// # Safety
///
/// The implementer promises that its [`replacements`](Self::replacements) do what the ops' documentation says, on every
/// machine on which [`probe`](Self::probe) finds the hypervisor.
pub unsafe trait Backend: Sync {
    /// Returns the name, as the report has it. The word `no-NAME` on the kernel's command line refuses the backend.
    fn name(&self) -> &'static str;

    /// Looks for the hypervisor in the description of the machine: no hypercall, no MSR.
    ///
    /// # Errors
    ///
    /// Says in a few words why this backend is not for this machine.
    fn probe(&self, machine: &Machine<'_>) -> Result<Offer, &'static str>;

    /// Returns what the backend would put in place of ops, given what it offered.
    fn replacements(&self, offer: &Offer, machine: &Machine<'_>) -> Replacements;

    /// Writes the features of `offer` by their names; by itself, as a number.
    ///
    /// # Errors
    ///
    /// When the formatter fails.
    fn describe(&self, offer: &Offer, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if offer.features == 0 { f.write_str("none") } else { write!(f, "{:#x}", offer.features) }
    }

    /// Registers with the hypervisor what the replacements need, on this CPU, and takes over or clears what firmware
    /// left registered. By itself it registers nothing. `below` is the table of the next layer down, for replacements that
    /// fall back.
    ///
    /// # Errors
    ///
    /// Says what could not be registered. What was, [`disable`](Self::disable) takes back.
    ///
    /// # Safety
    ///
    /// - `offer` is this backend's own, from a probe of the machine it now runs on.
    /// - The call is made on the boot CPU, with interrupts off, and not twice without [`disable`](Self::disable).
    unsafe fn enable(
        &self,
        offer: &Offer,
        machine: &Machine<'_>,
        platform: &dyn Platform,
        below: &'static Table,
    ) -> Result<(), EnableError> {
        let _ = (offer, machine, platform, below);
        Ok(())
    }

    /// Takes back what firmware left registered with the hypervisor, on this CPU: the backend's hypervisor is there, but
    /// the backend is no layer, and the memory that firmware named is the kernel's now. `table` is that of the bottom.
    ///
    /// # Safety
    ///
    /// - `offer` is this backend's own, from a probe of the machine it now runs on.
    /// - The call is made on the boot CPU, with interrupts off, and the backend is not enabled.
    unsafe fn clear_inherited(&self, offer: &Offer, table: &'static Table) {
        let _ = (offer, table);
    }

    /// Puts every registration back to its reset value, also one inherited from firmware. By itself it has none.
    ///
    /// # Safety
    ///
    /// - [`enable`](Self::enable) succeeded on this CPU, or failed half-way.
    /// - No site is edited to a replacement of this backend any more, or [`resume`](Self::resume) enables it before one is
    ///   executed; and no CPU is inside one.
    unsafe fn disable(&self) {}

    /// Registers anew what [`enable`](Self::enable) registered, and reads anew what it prepared: the machine was restored or
    /// slept, and the hypervisor may be another and remembers nothing. By itself disables and enables.
    ///
    /// # Errors
    ///
    /// Says what could not be registered. The replacements go on by the table below then.
    ///
    /// # Safety
    ///
    /// - [`enable`](Self::enable) succeeded with this `below`; `offer` is this backend's own, from a probe just now.
    /// - The call is made on the boot CPU, with interrupts off; no CPU is inside a replacement of this backend, or executes
    ///   one until the call is over.
    unsafe fn resume(
        &self,
        offer: &Offer,
        machine: &Machine<'_>,
        platform: &dyn Platform,
        below: &'static Table,
    ) -> Result<(), EnableError> {
        // SAFETY: it is enabled, by the caller's promise, and enabled again below before a replacement is executed.
        unsafe { self.disable() };
        // SAFETY: the caller's promises, and it is disabled.
        unsafe { self.enable(offer, machine, platform, below) }
    }
}

/// What a backend found by probing and proposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The layer with the highest rank is the topmost: an op is served by the first that replaces it from there down.
    pub rank: Rank,
    /// Feature bits, in the hypervisor's own layout.
    pub features: u64,
    /// Hint bits, in the hypervisor's own layout.
    pub hints: u64,
    /// CPUID leaf at which the hypervisor's interface starts; 0 if it has none.
    pub base_leaf: u32,
}

impl Offer {
    /// Returns the offer of a backend without an interface of its own in CPUID.
    pub const fn plain(rank: Rank) -> Self {
        Self { rank, features: 0, hints: 0, base_leaf: 0 }
    }
}

/// How much a backend should be preferred to others that also replace an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(pub u8);

impl Rank {
    /// An interface beside the hypervisor's own: of its user space.
    pub const BESIDE: Self = Self(50);
    /// A hypervisor's own interface.
    pub const HYPERVISOR: Self = Self(100);
    /// Wins over everything found: for tests.
    pub const FORCED: Self = Self(255);
}

/// A registration that the hypervisor refused or that could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnableError {
    /// A shared page is not where its registration needs it: the address, and the alignment in bytes.
    Misaligned(u64, u64),
    /// Writing this MSR, which the hypervisor announced, raised a general-protection fault.
    Refused(u32),
    /// The hypervisor accepted a registration but did not fill the page at this physical address.
    NotServed(u64),
    /// The hypervisor is not found any more behind a restore: what the backend says of that.
    Gone(&'static str),
}

impl fmt::Display for EnableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misaligned(address, align) => {
                write!(f, "the shared page at {address:#x} is not aligned to {align} bytes")
            }
            Self::Refused(msr) => write!(f, "the announced MSR {msr:#x} cannot be written"),
            Self::NotServed(address) => {
                write!(f, "the hypervisor left the shared page at {address:#x} empty")
            }
            Self::Gone(reason) => write!(f, "its hypervisor is gone: {reason}"),
        }
    }
}

impl core::error::Error for EnableError {}
