//! The state of a guest beside its memory.

use kvm_bindings::{kvm_irqchip, kvm_pit_state2};
use serde::{Deserialize, Serialize};

use super::cpu::CpuState;
use crate::devices::{DevicesState, Name, Present};

/// The state of a guest beside its memory.
#[derive(Deserialize, Serialize)]
#[cfg_attr(test, derive(Default))]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    pub(crate) memory_bytes: u64,
    /// The names of the devices that were left out.
    pub(super) without: Vec<String>,
    pub(super) vm: VmState,
    pub(crate) cpus: Vec<CpuState>,
    pub(crate) devices: DevicesState,
    /// By CPU, where the batch is that it posts VMI calls in; 0 where it has none.
    pub(crate) posted: Vec<u64>,
}

/// The state of what all CPUs share in KVM.
#[derive(Deserialize, Serialize)]
#[cfg_attr(test, derive(Default))]
#[serde(deny_unknown_fields)]
pub(super) struct VmState {
    /// Both of the old interrupt controller, and the I/O APIC.
    pub(super) irqchips: [kvm_irqchip; 3],
    pub(super) pit: kvm_pit_state2,
    /// The guest's clock in nanoseconds, and when that was, in nanoseconds since 1970.
    pub(super) clock_ns: u64,
    pub(super) real_ns: u64,
}

impl State {
    /// Looks whether what it says fits together.
    ///
    /// # Errors
    ///
    /// Says what does not.
    pub(super) fn check(&self) -> Result<(), String> {
        self.present()?;
        let cpus = self.cpus.len();
        if self.posted.len() != cpus {
            return Err(format!(
                "its state is damaged: {} CPUs of {cpus} have posted batches",
                self.posted.len()
            ));
        }
        Ok(())
    }

    /// Returns which devices there are.
    ///
    /// # Errors
    ///
    /// Names one that there is not.
    pub(super) fn present(&self) -> Result<Present, String> {
        let mut present = Present::ALL;
        for name in &self.without {
            present.without(name.parse::<Name>().map_err(|error| error.to_string())?);
        }
        Ok(present)
    }
}
