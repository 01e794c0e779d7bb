//! The ways to the hypervisor: instructions that it intercepts, and calls that are meant for it.

// UNSAFETY: executes privileged instructions and calls hypervisors.
#![expect(unsafe_code)]

use vmi_abi::{
    cpuid::CallOpcode,
    port_call::{CALLS_MAX, Features},
};
use vmi_host_backend::port_call::{Caller, Error};
use vmi_kvm_backend::hypercall::{Hypercall, Number, VapicPollIrq};

use super::{Benchmark, Phase, operands::SCRATCH, repeat::repeat};
use crate::kernel::{
    command::BACKENDS,
    insn::{bare, hypercall, keep::keep},
    platform::{PLATFORM, machine},
    port_calls,
};

/// What is no site is the same in all phases.
const ONCE: &[Phase] = &[Phase::After];

pub const ALL: &[&[Benchmark]] = &[&[
    site("exit::hypercall", hypercall_by_library).in_phases(ONCE).unless(no_kvm),
    bare("exit::hypercall", hypercall_bare).unless(no_kvm),
    site("exit::vmi_call", vmi_call).in_phases(ONCE).unless(no_vmi_host),
    site("exit::batch_1", batch::<1>).in_phases(ONCE).unless(no_vmi_host),
    site("exit::batch_16", batch::<16>).in_phases(ONCE).unless(no_vmi_host),
    site("exit::batch_512", batch::<CALLS_MAX>).in_phases(ONCE).unless(no_vmi_host),
    site("exit::doorbell", doorbell).in_phases(ONCE).unless(no_doorbell),
    site("exit::init", init).in_phases(ONCE).by_reason("cpuid"),
    site("exit::cpuid", cpuid),
    bare("exit::cpuid", cpuid_bare),
    site("exit::msr", msr),
    bare("exit::msr", msr_bare),
    site("exit::port_kernel", |turns| port(turns, PIC_MASK)),
    bare("exit::port_kernel", |turns| port_bare(turns, PIC_MASK)),
    site("exit::port_vmm", |turns| port(turns, SCRATCH)),
    bare("exit::port_vmm", |turns| port_bare(turns, SCRATCH)),
    bare("exit::mmio_kernel", |turns| memory(turns, APIC_VERSION)),
    bare("exit::mmio_vmm", |turns| memory(turns, HPET_CAPABILITIES)),
]];

const fn site(name: &'static str, run: fn(u64)) -> Benchmark {
    Benchmark::new(name, "site", "loop", run)
}

const fn bare(name: &'static str, run: fn(u64)) -> Benchmark {
    Benchmark::new(name, "bare", "loop", run).in_phases(ONCE)
}

/// IA32_EFER, which KVM lets no guest read by itself. Source: Intel SDM, Volume 4, "Architectural MSRs".
const EFER: u32 = 0xc000_0080;
/// The mask register of the first 8259, which is part of the kernel's interrupt controller under KVM. Source: 8259A
/// datasheet, "Operation Command Words".
const PIC_MASK: u16 = 0x21;
/// The local APIC's version register, which is only read. Source: Intel SDM, Volume 3, "Local APIC Register Address Map".
const APIC_VERSION: usize = 0xfee0_0030;
/// The capabilities register of the HPET, which is only read. Where there is none there is nothing else either, and all
/// bits read as one: the kernel has no device there in any case, and asks its VMM. Source: "IA-PC HPET Specification",
/// "Register Overview".
const HPET_CAPABILITIES: usize = 0xfed0_0000;

/// The second half of a life and the first half of the next: what CPUID costs in both.
fn init(turns: u64) {
    repeat(turns, (), |()| {
        // SAFETY: one CPU, and not in an interrupt.
        unsafe { vmi::teardown() }.expect("a life that ends");
        // SAFETY: one CPU, ring 0, and the handlers ask for landings.
        unsafe { vmi::init(PLATFORM.get(), BACKENDS) }.expect("a life that begins");
    });
}

fn cpuid(turns: u64) {
    repeat(turns, (0, 0), |(leaf, subleaf)| keep(vmi::cpu::cpuid(leaf, subleaf)));
}

