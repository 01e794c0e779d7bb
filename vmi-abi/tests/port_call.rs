//! The calls by port as they lie in CPUID leaves and in memory.

use std::{arch::x86_64::CpuidResult, collections::HashSet};

use proptest::prelude::*;
use vmi_abi::{
    CommandLine, Machine, cpuid,
    port_call::{
        Announcement, CALLS_MAX, Call, Features, Header, HeaderFlags, Hints, Implementation, LEAVES, MAGIC,
        Number, OFF, Range, SIGNATURE, Statistics, Status, Version, block_bytes,
    },
};

const ZERO: CpuidResult = CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 };
const KVM: CpuidResult =
    CpuidResult { eax: 0x4000_0001, ebx: 0x4b4d_564b, ecx: 0x564b_4d56, edx: 0x0000_004d };

fn announcement() -> Announcement {
    Announcement {
        version: Version::CURRENT,
        features: Features::all(),
        hints: Hints::POST,
        implementation: Implementation { id: Implementation::VMI_RUN, version: 0x0102_0003 },
        calls_max: CALLS_MAX as u32,
        call_port: 0x560,
        doorbell_port: 0x564,
    }
}

/// What a guest finds among these leaves and KVM's.
fn find(leaves: &[(u32, CpuidResult)]) -> Option<Announcement> {
    let cpuid = |leaf, _| match leaves.iter().find(|known| known.0 == leaf) {
        Some(known) => known.1,
        None if leaf == 0x4000_0000 => KVM,
        None => ZERO,
    };
    let machine = Machine::new(&cpuid, CommandLine::default());
    Announcement::find(&machine)
}

#[test]
fn the_leaves_stand_beside_kvms() {
    let leaves = announcement().leaves(0x4000_0100);
    assert_eq!(find(&leaves), Some(announcement()));
    let both = |leaf, _| {
        [&leaves[..], &[(0x4000_0000, KVM)]]
            .concat()
            .iter()
            .find(|known| known.0 == leaf)
            .map_or(ZERO, |known| known.1)
    };
    assert!(
        Machine::new(&both, CommandLine::default()).interface(cpuid::KVM).is_some(),
        "KVM is found still"
    );
}

#[test]
fn the_leaves_are_pinned() {
    let leaves = announcement().leaves(0x4000_0200);
    let words = leaves.map(|(number, leaf)| (number, [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]));
    let [v, m, i] = [0x56, 0x4d, 0x49];
    let spelled = |a: u32, b: u32, c: u32, d: u32| a | b << 8 | c << 16 | d << 24;
    assert_eq!(
        words,
        [
            (0x4000_0200, [0x4000_0202, spelled(v, m, i, v), spelled(m, i, v, m), spelled(i, v, m, i)]),
            (0x4000_0201, [0x0001_0001, 0x7f, 512, 1]),
            (0x4000_0202, [0x560, 0x564, 1, 0x0102_0003]),
        ]
    );
    assert_eq!(LEAVES, words.len());
    assert_eq!(SIGNATURE, *b"VMIVMIVMIVMI");
}

#[test]
fn no_interface_without_all_leaves_and_both_ports() {
    let whole = announcement().leaves(0x4000_0100);
    assert_eq!(find(&[]), None);
    for last in [0, 0x4000_0100, 0x4000_0101, 0x4000_0201, u32::MAX] {
        let mut leaves = whole;
        leaves[0].1.eax = last;
        assert_eq!(find(&leaves), None, "last leaf {last:#x}");
    }
    for port in [0, 0x1_0000, u32::MAX] {
        let mut leaves = whole;
        leaves[2].1.eax = port;
        assert_eq!(find(&leaves), None, "call port {port:#x}");
        leaves = whole;
        leaves[2].1.ebx = port;
        assert_eq!(find(&leaves), None, "doorbell port {port:#x}");
    }
}

#[test]
fn another_major_version_is_not_known_and_a_later_minor_is() {
    assert!(Version::CURRENT.is_known());
    assert!(Version::from_bits(0x0001_ffff).is_known());
    for unknown in [0, 0xffff, 0x0002_0000, 0x0101_0000, u32::MAX] {
        assert!(!Version::from_bits(unknown).is_known(), "{unknown:#x}");
    }
    assert_eq!(Version::from_bits(0x0002_0007).to_string(), "2.7");
}

#[test]
fn every_number_has_one_range() {
    assert!(Number::ALL.iter().all(|number| number.range() == Range::Standard));
    let ranges = [
        (0, Range::Reserved),
        (0x564d_4900, Range::Reserved),
        (0x564d_497f, Range::Standard),
        (0x564d_4980, Range::Experimental),
        (0x564d_49ff, Range::Experimental),
        (0x564d_4a00, Range::Reserved),
        (0x7fff_ffff, Range::Reserved),
        (0x8000_0000, Range::Vendor(0)),
        (0x8001_0007, Range::Vendor(1)),
        (u32::MAX, Range::Vendor(0x7fff)),
    ];
    for (number, range) in ranges {
        assert_eq!(Number(number).range(), range, "{number:#x}");
    }
    assert_eq!(Number::vendor(1, 7), Number(0x8001_0007));
    assert_eq!(Number::vendor(0xffff, 0).range(), Range::Vendor(0x7fff));
}

