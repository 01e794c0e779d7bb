//! The backend enabled on a machine in user space: its MSRs are functions, which fill the pages as KVM does.

// UNSAFETY: enables the backend, calls what it puts in place of ops, and fills pages by their addresses.
#![expect(unsafe_code)]

use std::{
    arch::x86_64::{_rdtsc, CpuidResult},
    mem,
    ops::Range,
    ptr,
    sync::Mutex,
    time::{Duration, Instant},
};

use vmi_abi::{
    Backend, CommandLine, Fault, Machine, Op, Override, Platform, Replacements, Table, Text, cpu, leaf, time,
};
use vmi_kvm_backend::{
    BACKEND, Features,
    msr::{ENABLE, SYSTEM_TIME_NEW, WALL_CLOCK_NEW},
    pvclock::{Flags, TimeInfo, ahead_ns, inherited_registration, page_address, pauses_seen, snapshot},
    wall_clock::WallClock,
};

/// What firmware left registered.
const FIRMWARE: u64 = 0xf_0001;
const NS_PER_SECOND: u64 = 1_000_000_000;
const HOUR_NS: u64 = 3600 * NS_PER_SECOND;
const SYSTEM_NS: u64 = 2 * HOUR_NS;
const WALL: WallClock = WallClock { version: 2, sec: 1_700_000_000, nsec: 7 };

/// The values of the wall clock's MSR and of the system time's.
static MSRS: Mutex<[u64; 2]> = Mutex::new([0, FIRMWARE]);

fn read_msr(msr: u32) -> Result<u64, Fault> {
    let index = msr.checked_sub(WALL_CLOCK_NEW).ok_or(Fault)?;
    MSRS.lock().unwrap().get(index as usize).copied().ok_or(Fault)
}

fn write_msr(msr: u32, value: u64) -> Result<(), Fault> {
    let index = msr.checked_sub(WALL_CLOCK_NEW).ok_or(Fault)?;
    *MSRS.lock().unwrap().get_mut(index as usize).ok_or(Fault)? = value;
    let page = ptr::with_exposed_provenance_mut::<()>((value & !ENABLE) as usize);
    if msr == SYSTEM_TIME_NEW && value & ENABLE != 0 {
        let info = TimeInfo {
            version: 2,
            // SAFETY: every CPU has it.
            tsc_timestamp: unsafe { _rdtsc() },
            system_time: SYSTEM_NS,
            // A nanosecond a tick: twice a half.
            tsc_to_system_mul: 1 << 31,
            tsc_shift: 1,
            flags: Flags::STABLE.bits(),
            ..TimeInfo::default()
        };
        // SAFETY: the page that the backend registers, by the platform at its own address.
        unsafe { page.cast::<TimeInfo>().write_volatile(info) };
    }
    if msr == WALL_CLOCK_NEW && value != 0 {
        // SAFETY: as above.
        unsafe { page.cast::<WallClock>().write_volatile(WALL) };
    }
    Ok(())
}

