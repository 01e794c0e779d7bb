//! Which hypervisor a machine shows to its guest.

use std::str::FromStr;

use vmi_abi::port_call::Announcement;

use crate::cpuid::Leaves;
use crate::error::{Error, Result};

/// Which hypervisor a machine shows to its guest, by the leaves of CPUID.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Profile {
    /// KVM, and a host that speaks VMI beside it.
    #[default]
    Vmi,
    /// KVM alone, as most of its monitors have it.
    Kvm,
    /// None: the guest takes the machine for hardware.
    Bare,
}

impl Profile {
    /// All of them, with what an option calls them.
    pub const ALL: [(&'static str, Self); 3] = [("vmi", Self::Vmi), ("kvm", Self::Kvm), ("bare", Self::Bare)];

    /// Has the leaves, which are KVM's, show it.
    pub(crate) fn shape(self, leaves: &mut Leaves, vmi: &Announcement) {
        match self {
            Self::Vmi => leaves.announce(vmi),
            Self::Kvm => {}
            Self::Bare => leaves.hide_hypervisor(),
        }
    }
}

impl FromStr for Profile {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, profile)| profile);
        found.ok_or_else(|| {
            let known = Self::ALL.map(|(known, _)| known).join(", ");
            Error::Option(format!("there is no profile `{name}`; the profiles are {known}"))
        })
    }
}
