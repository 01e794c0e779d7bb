//! What each call does, and how wrong ones are refused.

use std::time::Duration;

use vmi_abi::port_call::{
    CALLS_MAX, Call, Features, Header, HeaderFlags, Hints, Implementation, Number, OFF, Statistics, Status,
    Version,
};

use super::{
    PortCalls,
    model::{EXITS, NOW_NS, Notes, Ram, Service, header},
};

const BLOCK: u64 = 0x1000;
const PAGE: u32 = 1;

/// Makes a batch of these calls on vCPU 0 and returns them as they were answered.
fn made(port_calls: &PortCalls, ram: &Ram, notes: &Notes, calls: &[Call]) -> Vec<(Status, u64)> {
    ram.put_block(BLOCK, Status::ASKED, calls);
    port_calls.call(ram, notes, 0, &PAGE.to_le_bytes());
    assert_eq!(Status(ram.header_at(BLOCK).status), Status::DONE);
    let answer = |index| (Status(ram.call_at(BLOCK, index).status), ram.call_at(BLOCK, index).result);
    (0..calls.len()).map(answer).collect()
}

/// Makes one call to a new machine; returns its answer and what services were asked for.
fn one(call: Call) -> (Status, u64, Vec<Service>) {
    let (ram, notes) = (Ram::default(), Notes::default());
    ram.put(0x500, b"a line of the console");
    let [(status, result)] = made(&PortCalls::new(1), &ram, &notes, &[call])[..] else {
        panic!("one answer")
    };
    (status, result, notes.take())
}

#[test]
fn each_call_does_what_it_says() {
    let line = one(Call::new(Number::CONSOLE_LINE, 0x500, 21));
    assert_eq!(line, (Status::DONE, 0, vec![Service::Line(0, b"a line of the console".to_vec())]));
    let release = one(Call::new(Number::RELEASE_PAGES, 0x3000, 0x2000));
    assert_eq!(release, (Status::DONE, 0, vec![Service::Release(0x3000, 0x2000)]));
    let clock = one(Call::new(Number::WALL_CLOCK, 0, 0));
    assert_eq!(clock, (Status::DONE, NOW_NS, vec![Service::Clock]));
    let shutdown = one(Call::new(Number::SHUTDOWN, 255, 0));
    assert_eq!(shutdown, (Status::DONE, 0, vec![Service::Shutdown(0, 255)]));
    let mark = one(Call::new(Number::TRACE_MARK, u64::MAX, 5));
    assert_eq!(mark, (Status::DONE, 0, vec![Service::Mark(0, u64::MAX, 5)]));
    let post = one(Call::new(Number::POST_BLOCK, 0x2000, 0));
    assert_eq!(post, (Status::DONE, 0, vec![]));
}

#[test]
fn a_batch_of_512_is_answered_at_once() {
    let (port_calls, ram, notes) = (PortCalls::new(1), Ram::default(), Notes::default());
    let calls: Vec<_> = (0..512).map(|at| Call::new(Number::TRACE_MARK, at, !at)).collect();
    assert_eq!(calls.len(), CALLS_MAX);
    assert_eq!(made(&port_calls, &ram, &notes, &calls), vec![(Status::DONE, 0); 512]);
    assert_eq!(ram.header_at(BLOCK).done, 512);
    let marks: Vec<_> = (0..512).map(|at| Service::Mark(0, at, !at)).collect();
    assert_eq!(notes.take(), marks);
}

/// Asks for `calls` marks in parts, again and again; returns the `done` of every answer.
fn parts(port_calls: &PortCalls, calls: u64) -> Vec<u32> {
    let (ram, notes) = (Ram::default(), Notes::default());
    let marks: Vec<_> = (0..calls).map(|at| Call::new(Number::TRACE_MARK, at, 0)).collect();
    ram.put_block(BLOCK, Status::ASKED, &marks);
    let mut all = Vec::new();
    let mut done = 0;
    while all.is_empty() || done < calls as u32 {
        let flags = HeaderFlags::PARTIAL.bits();
        ram.put(BLOCK, &Header { count: calls as u32, flags, done, ..header() }.to_bytes());
        port_calls.call(&ram, &notes, 0, &PAGE.to_le_bytes());
        let answer = ram.header_at(BLOCK);
        assert_eq!(Status(answer.status), Status::DONE);
        done = answer.done;
        all.push(done);
    }
    let served: Vec<_> = (0..calls).map(|at| Service::Mark(0, at, 0)).collect();
    assert_eq!(notes.take(), served, "each once, in order");
    all
}

