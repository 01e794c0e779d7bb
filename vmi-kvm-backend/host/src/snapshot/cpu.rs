//! A CPU's state in KVM.

// UNSAFETY: gives KVM a CPU's extended state, whose length KVM knows by itself.
#![expect(unsafe_code)]

use kvm_bindings::{
    CpuId, KVM_MAX_MSR_ENTRIES, Msrs, kvm_cpuid_entry2, kvm_debugregs, kvm_lapic_state, kvm_mp_state,
    kvm_msr_entry, kvm_regs, kvm_sregs, kvm_vcpu_events, kvm_xcrs, kvm_xsave,
};
use kvm_ioctls::VcpuFd;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The time-stamp counter, and its deadline, which is taken once the counter is right.
const TSC: u32 = 0x10;
const TSC_DEADLINE: u32 = 0x6e0;
/// Registers that are not for a snapshot. KVM writes the wall clock's page when its register is written, and only then: by
/// now the guest may have that memory for something else. The old number of the clock's register is another name of the
/// new. Source: KVM documentation, "KVM-specific MSRs".
const LEFT_OUT: [u32; 3] = [0x11, 0x4b56_4d00, 0x12];
/// Where CPUs are that run guests of their own. Source: AMD64 APM volume 2, "EFER"; Intel SDM volume 3A, "CR4".
const EFER_SVME: u64 = 1 << 12;
const CR4_VMXE: u64 = 1 << 13;

/// A CPU's state.
#[derive(Deserialize, Serialize)]
#[cfg_attr(test, derive(Default))]
#[serde(deny_unknown_fields)]
pub(crate) struct CpuState {
    pub(crate) leaves: Vec<kvm_cpuid_entry2>,
    /// The frequency and the value of the time-stamp counter.
    pub(super) counter_khz: u32,
    pub(super) counter: u64,
    general: kvm_regs,
    system: kvm_sregs,
    xsave: kvm_xsave,
    xcrs: kvm_xcrs,
    debug: kvm_debugregs,
    lapic: kvm_lapic_state,
    activity: kvm_mp_state,
    events: kvm_vcpu_events,
    /// Model-specific registers by their numbers, without the counter.
    registers: Vec<(u32, u64)>,
}

impl CpuState {
    /// Takes the state of a CPU that is parked, with the leaves that it was given and the registers of these numbers.
    ///
    /// # Errors
    ///
    /// Fails where KVM does, and where the CPU may run guests of its own, of which KVM keeps more state.
    pub(super) fn take(cpu: &VcpuFd, leaves: &[kvm_cpuid_entry2], indices: &[u32]) -> Result<Self> {
        // First, because KVM takes in start-up interrupts that wait, which changes the rest.
        let activity = cpu.get_mp_state().map_err(Error::kvm("tell the activity of a CPU"))?;
        let system = cpu.get_sregs().map_err(Error::kvm("tell the registers of a CPU"))?;
        if system.efer & EFER_SVME != 0 || system.cr4 & CR4_VMXE != 0 {
            return Err(Error::Option(
                "the guest can run guests of its own, which a snapshot does not hold".to_owned(),
            ));
        }
        let mut registers = read(cpu, indices)?;
        let counter = registers.iter().position(|(index, _)| *index == TSC).map(|at| registers.remove(at).1);
        Ok(Self {
            leaves: leaves.to_vec(),
            counter_khz: cpu.get_tsc_khz().map_err(Error::kvm("tell the frequency of a counter"))?,
            counter: counter.unwrap_or(0),
            general: cpu.get_regs().map_err(Error::kvm("tell the registers of a CPU"))?,
            system,
            xsave: cpu.get_xsave().map_err(Error::kvm("tell the extended state of a CPU"))?,
            xcrs: cpu.get_xcrs().map_err(Error::kvm("tell the extended control registers of a CPU"))?,
            debug: cpu.get_debug_regs().map_err(Error::kvm("tell the debug registers of a CPU"))?,
            lapic: cpu.get_lapic().map_err(Error::kvm("tell the state of a local interrupt controller"))?,
            activity,
            events: cpu.get_vcpu_events().map_err(Error::kvm("tell the events that wait for a CPU"))?,
            registers,
        })
    }

