//! The hosts the image runs on: each with its whole recipe, here and nowhere else.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, anyhow};

/// Where the recipe's virtual machine monitor runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// On this machine.
    Here,
    /// In the rig: under a stock Linux KVM, itself on an emulated CPU with SVM.
    Rig,
    /// Under the Xen hypervisor as its dom0, itself on an emulated CPU with SVM.
    Xen,
}

/// The virtual machine monitor of the recipe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Vmm {
    /// QEMU.
    Qemu,
    /// Our own, which has one machine.
    VmiRun,
}

/// Something that runs the image, and how.
#[derive(Debug)]
pub(crate) struct Host {
    /// What the user calls it.
    pub(crate) name: &'static str,
    /// What it is, in a few words.
    pub(crate) about: &'static str,
    /// Where its virtual machine monitor runs.
    pub(crate) place: Place,
    /// Which that is.
    pub(crate) vmm: Vmm,
    /// QEMU's `-accel`.
    pub(crate) accelerator: &'static str,
    /// QEMU's `-cpu`.
    pub(crate) cpu: &'static str,
    /// The machine used where none is asked for; the hosts differ, so that a full run sees more than one.
    pub(crate) machine: Machine,
    /// How long a boot may take where nothing else is asked for.
    pub(crate) limit: Duration,
    /// Whether a host that does not answer is skipped (aloud) instead of failing.
    pub(crate) extra: bool,
}

/// All hosts, in the order in which they are shown.
pub(crate) static HOSTS: [Host; 7] = [
    Host {
        name: "bare",
        about: "looks like hardware: no hypervisor bit, no hypervisor leaves",
        place: Place::Here,
        vmm: Vmm::Qemu,
        accelerator: "tcg",
        cpu: "max,tcg-cpuid=off,-hypervisor",
        machine: Machine::Q35,
        limit: Duration::from_secs(30),
        extra: false,
    },
    Host {
        name: "tcg",
        about: "QEMU's emulated CPU, which says so",
        place: Place::Here,
        vmm: Vmm::Qemu,
        accelerator: "tcg",
        cpu: "max",
        machine: Machine::Pc,
        limit: Duration::from_secs(30),
        extra: false,
    },
    Host {
        name: "kvm",
        about: "stock Linux KVM, on an emulated CPU with SVM",
        place: Place::Rig,
        vmm: Vmm::Qemu,
        accelerator: "kvm",
        cpu: "host",
        machine: Machine::Q35,
        limit: Duration::from_secs(60),
        extra: false,
    },
    Host {
        name: "vmi",
        about: "our own vmi-run, on the KVM of `kvm`",
        place: Place::Rig,
        vmm: Vmm::VmiRun,
        accelerator: "kvm",
        cpu: "host",
        machine: Machine::Microvm,
        limit: Duration::from_secs(60),
        extra: false,
    },
    Host {
        name: "xen",
        about: "the Xen hypervisor, which has the image for its dom0",
        place: Place::Xen,
        vmm: Vmm::Qemu,
        accelerator: "tcg",
        cpu: "max,+svm",
        machine: Machine::Q35,
        limit: Duration::from_secs(60),
        extra: false,
    },
    Host {
        name: "kvm-local",
        about: "this machine's own /dev/kvm, where there is a usable one",
        place: Place::Here,
        vmm: Vmm::Qemu,
        accelerator: "kvm",
        cpu: "host",
        machine: Machine::Q35,
        limit: Duration::from_secs(30),
        extra: true,
    },
    Host {
        name: "vmi-local",
        about: "our own vmi-run, on this machine's /dev/kvm",
        place: Place::Here,
        vmm: Vmm::VmiRun,
        accelerator: "kvm",
        cpu: "host",
        machine: Machine::Microvm,
        limit: Duration::from_secs(30),
        extra: true,
    },
];

impl Host {
    /// Finds the host of that name.
    ///
    /// # Errors
    ///
    /// Names the hosts that exist.
    pub(crate) fn named(name: &str) -> Result<&'static Self> {
        let known = || HOSTS.iter().map(|host| host.name).collect::<Vec<_>>().join(", ");
        let found = HOSTS.iter().find(|host| host.name == name);
        found.ok_or_else(|| anyhow!("there is no host `{name}`; the hosts are {}", known()))
    }

    /// Says why a host that is only an extra is not there, if it is plain to see.
    pub(crate) fn missing(&self) -> Option<String> {
        if !self.extra {
            return None;
        }
        if let Err(error) = OpenOptions::new().read(true).write(true).open("/dev/kvm") {
            return Some(format!("/dev/kvm cannot be opened: {error}"));
        }
        let no_virtualization = "the CPU has no hardware virtualization: this KVM is a partial emulation";
        (!has_virtualization()).then(|| no_virtualization.to_owned())
    }

    /// Returns the machines that it can be.
    pub(crate) fn machines(&self) -> &[Machine] {
        // An IOMMU, without which Xen starts no such dom0, is there on one.
        let has_choice = self.vmm == Vmm::Qemu && self.place != Place::Xen;
        if has_choice { &Machine::ALL } else { std::slice::from_ref(&self.machine) }
    }

    /// Says why instructions cannot be counted on the host, if they cannot: only an emulated CPU counts them.
    pub(crate) fn cannot_count(&self) -> Option<String> {
        if self.place == Place::Xen {
            return Some(
                "natively it would be the same as on `bare`, and Xen's part of it is not ours".to_owned(),
            );
        }
        let counts = self.place == Place::Rig || self.accelerator == "tcg";
        let real = "a real CPU does not count instructions for its guests; `cargo bench` times them";
        if counts { None } else { self.missing().or_else(|| Some(real.to_owned())) }
    }

    /// Returns the hosts that every full run must pass.
    pub(crate) fn gates() -> impl Iterator<Item = &'static Self> {
        HOSTS.iter().filter(|host| !host.extra)
    }

    /// Returns the hosts that the benchmarks measure where none is asked for.
    pub(crate) fn measured() -> impl Iterator<Item = &'static Self> {
        Self::gates().filter(|host| host.place != Place::Xen)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

/// Tells whether the CPU has VMX or SVM. A `/dev/kvm` without either interprets guests, and not all that they do.
fn has_virtualization() -> bool {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    cpu.split_ascii_whitespace().any(|flag| flag == "vmx" || flag == "svm")
}

/// A machine that QEMU emulates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Machine {
    /// i440FX and PIIX.
    Pc,
    /// Q35 and ICH9.
    Q35,
    /// Virtio by memory-mapped I/O, without PCI.
    Microvm,
}

impl Machine {
    /// All machines.
    pub(crate) const ALL: [Self; 3] = [Self::Pc, Self::Q35, Self::Microvm];

    /// Returns QEMU's name of the machine.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pc => "pc",
            Self::Q35 => "q35",
            Self::Microvm => "microvm",
        }
    }

    /// Returns the firmware files that QEMU needs to start an image directly on the machine.
    pub(crate) fn firmware(self) -> &'static [&'static str] {
        match self {
            Self::Pc | Self::Q35 => &["bios-256k.bin", "pvh.bin", "kvmvapic.bin"],
            Self::Microvm => &["bios-microvm.bin", "qboot.rom", "pvh.bin"],
        }
    }
}

impl FromStr for Machine {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|machine| machine.name() == name);
        found.ok_or_else(|| anyhow!("there is no machine `{name}`; the machines are {}", known()))
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