#[test]
fn a_partial_batch_is_given_back_when_its_time_is_over_and_goes_on() {
    let at_once = || PortCalls::new(1).in_parts_of(Duration::from_secs(3600));
    let one_by_one = || PortCalls::new(1).in_parts_of(Duration::ZERO);
    assert_eq!(parts(&at_once(), 512), [512]);
    assert_eq!(parts(&one_by_one(), 5), [1, 2, 3, 4, 5]);
    assert_eq!(parts(&one_by_one(), 0), [0]);
    // Who does not ask for parts gets the batch whole.
    let (port_calls, ram, notes) = (one_by_one(), Ram::default(), Notes::default());
    let calls = [Call::new(Number::TRACE_MARK, 0, 0); 9];
    assert_eq!(made(&port_calls, &ram, &notes, &calls), vec![(Status::DONE, 0); 9]);
}

#[test]
fn statistics_say_what_happened() {
    let (port_calls, ram, notes) = (PortCalls::new(1), Ram::default(), Notes::default());
    let calls = [
        Call::new(Number::CONSOLE_LINE, 0, 0),
        Call::new(Number::RELEASE_PAGES, 0x5000, 0x1000),
        Call::new(Number::TRACE_MARK, 0, 0),
        Call::new(Number(77), 0, 0),
        Call::new(Number::STATISTICS, 0x4000, 4096),
    ];
    let answers = made(&port_calls, &ram, &notes, &calls);
    assert_eq!(answers[4], (Status::DONE, size_of::<Statistics>() as u64));
    let expected = Statistics {
        exits: EXITS.of_vcpu,
        exits_of_all: EXITS.of_all,
        batches: 1,
        calls: 5,
        refused: 1,
        lines: 1,
        released_bytes: 0x1000,
        trace_marks: 1,
        ..Statistics::default()
    };
    assert_eq!(Statistics::from_bytes(&ram.get(0x4000)), expected);
    assert_eq!(port_calls.statistics(EXITS), expected);
}

#[test]
fn a_guest_that_knows_fewer_statistics_gets_fewer() {
    let (ram, notes) = (Ram::default(), Notes::default());
    for wanted in [0, 1, 16, 79] {
        ram.put(0x4000, &[0xee; 96]);
        let answers =
            made(&PortCalls::new(1), &ram, &notes, &[Call::new(Number::STATISTICS, 0x4000, wanted as u64)]);
        assert_eq!(answers, [(Status::DONE, 80)]);
        assert!(ram.get::<96>(0x4000)[wanted..].iter().all(|&byte| byte == 0xee), "{wanted} bytes");
        assert!(wanted == 0 || ram.get::<1>(0x4000) == [77], "{wanted} bytes");
    }
}

#[test]
fn wrong_arguments_are_refused_by_name() {
    let cases = [
        (Number::CONSOLE_LINE, 0, 1025, Status::TOO_LONG),
        (Number::CONSOLE_LINE, 0, u64::MAX, Status::TOO_LONG),
        (Number::CONSOLE_LINE, 0x7fff, 2, Status::FAULT),
        (Number::CONSOLE_LINE, u64::MAX, 2, Status::FAULT),
        (Number::RELEASE_PAGES, 0x1000, 0, Status::INVALID),
        (Number::RELEASE_PAGES, 0x1001, 0x1000, Status::INVALID),
        (Number::RELEASE_PAGES, 0x1000, 0x1001, Status::INVALID),
        (Number::RELEASE_PAGES, 0x7000, 0x2000, Status::FAULT),
        (Number::RELEASE_PAGES, 0xffff_ffff_ffff_f000, 0x2000, Status::FAULT),
        (Number::RELEASE_PAGES, 0x1000, 0xffff_ffff_ffff_f000, Status::FAULT),
        (Number::WALL_CLOCK, 1, 0, Status::INVALID),
        (Number::WALL_CLOCK, 0, 1, Status::INVALID),
        (Number::SHUTDOWN, 256, 0, Status::INVALID),
        (Number::SHUTDOWN, 0, 1, Status::INVALID),
        (Number::STATISTICS, 0x7fff, 8, Status::FAULT),
        (Number::STATISTICS, u64::MAX - 40, 80, Status::FAULT),
        (Number::POST_BLOCK, 0x1010, 0, Status::INVALID),
        (Number::POST_BLOCK, 0x1000, 1, Status::INVALID),
        (Number::POST_BLOCK, 0x8000, 0, Status::FAULT),
        (Number(0), 0, 0, Status::UNKNOWN_CALL),
        (Number(1), 0, 0, Status::UNKNOWN_CALL),
        (Number(0x564d_4908), 0, 0, Status::UNKNOWN_CALL),
        (Number(0x564d_4980), 0, 0, Status::UNKNOWN_CALL),
        (Number::vendor(1, 1), 0, 0, Status::UNKNOWN_CALL),
        (Number(u32::MAX), 0, 0, Status::UNKNOWN_CALL),
        (Number::POST_BLOCK, OFF - 1, 0, Status::INVALID),
    ];
    for (number, a0, a1, expected) in cases {
        let (status, result, asked) = one(Call::new(number, a0, a1));
        assert_eq!((status, result), (expected, 0), "{number:x?}({a0:#x}, {a1:#x})");
        // Counting is asked for before the place is known to be wrong.
        assert!(asked.is_empty() || number == Number::STATISTICS, "{asked:?}");
    }
}

