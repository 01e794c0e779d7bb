//! What all CPUs share in KVM: interrupt controllers, timer, clock.

use kvm_bindings::{
    KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, kvm_clock_data, kvm_irqchip,
};
use kvm_ioctls::VmFd;

use super::clock;
use super::state::VmState;
use crate::error::{Error, Result};

impl VmState {
    /// Takes the state of a guest that stands still.
    ///
    /// # Errors
    ///
    /// Fails where KVM does.
    pub(super) fn take(vm: &VmFd) -> Result<Self> {
        let real_ns = clock::real_ns();
        let clock_ns = vm.get_clock().map_err(Error::kvm("tell the guest's clock"))?.clock;
        let mut irqchips = [KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KVM_IRQCHIP_IOAPIC]
            .map(|chip_id| kvm_irqchip { chip_id, ..Default::default() });
        for chip in &mut irqchips {
            vm.get_irqchip(chip).map_err(Error::kvm("tell the state of an interrupt controller"))?;
        }
        let pit = vm.get_pit2().map_err(Error::kvm("tell the state of the timer"))?;
        Ok(Self { irqchips, pit, clock_ns, real_ns })
    }

    /// Has a machine whose CPUs have their state go on, by so much time.
    ///
    /// # Errors
    ///
    /// Fails where KVM does.
    pub(super) fn put(&self, vm: &VmFd, away_ns: u64) -> Result<()> {
        for chip in &self.irqchips {
            vm.set_irqchip(chip).map_err(Error::kvm("take the state of an interrupt controller"))?;
        }
        vm.set_pit2(&self.pit).map_err(Error::kvm("take the state of the timer"))?;
        let clock = kvm_clock_data { clock: self.clock_ns.saturating_add(away_ns), ..Default::default() };
        vm.set_clock(&clock).map_err(Error::kvm("set the guest's clock"))
    }
}
