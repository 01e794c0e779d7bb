//! The guest's half of VMI's calls by port against the host's: the call port is a function call, memory is this process's.

// UNSAFETY: opens blocks with a function in place of the instruction, and reaches blocks by their addresses.
#![expect(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::{Cell, RefCell},
    rc::Rc,
    sync::atomic::{AtomicU8, AtomicU32, Ordering},
    time::Duration,
};

use vmi_abi::CommandLine;
use vmi_abi::port_call::{Call, Features, Number, Status};
use vmi_host_backend::port_call::{Announced, Block, Caller as Guest, Error};
use vmi_kvm_backend_host::port_call::{Exits, Fault, GuestRam, PortCalls, Services, Unable};

const CALL_PORT: u16 = 0x5640;
const DOORBELL_PORT: u16 = 0x5644;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static MACHINE: RefCell<Option<Rc<Machine>>> = const { RefCell::new(None) };
}

/// Counts what each thread allocates.
struct Counting;

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A piece of this process's memory at a guest-physical address of its own.
struct Ram {
    physical: u64,
    bytes: &'static [AtomicU8],
}

impl Ram {
    fn at(&self, address: u64, len: u64) -> Result<&[AtomicU8], Fault> {
        let fault = Fault { address, bytes: len };
        let start = usize::try_from(address.checked_sub(self.physical).ok_or(fault)?).map_err(|_| fault)?;
        let end = start.checked_add(len as usize).ok_or(fault)?;
        self.bytes.get(start..end).ok_or(fault)
    }

    fn word(&self, address: u64) -> Result<&AtomicU32, Fault> {
        let bytes = self.at(address, 4)?;
        let word = bytes.as_ptr().cast::<AtomicU32>();
        assert!(word.is_aligned());
        // SAFETY: four bytes of atomics, aligned, that live for ever.
        Ok(unsafe { &*word })
    }
}

impl GuestRam for Ram {
    fn contains(&self, address: u64, bytes: u64) -> bool {
        self.at(address, bytes).is_ok()
    }

    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        let from = self.at(address, bytes.len() as u64)?;
        bytes.iter_mut().zip(from).for_each(|(to, from)| *to = from.load(Ordering::Relaxed));
        Ok(())
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        let to = self.at(address, bytes.len() as u64)?;
        bytes.iter().zip(to).for_each(|(from, to)| to.store(*from, Ordering::Relaxed));
        Ok(())
    }

    fn load(&self, address: u64) -> Result<u32, Fault> {
        self.word(address).map(|word| word.load(Ordering::Acquire))
    }

    fn store(&self, address: u64, value: u32) -> Result<(), Fault> {
        self.word(address).map(|word| word.store(value, Ordering::Release))
    }
}

/// Services that count, and print to the last line.
#[derive(Default)]
struct Monitor {
    exits: Cell<u64>,
    line: RefCell<String>,
    lines: Cell<u32>,
    marks: Cell<u64>,
    released: Cell<(u64, u64)>,
    code: Cell<Option<u8>>,
}

impl Services for Monitor {
    fn console_line(&self, _: usize, line: &[u8]) -> Result<(), Unable> {
        let text = std::str::from_utf8(line).map_err(|_| Unable)?;
        self.line.borrow_mut().clear();
        self.line.borrow_mut().push_str(text);
        self.lines.set(self.lines.get() + 1);
        Ok(())
    }

    fn release_pages(&self, address: u64, bytes: u64) -> Result<(), Unable> {
        self.released.set((address, bytes));
        Ok(())
    }

    fn wall_clock_ns(&self) -> Result<u64, Unable> {
        Ok(1_700_000_000_000_000_000)
    }

    fn shutdown(&self, _: usize, code: u8) {
        self.code.set(Some(code));
    }

    fn exits(&self, _: usize) -> Exits {
        Exits { of_vcpu: self.exits.get(), of_all: self.exits.get() }
    }

    fn trace_mark(&self, _: usize, mark: u64, _: u64) {
        self.marks.set(self.marks.get().wrapping_add(mark));
    }
}

