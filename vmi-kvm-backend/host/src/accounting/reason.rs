//! Why a CPU left the guest, in the words of its vendor.

/// Whose reasons they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Vendor {
    /// AMD's: AMD64 APM volume 2, "SVM Intercept Exit Codes".
    Amd,
    /// Intel's: Intel SDM volume 3D, "VMX Basic Exit Reasons".
    Intel,
}

const AMD: &[(u32, &str)] = &[
    (0x60, "interrupt"),
    (0x61, "nmi"),
    (0x62, "smi"),
    (0x64, "interrupt-window"),
    (0x65, "cr0-write"),
    (0x6e, "rdtsc"),
    (0x6f, "rdpmc"),
    (0x72, "cpuid"),
    (0x74, "iret"),
    (0x75, "int-n"),
    (0x76, "invd"),
    (0x77, "pause"),
    (0x78, "hlt"),
    (0x79, "invlpg"),
    (0x7b, "port"),
    (0x7c, "msr"),
    (0x7d, "task-switch"),
    (0x7f, "shutdown"),
    (0x80, "vmrun"),
    (0x81, "vmmcall"),
    (0x87, "rdtscp"),
    (0x89, "wbinvd"),
    (0x8a, "monitor"),
    (0x8b, "mwait"),
    (0x8d, "xsetbv"),
    (0x400, "nested-page-fault"),
    (0x401, "avic-incomplete-ipi"),
    (0x402, "avic-no-acceleration"),
];

const INTEL: &[(u32, &str)] = &[
    (0, "exception-or-nmi"),
    (1, "interrupt"),
    (2, "triple-fault"),
    (7, "interrupt-window"),
    (8, "nmi-window"),
    (9, "task-switch"),
    (10, "cpuid"),
    (12, "hlt"),
    (13, "invd"),
    (14, "invlpg"),
    (15, "rdpmc"),
    (16, "rdtsc"),
    (18, "vmcall"),
    (28, "cr-access"),
    (29, "dr-access"),
    (30, "port"),
    (31, "rdmsr"),
    (32, "wrmsr"),
    (33, "invalid-state"),
    (36, "mwait"),
    (39, "monitor"),
    (40, "pause"),
    (43, "tpr-below-threshold"),
    (44, "apic-access"),
    (45, "eoi"),
    (48, "ept-violation"),
    (49, "ept-misconfiguration"),
    (52, "preemption-timer"),
    (54, "wbinvd"),
    (55, "xsetbv"),
    (56, "apic-write"),
];

impl Vendor {
    /// Returns a reason's name for its number, or the number where it has none here.
    pub(super) fn reason(self, number: &str) -> String {
        let table = match self {
            Self::Amd => AMD,
            Self::Intel => INTEL,
        };
        let Ok(reason) = number.parse::<u32>() else { return number.to_owned() };
        match (self, table.iter().find(|(known, _)| *known == reason)) {
            (_, Some((_, name))) => (*name).to_owned(),
            (Self::Amd, None) if (0x40..0x60).contains(&reason) => format!("exception-{}", reason - 0x40),
            (Self::Amd, None) if reason < 0x10 => format!("cr{reason}-read"),
            (Self::Amd, None) if reason < 0x20 => format!("cr{}-write", reason - 0x10),
            _ => format!("{reason:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_names_or_keep_their_numbers() {
        assert_eq!(Vendor::Amd.reason("114"), "cpuid");
        assert_eq!(Vendor::Amd.reason("78"), "exception-14");
        assert_eq!(Vendor::Amd.reason("19"), "cr3-write");
        assert_eq!(Vendor::Intel.reason("10"), "cpuid");
        assert_eq!(Vendor::Intel.reason("999"), "0x3e7");
    }
}
