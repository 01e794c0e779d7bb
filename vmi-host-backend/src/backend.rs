//! A host that speaks VMI as a backend.

// UNSAFETY: implements the unsafe methods of `Backend`.
#![expect(unsafe_code)]

use core::fmt;

use vmi_abi::{
    Backend, EnableError, Machine, Offer, Platform, Rank, Replacements, Table,
    port_call::{Features, SIGNATURE},
};

use crate::{
    enabled::{Enabled, Slot},
    port_call::{Announced, Block, CALLS_OF_PAGE},
    power, time,
};

/// A host that speaks VMI, guest half: switches the machine off and tells the time of day, each where the host offers it.
///
/// There is one, [`BACKEND`]: what replaces ops finds its state there.
#[derive(Debug)]
pub struct VmiHost {
    /// One for all CPUs: ops that use it are rare, and have another way where it is busy.
    block: Block<CALLS_OF_PAGE>,
    enabled: Slot,
}

/// The backend, for the kernel's list.
pub static BACKEND: VmiHost = VmiHost { block: Block::new(), enabled: Slot::new() };

impl VmiHost {
    /// Returns what `enable` was told, while the backend is enabled.
    pub(crate) fn enabled(&self) -> Option<Enabled> {
        self.enabled.get()
    }
}

fn features(offer: &Offer) -> Features {
    Features::from_bits_retain(offer.features as u32)
}

// SAFETY: the machine is switched off, and the time told, by the host that offers it, or as the table below does.
unsafe impl Backend for VmiHost {
    fn name(&self) -> &'static str {
        "vmi"
    }

    fn probe(&self, machine: &Machine<'_>) -> Result<Offer, &'static str> {
        let interface = machine.interface(SIGNATURE).ok_or("no VMI signature in CPUID")?;
        let announced = Announced::detect(machine).ok_or("a host of an unknown version of VMI")?;
        Ok(Offer {
            rank: Rank::BESIDE,
            features: announced.features().bits().into(),
            hints: announced.hints().bits().into(),
            base_leaf: interface.base,
        })
    }

    fn replacements(&self, offer: &Offer, _: &Machine<'_>) -> Replacements {
        let mut all = Replacements::KEEP;
        time::replace(features(offer), &mut all);
        power::replace(features(offer), &mut all);
        all
    }

    fn describe(&self, offer: &Offer, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if features(offer).is_empty() {
            f.write_str("none")?;
        }
        bitflags::parser::to_writer(&features(offer), f)
    }

    /// Opens the block; where the host cannot reach it, all is left to the table below.
    unsafe fn enable(
        &self,
        _: &Offer,
        machine: &Machine<'_>,
        platform: &dyn Platform,
        below: &'static Table,
    ) -> Result<(), EnableError> {
        let block = &BACKEND.block;
        let caller = Announced::detect(machine).and_then(|announced| {
            // SAFETY: ring 0 of the machine that was probed, by the caller's promise, and the platform's addresses are
            // those at which the hypervisor reaches memory; a static of one page lies in one piece.
            unsafe { announced.open(block, platform.physical_address(block.address())) }.ok()
        });
        // SAFETY: by the caller's promise, no site is edited to a replacement of this crate, and this CPU alone enables.
        unsafe { BACKEND.enabled.set(Enabled { caller, below }) };
        Ok(())
    }

    unsafe fn disable(&self) {
        // The host knows nothing of the block between calls, so nothing is undone there.
        BACKEND.enabled.clear();
    }
}