#[test]
fn a_host_says_who_it_is() {
    assert_eq!(Implementation::default().to_string(), "unnamed");
    assert_eq!(announcement().implementation.to_string(), "vmi-run 1.2.3");
    assert_eq!(Implementation { id: 0x4001, version: 0 }.to_string(), "implementation 0x4001 0.0.0");
}

#[test]
fn flags_hints_and_off_are_pinned() {
    assert_eq!((HeaderFlags::PARTIAL.bits(), OFF), (1, 0xffff_ffff_ffff_ffff));
    assert_eq!((Hints::POST.bits(), Hints::PARTIAL.bits()), (1, 2));
    let header = Header { flags: 1, ..Header::default() };
    assert_eq!(header.to_bytes()[24..28], [1, 0, 0, 0]);
}

#[test]
fn numbers_are_pinned_and_none_is_kvms() {
    let names = Number::ALL.map(|number| (number.0, number.name().unwrap()));
    assert_eq!(
        names,
        [
            (0x564d_4901, "console-line"),
            (0x564d_4902, "release-pages"),
            (0x564d_4903, "wall-clock"),
            (0x564d_4904, "shutdown"),
            (0x564d_4905, "statistics"),
            (0x564d_4906, "trace-mark"),
            (0x564d_4907, "post-block"),
        ]
    );
    for number in Number::ALL {
        assert_eq!(Number::named(number.name().unwrap()), Some(number));
    }
    let features: HashSet<_> = Number::ALL.iter().map(|number| number.needs().unwrap().bits()).collect();
    assert_eq!(features.len(), Number::ALL.len(), "each call has a feature of its own");
    assert_eq!(features.iter().sum::<u32>(), Features::all().bits(), "each feature has a call");
    for unknown in [0, 1, 12, 0x564d_4900, 0x564d_4908, u32::MAX] {
        assert_eq!(Number(unknown).needs(), None);
        assert_eq!(Number(unknown).name(), None);
    }
}

#[test]
fn statuses_are_pinned() {
    let names: Vec<_> = (0..13).map(|status| Status(status).to_string()).collect();
    let expected = [
        "idle",
        "asked",
        "posted",
        "done",
        "unknown-version",
        "unknown-feature",
        "unknown-call",
        "not-negotiated",
        "invalid",
        "fault",
        "too-long",
        "failed",
        "status 12",
    ];
    assert_eq!(names, expected);
    for refusal in Status::REFUSALS {
        assert_eq!(Status::named(refusal.name().unwrap()), Some(refusal));
    }
    assert_eq!(Status::named("done"), None, "which is no refusal");
}

#[test]
fn a_batch_is_pinned_byte_for_byte() {
    let header = Header {
        magic: MAGIC,
        version: Version::CURRENT.bits(),
        features: 0x7f,
        count: 3,
        status: 1,
        done: 2,
        flags: 7,
        zero: [0; 9],
    };
    let bytes = header.to_bytes();
    assert_eq!(&bytes[..24], b"VMIB\x01\0\x01\0\x7f\0\0\0\x03\0\0\0\x01\0\0\0\x02\0\0\0");
    assert_eq!(bytes[24..28], [7, 0, 0, 0]);
    assert_eq!(bytes[28..], [0; 36]);
    let call = Call { result: 0x0102_0304_0506_0708, ..Call::new(Number::CONSOLE_LINE, 0x1234, 80) };
    let expected = b"\x01IMV\x01\0\0\0\x34\x12\0\0\0\0\0\0\x50\0\0\0\0\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01";
    assert_eq!(&call.to_bytes(), expected);
    assert_eq!(block_bytes(CALLS_MAX), 64 + 512 * 32);
}

proptest! {
    #[test]
    fn every_pattern_of_bytes_is_kept(
        header: [u8; 32],
        rest: [u8; 32],
        call: [u8; 32],
        counts: [u64; 10],
    ) {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&header);
        bytes[32..].copy_from_slice(&rest);
        prop_assert_eq!(Header::from_bytes(&bytes).to_bytes(), bytes);
        prop_assert_eq!(Call::from_bytes(&call).to_bytes(), call);
        let mut bytes = [0; 80];
        for (place, count) in bytes.chunks_exact_mut(8).zip(counts) {
            place.copy_from_slice(&count.to_le_bytes());
        }
        let statistics = Statistics::from_bytes(&bytes);
        prop_assert_eq!((statistics.exits, statistics.trace_marks), (counts[0], counts[9]));
        prop_assert_eq!(statistics.to_bytes(), bytes);
    }

    #[test]
    fn what_is_announced_is_found(
        version: u32,
        features: u32,
        hints: u32,
        id: u32,
        release: u32,
        calls_max: u32,
        call_port in 1_u16..,
        doorbell_port in 1_u16..,
        base in 0_u32..9,
    ) {
        let announcement = Announcement {
            version: Version::from_bits(version),
            features: Features::from_bits_retain(features),
            hints: Hints::from_bits_retain(hints),
            implementation: Implementation { id, version: release },
            calls_max,
            call_port,
            doorbell_port,
        };
        prop_assert_eq!(find(&announcement.leaves(0x4000_0000 + 0x100 * base)), Some(announcement));
    }
}
