//! The right to call KVM, and what its answers mean.

use proptest::prelude::*;
use vmi_abi::cpuid::CallOpcode;
use vmi_kvm_backend::{
    Features,
    hypercall::{
        Call, ClockPairing, Error, Granted, Hypercall, KickCpu, MapGpaRange, Number, SchedYield, SendIpi,
        VapicPollIrq, decode,
    },
};

mod dump;
use dump::{kvm_amd, kvm_intel, on, tcg, with};

#[test]
fn row_09_an_unknown_number_is_minus_1000_not_minus_38() {
    assert_eq!(decode(-1000), Err(Error::NO_SUCH_CALL));
    assert_ne!(decode(-38), Err(Error::NO_SUCH_CALL));
    assert_eq!(Error::NO_SUCH_CALL.to_string(), "hypercall failed: no such call (-1000)");
    assert_eq!(Error(-38).to_string(), "hypercall failed: unknown error (-38)");
    // Errors have the numbers of Linux (KVM documentation, "Linux KVM Hypercall").
    let known = [Error::FAULT, Error::INVALID, Error::TOO_BIG, Error::NOT_PERMITTED, Error::NOT_SUPPORTED];
    assert_eq!(known.map(|Error(number)| number), [-14, -22, -7, -1, -95]);
    let said = known.map(|error| error.to_string());
    for (said, meaning) in said.iter().zip([
        "bad address",
        "invalid argument",
        "argument too big",
        "not in ring 0",
        "not supported",
    ]) {
        assert!(said.starts_with(&format!("hypercall failed: {meaning} (")), "{said}");
    }
    assert_eq!(decode(0), Ok(0));
}

#[test]
fn row_10_no_calls_where_the_opcode_is_undefined() {
    assert_eq!(on(&tcg(), Hypercall::detect), None);
    let bare = with(tcg(), 0x4000_0000, [0; 4]);
    assert_eq!(on(&bare, Hypercall::detect), None);
}

#[test]
fn row_11_the_opcode_is_the_vendors() {
    let opcode = |dump| on(&dump, Hypercall::detect).map(Hypercall::opcode);
    assert_eq!(opcode(kvm_amd()), Some(CallOpcode::Vmmcall));
    assert_eq!(opcode(kvm_intel()), Some(CallOpcode::Vmcall));
    // "QEMUvirtCPU!" has neither.
    assert_eq!(opcode(with(kvm_amd(), 0, [1, 0x554d_4551, 0x2155_5043, 0x7472_6976])), None);
}

/// In user space both opcodes fault, so this test ends by a signal if the call is made.
#[test]
#[expect(unsafe_code, reason = "makes a hypercall")]
fn a_call_without_its_feature_is_not_made() {
    let none = with(kvm_amd(), 0x4000_0001, [0; 4]);
    let kvm = on(&none, Hypercall::detect).unwrap();
    for number in [Number::KICK_CPU, Number::SEND_IPI, Number::SCHED_YIELD, Number::MAP_GPA_RANGE] {
        assert_ne!(number.needs(), Features::empty());
        // SAFETY: not ring 0, but the feature the call needs is missing, so nothing is executed.
        let answer = unsafe { kvm.call(number, [0; 4]) };
        assert_eq!(decode(answer), Err(Error::NO_SUCH_CALL));
    }
}

/// Returns whether the right to make call `C` is granted where the host has all features but these.
fn granted_without<C: Call>(missing: Features) -> bool {
    let features = Features::all() - missing;
    let asked = |dump| {
        let kvm = on(&with(dump, 0x4000_0001, [features.bits(), 0, 0, 0]), Hypercall::detect);
        kvm.expect("KVM").grant::<C>().is_some()
    };
    let [amd, intel] = [kvm_amd(), kvm_intel()].map(asked);
    assert_eq!(amd, intel);
    amd
}

#[test]
fn a_right_is_granted_where_its_feature_is_there() {
    fn hangs_on<C: Call>(feature: Features) {
        assert_eq!(C::NUMBER.needs(), feature);
        for missing in Features::all().iter() {
            assert_eq!(
                granted_without::<C>(missing),
                missing != feature,
                "{:?} without {missing:?}",
                C::NUMBER
            );
        }
    }
    hangs_on::<VapicPollIrq>(Features::empty());
    hangs_on::<KickCpu>(Features::PV_UNHALT);
    hangs_on::<ClockPairing>(Features::empty());
    hangs_on::<SendIpi>(Features::PV_SEND_IPI);
    hangs_on::<SchedYield>(Features::PV_SCHED_YIELD);
    hangs_on::<MapGpaRange>(Features::HC_MAP_GPA_RANGE);
}

#[test]
fn a_call_of_a_kernels_own_is_granted() {
    #[derive(Debug)]
    enum Own {}
    impl Call for Own {
        const NUMBER: Number = Number(0x7fff_0000);
        type Arguments = [u64; 3];
    }
    let kvm = on(&kvm_amd(), Hypercall::detect).expect("KVM");
    let right: Granted<Own> = kvm.grant().expect("no feature is needed");
    assert_eq!(size_of_val(&right), 0);
    assert_eq!(format!("{right:?}"), "Granted(Number(2147418112))");
}

proptest! {
    #[test]
    fn every_answer_is_kept(rax: i64) {
        match decode(rax) {
            Ok(value) => prop_assert_eq!(value, rax as u64),
            Err(Error(value)) => prop_assert!(value == rax && rax < 0),
        }
    }
}
