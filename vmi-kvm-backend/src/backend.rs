//! KVM as a backend.

// UNSAFETY: implements the unsafe methods of `Backend`.
#![expect(unsafe_code)]

use core::fmt;

use vmi_abi::{Backend, EnableError, Machine, Offer, Platform, Rank, Replacements, Table};

use crate::{
    Features, Hints,
    enabled::Enabled,
    io,
    msr::ClockMsrs,
    per_cpu::PerCpu,
    probe, pvclock,
    pvclock::{Stability, Timeline},
    registration, time,
    wall_clock::WallPage,
};

/// KVM, guest half.
///
/// Serves the time ops by the clock page and drops the I/O delay, each where the host's feature bits say so. The word
/// `no-kvmclock` on the command line leaves the time ops native.
///
/// There is one, [`BACKEND`]: what replaces ops finds its state there.
#[derive(Debug)]
pub struct Kvm {
    /// The boot CPU's.
    pub(crate) boot: PerCpu,
    /// Of all CPUs.
    pub(crate) timeline: Timeline,
    /// Of the whole machine: the host keeps no address, so one serves all CPUs.
    pub(crate) wall_page: WallPage,
    pub(crate) enabled: Enabled,
}

/// The backend, for the kernel's list.
pub static BACKEND: Kvm = Kvm {
    boot: PerCpu::new(),
    timeline: Timeline::new(),
    wall_page: WallPage::new(),
    enabled: Enabled::new(),
};

/// Returns the clock's MSRs and what its stable flag means, or `None` where the host has no clock.
fn clock(offer: &Offer) -> Option<(ClockMsrs, Stability)> {
    let features = features(offer);
    let stable = features.contains(Features::CLOCKSOURCE_STABLE_BIT);
    let stability = if stable { Stability::Announced } else { Stability::Unknown };
    ClockMsrs::choose(features).map(|msrs| (msrs, stability))
}

fn features(offer: &Offer) -> Features {
    Features::from_bits_retain(offer.features as u32)
}

// SAFETY: the time functions tell time and fall back to the table below; a delay is dropped where KVM says it may be.
unsafe impl Backend for Kvm {
    fn name(&self) -> &'static str {
        "kvm"
    }

    fn probe(&self, machine: &Machine<'_>) -> Result<Offer, &'static str> {
        let found = probe::probe(machine).ok_or("no KVM signature in CPUID")?;
        Ok(Offer {
            rank: Rank::HYPERVISOR,
            features: found.features.bits().into(),
            hints: found.hints.bits().into(),
            base_leaf: found.interface.base,
        })
    }

    fn replacements(&self, offer: &Offer, machine: &Machine<'_>) -> Replacements {
        let mut all = Replacements::KEEP;
        if clock(offer).is_some() && !machine.command_line().has(time::OFF) {
            time::replace(&mut all);
        }
        io::replace(features(offer), &mut all);
        all
    }

    fn describe(&self, offer: &Offer, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if features(offer).is_empty() {
            f.write_str("none")?;
        }
        bitflags::parser::to_writer(&features(offer), &mut *f)?;
        if offer.hints != 0 {
            f.write_str(", hints: ")?;
            bitflags::parser::to_writer(&Hints::from_bits_retain(offer.hints as u32), &mut *f)?;
        }
        Ok(())
    }

    unsafe fn enable(
        &self,
        offer: &Offer,
        machine: &Machine<'_>,
        platform: &dyn Platform,
        below: &'static Table,
    ) -> Result<(), EnableError> {
        BACKEND.enabled.set_below(below);
        let Some((msrs, stability)) = clock(offer) else {
            return Ok(());
        };
        BACKEND.enabled.set_clock(msrs, platform.physical_address((&raw const BACKEND.wall_page).cast()));
        let address = platform.physical_address(pvclock::page_address());
        if machine.command_line().has(time::OFF) {
            // SAFETY: the boot CPU in ring 0, by the caller's promise; the MSR was chosen by its feature bit.
            return unsafe { registration::clear_inherited(below, msrs, &BACKEND.boot) }
                .map_err(|_| EnableError::Refused(msrs.system_time));
        }
        // SAFETY: the boot CPU in ring 0, by the caller's promise; the MSR was chosen by its feature bit; the address
        // is the page's by the promise of `Platform`, and the page is a static.
        unsafe { registration::register(below, msrs, &BACKEND.boot, address, stability) }
    }

    unsafe fn clear_inherited(&self, offer: &Offer, table: &'static Table) {
        if let Some((msrs, _)) = clock(offer) {
            // SAFETY: the boot CPU in ring 0, by the caller's promise; the MSR was chosen by its feature bit. One that
            // faults holds no registration.
            let _ = unsafe { registration::clear_inherited(table, msrs, &BACKEND.boot) };
        }
    }

    unsafe fn disable(&self) {
        if let (Some(table), Some((msrs, _))) = (BACKEND.enabled.below(), BACKEND.enabled.clock()) {
            // SAFETY: the boot CPU in ring 0, where `enable` ran, by the caller's promise; the MSRs were chosen by
            // their feature bit.
            unsafe { registration::unregister(table, msrs, &BACKEND.boot) }
        }
    }
}
