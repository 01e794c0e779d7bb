//! KVM as a backend.

// UNSAFETY: implements the unsafe methods of `Backend`.
#![expect(unsafe_code)]

use core::fmt;

use vmi_abi::{
    Backend, CommandLine, EnableError, Offer, Overrides, Platform, Rank, Table, cpuid::Cpuid,
    port_call::Features as VmiFeatures,
};

use crate::{
    Features, Hints, enabled, io, msr::ClockMsrs, per_cpu::BOOT, port_call, port_call::Announced, power,
    probe, pvclock, pvclock::Stability, registration, time, wall_clock,
};

/// KVM, guest half.
///
/// Serves the time ops by the clock page and drops the I/O delay, each where the host's feature bits say so. The word
/// `no-kvmclock` on the command line leaves the time ops native.
///
/// Where the host speaks VMI beside KVM's own interface, it is asked to switch the machine off, and for the time of day
/// where there is no clock page. The word `no-vmi` on the command line has it not asked.
///
/// The features of its [`Offer`] are KVM's in the low 32 bits and VMI's above them.
#[derive(Clone, Copy, Debug)]
pub struct Kvm;

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

/// Returns what the host does beside KVM, by VMI calls.
fn vmi_features(offer: &Offer) -> VmiFeatures {
    VmiFeatures::from_bits_retain((offer.features >> 32) as u32)
}

// SAFETY: the time functions tell time and fall back to the table below; a delay is dropped where KVM says it may be;
// the machine is switched off by the host that offers it.
unsafe impl Backend for Kvm {
    fn name(&self) -> &'static str {
        "kvm"
    }

    fn probe(&self, cpuid: &Cpuid<'_>) -> Result<Offer, &'static str> {
        let found = probe::probe(cpuid).ok_or("no KVM signature in CPUID")?;
        let vmi = Announced::detect(cpuid).map_or(VmiFeatures::empty(), Announced::features);
        Ok(Offer {
            rank: Rank::HYPERVISOR,
            features: u64::from(vmi.bits()) << 32 | u64::from(found.features.bits()),
            hints: found.hints.bits().into(),
            base_leaf: found.interface.base,
        })
    }

    fn overrides(&self, offer: &Offer, command_line: CommandLine<'_>) -> Overrides {
        let has_clock = clock(offer).is_some() && !command_line.has(time::OFF);
        let vmi = if command_line.has(port_call::OFF) { VmiFeatures::empty() } else { vmi_features(offer) };
        Overrides {
            time: time::overrides(has_clock, vmi),
            io: io::overrides(features(offer)),
            power: power::overrides(vmi),
            ..Overrides::KEEP
        }
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
        if !vmi_features(offer).is_empty() {
            f.write_str(", vmi: ")?;
            bitflags::parser::to_writer(&vmi_features(offer), &mut *f)?;
        }
        Ok(())
    }

    unsafe fn enable(
        &self,
        offer: &Offer,
        platform: &dyn Platform,
        below: &'static Table,
    ) -> Result<(), EnableError> {
        enabled::set_below(below);
        if !CommandLine::new(platform.command_line()).has(port_call::OFF) {
            // SAFETY: ring 0 of the machine that was probed, by the caller's promise, and the platform's addresses are
            // those at which the hypervisor reaches memory; a static of one page lies in one piece.
            unsafe { port_call::own::open(platform) };
        }
        let Some((msrs, stability)) = clock(offer) else {
            return Ok(());
        };
        enabled::set_clock(msrs, platform.physical_address((&raw const wall_clock::PAGE).cast()));
        let address = platform.physical_address(pvclock::page_address());
        if CommandLine::new(platform.command_line()).has(time::OFF) {
            // SAFETY: the boot CPU in ring 0, by the caller's promise; the MSR was chosen by its feature bit.
            return unsafe { registration::clear_inherited(below, msrs, &BOOT) }
                .map_err(|_| EnableError::Refused(msrs.system_time));
        }
        // SAFETY: the boot CPU in ring 0, by the caller's promise; the MSR was chosen by its feature bit; the address
        // is the page's by the promise of `Platform`, and the page is a static.
        unsafe { registration::register(below, msrs, &BOOT, address, stability) }
    }

    unsafe fn clear_inherited(&self, offer: &Offer, table: &'static Table) {
        if let Some((msrs, _)) = clock(offer) {
            // SAFETY: the boot CPU in ring 0, by the caller's promise; the MSR was chosen by its feature bit. One that
            // faults holds no registration.
            let _ = unsafe { registration::clear_inherited(table, msrs, &BOOT) };
        }
    }

    unsafe fn disable(&self) {
        port_call::own::close();
        if let (Some(table), Some((msrs, _))) = (enabled::below(), enabled::clock()) {
            // SAFETY: the boot CPU in ring 0, where `enable` ran, by the caller's promise; the MSRs were chosen by
            // their feature bit.
            unsafe { registration::unregister(table, msrs, &BOOT) }
        }
    }
}
