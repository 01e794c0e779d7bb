//! What the backend makes of CPUID tables.

use std::{arch::x86_64::CpuidResult, fmt};

use vmi_abi::{
    Backend, CommandLine, Machine, Offer, Op, Override, Rank,
    port_call::{Announcement, Features, Hints, Implementation, Version},
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
