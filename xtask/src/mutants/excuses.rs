//! Mutants that no test in user space can notice, and why.

use super::outcomes::Survivor;

/// Functions of a file whose mutants may survive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Excuse {
    pub(super) package: &'static str,
    /// The path of the file in the workspace.
    pub(super) file: &'static str,
    /// Their names, with the type or trait that they are of, as cargo-mutants gives them; constants have none.
    pub(super) functions: &'static [&'static str],
    pub(super) reason: &'static str,
}

const SAME: &str = "the change comes to the same";
const RING_0: &str = "needs ring 0: the image's checks";

/// All of them.
pub(super) const EXCUSES: &[Excuse] = &[
    Excuse {
        package: "vmi-abi",
        file: "vmi-abi/src/port_call/number.rs",
        functions: &["Number::vendor"],
        reason: SAME,
    },
    Excuse { package: "vmi-abi", file: "vmi-abi/src/table.rs", functions: &[""], reason: SAME },
    Excuse {
        package: "vmi-abi",
        file: "vmi-abi/src/value.rs",
        functions: &["<impl Value for CpuidResult>::to_bits"],
        reason: SAME,
    },
    Excuse {
        package: "vmi-host-backend",
        file: "vmi-host-backend/src/port_call/batch.rs",
        functions: &["Batch<'a>::send_in_parts"],
        reason: SAME,
    },
    Excuse {
        package: "vmi-host-backend",
        file: "vmi-host-backend/src/port_call/block.rs",
        functions: &["View::put_header"],
        reason: "the order of two stores, which only a host that reads meanwhile sees",
    },
    Excuse {
        package: "vmi-host-backend",
        file: "vmi-host-backend/src/time.rs",
        functions: &["wall_clock"],
        reason: RING_0,
    },
    Excuse {
        package: "vmi-kvm-backend",
        file: "vmi-kvm-backend/src/hypercall/stub.rs",
        functions: &["choose"],
        reason: RING_0,
    },
    Excuse {
        package: "vmi-kvm-backend",
        file: "vmi-kvm-backend/src/insn.rs",
        functions: &["cycles"],
        reason: SAME,
    },
    Excuse {
        package: "vmi-kvm-backend",
        file: "vmi-kvm-backend/src/pvclock/page.rs",
        functions: &["Source::read"],
        reason: SAME,
    },
    Excuse {
        package: "vmi-native",
        file: "vmi-native/src/apic.rs",
        functions: &["", "msr", "place", "once_found"],
        reason: RING_0,
    },
    Excuse {
        package: "vmi-native",
        file: "vmi-native/src/bottom.rs",
        functions: &["<impl Bottom for BareMetal>::mask"],
        reason: RING_0,
    },
    Excuse {
        package: "vmi-native",
        file: "vmi-native/src/insn.rs",
        functions: &["fence_for_msr"],
        reason: RING_0,
    },
    Excuse { package: "vmi-native", file: "vmi-native/src/irq.rs", functions: &["wait"], reason: RING_0 },
    Excuse {
        package: "vmi-native",
        file: "vmi-native/src/mmu.rs",
        functions: &["flush_global", "has_invpcid"],
        reason: RING_0,
    },
    Excuse {
        package: "vmi-native",
        file: "vmi-native/src/power.rs",
        functions: &[
            "",
            "shutdown",
            "reboot",
            "enter_acpi_mode",
            "keyboard_is_ready",
            "settle",
            "wait_for_power_off",
        ],
        reason: RING_0,
    },
    Excuse {
        package: "vmi-native",
        file: "vmi-native/src/time.rs",
        functions: &["find_frequency", "wall_clock"],
        reason: RING_0,
    },
    Excuse {
        package: "vmi-native",
        file: "vmi-native/src/time/pit.rs",
        functions: &["Pit::start", "<impl Drop for Pit>::drop", "<impl Reference for Pit>::sample", "read"],
        reason: RING_0,
    },
    Excuse {
        package: "vmi-native",
        file: "vmi-native/src/time/pm_timer.rs",
        functions: &["<impl Reference for PmTimer>::sample"],
        reason: RING_0,
    },
    Excuse {
        package: "vmi-native",
        file: "vmi-native/src/time/rtc.rs",
        functions: &["read"],
        reason: RING_0,
    },
];

impl Excuse {
    /// Tells whether it is for this mutant.
    pub(super) fn is_for(&self, survivor: &Survivor) -> bool {
        self.file == survivor.file && self.functions.contains(&survivor.function.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::PACKAGES;
    use super::*;
    use crate::workspace;

    #[test]
    fn excuses_are_for_files_that_there_are() {
        for Excuse { package, file, .. } in EXCUSES {
            assert!(PACKAGES.contains(package), "{package}");
            assert!(workspace::root().join(file).is_file(), "{file}");
        }
    }
}
