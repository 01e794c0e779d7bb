//! Figures that others have published, each with its source.

/// A published cost of one way to the hypervisor, in cycles of hardware.
#[derive(Debug)]
pub(super) struct Exit {
    /// What was done.
    pub(super) what: &'static str,
    /// The figure.
    pub(super) cycles: f64,
    /// Our benchmark of the same.
    pub(super) ours: &'static str,
}

/// Where [`EXITS`] stand.
pub(super) const EXITS_SOURCE: &str =
    "kvm-unit-tests, x86/vmexit.c; KVM on an Intel CPU, 2017; in the message of Linux commit b7ffc44d5b2e";

/// What kvm-unit-tests measured.
pub(super) const EXITS: [Exit; 6] = [
    Exit { what: "vmcall", cycles: 1181.0, ours: "exit::hypercall" },
    Exit { what: "cpuid", cycles: 1291.0, ours: "exit::cpuid" },
    Exit { what: "outl, served by the kernel", cycles: 1391.0, ours: "exit::port_kernel" },
    Exit { what: "inl, served by the kernel", cycles: 2339.0, ours: "exit::port_kernel" },
    Exit { what: "inl, served by QEMU", cycles: 6209.0, ours: "exit::port_vmm" },
    Exit { what: "inl from the PM timer", cycles: 6457.0, ours: "clock::pm_timer" },
];

/// Something published that no benchmark of ours measures the same way.
#[derive(Debug)]
pub(super) struct Fact {
    /// What was asked.
    pub(super) question: &'static str,
    /// What came of it.
    pub(super) figure: &'static str,
    /// Who says so.
    pub(super) source: &'static str,
}

/// What else there is to hold our figures against.
pub(super) const FACTS: [Fact; 9] = [
    Fact {
        question: "Linux on bare hardware with CONFIG_PARAVIRT against without (mmap-perf, Core 2)",
        figure: "+0.97 % time, +0.96 % cycles, +1.62 % instructions",
        source: "Ingo Molnar, Linux kernel mailing list, 2009-05",
    },
    Fact {
        question: "the same, by its author",
        figure: "somewhere under 1 %, within the ±1 % noise between two boots",
        source: "Jeremy Fitzhardinge, Linux kernel mailing list, 2009-05",
    },
    Fact {
        question: "Linux's paravirtual spin locks on bare hardware",
        figure: "up to 5 %, before the unlock was patched to a plain store",
        source: "help text of PARAVIRT_SPINLOCKS, Linux 4.1; commit bf0c7c34adc2",
    },
    Fact {
        question: "VMware's VMI on bare hardware",
        figure: "negligible",
        source: "abstract of the paper on VMI, Ottawa Linux Symposium 2006",
    },
    Fact {
        question: "direct calls edited in place of retpolined ones (perf's interrupt handler)",
        figure: "4.2 % faster",
        source: "static calls of Linux 5.10, as reported by Phoronix",
    },
    Fact {
        question: "into a guest and out again on an AMD CPU, within the ioctl KVM_RUN",
        figure: "1350 to 1376 of 2530 cycles",
        source: "Linux kernel mailing list, 2020-12",
    },
    Fact {
        question: "cpuid in a nested guest, without and with the enlightened VMCS of Hyper-V",
        figure: "18\u{202f}890 and 8304 cycles",
        source: "Vitaly Kuznetsov, Linux commit message on the enlightened VMCS",
    },
    Fact {
        question: "into a guest and out again on embedded boards",
        figure: "3 to 10 µs",
        source: "QNX Hypervisor, manual, on guest exits",
    },
    Fact {
        question: "Linux's vDSO clock, and the system call it falls back to",
        figure: "80 to 100 ns, and 1.5 to 3 µs",
        source: "weimomishe.com, on clock sources",
    },
];
