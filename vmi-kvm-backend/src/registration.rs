//! Telling the host which page is a CPU's clock, and taking it back.

// UNSAFETY: writes MSRs that make the host write memory.
#![expect(unsafe_code)]

use vmi_abi::{EnableError, Fault, Table, cpu};

use crate::{
    insn,
    msr::{ClockMsrs, ENABLE, RESET},
    per_cpu::PerCpu,
    pvclock::{Source, Stability, Tries, nanoseconds},
};

/// Alignment of a clock page in bytes. Source: KVM documentation, "KVM-specific MSRs".
const ALIGN: u64 = 4;

/// Access to MSRs: the CPU's, or a test's.
pub(crate) trait Msrs {
    /// Reads an MSR.
    ///
    /// # Safety
    ///
    /// As [`insn::read_msr`].
    unsafe fn read(&self, msr: u32) -> Result<u64, Fault>;

    /// Writes an MSR.
    ///
    /// # Safety
    ///
    /// As [`insn::write_msr`].
    unsafe fn write(&self, msr: u32, value: u64) -> Result<(), Fault>;
}

impl Msrs for Table {
    unsafe fn read(&self, msr: u32) -> Result<u64, Fault> {
        // SAFETY: the caller ensures ring 0, and that the read has no unexpected effect.
        unsafe { insn::read_msr(self.get::<cpu::try_read_msr>(), msr) }
    }

    unsafe fn write(&self, msr: u32, value: u64) -> Result<(), Fault> {
        // SAFETY: the caller ensures ring 0, and that what the write does is expected.
        unsafe { insn::write_msr(self.get::<cpu::try_write_msr>(), msr, value) }
    }
}

/// Registers `cpu`'s page, at physical address `address`, in place of what firmware may have registered.
///
/// That the MSR took the value proves nothing: emulators take any value for any MSR. KVM fills the page before the
/// guest runs on, so a page that tells a time is the proof.
///
/// # Errors
///
/// When the address is misaligned, the MSR faults or the page stays without a time. Then nothing is registered.
///
/// # Safety
///
/// - Called in ring 0 on the CPU that `cpu` belongs to, and CPUID announces `msrs`.
/// - `address` is where the host finds `cpu.page`, as long as the page is registered.
pub(crate) unsafe fn register(
    msrs: &impl Msrs,
    clock: ClockMsrs,
    cpu: &PerCpu,
    address: u64,
    stability: Stability,
) -> Result<(), EnableError> {
    if !address.is_multiple_of(ALIGN) {
        return Err(EnableError::Misaligned(address, ALIGN));
    }
    let refused = |Fault| EnableError::Refused(clock.system_time);
    // SAFETY: ring 0 and an announced MSR, by the caller's promise; reading it has no effect.
    let inherited = unsafe { msrs.read(clock.system_time) }.map_err(refused)?;
    cpu.inherit(inherited);
    cpu.page.clear();
    // SAFETY: ring 0, an announced MSR, and the page's own address, by the caller's promise.
    unsafe { msrs.write(clock.system_time, address | ENABLE) }.map_err(refused)?;
    let filled = cpu.page.read(Tries::BOUNDED).and_then(|(info, tsc)| nanoseconds(&info, tsc));
    if filled.is_err() {
        // SAFETY: as above; the value takes the registration back.
        unsafe { msrs.write(clock.system_time, RESET) }.map_err(refused)?;
        return Err(EnableError::NotServed(address));
    }
    cpu.clock.start(stability);
    Ok(())
}

/// Takes back whatever is registered as `cpu`'s clock, by this library or by firmware, and stops its clock.
///
/// An MSR that faults is left: nothing can be registered with it.
///
/// # Safety
///
/// Called in ring 0 on the CPU that `cpu` belongs to, and CPUID announces `msrs`.
pub(crate) unsafe fn unregister(msrs: &impl Msrs, clock: ClockMsrs, cpu: &PerCpu) {
    cpu.clock.stop();
    // SAFETY: ring 0 and an announced MSR, by the caller's promise; the value makes the host write nothing.
    let _ = unsafe { msrs.write(clock.system_time, RESET) };
    // SAFETY: as above.
    let _ = unsafe { msrs.write(clock.wall_clock, RESET) };
}