    /// Gives a new CPU the state.
    ///
    /// # Errors
    ///
    /// Fails where KVM does, or does not take the value of a register, or lacks the counter's frequency.
    pub(super) fn put(&self, cpu: &VcpuFd) -> Result<()> {
        let leaves = CpuId::from_entries(&self.leaves).map_err(|_| {
            Error::Option(format!("{} CPUID leaves are more than KVM takes", self.leaves.len()))
        })?;
        cpu.set_cpuid2(&leaves).map_err(Error::kvm("set the CPUID leaves"))?;
        let khz = cpu.get_tsc_khz().map_err(Error::kvm("tell the frequency of a counter"))?;
        if khz != self.counter_khz {
            cpu.set_tsc_khz(self.counter_khz).map_err(Error::kvm("count at the snapshot's frequency"))?;
        }
        cpu.set_sregs(&self.system).map_err(Error::kvm("set the registers of a CPU"))?;
        cpu.set_regs(&self.general).map_err(Error::kvm("set the registers of a CPU"))?;
        cpu.set_xcrs(&self.xcrs).map_err(Error::kvm("set the extended control registers of a CPU"))?;
        // SAFETY: KVM reads as many bytes as the largest extended state of a guest has, which is that of `kvm_xsave`
        // unless a process asks for features that enlarge it; this one never does.
        unsafe { cpu.set_xsave(&self.xsave) }.map_err(Error::kvm("set the extended state of a CPU"))?;
        cpu.set_debug_regs(&self.debug).map_err(Error::kvm("set the debug registers of a CPU"))?;
        // Behind the system registers, which say where it is.
        cpu.set_lapic(&self.lapic).map_err(Error::kvm("set the state of a local interrupt controller"))?;
        write(cpu, &[(TSC, self.counter)])?;
        let (deadline, others): (Vec<_>, Vec<_>) =
            self.registers.iter().partition(|(index, _)| *index == TSC_DEADLINE);
        write_changed(cpu, &others)?;
        write_changed(cpu, &deadline)?;
        cpu.set_mp_state(self.activity).map_err(Error::kvm("set the activity of a CPU"))?;
        cpu.set_vcpu_events(&self.events).map_err(Error::kvm("set the events that wait for a CPU"))
    }
}

/// Reads registers, but those that the CPU does not have.
fn read(cpu: &VcpuFd, indices: &[u32]) -> Result<Vec<(u32, u64)>> {
    let indices: Vec<u32> = indices.iter().copied().filter(|index| !LEFT_OUT.contains(index)).collect();
    let mut registers = Vec::with_capacity(indices.len());
    let mut left = &indices[..];
    while !left.is_empty() {
        let asked = &left[..left.len().min(KVM_MAX_MSR_ENTRIES)];
        let entries: Vec<kvm_msr_entry> =
            asked.iter().map(|index| kvm_msr_entry { index: *index, ..Default::default() }).collect();
        // So many fit.
        let Ok(mut entries) = Msrs::from_entries(&entries) else { break };
        let read = cpu.get_msrs(&mut entries).map_err(Error::kvm("tell model-specific registers"))?;
        registers.extend(entries.as_slice()[..read].iter().map(|entry| (entry.index, entry.data)));
        // KVM stops at the first that it does not have.
        left = &left[if read < asked.len() { read + 1 } else { read }..];
    }
    Ok(registers)
}

/// Writes those registers that have another value, or that there are not.
fn write_changed(cpu: &VcpuFd, registers: &[(u32, u64)]) -> Result<()> {
    let indices: Vec<u32> = registers.iter().map(|(index, _)| *index).collect();
    let now = read(cpu, &indices)?;
    let changed: Vec<_> = registers.iter().copied().filter(|register| !now.contains(register)).collect();
    write(cpu, &changed)
}

fn write(cpu: &VcpuFd, registers: &[(u32, u64)]) -> Result<()> {
    for some in registers.chunks(KVM_MAX_MSR_ENTRIES) {
        let entries: Vec<kvm_msr_entry> = some
            .iter()
            .map(|(index, data)| kvm_msr_entry { index: *index, data: *data, ..Default::default() })
            .collect();
        // So many fit.
        let Ok(entries) = Msrs::from_entries(&entries) else { break };
        let written = cpu.set_msrs(&entries).map_err(Error::kvm("set model-specific registers"))?;
        if let Some((index, value)) = some.get(written) {
            return Err(Error::Option(format!(
                "this machine's KVM does not take the value {value:#x} of the model-specific register {index:#x}"
            )));
        }
    }
    Ok(())
}
