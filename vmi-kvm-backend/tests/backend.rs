//! What the backend makes of CPUID tables and command lines.

use std::fmt;

use vmi_abi::{Backend, Offer, Op, Override, Rank};
use vmi_kvm_backend::{BACKEND, Features, Found, probe};

mod dump;
use dump::{Dump, kvm_amd, kvm_intel, on, tcg, told, with};

const SIGNATURE: [u32; 3] = [0x4b4d_564b, 0x564b_4d56, 0x4d];

fn base(max_leaf: u32) -> [u32; 4] {
    [max_leaf, SIGNATURE[0], SIGNATURE[1], SIGNATURE[2]]
}

fn found(dump: &Dump) -> Found {
    on(dump, probe).expect("KVM")
}

fn offer(dump: &Dump) -> Offer {
    on(dump, |machine| BACKEND.probe(machine)).expect("an offer")
}

/// A machine with these feature bits.
fn featuring(features: Features) -> Dump {
    with(kvm_amd(), 0x4000_0001, [features.bits(), 0, 0, 0])
}

/// The names of the ops that the backend replaces.
fn replaced(offer: &Offer, command_line: &str) -> Vec<&'static str> {
    let all = told(&kvm_amd(), command_line, |machine| BACKEND.replacements(offer, machine));
    Op::all().filter(|op| all.get(*op) != Override::Keep).map(Op::name).collect()
}

const TIME: [&str; 3] = ["time::now_ns", "time::wall_clock", "time::frequency"];

#[test]
fn a_recorded_machine_is_served() {
    for dump in [kvm_amd(), kvm_intel()] {
        let offer = offer(&dump);
        assert_eq!(
            offer,
            Offer { rank: Rank::HYPERVISOR, features: 0x0100_7efb, hints: 0, base_leaf: 0x4000_0000 }
        );
        assert_eq!(replaced(&offer, ""), [TIME[0], TIME[1], TIME[2], "io::delay"]);
    }
}

#[test]
fn an_emulated_cpu_is_not_kvm() {
    assert_eq!(on(&tcg(), |machine| BACKEND.probe(machine)), Err("no KVM signature in CPUID"));
    assert_eq!(BACKEND.name(), "kvm");
}

#[test]
fn row_01_hypervisor_bit_clear_but_leaf_says_kvm() {
    let leaf_1 = [0x00b0_0f21, 0x0102_0800, 0x7ffa_3203, 0x178b_fbff];
    assert_eq!(found(&with(kvm_amd(), 1, leaf_1)).features.bits(), 0x0100_7efb);
}

#[test]
fn row_02_hypervisor_bit_set_but_leaf_is_zero() {
    assert!(on(&with(kvm_amd(), 0x4000_0000, [0; 4]), probe).is_none());
}

#[test]
fn row_03_absent_leaves_echo_the_last_basic_leaf() {
    let echo = [7, 0x340, 0x340, 0];
    let machine =
        (0x4000_0000..0x4001_0000).step_by(0x100).fold(kvm_amd(), |dump, base| with(dump, base, echo));
    assert!(on(&machine, probe).is_none());
}

#[test]
fn row_04_max_leaf_zero_still_has_features() {
    assert_eq!(found(&with(kvm_amd(), 0x4000_0000, base(0))).features.bits(), 0x0100_7efb);
}

#[test]
fn row_05_kvm_behind_hyper_v() {
    let hyper_v = [0x4000_000c, 0x7263_694d, 0x666f_736f, 0x7648_2074];
    let machine = with(kvm_amd(), 0x4000_0000, hyper_v);
    let machine = with(machine, 0x4000_0001, [0x3123_7648, 0, 0, 0]);
    let machine = with(machine, 0x4000_0100, base(0x4000_0101));
    let machine = with(machine, 0x4000_0101, [0x0100_0008, 0, 0, 1]);
    let found = found(&machine);
    assert_eq!(
        (found.interface.base, found.features.bits(), found.hints.bits()),
        (0x4000_0100, 0x0100_0008, 1)
    );
}

#[test]
fn row_06_features_masked_one_by_one() {
    let all = Features::from_bits_retain(0x0100_7efb);
    for bit in all.iter() {
        let offer = offer(&featuring(all - bit));
        let delay = bit != Features::NOP_IO_DELAY;
        let expected: Vec<_> = TIME.into_iter().chain(delay.then_some("io::delay")).collect();
        assert_eq!(replaced(&offer, ""), expected, "without {bit:?}");
    }
    assert_eq!(replaced(&offer(&featuring(Features::empty())), ""), [""; 0]);
    assert_eq!(replaced(&offer(&featuring(all - Features::CLOCK)), ""), ["io::delay"]);
}

#[test]
fn row_06_a_feature_leaf_out_of_reach_is_no_features() {
    for max_leaf in [1, 0x4000_0000, 0x4000_0200, u32::MAX] {
        assert_eq!(found(&with(kvm_amd(), 0x4000_0000, base(max_leaf))).features, Features::empty());
    }
}

#[test]
fn row_06_features_from_the_future_are_kept_and_ignored() {
    let machine = with(kvm_amd(), 0x4000_0001, [0x8000_0000, 0, 0, 0x8000_0000]);
    assert_eq!(offer(&machine).features, 0x8000_0000);
    assert_eq!(replaced(&offer(&machine), ""), [""; 0]);
}

#[test]
fn row_07_the_clock_is_bits_3_and_0_not_masks_3_and_0() {
    // The sample of the manual would take bit 1 for the new clock, and never see the old one.
    assert_eq!(replaced(&offer(&featuring(Features::NOP_IO_DELAY)), ""), ["io::delay"]);
    assert_eq!(replaced(&offer(&featuring(Features::CLOCKSOURCE)), ""), TIME);
    assert_eq!(replaced(&offer(&featuring(Features::CLOCKSOURCE2)), ""), TIME);
}

#[test]
fn no_kvmclock_leaves_the_time_ops_native() {
    let offer = offer(&kvm_amd());
    assert_eq!(replaced(&offer, "quiet no-kvmclock"), ["io::delay"]);
    assert_eq!(replaced(&offer, "no-kvmclock-vsyscall").len(), 4);
}

struct Described(Offer);

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BACKEND.describe(&self.0, f)
    }
}

#[test]
fn an_offer_is_described_by_names() {
    let machine = |eax, edx| offer(&with(kvm_amd(), 0x4000_0001, [eax, 0, 0, edx]));
    assert_eq!(
        Described(machine(0x0100_000a, 0)).to_string(),
        "NOP_IO_DELAY | CLOCKSOURCE2 | CLOCKSOURCE_STABLE_BIT"
    );
    assert_eq!(Described(machine(0x8000_0001, 1)).to_string(), "CLOCKSOURCE | 0x80000000, hints: REALTIME");
    assert_eq!(Described(machine(0, 0)).to_string(), "none");
}