/// Takes back what firmware registered as `cpu`'s clock, and remembers what it was.
///
/// # Errors
///
/// When the MSR faults.
///
/// # Safety
///
/// As [`unregister`].
pub(crate) unsafe fn clear_inherited(msrs: &impl Msrs, clock: ClockMsrs, cpu: &PerCpu) -> Result<(), Fault> {
    // SAFETY: ring 0 and an announced MSR, by the caller's promise; reading it has no effect.
    let inherited = unsafe { msrs.read(clock.system_time) }?;
    cpu.inherit(inherited);
    // SAFETY: as above; the value makes the host write nothing.
    unsafe { msrs.write(clock.system_time, RESET) }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeMap};

    use super::*;
    use crate::{Features, msr, pvclock::TimeInfo};

    const ADDRESS: u64 = 0x12_3440;
    const FIRMWARE: u64 = 0xf_0001;

    /// MSRs of a host, and what it puts into the page that is registered at [`ADDRESS`].
    struct Host<'a> {
        msrs: RefCell<BTreeMap<u32, u64>>,
        cpu: &'a PerCpu,
        fill: Option<TimeInfo>,
    }

    impl<'a> Host<'a> {
        /// A host with KVM's clock at `clock`'s MSRs, which firmware used.
        fn kvm(cpu: &'a PerCpu, clock: ClockMsrs) -> Self {
            let page =
                TimeInfo { version: 4, tsc_to_system_mul: 1 << 31, tsc_shift: 1, ..TimeInfo::default() };
            let msrs = BTreeMap::from([(clock.system_time, FIRMWARE), (clock.wall_clock, 0xf_0040)]);
            Self { msrs: RefCell::new(msrs), cpu, fill: Some(page) }
        }

        fn value(&self, msr: u32) -> u64 {
            self.msrs.borrow()[&msr]
        }
    }

    impl Msrs for Host<'_> {
        unsafe fn read(&self, msr: u32) -> Result<u64, Fault> {
            self.msrs.borrow().get(&msr).copied().ok_or(Fault)
        }

        unsafe fn write(&self, msr: u32, value: u64) -> Result<(), Fault> {
            *self.msrs.borrow_mut().get_mut(&msr).ok_or(Fault)? = value;
            if let (Some(page), true) = (self.fill, value == ADDRESS | ENABLE) {
                self.cpu.page.store(&page);
            }
            Ok(())
        }
    }

    fn register_on(host: &Host<'_>, clock: ClockMsrs, address: u64) -> Result<(), EnableError> {
        // SAFETY: the MSRs are a map, and the page is written by this thread.
        unsafe { register(host, clock, host.cpu, address, Stability::Announced) }
    }

    #[test]
    fn a_page_is_registered_and_what_firmware_had_is_remembered() {
        for clock in [ClockMsrs::NEW, ClockMsrs::LEGACY] {
            let cpu = PerCpu::new();
            let host = Host::kvm(&cpu, clock);
            assert_eq!(register_on(&host, clock, ADDRESS), Ok(()));
            assert_eq!(host.value(clock.system_time), ADDRESS | 1);
            assert_eq!(cpu.inherited(), FIRMWARE);
            assert!(cpu.clock.is_started());
        }
    }

    #[test]
    fn row_07_the_pair_is_chosen_by_bit_3_then_by_bit_0() {
        let both = Features::CLOCKSOURCE | Features::CLOCKSOURCE2;
        assert_eq!(ClockMsrs::choose(both), Some(ClockMsrs::NEW));
        assert_eq!(ClockMsrs::choose(Features::CLOCKSOURCE2), Some(ClockMsrs::NEW));
        assert_eq!(ClockMsrs::choose(Features::CLOCKSOURCE), Some(ClockMsrs::LEGACY));
        assert_eq!(ClockMsrs::choose(both.complement()), None);
        assert_eq!((ClockMsrs::NEW.system_time, ClockMsrs::NEW.wall_clock), (0x4b56_4d01, 0x4b56_4d00));
        assert_eq!((msr::SYSTEM_TIME, msr::WALL_CLOCK), (0x12, 0x11));
    }

    #[test]
    fn row_08_an_msr_that_does_not_fault_proves_nothing() {
        let cpu = PerCpu::new();
        // What a page of an earlier registration still holds is no proof either.
        cpu.page.store(&TimeInfo { version: 8, tsc_to_system_mul: 1, ..TimeInfo::default() });
        let emulator = Host { fill: None, ..Host::kvm(&cpu, ClockMsrs::NEW) };
        assert_eq!(register_on(&emulator, ClockMsrs::NEW, ADDRESS), Err(EnableError::NotServed(ADDRESS)));
        assert_eq!(emulator.value(msr::SYSTEM_TIME_NEW), 0, "nothing stays registered");
        assert!(!cpu.clock.is_started());
    }

    #[test]
    fn row_06_a_feature_bit_that_lies_is_an_error_not_a_fault() {
        let cpu = PerCpu::new();
        let host = Host::kvm(&cpu, ClockMsrs::LEGACY);
        assert_eq!(
            register_on(&host, ClockMsrs::NEW, ADDRESS),
            Err(EnableError::Refused(msr::SYSTEM_TIME_NEW))
        );
        assert!(!cpu.clock.is_started());
    }

    #[test]
    fn row_16_a_misaligned_page_is_refused_before_the_host_sees_it() {
        let cpu = PerCpu::new();
        let host = Host::kvm(&cpu, ClockMsrs::NEW);
        let address = ADDRESS + 2;
        assert_eq!(register_on(&host, ClockMsrs::NEW, address), Err(EnableError::Misaligned(address, 4)));
        assert_eq!(host.value(msr::SYSTEM_TIME_NEW), FIRMWARE);
    }

    #[test]
    fn what_a_restore_left_is_replaced() {
        let cpu = PerCpu::new();
        let host = Host::kvm(&cpu, ClockMsrs::NEW);
        register_on(&host, ClockMsrs::NEW, ADDRESS).unwrap();
        for left in [msr::RESET, 0x9000 | ENABLE, ADDRESS | ENABLE] {
            host.msrs.borrow_mut().insert(msr::SYSTEM_TIME_NEW, left);
            // SAFETY: the MSRs are a map.
            unsafe { unregister(&host, ClockMsrs::NEW, &cpu) };
            assert_eq!(register_on(&host, ClockMsrs::NEW, ADDRESS), Ok(()));
            assert_eq!(host.value(msr::SYSTEM_TIME_NEW), ADDRESS | ENABLE);
            assert!(cpu.clock.is_started());
        }
    }

    #[test]
    fn row_25_disable_leaves_no_registration_not_even_firmwares() {
        for clock in [ClockMsrs::NEW, ClockMsrs::LEGACY] {
            let cpu = PerCpu::new();
            let host = Host::kvm(&cpu, clock);
            register_on(&host, clock, ADDRESS).unwrap();
            // SAFETY: the MSRs are a map.
            unsafe { unregister(&host, clock, &cpu) };
            assert_eq!((host.value(clock.system_time), host.value(clock.wall_clock)), (0, 0));
            assert!(!cpu.clock.is_started());
        }
    }

    #[test]
    fn row_25_without_a_clock_of_our_own_firmwares_is_still_cleared() {
        let cpu = PerCpu::new();
        let host = Host::kvm(&cpu, ClockMsrs::NEW);
        // SAFETY: the MSRs are a map.
        assert_eq!(unsafe { clear_inherited(&host, ClockMsrs::NEW, &cpu) }, Ok(()));
        assert_eq!((host.value(msr::SYSTEM_TIME_NEW), cpu.inherited()), (0, FIRMWARE));
        assert!(!cpu.clock.is_started());
    }
}
