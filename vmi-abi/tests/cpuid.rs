//! The scan of the hypervisor leaves, over recorded and made-up CPUID tables.

use std::{arch::x86_64::CpuidResult, cell::Cell};

use proptest::prelude::*;
use vmi_abi::{
    CommandLine, Machine,
    cpuid::{self, CallOpcode, Cpuid, Interface, Vendor},
};

const XEN: [u8; 12] = *b"XenVMMXenVMM";
const HYPER_V: [u8; 12] = *b"Microsoft Hv";

/// A CPU that has these leaves and answers any other with `absent`.
struct Leaves {
    leaves: Vec<(u32, CpuidResult)>,
    absent: CpuidResult,
}

const ZERO: CpuidResult = CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 };

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().unwrap())
}

fn base(max_leaf: u32, signature: [u8; 12]) -> CpuidResult {
    CpuidResult {
        eax: max_leaf,
        ebx: word(&signature[..4]),
        ecx: word(&signature[4..8]),
        edx: word(&signature[8..]),
    }
}

fn vendor(max_leaf: u32, name: &[u8; 12]) -> CpuidResult {
    CpuidResult { eax: max_leaf, ebx: word(&name[..4]), edx: word(&name[4..8]), ecx: word(&name[8..]) }
}

/// A machine with leaf 0, leaf 1 with or without the hypervisor bit, and these hypervisor leaves.
fn machine(hypervisor_bit: u32, leaves: &[(u32, CpuidResult)]) -> Leaves {
    let mut all = vec![
        (0, vendor(1, b"AuthenticAMD")),
        (1, CpuidResult { eax: 0x00b0_0f21, ebx: 0, ecx: hypervisor_bit << 31, edx: 0x178b_fbff }),
    ];
    all.extend_from_slice(leaves);
    Leaves { leaves: all, absent: ZERO }
}

