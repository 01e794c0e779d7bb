//! What the backend makes of CPUID tables, and of a host that cannot reach its block.

// UNSAFETY: enables the backend, and calls what it puts in place of ops.
#![expect(unsafe_code)]

use std::{
    arch::x86_64::CpuidResult,
    fmt, mem,
    ops::Range,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use vmi_abi::{
    Backend, CommandLine, Machine, Offer, Op, Override, Platform, Rank, Table, Text,
    port_call::{Announcement, Features, Hints, Implementation, Version},
    power, time,
};
use vmi_host_backend::BACKEND;

const BASE: u32 = 0x4000_0100;

/// Answers `question` about a machine whose host says so.
fn on<T>(features: Features, version: Version, question: impl FnOnce(&Machine<'_>) -> T) -> T {
    let announcement = Announcement {
        version,
        features,
        hints: Hints::from_bits_retain(u32::MAX),
        implementation: Implementation::default(),
        calls_max: 512,
        call_port: 0x5640,
        doorbell_port: 0x5644,
    };
    let leaves = announcement.leaves(BASE);
    let none = CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 };
    let cpuid = |leaf, _| leaves.iter().find(|known| known.0 == leaf).map_or(none, |known| known.1);
    question(&Machine::new(&cpuid, CommandLine::default()))
}

/// Asks the backend about a machine whose host says so.
fn probe(features: Features, version: Version) -> Result<Offer, &'static str> {
    on(features, version, |machine| BACKEND.probe(machine))
}

/// The names of the ops that the backend replaces where the host has these features.
fn replaced(features: Features) -> Vec<&'static str> {
    let all = on(features, Version::CURRENT, |machine| {
        let offer = BACKEND.probe(machine).expect("an offer");
        BACKEND.replacements(&offer, machine)
    });
    Op::all().filter(|op| all.get(*op) != Override::Keep).map(Op::name).collect()
}

#[test]
fn a_hypervisors_own_interface_is_preferred() {
    assert_eq!(BACKEND.name(), "vmi");
    let offer = probe(Features::all(), Version::CURRENT).unwrap();
    assert!(offer.rank < Rank::HYPERVISOR);
    assert_eq!(offer.hints, Hints::all().bits().into(), "only what is known");
    assert_eq!((offer.features, offer.base_leaf), (Features::all().bits().into(), BASE));
}

#[test]
fn a_machine_whose_host_does_not_speak_vmi_is_left_alone() {
    let zero = CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 };
    let cpuid = |_, _| zero;
    let machine = Machine::new(&cpuid, CommandLine::default());
    assert_eq!(BACKEND.probe(&machine), Err("no VMI signature in CPUID"));
}

#[test]
fn a_host_that_speaks_another_vmi_is_not_asked() {
    let stranger = probe(Features::all(), Version::from_bits(2 << 16));
    assert_eq!(stranger, Err("a host of an unknown version of VMI"));
}

#[test]
fn an_op_is_replaced_where_the_host_offers_it() {
    assert_eq!(replaced(Features::all()), ["time::wall_clock", "power::shutdown"]);
    assert_eq!(replaced(Features::all() - Features::SHUTDOWN), ["time::wall_clock"]);
    assert_eq!(replaced(Features::all() - Features::WALL_CLOCK), ["power::shutdown"]);
    assert_eq!(replaced(Features::CONSOLE), [""; 0]);
}

#[test]
fn features_from_the_future_are_ignored() {
    let offer = probe(Features::from_bits_retain(u32::MAX), Version::CURRENT).unwrap();
    assert_eq!(offer.features, Features::all().bits().into());
}

struct Described(Features);

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BACKEND.describe(&probe(self.0, Version::CURRENT).unwrap(), f)
    }
}

#[test]
fn an_offer_is_described_by_names() {
    assert_eq!(Described(Features::CONSOLE | Features::SHUTDOWN).to_string(), "CONSOLE | SHUTDOWN");
    assert_eq!(Described(Features::empty()).to_string(), "none");
}

/// A platform with memory where no page number of 32 bits reaches.
struct High;

// SAFETY: there is no text, so nothing to write.
unsafe impl Text for High {
    fn ranges(&self) -> &[Range<*const u8>] {
        &[]
    }

    unsafe fn write(&self, _: *mut u8, _: &[u8]) {}
}

// SAFETY: nothing is reached there.
unsafe impl Platform for High {
    fn physical_address(&self, _: *const u8) -> u64 {
        1 << 60
    }
}

#[test]
fn while_the_host_cannot_be_called_the_table_below_serves() {
    static BELOW: Table = Table::vacant();
    static SHUTDOWNS: AtomicU32 = AtomicU32::new(0);
    extern "sysv64" fn noon() -> u64 {
        43_200_000_000_000
    }
    extern "sysv64" fn shutdown() {
        SHUTDOWNS.fetch_add(1, Relaxed);
    }
    // SAFETY: a function with the op's signature.
    unsafe { BELOW.set(time::wall_clock::OP, (noon as *const ()).addr()) };
    // SAFETY: as above.
    unsafe { BELOW.set(power::shutdown::OP, (shutdown as *const ()).addr()) };
    let all = on(Features::all(), Version::CURRENT, |machine| {
        let offer = BACKEND.probe(machine).expect("an offer");
        // SAFETY: nothing is edited, no other test enables it, and its port is never written to.
        unsafe { BACKEND.enable(&offer, machine, &High, &BELOW) }.expect("enabled");
        BACKEND.replacements(&offer, machine)
    });
    let address = |op| match all.get(op) {
        Override::Call(address) => address,
        other => panic!("{other:?}"),
    };
    // SAFETY: a function with the op's signature, which the backend promises.
    let wall_clock: extern "sysv64" fn() -> u64 = unsafe { mem::transmute(address(time::wall_clock::OP)) };
    // SAFETY: as above.
    let shutdown: extern "sysv64" fn() = unsafe { mem::transmute(address(power::shutdown::OP)) };
    assert_eq!(wall_clock(), noon());
    shutdown();
    assert_eq!(SHUTDOWNS.load(Relaxed), 1);
    assert!(format!("{BACKEND:?}").contains("caller: None"), "{BACKEND:?}");
    // SAFETY: nothing is edited.
    unsafe { BACKEND.disable() };
    assert_eq!(wall_clock(), 0);
    shutdown();
    assert_eq!(SHUTDOWNS.load(Relaxed), 1);
}
