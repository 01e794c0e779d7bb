//! The same over real guest memory, with another CPU of the guest that writes to the batch all the time.

use std::sync::{
    Barrier,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    mpsc,
};

use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};
use vmi_abi::port_call::{Call, Header, Number, Status, block_bytes};

use super::{Exits, GuestRam, PortCalls, Services, Unable, model::header};
use crate::hostile::Numbers;

type Memory = GuestMemoryMmap<()>;

/// Two pieces with a hole, and a piece at the end of all addresses but one page.
fn memory() -> Memory {
    let pieces = [(0, 0x8000), (0x1_0000, 0x1000), (0xffff_ffff_ffff_d000, 0x2000)];
    Memory::from_ranges(&pieces.map(|(start, len)| (GuestAddress(start), len))).expect("memory")
}

#[test]
fn only_memory_is_read_and_written_and_that_wholly_or_not_at_all() {
    let memory = memory();
    let mut bytes = [0; 8];
    for inside in [0, 0x7ff8, 0x1_0ff8, 0xffff_ffff_ffff_eff8] {
        assert_eq!(GuestRam::write(&memory, inside, b"abcdefgh"), Ok(()));
        assert_eq!(GuestRam::read(&memory, inside, &mut bytes), Ok(()));
        assert_eq!(&bytes, b"abcdefgh");
    }
    for outside in [0x7ff9, 0x8000, 0xfff9, 0x1_0ff9, 0xffff_ffff_ffff_eff9, 0xffff_ffff_ffff_fff8, u64::MAX]
    {
        assert!(!GuestRam::contains(&memory, outside, 8));
        assert!(GuestRam::read(&memory, outside, &mut bytes).is_err(), "{outside:#x}");
        assert_eq!(&bytes, b"abcdefgh", "a read at {outside:#x} came half way");
        assert!(GuestRam::write(&memory, outside, b"ABCDEFGH").is_err(), "{outside:#x}");
        assert!(GuestRam::load(&memory, outside | 1).is_err());
        assert!(GuestRam::store(&memory, outside | 1, 0).is_err());
    }
    assert_eq!(GuestRam::read(&memory, 0x7ff8, &mut bytes), Ok(()));
    assert_eq!(&bytes, b"abcdefgh", "the part that was inside stays");
    assert!(!GuestRam::contains(&memory, 0, u64::MAX));
    assert!(!GuestRam::contains(&memory, 0x1000, u64::MAX - 0xfff));
    assert!(GuestRam::contains(&memory, 0x1000, 0x7000));
    assert!(!GuestRam::contains(&memory, 0x1000, 0x7001));
}

/// Services that hold the arguments against the rules.
#[derive(Default)]
struct Strict {
    served: AtomicU64,
}

impl Services for Strict {
    fn console_line(&self, _: usize, line: &[u8]) -> Result<(), Unable> {
        assert!(line.len() <= 1024);
        self.served.fetch_add(1, Relaxed);
        Ok(())
    }

    fn release_pages(&self, address: u64, bytes: u64) -> Result<(), Unable> {
        assert!(address.is_multiple_of(4096) && bytes.is_multiple_of(4096) && bytes > 0);
        assert!(GuestRam::contains(&memory(), address, bytes));
        self.served.fetch_add(1, Relaxed);
        Ok(())
    }

    fn wall_clock_ns(&self) -> Result<u64, Unable> {
        Ok(1)
    }

    fn shutdown(&self, _: usize, _: u8) {}

    fn exits(&self, _: usize) -> Exits {
        Exits::default()
    }

    fn trace_mark(&self, _: usize, _: u64, _: u64) {
        self.served.fetch_add(1, Relaxed);
        // Whoever races gets the time for it.
        std::thread::yield_now();
    }
}

/// Sets a flag when it goes away, also by a panic.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn a_batch_may_be_written_to_while_it_is_processed() {
    const ROUNDS: usize = 3000;
    let (memory, port_calls, services) = (memory(), PortCalls::new(2), Strict::default());
    let done = AtomicBool::new(false);
    let writes = AtomicU64::new(0);
    let (started, start) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut numbers = Numbers::Seeded(1);
            started.send(()).expect("the test waits");
            while !done.load(Relaxed) {
                // Among the calls; the header is set up anew each round.
                let place = 0x1000 + 64 + (numbers.below(64 * 32) & !3);
                let word = numbers.pick(&[0, 1, 0x564d_4901, 0x564d_4902, 0x564d_4906, 0x1000, u32::MAX]);
                Bytes::store(&memory, word, GuestAddress(place), Relaxed).expect("memory");
                writes.fetch_add(1, Relaxed);
            }
        });
        start.recv().expect("the other CPU runs");
        let _ends = Ends(&done);
        for round in 0..ROUNDS {
            for index in 0..64 {
                let call = match index % 3 {
                    0 => Call::new(Number::CONSOLE_LINE, 0x2000, 100),
                    1 => Call::new(Number::RELEASE_PAGES, 0x3000, 0x1000),
                    _ => Call::new(Number::TRACE_MARK, round as u64, index),
                };
                let place = GuestAddress(0x1000 + block_bytes(index as usize) as u64);
                memory.write_slice(&call.to_bytes(), place).expect("memory");
            }
            let header = Header { count: 64, ..header() };
            memory.write_slice(&header.to_bytes(), GuestAddress(0x1000)).expect("memory");
            port_calls.call(&memory, &services, round % 2, &1_u32.to_le_bytes());
            let status: u32 = Bytes::load(&memory, GuestAddress(0x1010), Relaxed).expect("memory");
            assert_eq!(Status(status), Status::DONE);
        }
    });
    assert!(writes.load(Relaxed) > 1000 && services.served.load(Relaxed) > 1000);
}

#[test]
fn a_posted_batch_is_answered_once_whoever_rings() {
    const ROUNDS: u64 = 200;
    const CALLS: usize = 64;
    let (memory, port_calls, services) = (memory(), PortCalls::new(1), Strict::default());
    let put = |block: u64, status: Status, calls: &[Call]| {
        for (index, call) in calls.iter().enumerate() {
            let place = GuestAddress(block + block_bytes(index) as u64);
            memory.write_slice(&call.to_bytes(), place).expect("memory");
        }
        let header = Header { count: calls.len() as u32, status: status.0, ..header() };
        memory.write_slice(&header.to_bytes(), GuestAddress(block)).expect("memory");
    };
    put(0x1000, Status::ASKED, &[Call::new(Number::POST_BLOCK, 0x2000, 0)]);
    port_calls.call(&memory, &services, 0, &1_u32.to_le_bytes());
    let (ring, rung) = (Barrier::new(3), Barrier::new(3));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    ring.wait();
                    port_calls.doorbell(&memory, &services, 1);
                    rung.wait();
                }
            });
        }
        for _ in 0..ROUNDS {
            put(0x2000, Status::POSTED, &[Call::new(Number::TRACE_MARK, 0, 0); CALLS]);
            ring.wait();
            rung.wait();
        }
    });
    assert_eq!(services.served.load(Relaxed), ROUNDS * CALLS as u64);
}
