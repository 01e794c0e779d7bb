//! Model-specific registers that are not what KVM makes of them.

use std::str::FromStr;

use kvm_bindings::{KVM_MSR_EXIT_REASON_FILTER, kvm_enable_cap, kvm_msr_entry};
use kvm_ioctls::{Cap, MsrFilterDefaultAction, MsrFilterRange, MsrFilterRangeFlags, VcpuFd, VmFd};

use super::value::{Bits, number32};
use crate::error::{Error, Result};

/// The most registers that can be taken over. Source: KVM API, "KVM_X86_SET_MSR_FILTER".
const MOST: usize = 16;

/// A register that is overridden: `MSR=VALUE[/MASK]`, or `MSR=fault` for one whose accesses fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MsrRule {
    index: u32,
    /// What it holds; none where an access faults.
    bits: Option<Bits>,
}

impl FromStr for MsrRule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let form = || Error::Option(format!("`{text}` is not of the form MSR=VALUE[/MASK] or MSR=fault"));
        let (index, bits) = text.split_once('=').ok_or_else(form)?;
        let bits = if bits == "fault" { None } else { Some(bits.parse()?) };
        Ok(Self { index: number32(index)?, bits })
    }
}

/// The registers whose accesses come to this program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Msrs {
    rules: Vec<MsrRule>,
}

/// What an access does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum MsrAction {
    /// It faults.
    Fault,
    /// It succeeds: a read with this value.
    Done(u64),
}

impl Msrs {
    /// Takes over the registers of the rules, and further ones.
    ///
    /// # Errors
    ///
    /// Fails where there are too many, or where KVM cannot give them away.
    pub(crate) fn take_over(vm: &VmFd, rules: &[MsrRule], further: &[u32]) -> Result<Self> {
        let mut indices: Vec<u32> =
            rules.iter().map(|rule| rule.index).chain(further.iter().copied()).collect();
        indices.sort_unstable();
        indices.dedup();
        if indices.is_empty() {
            return Ok(Self::default());
        }
        if indices.len() > MOST {
            return Err(Error::Option(format!(
                "{} registers are to be overridden, and KVM takes {MOST}",
                indices.len()
            )));
        }
        if !vm.check_extension(Cap::X86UserSpaceMsr) || !vm.check_extension(Cap::X86MsrFilter) {
            return Err(Error::KvmLacks("registers served by its user (KVM_CAP_X86_MSR_FILTER)"));
        }
        let mut reasons = kvm_enable_cap { cap: Cap::X86UserSpaceMsr as u32, ..Default::default() };
        reasons.args[0] = u64::from(KVM_MSR_EXIT_REASON_FILTER);
        vm.enable_cap(&reasons).map_err(Error::kvm("pass on accesses of registers"))?;
        // A bit that is 0 denies, which is what passes an access on.
        let filters: Vec<MsrFilterRange<'_>> = indices
            .iter()
            .map(|index| MsrFilterRange {
                flags: MsrFilterRangeFlags::READ | MsrFilterRangeFlags::WRITE,
                base: *index,
                msr_count: 1,
                bitmap: &[0],
            })
            .collect();
        vm.set_msr_filter(MsrFilterDefaultAction::ALLOW, &filters).map_err(Error::kvm("filter registers"))?;
        Ok(Self { rules: rules.to_vec() })
    }

    /// Serves a read.
    pub(crate) fn read(&self, fd: &VcpuFd, index: u32) -> MsrAction {
        match self.rule(index) {
            Some(MsrRule { bits: None, .. }) => MsrAction::Fault,
            Some(MsrRule { bits: Some(bits), .. }) => MsrAction::Done(bits.over(get(fd, index).unwrap_or(0))),
            None => get(fd, index).map_or(MsrAction::Fault, MsrAction::Done),
        }
    }

    /// Serves a write: the bits that are overridden stay what they are.
    pub(crate) fn write(&self, fd: &VcpuFd, index: u32, value: u64) -> MsrAction {
        match self.rule(index) {
            Some(MsrRule { bits: None, .. }) => MsrAction::Fault,
            Some(MsrRule { bits: Some(bits), .. }) => {
                // A register that KVM does not have exists by the rule alone.
                set(fd, index, bits.over(value));
                MsrAction::Done(0)
            }
            None if set(fd, index, value) => MsrAction::Done(0),
            None => MsrAction::Fault,
        }
    }

    fn rule(&self, index: u32) -> Option<&MsrRule> {
        self.rules.iter().find(|rule| rule.index == index)
    }
}

/// Reads a register as KVM has it; none where it has no such register.
pub(super) fn get(fd: &VcpuFd, index: u32) -> Option<u64> {
    let entries = [kvm_msr_entry { index, ..Default::default() }];
    let mut msrs = kvm_bindings::Msrs::from_entries(&entries).ok()?;
    (fd.get_msrs(&mut msrs).ok()? == 1).then(|| msrs.as_slice()[0].data)
}

/// Writes a register as the guest would; tells whether KVM took it.
pub(super) fn set(fd: &VcpuFd, index: u32, data: u64) -> bool {
    let entries = [kvm_msr_entry { index, data, ..Default::default() }];
    kvm_bindings::Msrs::from_entries(&entries).is_ok_and(|msrs| fd.set_msrs(&msrs).is_ok_and(|set| set == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_or_refused() {
        let rule: MsrRule = "0x4b564d01=fault".parse().unwrap();
        assert_eq!((rule.index, rule.bits), (0x4b56_4d01, None));
        let rule: MsrRule = "0x10=1/3".parse().unwrap();
        assert_eq!(rule.bits.map(|bits| bits.over(0xff)), Some(0xfd));
        for text in ["", "1", "1=", "x=1", "0x100000000=1"] {
            assert!(text.parse::<MsrRule>().is_err(), "{text}");
        }
    }
}
