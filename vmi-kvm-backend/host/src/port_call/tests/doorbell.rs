//! Posted batches.

use vmi_abi::port_call::{Call, Number, Status};

use super::{
    PortCalls,
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
    port_calls.reset();
    assert_eq!(ring(), 0);
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
