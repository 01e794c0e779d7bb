//! Steal time that nobody stole.

use std::str::FromStr;
use std::time::Duration;

use kvm_ioctls::VcpuFd;

use super::msr;
use super::value::number;
use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::port_call::GuestRam;

/// Where the guest registers the page. Source: KVM documentation, "KVM-specific MSRs", `MSR_KVM_STEAL_TIME`.
const MSR: u32 = 0x4b56_4d03;
const ENABLED: u64 = 1;
const ADDRESS: u64 = !0x3f;
/// `kvm_steal_time`: nanoseconds, then the version, which is odd while the page is written.
const VERSION: u64 = 8;

/// Steal time that is added at every mark, to the CPU that sets it: milliseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Steal(pub(crate) Duration);

impl FromStr for Steal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(Self(Duration::from_millis(number(text)?)))
    }
}

/// Adds to the steal time of the CPU, if the guest has registered a page for it. To be called on the CPU's thread: KVM
/// writes the page only while that thread enters or leaves the guest.
pub(crate) fn add_steal_time(fd: &VcpuFd, memory: &Memory, time: Duration) {
    let Some(page) = msr::get(fd, MSR).filter(|page| page & ENABLED != 0).map(|page| page & ADDRESS) else {
        return;
    };
    let mut steal = [0; 8];
    let (Ok(version), Ok(())) = (memory.load(page + VERSION), memory.read(page, &mut steal)) else { return };
    let steal = u64::from_le_bytes(steal).wrapping_add(time.as_nanos() as u64);
    // A page that was memory a moment ago is memory still.
    let _ = memory.store(page + VERSION, version | 1);
    let _ = memory.write(page, &steal.to_le_bytes());
    let _ = memory.store(page + VERSION, (version | 1).wrapping_add(1));
}
