//! The guest's side against hosts of any kind.

// UNSAFETY: opens blocks with a function in place of the instruction.
#![expect(unsafe_code)]

use std::{boxed::Box, cell::RefCell, string::ToString, vec, vec::Vec};

use proptest::prelude::*;
use vmi_abi::{
    CommandLine, Machine,
    port_call::{
        Announcement, Call, Features, Header, HeaderFlags, Hints, Implementation, MAGIC, Number, Status,
        Version,
    },
};

use super::{Announced, Block, CALLS_OF_PAGE, Caller, Error, block::View};

const PHYSICAL: u64 = 0x1234_5000;
const CALL_PORT: u16 = 0x5640;
const DOORBELL_PORT: u16 = 0x5644;

fn announcement() -> Announcement {
    Announcement {
        version: Version::CURRENT,
        features: Features::all(),
        hints: Hints::empty(),
        implementation: Implementation::default(),
        calls_max: 512,
        call_port: CALL_PORT,
        doorbell_port: DOORBELL_PORT,
    }
}

fn detect(announcement: Announcement) -> Option<Announced> {
    let leaves = announcement.leaves(0x4000_0100);
    let cpuid = |leaf, _| leaves.iter().find(|known| known.0 == leaf).map_or(leaves[2].1, |known| known.1);
    Announced::detect(&Machine::new(&cpuid, CommandLine::default()))
}

type Host = Box<dyn FnMut(u16, u32)>;