fn cpuid_bare(turns: u64) {
    // SAFETY: reading the leaf changes nothing.
    repeat(turns, (0, 0), |(leaf, subleaf)| keep(unsafe { bare::cpu::cpuid(leaf, subleaf) }));
}

fn msr(turns: u64) {
    // SAFETY: every 64-bit CPU has the register, and reading it changes nothing.
    repeat(turns, EFER, |msr| keep(unsafe { vmi::cpu::read_msr(msr) }));
}

fn msr_bare(turns: u64) {
    // SAFETY: as above.
    repeat(turns, EFER, |msr| keep(unsafe { bare::cpu::read_msr(msr) }));
}

#[inline(always)]
fn port(turns: u64, port: u16) {
    // SAFETY: reading the ports above changes nothing.
    repeat(turns, port, |port| keep(unsafe { vmi::io::in8(port) }));
}

#[inline(always)]
fn port_bare(turns: u64, port: u16) {
    // SAFETY: as above.
    repeat(turns, port, |port| keep(unsafe { bare::io::in8(port) }));
}

/// Reads a device register in memory.
#[inline(always)]
fn memory(turns: u64, address: usize) {
    let address = core::ptr::with_exposed_provenance::<u32>(address);
    // SAFETY: all below 4 GiB is mapped, and the registers above change nothing when they are read.
    repeat(turns, address, |address| keep(unsafe { address.read_volatile() }));
}

fn kvm() -> Option<Hypercall> {
    Hypercall::detect(&machine())
}

fn no_kvm() -> Option<&'static str> {
    kvm().is_none().then_some("CPUID announces no KVM")
}

/// Asks KVM to look at pending interrupts, of which there are none: the one call that every KVM serves, whatever its
/// features, and that changes nothing.
fn hypercall_by_library(turns: u64) {
    let poll = kvm().and_then(Hypercall::grant::<VapicPollIrq>).expect("a call that needs no feature");
    // SAFETY: ring 0, on the KVM that CPUID announces.
    repeat(turns, (), |()| keep(unsafe { poll.call([]) } as u64));
}

fn hypercall_bare(turns: u64) {
    const NUMBER: u64 = Number::VAPIC_POLL_IRQ.0;
    // SAFETY: as above, and the vendor's instruction.
    let by_vmcall = |()| keep(unsafe { hypercall::vmcall(NUMBER) } as u64);
    // SAFETY: as above.
    let by_vmmcall = |()| keep(unsafe { hypercall::vmmcall(NUMBER) } as u64);
    match kvm().map(Hypercall::opcode) {
        Some(CallOpcode::Vmcall) => repeat(turns, (), by_vmcall),
        Some(CallOpcode::Vmmcall) => repeat(turns, (), by_vmmcall),
        None => {}
    }
}

fn no_vmi_host() -> Option<&'static str> {
    port_calls::host().is_none().then_some("CPUID announces no VMI host")
}

fn no_doorbell() -> Option<&'static str> {
    no_vmi_host().or_else(|| {
        let rings = port_calls::host().is_some_and(|host| host.features().contains(Features::DOORBELL));
        (!rings).then_some("the VMI host announces no doorbell")
    })
}

/// Has something done by the VMI host.
///
/// # Panics
///
/// When the host fails: its refusals are not what is measured.
#[inline(always)]
fn by_host(turns: u64, turn: impl Fn(&Caller) -> Result<(), Error>) {
    let host = port_calls::host().expect("a VMI host");
    repeat(turns, &host, |host| turn(host).expect("an answer of the VMI host"));
}

/// The time of day: a call that changes nothing, however often it is made.
fn vmi_call(turns: u64) {
    by_host(turns, |host| host.wall_clock_ns().map(keep));
}

/// As many calls at once, put together, made, and each answer read.
fn batch<const CALLS: usize>(turns: u64) {
    by_host(turns, |host| {
        let mut batch = host.batch()?;
        for _ in 0..CALLS {
            batch.wall_clock()?;
        }
        batch.send()?.iter().try_for_each(|answer| answer.map(keep))
    });
}

fn doorbell(turns: u64) {
    by_host(turns, |host| host.ring());
}