#[test]
fn a_refused_call_does_not_stop_the_batch_and_shutdown_does() {
    let (port_calls, ram, notes) = (PortCalls::new(1), Ram::default(), Notes::default());
    let calls = [
        Call::new(Number(3), 0, 0),
        Call::new(Number::TRACE_MARK, 1, 0),
        Call::new(Number::SHUTDOWN, 9, 0),
        Call::new(Number::TRACE_MARK, 2, 0),
    ];
    let answers = made(&port_calls, &ram, &notes, &calls);
    let statuses: Vec<_> = answers.into_iter().map(|answer| answer.0).collect();
    assert_eq!(statuses, [Status::UNKNOWN_CALL, Status::DONE, Status::DONE, Status::ASKED]);
    assert_eq!(ram.header_at(BLOCK).done, 3);
    assert_eq!(notes.take(), [Service::Mark(0, 1, 0), Service::Shutdown(0, 9)]);
}

#[test]
fn a_service_that_fails_is_told() {
    let (port_calls, ram, notes) = (PortCalls::new(1), Ram::default(), Notes::default());
    notes.fail.set(true);
    let calls = [
        Call::new(Number::CONSOLE_LINE, 0, 4),
        Call::new(Number::RELEASE_PAGES, 0x5000, 0x1000),
        Call::new(Number::WALL_CLOCK, 0, 0),
    ];
    assert_eq!(made(&port_calls, &ram, &notes, &calls), [(Status::FAILED, 0); 3]);
    let statistics = port_calls.statistics(EXITS);
    assert_eq!((statistics.lines, statistics.released_bytes, statistics.refused), (0, 0, 3));
}

/// Sends this header, with one mark behind it, to `port_calls`; returns the header as it was answered.
fn answered(port_calls: &PortCalls, sent: Header) -> (Header, Vec<Service>) {
    let (ram, notes) = (Ram::default(), Notes::default());
    ram.put_block(BLOCK, Status::ASKED, &[Call::new(Number::TRACE_MARK, 0, 0)]);
    ram.put(BLOCK, &sent.to_bytes());
    port_calls.call(&ram, &notes, 0, &PAGE.to_le_bytes());
    let found = ram.header_at(BLOCK);
    assert_eq!(Header { status: sent.status, done: sent.done, ..found }, sent, "the guest's fields stay");
    (found, notes.take())
}

#[test]
fn a_wrong_header_is_refused_whole() {
    let one_call = Header { count: 1, done: 99, ..header() };
    let mut reserved = one_call;
    reserved.zero[8] = 1;
    let cases = [
        (Header { version: 0x0002_0000, ..one_call }, Status::UNKNOWN_VERSION),
        (Header { version: 0, ..one_call }, Status::UNKNOWN_VERSION),
        (Header { features: 1 << 31, ..one_call }, Status::UNKNOWN_FEATURE),
        (reserved, Status::INVALID),
        (Header { flags: 2, ..one_call }, Status::INVALID),
        (Header { flags: u32::MAX, done: 0, ..one_call }, Status::INVALID),
        (Header { flags: 1, done: 2, ..one_call }, Status::INVALID),
        (Header { flags: 1, done: u32::MAX, ..one_call }, Status::INVALID),
        (Header { count: 513, ..one_call }, Status::TOO_LONG),
        (Header { count: u32::MAX, ..one_call }, Status::TOO_LONG),
    ];
    for (sent, expected) in cases {
        let (found, asked) = answered(&PortCalls::new(1), sent);
        assert_eq!((Status(found.status), found.done, asked), (expected, 0, vec![]), "{sent:?}");
    }
    let (found, asked) = answered(&PortCalls::new(1), Header { version: 0x0001_0063, ..one_call });
    assert_eq!(
        (Status(found.status), found.done, asked.len()),
        (Status::DONE, 1, 1),
        "a later minor version"
    );
}

