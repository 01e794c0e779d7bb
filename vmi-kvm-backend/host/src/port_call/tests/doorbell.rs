//! Posted batches.

use std::{sync::Barrier, thread, time::Duration};

use vmi_abi::port_call::{Call, Header, HeaderFlags, Number, OFF, Status};

use super::{
    Exits, GuestRam, PortCalls, Services, Unable,
    model::{EXITS, Notes, Ram, Service},
};

/// Has vCPU `vcpu` call once, from a block at 0.
fn call(port_calls: &PortCalls, ram: &Ram, notes: &Notes, vcpu: usize, call: Call) -> Status {
    ram.put_block(0, Status::ASKED, &[call]);
    port_calls.call(ram, notes, vcpu, &[0; 4]);
    Status(ram.call_at(0, 0).status)
}

#[test]
fn a_posted_batch_is_answered_once_for_its_own_cpu() {
    let (port_calls, ram, notes) = (PortCalls::new(2), Ram::default(), Notes::default());
    assert_eq!(call(&port_calls, &ram, &notes, 1, Call::new(Number::POST_BLOCK, 0x2000, 0)), Status::DONE);
    ram.put_block(0x2000, Status::POSTED, &[Call::new(Number::TRACE_MARK, 4, 5)]);
    port_calls.doorbell(&ram, &notes, 3);
    assert_eq!(notes.take(), [Service::Mark(1, 4, 5)]);
    assert_eq!(Status(ram.header_at(0x2000).status), Status::DONE);
    port_calls.doorbell(&ram, &notes, 1);
    assert_eq!(notes.take(), [], "it was answered");
    let statistics = port_calls.statistics(EXITS);
    assert_eq!((statistics.doorbells, statistics.posted, statistics.refused), (4, 1, 0));
}

#[test]
fn nothing_is_looked_at_that_was_not_posted_or_was_taken_back() {
    let (port_calls, ram, notes) = (PortCalls::new(2), Ram::default(), Notes::default());
    let ring = || {
        ram.put_block(0x2000, Status::POSTED, &[Call::new(Number::TRACE_MARK, 0, 0)]);
        port_calls.doorbell(&ram, &notes, 1);
        notes.take().len()
    };
    let post = |address| call(&port_calls, &ram, &notes, 0, Call::new(Number::POST_BLOCK, address, 0));
    assert_eq!(ring(), 0);
    assert_eq!((post(0x2000), ring()), (Status::DONE, 1));
    assert_eq!((post(0), ring()), (Status::DONE, 0));
    assert_eq!((post(0x2000), ring()), (Status::DONE, 1));
    assert_eq!((post(OFF), ring()), (Status::DONE, 0));
    assert_eq!((post(0x2000), ring()), (Status::DONE, 1));
    port_calls.reset();
    assert_eq!(ring(), 0);
}

#[test]
fn a_posted_batch_is_not_given_back_early() {
    let ram = Ram::default();
    let port_calls = PortCalls::new(1).in_parts_of(Duration::ZERO);
    let notes = Notes::default();
    call(&port_calls, &ram, &notes, 0, Call::new(Number::POST_BLOCK, 0x2000, 0));
    ram.put_block(0x2000, Status::POSTED, &[Call::new(Number::TRACE_MARK, 0, 0); 4]);
    let flags = HeaderFlags::PARTIAL.bits();
    ram.put(0x2000, &Header { flags, ..ram.header_at(0x2000) }.to_bytes());
    port_calls.doorbell(&ram, &notes, 1);
    assert_eq!((notes.take().len(), ram.header_at(0x2000).done), (4, 4));
}

/// Services that are in the middle of a mark until they are told to go on.
struct Held {
    inside: Barrier,
    go_on: Barrier,
}

impl Services for Held {
    fn console_line(&self, _: usize, _: &[u8]) -> Result<(), Unable> {
        Ok(())
    }

    fn release_pages(&self, _: u64, _: u64) -> Result<(), Unable> {
        Ok(())
    }

    fn wall_clock_ns(&self) -> Result<u64, Unable> {
        Ok(0)
    }

    fn shutdown(&self, _: usize, _: u8) {}

    fn exits(&self, _: usize) -> Exits {
        Exits::default()
    }

    fn trace_mark(&self, _: usize, _: u64, _: u64) {
        self.inside.wait();
        self.go_on.wait();
    }
}

#[test]
fn when_a_reset_is_over_nothing_is_written_any_more() {
    let memory = crate::memory::allocate(2 << 20).unwrap();
    let put = |address: u64, status: Status, call: Call| {
        let header = Header { count: 1, status: status.0, ..super::model::header() };
        GuestRam::write(&memory, address, &header.to_bytes()).unwrap();
        GuestRam::write(&memory, address + 64, &call.to_bytes()).unwrap();
    };
    let status = |address: u64| Status(GuestRam::load(&memory, address + 16).unwrap());
    let port_calls = PortCalls::new(1);
    let held = Held { inside: Barrier::new(2), go_on: Barrier::new(2) };
    put(0x1000, Status::ASKED, Call::new(Number::POST_BLOCK, 0x2000, 0));
    port_calls.call(&memory, &held, 0, &1_u32.to_le_bytes());
    assert_eq!(status(0x1000), Status::DONE);
    put(0x2000, Status::POSTED, Call::new(Number::TRACE_MARK, 0, 0));
    thread::scope(|scope| {
        scope.spawn(|| port_calls.doorbell(&memory, &held, 1));
        held.inside.wait();
        let reset = scope.spawn(|| {
            port_calls.reset();
            status(0x2000)
        });
        // Long enough for a reset that does not wait.
        thread::sleep(Duration::from_millis(50));
        held.go_on.wait();
        assert_eq!(reset.join().unwrap(), Status::DONE, "the answer came behind the reset");
    });
    put(0x2000, Status::POSTED, Call::new(Number::TRACE_MARK, 0, 0));
    port_calls.doorbell(&memory, &held, 1);
    assert_eq!(status(0x2000), Status::POSTED);
}

#[test]
fn a_cpu_that_is_not_there_has_no_block() {
    let (port_calls, ram, notes) = (PortCalls::new(2), Ram::default(), Notes::default());
    assert_eq!(call(&port_calls, &ram, &notes, 2, Call::new(Number::POST_BLOCK, 0x2000, 0)), Status::FAILED);
}

#[test]
fn a_ring_leaves_a_batch_alone_that_asks_by_the_call_port() {
    let (port_calls, ram, notes) = (PortCalls::new(1), Ram::default(), Notes::default());
    assert_eq!(call(&port_calls, &ram, &notes, 0, Call::new(Number::POST_BLOCK, 0x2000, 0)), Status::DONE);
    for status in [Status::IDLE, Status::ASKED, Status::DONE] {
        ram.put_block(0x2000, status, &[Call::new(Number::TRACE_MARK, 0, 0)]);
        port_calls.doorbell(&ram, &notes, 1);
        assert_eq!((notes.take(), Status(ram.header_at(0x2000).status)), (vec![], status));
    }
}
