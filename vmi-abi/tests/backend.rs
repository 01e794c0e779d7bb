//! What a backend says of itself, and of what it puts in place of ops.

// UNSAFETY: a backend is an unsafe trait; this one replaces nothing.
#![expect(unsafe_code)]

use std::{fmt, ops::Range};

use vmi_abi::{
    Backend, EnableError, Fault, Machine, Offer, Op, Override, Platform, Rank, Replacements, Table,
    TableError, Text, Value, irq, leaf,
};

struct Silent;

// SAFETY: it replaces nothing.
unsafe impl Backend for Silent {
    fn name(&self) -> &'static str {
        "silent"
    }

    fn probe(&self, _: &Machine<'_>) -> Result<Offer, &'static str> {
        Err("never")
    }

    fn replacements(&self, _: &Offer, _: &Machine<'_>) -> Replacements {
        Replacements::KEEP
    }
}

struct Described(Offer);

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Silent.describe(&self.0, f)
    }
}

#[test]
fn features_without_names_are_a_number() {
    let offer = Offer::plain(Rank::BESIDE);
    assert_eq!(Described(offer).to_string(), "none");
    assert_eq!(Described(Offer { features: 0x1e, ..offer }).to_string(), "0x1e");
}

#[test]
fn what_could_not_be_registered_is_said_with_its_value() {
    let said = |error: EnableError| error.to_string();
    assert_eq!(
        said(EnableError::Misaligned(0x1004, 64)),
        "the shared page at 0x1004 is not aligned to 64 bytes"
    );
    assert_eq!(said(EnableError::Refused(0x4b56_4d01)), "the announced MSR 0x4b564d01 cannot be written");
    assert_eq!(said(EnableError::NotServed(0x2000)), "the hypervisor left the shared page at 0x2000 empty");
    assert_eq!(said(EnableError::Gone("no KVM")), "its hypervisor is gone: no KVM");
}

/// A platform that says nothing of its own accord.
struct Mute;

// SAFETY: there is no text, so nothing to write.
unsafe impl Text for Mute {
    fn ranges(&self) -> &[Range<*const u8>] {
        &[]
    }

    unsafe fn write(&self, _: *mut u8, _: &[u8]) {}
}

// SAFETY: nothing is reached by these addresses.
unsafe impl Platform for Mute {
    fn physical_address(&self, pointer: *const u8) -> u64 {
        pointer.addr() as u64
    }
}

#[test]
fn a_command_line_is_empty_where_the_kernel_has_none() {
    assert_eq!(Mute.command_line(), "");
}

#[test]
fn ops_are_found_by_number_and_by_name() {
    for (number, op) in (0..).zip(Op::all()) {
        assert_eq!((op.number(), Op::new(number), Op::named(op.name())), (number, Some(op), Some(op)));
        assert_eq!(op.to_string(), op.name());
    }
    assert_eq!(Op::named("irq::disable"), Some(irq::disable::OP));
    assert_eq!(Op::named("irq::none"), None);
}

#[test]
fn replacements_are_those_that_were_set() {
    let Override::Call(leaf) = leaf!(irq::disable, || ()) else { panic!("no call") };
    assert_eq!(format!("{leaf:?}"), format!("Leaf({:#x})", leaf.address()));
    let mut all = Replacements::KEEP;
    assert!(all.is_empty());
    all.set::<irq::disable>(Override::Call(leaf));
    all.set::<irq::enable>(Override::Nop);
    assert!(!all.is_empty());
    let got = [irq::disable::OP, irq::enable::OP, irq::save::OP].map(|op| all.get(op));
    assert_eq!(got, [Override::Call(leaf.address()), Override::Nop, Override::Keep]);
}

#[test]
fn a_table_shows_its_ops_and_says_what_is_wrong_with_another() {
    let shown = format!("{:?}", Table::vacant());
    assert!(Op::all().all(|op| shown.contains(&format!("{:?}: 0x0", op.name()))), "{shown}");
    assert_eq!(TableError::Version(0x0003_0104).to_string(), "a table of version 3.260, not 2");
    assert_eq!(TableError::Count(70_000).to_string(), "a table of 70000 ops");
}

#[test]
fn operands_are_their_bits() {
    let mut byte = 0_u8;
    let pointer = &raw mut byte;
    assert_eq!(
        (pointer.to_bits(), <*mut u8>::from_bits(pointer.to_bits())),
        (pointer.addr() as u128, pointer)
    );
    assert_eq!(().to_bits(), 0);
    assert_eq!(Fault.to_string(), "the access raised a general-protection fault");
}
