//! CPUID tables of machines: a recorded one, and others made from it.

use std::arch::x86_64::CpuidResult;

use vmi_abi::{CommandLine, Machine};

/// A CPUID table: leaf, EAX, EBX, ECX, EDX. Absent leaves are zero.
pub type Dump = Vec<(u32, [u32; 4])>;

/// Recorded: an AMD CPU under KVM (the leaves that matter here).
pub fn kvm_amd() -> Dump {
    vec![
        (0, [0x0000_001c, 0x6874_7541, 0x444d_4163, 0x6974_6e65]),
        (1, [0x00b0_0f21, 0x0102_0800, 0xfffa_3203, 0x178b_fbff]),
        (0x4000_0000, [0x4000_0001, 0x4b4d_564b, 0x564b_4d56, 0x0000_004d]),
        (0x4000_0001, [0x0100_7efb, 0, 0, 0]),
    ]
}

/// An Intel CPU under KVM.
pub fn kvm_intel() -> Dump {
    let mut dump = kvm_amd();
    dump[0].1 = [0x0000_0016, 0x756e_6547, 0x6c65_746e, 0x4965_6e69];
    dump
}

/// An emulated CPU of QEMU: its recorded signature, and no feature.
pub fn tcg() -> Dump {
    let mut dump = kvm_amd();
    dump[2].1 = [0x4000_0001, 0x5447_4354, 0x4354_4743, 0x4743_5447];
    dump[3].1 = [0; 4];
    dump
}

/// Sets the words of a leaf.
pub fn with(mut dump: Dump, leaf: u32, words: [u32; 4]) -> Dump {
    dump.retain(|known| known.0 != leaf);
    dump.push((leaf, words));
    dump
}

/// Answers `question` about a machine with this table.
pub fn on<T>(dump: &Dump, question: impl FnOnce(&Machine<'_>) -> T) -> T {
    told(dump, "", question)
}

/// Answers `question` about a machine with this table, whose kernel was started with this command line.
pub fn told<T>(dump: &Dump, command_line: &str, question: impl FnOnce(&Machine<'_>) -> T) -> T {
    let cpuid = |leaf, _| {
        let [eax, ebx, ecx, edx] = dump.iter().find(|known| known.0 == leaf).map_or([0; 4], |known| known.1);
        CpuidResult { eax, ebx, ecx, edx }
    };
    question(&Machine::new(&cpuid, CommandLine::new(command_line)))
}
