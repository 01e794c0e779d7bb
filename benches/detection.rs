//! What does it cost to find the hypervisor, beside what reading the leaves costs?
//!
//! The leaves are a table's, not the CPU's: under a hypervisor each `cpuid` is an exit, and nothing else would be seen.

use std::hint::black_box;

use benches::machine::{self, Leaves};
use benches::{question::Question, ratio::Ratio, settings};
use criterion::{Criterion, criterion_group, criterion_main};
use vmi_abi::{CommandLine, Machine, cpuid::Cpuid};

fn detection(criterion: &mut Criterion<Ratio>) {
    let every_base = |turns| {
        for _ in 0..turns {
            let answer = machine::answering(black_box(machine::BARE));
            let cpuid: &Cpuid<'_> = black_box(&answer);
            for base in (0x4000_0000..0x4001_0000).step_by(0x100) {
                black_box(cpuid(base, 0));
            }
        }
    };
    let mut question = Question::ask(criterion, "detection", "256 leaves read", &every_base);
    let machines: [(&str, &Leaves); 4] = [
        ("bare hardware", machine::BARE),
        ("KVM", machine::KVM),
        ("KVM behind Hyper-V", machine::KVM_BEHIND_HYPER_V),
        ("KVM at the last leaves", machine::KVM_AT_THE_END),
    ];
    for (name, leaves) in machines {
        let any = |turns| {
            for _ in 0..turns {
                let cpuid = machine::answering(black_box(leaves));
                black_box(Machine::new(&cpuid, CommandLine::default()).hypervisor());
            }
        };
        question.candidate(&format!("which hypervisor, on {name}"), &any);
        let kvm = |turns| {
            for _ in 0..turns {
                let cpuid = machine::answering(black_box(leaves));
                let machine = Machine::new(&cpuid, CommandLine::default());
                black_box(vmi_kvm_backend::probe(&machine));
            }
        };
        question.candidate(&format!("is it KVM, on {name}"), &kvm);
    }
}

criterion_group! {
    name = benches;
    config = settings::criterion(Ratio);
    targets = detection
}
criterion_main!(benches);