impl Leaves {
    fn with<T>(&self, question: impl FnOnce(&Cpuid<'_>) -> T) -> T {
        question(&|leaf, _| {
            self.leaves.iter().find(|known| known.0 == leaf).map_or(self.absent, |known| known.1)
        })
    }

    fn described<T>(&self, question: impl FnOnce(Machine<'_>) -> T) -> T {
        self.with(|cpuid| question(Machine::new(cpuid, CommandLine::default())))
    }

    fn find(&self, signature: [u8; 12]) -> Option<Interface> {
        self.described(|machine| machine.interface(signature))
    }

    fn first(&self) -> Option<String> {
        self.described(|machine| machine.hypervisor()).map(|interface| interface.to_string())
    }
}

#[test]
fn row_01_hypervisor_bit_clear_but_leaf_says_kvm() {
    let machine = machine(0, &[(0x4000_0000, base(0x4000_0001, cpuid::KVM))]);
    assert_eq!(machine.find(cpuid::KVM).unwrap().base, 0x4000_0000);
    assert_eq!(machine.first().as_deref(), Some("KVMKVMKVM"));
}

#[test]
fn row_02_hypervisor_bit_set_but_leaf_is_zero() {
    let machine = machine(1, &[]);
    assert_eq!(machine.find(cpuid::KVM), None);
    assert_eq!(machine.first(), None);
}

#[test]
fn row_03_absent_leaves_echo_the_last_basic_leaf() {
    // Leaf 0xd of QEMU's emulated CPU: EBX 0x40, and of callgrind's: EBX 0x340.
    for ebx in [0x40, 0x340] {
        let last = CpuidResult { eax: 7, ebx, ecx: 0x340, edx: 0 };
        let mut machine = machine(0, &[(0, vendor(0xd, b"GenuineIntel")), (0xd, last)]);
        machine.leaves.remove(0);
        machine.absent = last;
        assert_eq!(machine.first(), None);
        assert_eq!(machine.find(cpuid::KVM), None);
    }
}

#[test]
fn row_03_an_echo_that_reads_as_a_name_is_still_an_echo() {
    let last = base(0, *b"LooksLikeOne");
    let mut echoing = machine(0, &[(0, vendor(0xd, b"GenuineIntel")), (0xd, last)]);
    echoing.leaves.remove(0);
    echoing.absent = last;
    assert_eq!(echoing.first(), None);
    // Also where another place holds something else that is no name.
    echoing.leaves.push((0x4000_0000, ZERO));
    assert_eq!(echoing.first(), None);
    assert_eq!(machine(0, &[(0x4000_0000, last)]).first().as_deref(), Some("LooksLikeOne"));
}

#[test]
fn row_04_max_leaf_zero_is_base_plus_one_for_kvm() {
    for at in [0x4000_0000, 0x4000_0100] {
        let machine = machine(1, &[(at, base(0, cpuid::KVM)), (at + 1, CpuidResult { eax: 9, ..ZERO })]);
        let interface = machine.find(cpuid::KVM).unwrap();
        assert_eq!(interface.max_leaf, at + 1);
        assert_eq!(machine.with(|cpuid| interface.leaf(cpuid, 1)).unwrap().eax, 9);
        assert_eq!(machine.with(|cpuid| interface.leaf(cpuid, 2)), None);
    }
    // Nobody said so for other interfaces.
    assert_eq!(machine(1, &[(0x4000_0000, base(0, XEN))]).find(XEN).unwrap().max_leaf, 0);
}

#[test]
fn row_05_kvm_behind_another_interface() {
    for (other, name) in [(HYPER_V, "Microsoft Hv"), (XEN, "XenVMMXenVMM")] {
        let leaves = [(0x4000_0000, base(0x4000_000c, other)), (0x4000_0100, base(0x4000_0101, cpuid::KVM))];
        let machine = machine(1, &leaves);
        assert_eq!(machine.find(cpuid::KVM).unwrap().base, 0x4000_0100);
        assert_eq!(machine.first().as_deref(), Some(name));
    }
}

#[test]
fn row_05_the_scan_reaches_the_last_base_and_no_further() {
    assert_eq!(
        machine(1, &[(0x4000_ff00, base(0x4000_ff01, cpuid::KVM))]).find(cpuid::KVM).unwrap().base,
        0x4000_ff00
    );
    assert_eq!(machine(1, &[(0x4001_0000, base(0x4001_0001, cpuid::KVM))]).find(cpuid::KVM), None);
}

#[test]
fn a_maximum_leaf_that_lies_gives_no_leaves() {
    for max_leaf in [1, 0x3fff_ffff, 0x4000_0001, 0x4000_0200, u32::MAX] {
        let machine = machine(1, &[(0x4000_0100, base(max_leaf, cpuid::KVM))]);
        let interface = machine.find(cpuid::KVM).unwrap();
        assert_eq!(machine.with(|cpuid| interface.leaf(cpuid, 1)), None, "maximum {max_leaf:#x}");
        assert_eq!(machine.first(), None, "maximum {max_leaf:#x}");
    }
}

#[test]
fn names_that_are_none() {
    for signature in [
        *b"\0VMKVMKVM\0\0\0",
        *b"KVM\0KVM\0\0\0\0\0",
        *b"KVM\x80MKVM\0\0\0\0",
        *b"            ",
        *b"............",
    ] {
        assert_eq!(machine(1, &[(0x4000_0000, base(0x4000_0001, signature))]).first(), None);
    }
    assert_eq!(
        machine(1, &[(0x4000_0000, base(0, *b" lrpepyh  vr"))]).first().as_deref(),
        Some("lrpepyh  vr")
    );
}

#[test]
fn a_foreign_byte_is_printed_escaped() {
    let interface = Interface { base: 0, max_leaf: 0, signature: *b"\x1b[31mKVM\0\0\0\0" };
    assert_eq!(interface.to_string(), "\\x1b[31mKVM");
}

#[test]
fn the_vendor_chooses_the_call_opcode() {
    let vendors = [
        (b"GenuineIntel", Vendor::INTEL, Some(CallOpcode::Vmcall)),
        (b"CentaurHauls", Vendor::CENTAUR, Some(CallOpcode::Vmcall)),
        (b"  Shanghai  ", Vendor::ZHAOXIN, Some(CallOpcode::Vmcall)),
        (b"AuthenticAMD", Vendor::AMD, Some(CallOpcode::Vmmcall)),
        (b"HygonGenuine", Vendor::HYGON, Some(CallOpcode::Vmmcall)),
        (b"VIA VIA VIA ", Vendor(*b"VIA VIA VIA "), None),
    ];
    for (name, expected, opcode) in vendors {
        let machine = Leaves { leaves: vec![(0, vendor(1, name))], absent: ZERO };
        let read = machine.described(|machine| machine.vendor());
        assert_eq!((read, read.call_opcode()), (expected, opcode));
    }
}

#[test]
fn a_machine_says_what_it_is() {
    assert_eq!(Vendor::ZHAOXIN.to_string(), "Shanghai");
    let kvm = machine(1, &[(0x4000_0000, base(0x4000_0001, cpuid::KVM))]);
    kvm.with(|cpuid| {
        let machine = Machine::new(cpuid, CommandLine::new("quiet nopv"));
        assert_eq!(machine.command_line(), CommandLine::new("quiet nopv"));
        let shown = format!("{machine:?}");
        assert!(shown.contains("quiet nopv") && shown.contains("base: 1073741824"), "{shown}");
    });
}

#[test]
fn the_scan_ends_some_way_behind_what_it_found() {
    let kvm = base(0x4000_0001, cpuid::KVM);
    let at = |leaf, signature| (leaf, base(0, signature));
    let near = machine(1, &[(0x4000_0000, kvm), at(0x4000_0700, HYPER_V), at(0x4000_0f00, XEN)]);
    assert!(near.find(cpuid::KVM).is_some() && near.find(HYPER_V).is_some() && near.find(XEN).is_some());
    let far = machine(1, &[(0x4000_0000, kvm), at(0x4000_0900, XEN)]);
    assert!(far.find(cpuid::KVM).is_some() && far.find(XEN).is_none());
    assert!(machine(1, &[at(0x4000_ff00, XEN)]).find(XEN).is_some(), "alone, it is found anywhere");
}

#[test]
fn a_description_of_kvm_takes_few_leaves() {
    let machine = machine(1, &[(0x4000_0000, base(0x4000_0001, cpuid::KVM))]);
    let read = Cell::new(0);
    machine.with(|cpuid| {
        let counted = |leaf, subleaf| {
            read.set(read.get() + 1);
            cpuid(leaf, subleaf)
        };
        let _ = Machine::new(&counted, CommandLine::default());
    });
    assert!(read.get() <= 11, "{} leaves", read.get());
}

proptest! {
    /// No table makes the scan panic or read a leaf that is not of the interface; the answer stays in the range.
    #[test]
    fn any_table_is_survived(tables in prop::collection::vec((0u32..0x3ff, any::<[u32; 4]>()), 0..8), absent: [u32; 4]) {
        let result = |[eax, ebx, ecx, edx]: [u32; 4]| CpuidResult { eax, ebx, ecx, edx };
        let mut machine = machine(1, &[]);
        machine.leaves.extend(tables.iter().map(|(leaf, words)| (0x4000_0000 + leaf, result(*words))));
        machine.absent = result(absent);
        if let Some(found) = machine.described(|machine| machine.hypervisor()) {
            prop_assert!((0x4000_0000..0x4001_0000).contains(&found.base));
        }
        let lie = Interface { base: 0x4000_ff00, max_leaf: absent[0], signature: cpuid::KVM };
        for offset in [0, 1, 0xff, 0x100, u32::MAX] {
            let read = machine.with(|cpuid| lie.leaf(cpuid, offset));
            prop_assert!(read.is_none() || offset < 0x100);
        }
    }
}