struct Machine {
    port_calls: PortCalls,
    ram: Ram,
    monitor: Monitor,
    /// Rings that nobody has heard yet.
    rings: Cell<u64>,
}

/// What `out dx, eax` is on a real machine.
unsafe fn out(port: u16, value: u32) {
    let machine = MACHINE.with_borrow(|machine| machine.clone()).expect("a machine");
    match port {
        CALL_PORT => {
            machine.monitor.exits.set(machine.monitor.exits.get() + 1);
            machine.port_calls.call(&machine.ram, &machine.monitor, 0, &value.to_le_bytes());
        }
        DOORBELL_PORT => machine.rings.set(machine.rings.get() + 1),
        _ => panic!("port {port:#x}"),
    }
}

/// A guest with a block at this address, and the machine that it runs on.
fn boot<const CALLS: usize>(port_calls: PortCalls, physical: u64) -> (Guest, Rc<Machine>) {
    let block: &'static Block<CALLS> = Box::leak(Box::new(Block::new()));
    let first = block.address().cast::<AtomicU8>();
    // SAFETY: the block is all atomics, and lives for ever; of the padding nobody makes anything.
    let bytes = unsafe { std::slice::from_raw_parts(first, size_of::<Block<CALLS>>()) };
    let leaves = port_calls.announcement(CALL_PORT, DOORBELL_PORT).leaves(0x4000_0100);
    let none = leaves[2].1;
    let cpuid = |leaf, _| leaves.iter().find(|known| known.0 == leaf).map_or(none, |known| known.1);
    let described = vmi_abi::Machine::new(&cpuid, CommandLine::default());
    let announced = Announced::detect(&described).expect("the host's own announcement");
    let ram = Ram { physical, bytes };
    let machine = Rc::new(Machine { port_calls, ram, monitor: Monitor::default(), rings: Cell::new(0) });
    MACHINE.set(Some(machine.clone()));
    // SAFETY: `out` reaches the machine, whose memory the block is.
    let guest = unsafe { announced.open_through(block, physical, out) }.expect("it opens");
    (guest, machine)
}

#[test]
fn every_call_arrives() {
    let (guest, machine) = boot::<512>(PortCalls::new(1), 0x1_0000);
    let monitor = &machine.monitor;
    assert_eq!(guest.console_line(b"a line"), Ok(()));
    assert_eq!(*monitor.line.borrow(), "a line");
    assert_eq!(guest.wall_clock_ns(), Ok(1_700_000_000_000_000_000));
    // SAFETY: this monitor takes note, no more.
    assert_eq!(unsafe { guest.release_pages(0x1_1000, 0x1000) }, Ok(()));
    assert_eq!(monitor.released.get(), (0x1_1000, 0x1000));
    assert_eq!(guest.trace_mark(7, 0), Ok(()));
    assert_eq!(monitor.marks.get(), 7);
    let statistics = guest.statistics().expect("statistics");
    assert_eq!((statistics.exits, statistics.batches, statistics.calls), (5, 5, 5));
    assert_eq!((statistics.lines, statistics.released_bytes, statistics.trace_marks), (1, 0x1000, 1));
    // This machine does not end, and the guest says so.
    assert_eq!(guest.shutdown(42), Err(Error::NotServed));
    assert_eq!(monitor.code.get(), Some(42));
}

#[test]
fn a_batch_in_parts_is_gone_through_once() {
    for (part, exits) in [(Duration::ZERO, 512), (Duration::from_secs(3600), 1)] {
        let (guest, machine) = boot::<512>(PortCalls::new(1).in_parts_of(part), 0x1_0000);
        let mut batch = guest.batch().expect("the block is free");
        (0..512).for_each(|mark| batch.trace_mark(mark, 0).expect("there is room"));
        let answers = batch.send_in_parts().expect("it is answered");
        assert!(answers.iter().all(|answer| answer == Ok(0)) && answers.len() == 512);
        assert_eq!((machine.monitor.exits.get(), machine.monitor.marks.get()), (exits, 511 * 512 / 2));
    }
}