/// Answers `question` about a machine whose KVM has the clock.
fn on<T>(question: impl FnOnce(&Machine<'_>) -> T) -> T {
    let [name, features] = [[0x4000_0001, 0x4b4d_564b, 0x564b_4d56, 0x4d], [Features::all().bits(), 0, 0, 0]];
    let cpuid = |leaf, _| {
        let [eax, ebx, ecx, edx] = match leaf {
            0x4000_0000 => name,
            0x4000_0001 => features,
            _ => [0; 4],
        };
        CpuidResult { eax, ebx, ecx, edx }
    };
    question(&Machine::new(&cpuid, CommandLine::default()))
}

/// A platform whose memory lies where it is mapped.
struct Program;

// SAFETY: there is no text, so nothing to write.
unsafe impl Text for Program {
    fn ranges(&self) -> &[Range<*const u8>] {
        &[]
    }

    unsafe fn write(&self, _: *mut u8, _: &[u8]) {}
}

// SAFETY: the host's side is in this file, and reaches every byte by its address.
unsafe impl Platform for Program {
    fn physical_address(&self, pointer: *const u8) -> u64 {
        pointer.expose_provenance() as u64
    }
}

static BELOW: Table = Table::vacant();

extern "sysv64" fn seven() -> u64 {
    7
}

/// Makes the table below.
fn fill_table() {
    let leaf = |with: Override<usize>| match with {
        Override::Call(address) => address,
        other => panic!("{other:?}"),
    };
    let mut all = Replacements::KEEP;
    all.set::<cpu::try_read_msr>(leaf!(cpu::try_read_msr, read_msr));
    all.set::<cpu::try_write_msr>(leaf!(cpu::try_write_msr, write_msr));
    all.set::<time::now_ns>(Override::Call(seven));
    all.set::<time::wall_clock>(Override::Call(seven));
    all.set::<time::frequency>(Override::Call(seven));
    for op in Op::all().filter(|op| all.get(*op) != Override::Keep) {
        // SAFETY: what `Replacements` took for this op.
        unsafe { BELOW.set(op, leaf(all.get(op))) };
    }
}

#[test]
fn time_is_told_by_the_pages_while_they_are_registered_and_by_the_table_below_else() {
    fill_table();
    let (offer, all) = on(|machine| {
        let offer = BACKEND.probe(machine).expect("an offer");
        (offer, BACKEND.replacements(&offer, machine))
    });
    let function = |op| -> extern "sysv64" fn() -> u64 {
        match all.get(op) {
            // SAFETY: a function with the signature of the ops, which the backend promises.
            Override::Call(address) => unsafe {
                mem::transmute::<usize, extern "sysv64" fn() -> u64>(address)
            },
            other => panic!("{other:?}"),
        }
    };
    let [now_ns, wall_clock, frequency] =
        [time::now_ns::OP, time::wall_clock::OP, time::frequency::OP].map(function);
    assert_eq!((wall_clock(), frequency()), (0, 0), "before all, there is no table below");
    // SAFETY: nothing is edited, and the MSRs are a table.
    unsafe { BACKEND.clear_inherited(&offer, &BELOW) };
    assert_eq!((*MSRS.lock().unwrap(), inherited_registration()), ([0, 0], FIRMWARE));
    // SAFETY: as above, and this test alone enables it.
    let enabled = on(|machine| unsafe { BACKEND.enable(&offer, machine, &Program, &BELOW) });
    assert_eq!(enabled, Ok(()));
    assert_eq!(MSRS.lock().unwrap()[1] & ENABLE, ENABLE);
    let start = Instant::now();
    let first = now_ns();
    assert!((SYSTEM_NS..SYSTEM_NS + 60 * NS_PER_SECOND).contains(&first), "{first}");
    while start.elapsed() < Duration::from_millis(1) {}
    assert!(now_ns() > first);
    assert_eq!(frequency(), NS_PER_SECOND);
    let boot = u64::from(WALL.sec) * NS_PER_SECOND + u64::from(WALL.nsec);
    assert!((boot + first..boot + first + 60 * NS_PER_SECOND).contains(&wall_clock()));
    // The host says that it held the guest up, and starts its clock anew an hour lower.
    assert_eq!((pauses_seen(), ahead_ns()), (0, 0));
    let held = snapshot().expect("a page");
    let system_time = held.system_time - HOUR_NS;
    let held = TimeInfo { version: 4, system_time, flags: (Flags::STABLE | Flags::PAUSED).bits(), ..held };
    // SAFETY: the page, which this thread alone reads.
    unsafe { page_address().cast::<TimeInfo>().cast_mut().write_volatile(held) };
    assert!((first..first + 60 * NS_PER_SECOND).contains(&now_ns()));
    assert_eq!(pauses_seen(), 1);
    assert!((HOUR_NS - 60 * NS_PER_SECOND..=HOUR_NS + 60 * NS_PER_SECOND).contains(&ahead_ns()));
    assert_eq!(snapshot(), Ok(TimeInfo { flags: Flags::STABLE.bits(), ..held }));
    // SAFETY: nothing is edited.
    unsafe { BACKEND.disable() };
    assert_eq!(*MSRS.lock().unwrap(), [0, 0]);
    assert_eq!((wall_clock(), frequency()), (7, 7));
}