#[test]
fn what_is_not_offered_or_not_named_is_refused() {
    let all = Features::all();
    let few = PortCalls::new(1).offering((all - Features::TRACE_MARK) | Features::from_bits_retain(1 << 31));
    assert_eq!(few.announcement(1, 2).features, all - Features::TRACE_MARK);
    let (found, _) = answered(&few, Header { count: 1, ..header() });
    assert_eq!(Status(found.status), Status::UNKNOWN_FEATURE);

    for number in Number::ALL {
        let (port_calls, ram, notes) = (PortCalls::new(1), Ram::default(), Notes::default());
        ram.put_block(BLOCK, Status::ASKED, &[Call::new(number, 0, 0)]);
        let features = all - number.needs().expect("a feature");
        ram.put(BLOCK, &Header { count: 1, features: features.bits(), ..header() }.to_bytes());
        port_calls.call(&ram, &notes, 0, &PAGE.to_le_bytes());
        assert_eq!(Status(ram.call_at(BLOCK, 0).status), Status::NOT_NEGOTIATED);
        assert_eq!(notes.take(), []);
    }
}

#[test]
fn what_is_no_batch_is_not_touched() {
    let ram = Ram::default();
    let port_calls = PortCalls::new(1);
    let untouched = |page: &[u8]| {
        let notes = Notes::default();
        port_calls.call(&ram, &notes, 0, page);
        assert_eq!(notes.take(), []);
        let wrote = |access: &super::model::Access| matches!(access, super::model::Access::Write(..));
        assert!(!ram.accesses.borrow().iter().any(wrote), "{page:x?}");
    };
    let refused = || port_calls.statistics(EXITS).refused;
    ram.put_block(BLOCK, Status::ASKED, &[Call::new(Number::TRACE_MARK, 0, 0)]);
    for status in [Status::IDLE, Status::POSTED, Status::DONE, Status::FAULT, Status(u32::MAX)] {
        ram.put(BLOCK, &Header { count: 1, status: status.0, ..header() }.to_bytes());
        untouched(&PAGE.to_le_bytes());
    }
    ram.put(BLOCK, &Header { count: 1, magic: 0, ..header() }.to_bytes());
    untouched(&PAGE.to_le_bytes());
    untouched(&8_u32.to_le_bytes());
    untouched(&u32::MAX.to_le_bytes());
    assert_eq!(refused(), 8);
    for written in [&[][..], &[1], &[1, 0], &[1, 0, 0], &[1, 0, 0, 0, 0, 0, 0, 0]] {
        ram.put(BLOCK, &Header { count: 1, ..header() }.to_bytes());
        untouched(written);
    }
    assert_eq!(refused(), 13);
    assert_eq!(port_calls.statistics(EXITS).batches, 0);
}

#[test]
fn a_batch_that_reaches_out_of_memory_is_refused_whole() {
    let (port_calls, ram, notes) = (PortCalls::new(1), Ram::default(), Notes::default());
    for (block, page) in [(0x7000, 7_u32), (0xfff_ffff_f000, u32::MAX)] {
        for (count, expected) in [(126, Status::DONE), (127, Status::FAULT)] {
            ram.put(block, &Header { count, ..header() }.to_bytes());
            port_calls.call(&ram, &notes, 0, &page.to_le_bytes());
            assert_eq!(Status(ram.header_at(block).status), expected, "{count} calls at {block:#x}");
        }
    }
}

#[test]
fn a_host_can_be_told_to_refuse() {
    let calls = [Call::new(Number::TRACE_MARK, 0, 0), Call::new(Number::WALL_CLOCK, 0, 0)];
    let answers = |port_calls: PortCalls| {
        let notes = Notes::default();
        let answers = made(&port_calls, &Ram::default(), &notes, &calls);
        (answers[0].0, answers[1].0, notes.take().len())
    };
    let one = PortCalls::new(1).refusing(Some(Number::WALL_CLOCK), Status::FAILED);
    assert_eq!(answers(one), (Status::DONE, Status::FAILED, 1));
    let all = PortCalls::new(1).refusing(None, Status::INVALID);
    assert_eq!(answers(all), (Status::INVALID, Status::INVALID, 0));
}

#[test]
fn the_announcement_is_what_is_spoken() {
    let announcement = PortCalls::new(1).announcement(0x560, 0x564);
    assert_eq!(announcement.version, Version::CURRENT);
    assert_eq!((announcement.features, announcement.calls_max), (Features::all(), 512));
    assert_eq!(announcement.hints, Hints::PARTIAL);
    assert_eq!(PortCalls::new(2).announcement(1, 2).hints, Hints::PARTIAL | Hints::POST);
    let version = concat!("vmi-run ", env!("CARGO_PKG_VERSION"));
    assert_eq!(announcement.implementation.to_string(), version);
    assert_eq!(announcement.implementation.id, Implementation::VMI_RUN);
    assert_eq!((announcement.call_port, announcement.doorbell_port), (0x560, 0x564));
}