#[test]
fn a_batch_of_512_calls_is_one_exit() {
    let (guest, machine) = boot::<512>(PortCalls::new(1), 0x1_0000);
    let mut batch = guest.batch().expect("the block is free");
    (0..512).for_each(|mark| batch.trace_mark(mark, 0).expect("there is room"));
    let answers = batch.send().expect("the host answers");
    assert!(answers.iter().all(|answer| answer == Ok(0)) && answers.len() == 512);
    assert_eq!((machine.monitor.exits.get(), machine.monitor.marks.get()), (1, 511 * 512 / 2));
}

#[test]
fn what_is_posted_is_done_without_an_exit() {
    let (guest, machine) = boot::<4>(PortCalls::new(1), 0x1_0000);
    let hear = || machine.port_calls.doorbell(&machine.ram, &machine.monitor, machine.rings.take());
    assert_eq!(guest.accept_posts(), Ok(()));
    for round in 1..4 {
        let mut batch = guest.batch().expect("the block is free");
        batch.console_line(b"posted").expect("there is room");
        assert_eq!(batch.post(), Ok(()));
        assert_eq!(guest.batch().err(), Some(Error::Busy));
        hear();
        assert_eq!(machine.monitor.lines.get(), round);
    }
    assert_eq!(machine.monitor.exits.get(), 1, "the registration");
    assert_eq!(guest.refuse_posts(), Ok(()));
    assert_eq!(guest.batch().expect("the block is free").post(), Ok(()));
    hear();
    assert_eq!(guest.batch().err(), Some(Error::Busy), "nobody looks at it any more");
}

#[test]
fn a_host_that_refuses_is_survived() {
    for status in Status::REFUSALS {
        let (guest, machine) = boot::<4>(PortCalls::new(1).refusing(None, status), 0x1_0000);
        assert_eq!(guest.console_line(b"a line"), Err(Error::Refused(status)));
        assert_eq!(guest.wall_clock_ns(), Err(Error::Refused(status)));
        assert_eq!(machine.monitor.lines.get(), 0);
    }
    let (guest, _) = boot::<4>(PortCalls::new(1).offering(Features::CONSOLE), 0x1_0000);
    assert_eq!(guest.console_line(b"a line"), Ok(()));
    assert_eq!(guest.wall_clock_ns(), Err(Error::Absent(Features::WALL_CLOCK)));
}

#[test]
fn a_block_in_the_last_page_that_a_call_can_name_works() {
    let (guest, _) = boot::<93>(PortCalls::new(1), 0xfff_ffff_f000);
    assert_eq!(guest.console_line(b"a line"), Ok(()));
}

#[test]
fn the_host_allocates_nothing_for_a_guest() {
    let (guest, machine) = boot::<512>(PortCalls::new(1), 0x1_0000);
    // The monitor's own line gets its room.
    machine.monitor.line.borrow_mut().reserve(1024);
    assert_eq!(guest.accept_posts(), Ok(()));
    let before = ALLOCATIONS.get();
    for round in 0..200_u64 {
        let mut batch = guest.batch().expect("the block is free");
        for index in 0..512_u64 {
            let number = Number::ALL[(index + round) as usize % Number::ALL.len()];
            let argument = round << (index % 60);
            let call = match number {
                Number::SHUTDOWN | Number::STATISTICS => Call::new(Number(number.0 + 100), argument, index),
                Number::POST_BLOCK => Call::new(number, 0x1_0000, 0),
                Number::CONSOLE_LINE => Call::new(number, 0x1_4040, 2 * index),
                Number::WALL_CLOCK => Call::new(number, 0, index % 2),
                _ => Call::new(number, argument & !4095, index),
            };
            // SAFETY: the host is to refuse it, or it names the block, where this monitor does nothing.
            unsafe { batch.push(call) }.expect("there is room");
        }
        if round % 2 == 0 {
            drop(batch.send().expect("the host answers"));
        } else {
            batch.post().expect("there is a doorbell");
            machine.port_calls.doorbell(&machine.ram, &machine.monitor, 1);
        }
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert!(machine.monitor.lines.get() > 1000, "{} lines", machine.monitor.lines.get());
}