std::thread_local! {
    static HOST: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// Stands where the instruction would.
unsafe fn out(port: u16, value: u32) {
    let host = HOST.take();
    let mut host = host.expect("a host");
    host(port, value);
    HOST.set(Some(host));
}

/// A new block of so many calls, and a host that does `serve` with it.
fn opened<const CALLS: usize>(
    announcement: Announcement,
    mut serve: impl FnMut(View, u16, u32) + 'static,
) -> Caller {
    let block: &'static Block<CALLS> = Box::leak(Box::new(Block::new()));
    let view = block.view();
    HOST.set(Some(Box::new(move |port, value| serve(view, port, value))));
    let announced = detect(announcement).expect("it is announced");
    // SAFETY: `out` reaches this block.
    unsafe { announced.open_through(block, PHYSICAL, out) }.expect("it opens")
}

/// Answers `calls` calls of a block and its header.
fn answer(view: View, calls: usize, status: Status, result: u64) {
    for index in 0..calls {
        let call = view.call(index);
        view.put_call(index, &Call { status: status.0, result, ..call });
    }
    view.put_header(&Header { status: Status::DONE.0, done: calls as u32, ..view.header() });
}

#[test]
fn a_host_of_another_version_is_refused() {
    assert!(detect(announcement()).is_some());
    for version in [0, 0xffff, 0x0002_0000, u32::MAX] {
        assert_eq!(detect(Announcement { version: Version::from_bits(version), ..announcement() }), None);
    }
    assert!(detect(Announcement { version: Version::from_bits(0x0001_0009), ..announcement() }).is_some());
    assert_eq!(detect(Announcement { calls_max: 0, ..announcement() }), None);
    let cpuid = |_, _| announcement().leaves(0x4000_0000)[2].1;
    assert_eq!(Announced::detect(&Machine::new(&cpuid, CommandLine::default())), None);
}

#[test]
fn what_the_host_announces_beyond_this_crate_is_not_asked_for() {
    let features = Features::from_bits_retain(u32::MAX);
    let sent = std::rc::Rc::new(RefCell::new(None));
    let seen = sent.clone();
    let caller = opened::<1>(Announcement { features, ..announcement() }, move |view, _, _| {
        *seen.borrow_mut() = Some(view.header());
        answer(view, 1, Status::DONE, 0);
    });
    assert_eq!(caller.trace_mark(1, 2), Ok(()));
    let expected = Header {
        magic: MAGIC,
        version: Version::CURRENT.bits(),
        features: Features::all().bits(),
        count: 1,
        status: Status::ASKED.0,
        ..Header::default()
    };
    assert_eq!(*sent.borrow(), Some(expected));
}

#[test]
fn a_block_is_at_a_page_that_the_port_can_take() {
    let block: &'static Block<1> = Box::leak(Box::new(Block::new()));
    let announced = detect(announcement()).unwrap();
    let open = |physical| {
        // SAFETY: nothing is called.
        unsafe { announced.open_through(block, physical, out) }.map(drop)
    };
    assert_eq!(open(0xfff_ffff_f000), Ok(()));
    assert_eq!(open(0x1000_0000_0000), Err(Error::TooHigh(0x1000_0000_0000)));
    assert_eq!(open(0x1010), Err(Error::Misaligned(0x1010)));
}

#[test]
fn calls_lie_in_the_block_as_agreed() {
    let seen = std::rc::Rc::new(RefCell::new(Vec::new()));
    let log = seen.clone();
    let caller = opened::<4>(announcement(), move |view, port, value| {
        log.borrow_mut().push((port, value, view.call(0), view.call(1)));
        answer(view, 2, Status::DONE, 7);
    });
    let mut batch = caller.batch().unwrap();
    batch.trace_mark(3, 4).unwrap();
    batch.console_line(b"hello").unwrap();
    assert_eq!(batch.send().unwrap().iter().collect::<Vec<_>>(), [Ok(7), Ok(7)]);
    // The data lie behind the header and room for four calls.
    let text = PHYSICAL + 64 + 4 * 32;
    let mark = Call::new(Number::TRACE_MARK, 3, 4);
    let line = Call::new(Number::CONSOLE_LINE, text, 5);
    assert_eq!(seen.take(), [(CALL_PORT, 0x1_2345, mark, line)]);
    let data: Vec<u8> =
        caller.view.data[..5].iter().map(|byte| byte.load(std::sync::atomic::Ordering::Relaxed)).collect();
    assert_eq!(data, b"hello");
}

#[test]
fn no_answer_is_an_error_and_the_block_is_free_again() {
    let caller = opened::<1>(announcement(), |_, _, _| {});
    for _ in 0..3 {
        assert_eq!(caller.wall_clock_ns(), Err(Error::NotServed));
        assert_eq!(caller.view.answer(), Status::IDLE, "a later look finds nothing");
    }
    assert_eq!(caller.shutdown(0), Err(Error::NotServed));
}

#[test]
fn a_machine_that_runs_on_after_its_end_says_so() {
    let caller = opened::<1>(announcement(), |view, _, _| answer(view, 1, Status::DONE, 0));
    assert_eq!(caller.shutdown(0), Err(Error::NotServed));
}

/// What a batch answered, and with which flags and `done` the host was asked for it.
type InParts = (Result<Vec<Result<u64, Error>>, Error>, Vec<(u32, u32)>);

/// Sends a batch to a host that goes through `step` calls at most.
fn in_parts(version: u32, step: u32, calls: u64) -> InParts {
    let seen = std::rc::Rc::new(RefCell::new(Vec::new()));
    let log = seen.clone();
    let announcement = Announcement { version: Version::from_bits(version), ..announcement() };
    let caller = opened::<16>(announcement, move |view, _, _| {
        let header = view.header();
        log.borrow_mut().push((header.flags, header.done));
        let whole = header.flags & HeaderFlags::PARTIAL.bits() == 0;
        let done = if whole { header.count } else { header.count.min(header.done + step) };
        for index in header.done..done {
            let call = view.call(index as usize);
            view.put_call(index as usize, &Call { status: Status::DONE.0, result: call.a0, ..call });
        }
        view.put_header(&Header { status: Status::DONE.0, done, ..header });
    });
    let mut batch = caller.batch().unwrap();
    (0..calls).for_each(|mark| batch.trace_mark(mark, 0).unwrap());
    let answers = batch.send_in_parts().map(|answers| answers.iter().collect());
    assert!(caller.batch().is_ok(), "the block is free again");
    (answers, seen.take())
}

#[test]
fn a_batch_that_is_given_back_early_goes_on_where_the_host_stopped() {
    let all = |calls| Ok((0..calls).map(Ok).collect::<Vec<_>>());
    assert_eq!(in_parts(0x1_0001, 16, 16), (all(16), vec![(1, 0)]));
    assert_eq!(in_parts(0x1_0001, 7, 16), (all(16), vec![(1, 0), (1, 7), (1, 14)]));
    assert_eq!(in_parts(0x1_0001, 1, 3), (all(3), vec![(1, 0), (1, 1), (1, 2)]));
    assert_eq!(in_parts(0x1_0001, 1, 0), (all(0), vec![(1, 0)]));
    assert_eq!(in_parts(0x1_0000, 1, 16), (all(16), vec![(0, 0)]), "a host of 1.0 knows no parts");
    assert_eq!(
        in_parts(0x1_0001, 0, 3),
        (Err(Error::NotServed), vec![(1, 0)]),
        "a host that gets no further"
    );
}

#[test]
fn a_host_that_counts_wrongly_is_left() {
    for done in [3, 0x8000_0000, u32::MAX] {
        let caller = opened::<2>(announcement(), move |view, _, _| {
            view.put_header(&Header { status: Status::DONE.0, done, ..view.header() });
        });
        let mut batch = caller.batch().unwrap();
        batch.wall_clock().unwrap();
        batch.wall_clock().unwrap();
        assert_eq!(batch.send_in_parts().map(drop), Err(Error::NotServed), "{done}");
    }
}

#[test]
fn what_comes_behind_the_end_of_the_machine_is_not_asked_for() {
    let caller = opened::<2>(announcement(), |view, _, _| answer(view, 1, Status::DONE, 0));
    let mut batch = caller.batch().unwrap();
    // SAFETY: nobody is there to do it.
    unsafe { batch.push(Call::new(Number::SHUTDOWN, 0, 0)) }.unwrap();
    batch.trace_mark(0, 0).unwrap();
    let answers = batch.send_in_parts().unwrap();
    assert_eq!(answers.iter().collect::<Vec<_>>(), [Ok(0), Err(Error::NotServed)]);
}

#[test]
fn a_host_says_who_it_is_and_what_it_advises() {
    let implementation = Implementation { id: 1, version: 0x0200_0000 };
    let hints = Hints::from_bits_retain(u32::MAX);
    let announced = detect(Announcement { hints, implementation, ..announcement() }).unwrap();
    assert_eq!((announced.hints(), announced.implementation()), (Hints::all(), implementation));
}

#[test]
fn refusals_are_told() {
    let caller = opened::<1>(announcement(), |view, _, _| answer(view, 1, Status::FAULT, 9));
    assert_eq!(caller.wall_clock_ns(), Err(Error::Refused(Status::FAULT)));
    assert_eq!(caller.console_line(b"").unwrap_err().to_string(), "the host refused: fault");
    let caller = opened::<1>(announcement(), |view, _, _| {
        view.put_header(&Header { status: Status::UNKNOWN_VERSION.0, ..view.header() });
    });
    assert_eq!(caller.wall_clock_ns(), Err(Error::Refused(Status::UNKNOWN_VERSION)));
}

#[test]
fn what_is_not_announced_is_not_called() {
    for number in Number::ALL {
        let feature = number.needs().unwrap();
        let features = Features::all() - feature;
        let caller = opened::<1>(Announcement { features, ..announcement() }, |_, _, _| panic!("called"));
        let mut batch = caller.batch().unwrap();
        // SAFETY: it is not called.
        let pushed = unsafe { batch.push(Call::new(number, 0, 0)) };
        assert_eq!(pushed, Err(Error::Absent(feature)));
        assert!(batch.is_empty());
    }
    let features = Features::all() - Features::DOORBELL;
    let caller = opened::<1>(Announcement { features, ..announcement() }, |_, _, _| panic!("called"));
    assert_eq!(caller.ring(), Err(Error::Absent(Features::DOORBELL)));
    assert_eq!(caller.batch().unwrap().post(), Err(Error::Absent(Features::DOORBELL)));
    assert!(caller.batch().is_ok(), "the block is free again");
}

#[test]
fn a_batch_has_as_many_calls_as_block_and_host_allow() {
    fn fit(caller: Caller) -> usize {
        let mut batch = caller.batch().unwrap();
        while batch.trace_mark(0, 0).is_ok() {}
        assert_eq!(batch.trace_mark(0, 0), Err(Error::Full(batch.len())));
        batch.len()
    }
    assert_eq!(fit(opened::<CALLS_OF_PAGE>(announcement(), |_, _, _| {})), CALLS_OF_PAGE);
    assert_eq!(fit(opened::<512>(announcement(), |_, _, _| {})), 512);
    assert_eq!(fit(opened::<600>(Announcement { calls_max: u32::MAX, ..announcement() }, |_, _, _| {})), 512);
    assert_eq!(fit(opened::<512>(Announcement { calls_max: 5, ..announcement() }, |_, _, _| {})), 5);
}

#[test]
fn lines_fit_or_are_refused() {
    let caller = opened::<4>(announcement(), |view, _, _| answer(view, 1, Status::DONE, 0));
    assert_eq!(caller.console_line(&[b'x'; 1024]), Ok(()));
    assert_eq!(caller.console_line(&[b'x'; 1025]), Err(Error::TooLong(1025)));
    let mut batch = caller.batch().unwrap();
    assert_eq!(batch.console_line(&[b'x'; 1000]), Ok(()));
    assert_eq!(batch.console_line(&[b'y'; 25]), Err(Error::TooLong(25)));
    assert_eq!(batch.console_line(&[b'y'; 24]), Ok(()));
    assert_eq!(batch.len(), 2);
    assert!(!batch.is_empty());
}

#[test]
fn a_call_in_the_middle_of_a_call_is_busy() {
    let caller = opened::<2>(announcement(), |view, _, _| answer(view, 1, Status::DONE, 5));
    let batch = caller.batch().unwrap();
    assert_eq!(caller.wall_clock_ns(), Err(Error::Busy));
    drop(batch);
    let mut batch = caller.batch().unwrap();
    batch.wall_clock().unwrap();
    let answers = batch.send().unwrap();
    assert_eq!(caller.wall_clock_ns(), Err(Error::Busy), "the answers are still there");
    assert_eq!((answers.get(0), answers.is_empty()), (Some(Ok(5)), false));
    drop(answers);
    assert_eq!(caller.wall_clock_ns(), Ok(5));
    let caller = opened::<1>(announcement(), |view, _, _| answer(view, 0, Status::DONE, 0));
    assert!(caller.batch().unwrap().send().unwrap().is_empty());
}

#[test]
fn a_posted_block_is_busy_until_the_host_answers() {
    let rings = std::rc::Rc::new(RefCell::new(Vec::new()));
    let log = rings.clone();
    let caller = opened::<2>(announcement(), move |view, port, _| {
        log.borrow_mut().push((port, view.header().status));
    });
    let mut batch = caller.batch().unwrap();
    batch.trace_mark(0, 0).unwrap();
    batch.post().unwrap();
    assert_eq!(rings.take(), [(DOORBELL_PORT, Status::POSTED.0)]);
    assert_eq!(caller.wall_clock_ns(), Err(Error::Busy));
    answer(caller.view, 1, Status::DONE, 0);
    assert!(caller.batch().is_ok());
    assert!(caller.batch().is_ok());
}

#[test]
fn the_host_is_told_where_posts_come_from_and_that_they_end() {
    let told = std::rc::Rc::new(RefCell::new(Vec::new()));
    let log = told.clone();
    let caller = opened::<1>(announcement(), move |view, _, _| {
        let call = view.call(0);
        log.borrow_mut().push((Number(call.number), call.a0, call.a1));
        answer(view, 1, Status::DONE, 0);
    });
    assert_eq!((caller.accept_posts(), caller.refuse_posts()), (Ok(()), Ok(())));
    assert_eq!(told.take(), [(Number::POST_BLOCK, PHYSICAL, 0), (Number::POST_BLOCK, 0, 0)]);
}

#[test]
fn statistics_of_a_host_that_has_fewer_are_filled_up_by_zeros() {
    let caller = opened::<1>(announcement(), |view, _, _| {
        for (place, byte) in view.data.iter().zip([9, 0, 0, 0, 0, 0, 0, 0, 3]) {
            place.store(byte, std::sync::atomic::Ordering::Relaxed);
        }
        answer(view, 1, Status::DONE, 16);
    });
    caller.view.data[30].store(0xff, std::sync::atomic::Ordering::Relaxed);
    let statistics = caller.statistics().unwrap();
    assert_eq!((statistics.exits, statistics.exits_of_all, statistics.batches), (9, 3, 0));
    assert_eq!(statistics.calls, 0, "what lay there before is no count");
}

proptest! {
    /// Whatever a host writes, a call ends, with as many answers as there were calls, and the block is free.
    #[test]
    fn any_host_is_survived(
        words in proptest::collection::vec(any::<u32>(), 16 + 4 * 8),
        small in proptest::collection::vec(0_u32..14, 16 + 4 * 8),
        which: [u64; 1],
        calls in 0_usize..5,
    ) {
        let written: Vec<u32> =
            (0..words.len()).map(|at| if which[0] >> at & 1 == 0 { words[at] } else { small[at] }).collect();
        let caller = opened::<4>(announcement(), move |view, _, _| {
            let bytes: Vec<u8> = written.iter().flat_map(|word| word.to_le_bytes()).collect();
            for index in 0..4 {
                view.put_call(index, &Call::from_bytes(&bytes[64 + 32 * index..][..32].try_into().unwrap()));
            }
            view.put_header(&Header::from_bytes(&bytes[..64].try_into().unwrap()));
        });
        let mut batch = caller.batch().unwrap();
        for _ in 0..calls {
            // The fifth does not fit.
            let _ = batch.wall_clock();
        }
        match batch.send() {
            Ok(answers) => {
                prop_assert_eq!(answers.len(), calls.min(4));
                prop_assert_eq!(answers.iter().count(), calls.min(4));
                prop_assert_eq!(answers.get(4), None);
                prop_assert!(!answers.iter().any(|answer| answer == Err(Error::Refused(Status::DONE))));
            }
            Err(error) => {
                let done = matches!(error, Error::Refused(Status::DONE | Status::ASKED));
                prop_assert!(!done, "{}", error);
            }
        }
        prop_assert!(caller.batch().is_ok());
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let errors = vec![
        (Error::Misaligned(0x10), "the block at 0x10 is not at the start of a page"),
        (Error::TooHigh(1 << 44), "the block at 0x100000000000 is too high for the call port"),
        (Error::Absent(Features::CONSOLE), "the host does not announce CONSOLE"),
        (Error::Busy, "the block is in use"),
        (Error::Full(93), "the batch is full with 93 calls"),
        (Error::TooLong(1025), "1025 bytes do not fit"),
        (Error::NotServed, "the host did not answer"),
        (Error::Refused(Status(99)), "the host refused: status 99"),
    ];
    for (error, text) in errors {
        assert_eq!(error.to_string(), text);
    }
}
