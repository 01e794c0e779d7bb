//! Random and adversarial batches, each held against the rules.

use vmi_abi::port_call::{CALLS_MAX, Call, Features, Header, HeaderFlags, Number, Status, block_bytes};

use super::PortCalls;
use super::model::{Notes, PIECES, Ram, header, judge};
use crate::hostile::Numbers;

/// The cases of this kind, in parts.
const CASES: [fn(Numbers); 3] = [batch, changing_batch, posted_block];

/// Tries a batch or a posted block.
///
/// # Panics
///
/// When it does harm.
pub fn case(mut numbers: Numbers) {
    numbers.pick(&CASES)(numbers);
}

/// An address near something that matters: the ends of memory, of pages, of all addresses.
fn address(numbers: &mut Numbers) -> u64 {
    let (start, len) = numbers.pick(&PIECES);
    let base = match numbers.below(5) {
        0 => start,
        1 => start.wrapping_add(len as u64),
        2 => start.wrapping_add(numbers.below(len as u64) & !4095),
        3 => numbers.pick(&[0, u64::MAX, 1 << 63, 1 << 44, 1 << 32, 4096]),
        _ => return numbers.next(),
    };
    match numbers.below(3) {
        0 => base,
        1 => base.wrapping_sub(numbers.below(100)),
        _ => base.wrapping_add(numbers.below(5000)),
    }
}

/// A length near something that matters.
fn length(numbers: &mut Numbers) -> u64 {
    match numbers.below(4) {
        0 => numbers.pick(&[0, 1, 79, 80, 81, 255, 256, 1023, 1024, 1025, 4096, 8192, u64::MAX]),
        1 => numbers.below(2000),
        2 => (numbers.next() >> numbers.below(64)) & !4095,
        _ => numbers.next() >> numbers.below(64),
    }
}

fn call(numbers: &mut Numbers) -> Call {
    let number = match numbers.odds(26) {
        true => Number(numbers.next_u32()),
        false => numbers.pick(&Number::ALL),
    };
    let mut arguments = [address(numbers), length(numbers)];
    // Arguments that a call does not have are mostly 0.
    if numbers.odds(128) {
        match number {
            Number::WALL_CLOCK => arguments = [0, 0],
            Number::SHUTDOWN | Number::POST_BLOCK => arguments[1] = 0,
            _ => {}
        }
    }
    if number == Number::SHUTDOWN && !numbers.odds(8) {
        // Mostly refused, lest no batch were long.
        arguments[0] |= 256;
    }
    Call { status: numbers.pick(&[0, 1, 2, u32::MAX]), ..Call::new(number, arguments[0], arguments[1]) }
}

fn hostile_header(numbers: &mut Numbers) -> Header {
    let mut header = Header { count: numbers.below(24) as u32, ..header() };
    if numbers.odds(8) {
        header.count = numbers.pick(&[127, 512, 512, 512, 512, 513, 1 << 27, 1 << 31, u32::MAX]);
    }
    if numbers.odds(64) {
        match numbers.below(8) {
            0 => header.magic = numbers.next_u32(),
            1 => header.version = numbers.pick(&[0, 0xffff, 0x1_0001, 0x2_0000, u32::MAX]),
            2 => header.features = numbers.next_u32(),
            3 => header.features = numbers.next_u32() & Features::all().bits(),
            4 => header.status = numbers.below(13) as u32,
            5 => header.zero[numbers.below(9) as usize] = numbers.next_u32(),
            6 => header.flags = numbers.next_u32() >> numbers.below(32),
            _ => {
                header.flags = HeaderFlags::PARTIAL.bits();
                header.done = numbers.pick(&[0, 1, 5, header.count, header.count.wrapping_add(1), u32::MAX]);
            }
        }
    }
    header
}

/// Puts a hostile batch somewhere; returns the page number that is written to the port.
fn put_batch(numbers: &mut Numbers, ram: &Ram) -> u32 {
    let (start, len) = numbers.pick(&PIECES[..3]);
    let block = start + (numbers.below(len as u64) & !4095);
    let header = hostile_header(numbers);
    ram.put(block, &header.to_bytes());
    for index in 0..(header.count as usize).min(CALLS_MAX) {
        ram.put(block + block_bytes(index) as u64, &call(numbers).to_bytes());
    }
    match numbers.odds(6) {
        true => numbers.next_u32(),
        false => (block / 4096) as u32,
    }
}

thread_local! {
    /// Reused, because most of a case's time would go into getting it.
    static RAM: Ram = Ram::default();
}

/// Tries a batch that stays as it is.
fn batch(mut numbers: Numbers) {
    RAM.with(|ram| {
        ram.clear();
        let (port_calls, notes) = (PortCalls::new(2), Notes::default());
        let page = put_batch(&mut numbers, ram);
        notes.fail.set(numbers.odds(10));
        port_calls.call(ram, &notes, numbers.below(3) as usize, &page.to_le_bytes());
        judge(ram, u64::from(page) * 4096, Status::ASKED, &notes.take());
    });
}

/// Tries a batch that changes while it is served.
fn changing_batch(mut numbers: Numbers) {
    RAM.with(|ram| {
        ram.clear();
        let (port_calls, notes) = (PortCalls::new(1), Notes::default());
        let page = put_batch(&mut numbers, ram);
        let block = u64::from(page) * 4096;
        let often = numbers.pick(&[16, 128, 256]);
        ram.change(numbers, often, block..block.saturating_add(1024));
        port_calls.call(ram, &notes, 0, &page.to_le_bytes());
        judge(ram, block, Status::ASKED, &notes.take());
    });
}

/// Tries a block that is posted, also where no page number reaches.
fn posted_block(mut numbers: Numbers) {
    RAM.with(|ram| {
        ram.clear();
        let (port_calls, notes) = (PortCalls::new(1), Notes::default());
        let wanted = address(&mut numbers) & !4095;
        ram.put_block(0x6000, Status::ASKED, &[Call::new(Number::POST_BLOCK, wanted, 0)]);
        port_calls.call(ram, &notes, 0, &6_u32.to_le_bytes());
        let posted = Status(ram.call_at(0x6000, 0).status) == Status::DONE;
        let mut header = hostile_header(&mut numbers);
        if header.status == Status::ASKED.0 {
            header.status = Status::POSTED.0;
        }
        ram.put(wanted, &header.to_bytes());
        for index in 0..(header.count as usize).min(CALLS_MAX) {
            ram.put(wanted.saturating_add(block_bytes(index) as u64), &call(&mut numbers).to_bytes());
        }
        ram.accesses.borrow_mut().clear();
        port_calls.doorbell(ram, &notes, 1);
        let asked = notes.take();
        judge(ram, wanted, Status::POSTED, &asked);
        assert!(posted && wanted != 0 || asked.is_empty(), "a block that was refused was looked at");
    });
}

#[cfg(test)]
mod tests {
    use super::super::model::{self, Service};
    use super::*;
    use crate::hostile::try_all;

    #[test]
    fn hostile_batches_break_no_rule() {
        try_all(CASES.len(), batch);
    }

    #[test]
    fn hostile_batches_that_change_meanwhile_break_no_rule() {
        try_all(CASES.len(), changing_batch);
    }

    #[test]
    fn hostile_posted_blocks_break_no_rule() {
        try_all(CASES.len(), posted_block);
    }

    /// Tells whether the batch at `block` was answered, by an answer that there is.
    fn is_answered(ram: &Ram, block: u64) -> bool {
        let status = Status(ram.header_at(block).status);
        status == Status::DONE || Status::REFUSALS.contains(&status)
    }

    /// The generator must reach what it is there to try: else the tests above show nothing.
    #[test]
    fn the_cases_reach_every_answer_and_every_service() {
        let mut statuses = [0_u32; 12];
        let mut services = [0_u32; 6];
        let (mut full, mut answered) = (0, 0);
        for number in 0..30_000 {
            let mut numbers = Numbers::Seeded(number);
            let (ram, port_calls, notes) = (Ram::default(), PortCalls::new(2), Notes::default());
            let page = put_batch(&mut numbers, &ram);
            notes.fail.set(numbers.odds(10));
            let vcpu = numbers.below(3) as usize;
            port_calls.call(&ram, &notes, vcpu, &page.to_le_bytes());
            for service in notes.take() {
                services[match service {
                    Service::Line(..) => 0,
                    Service::Release(..) => 1,
                    Service::Clock => 2,
                    Service::Shutdown(..) => 3,
                    Service::Exits(..) => 4,
                    Service::Mark(..) => 5,
                }] += 1;
            }
            let block = u64::from(page) * 4096;
            if PIECES.iter().all(|&(start, len)| block < start || block - start >= len as u64) {
                continue;
            }
            let header = ram.header_at(block);
            if is_answered(&ram, block) && header.magic == model::header().magic {
                answered += 1;
                statuses[header.status as usize] += 1;
                full += u32::from(header.done == 512);
                for index in 0..header.done as usize {
                    if let Some(count) = statuses.get_mut(ram.call_at(block, index).status as usize) {
                        *count += 1;
                    }
                }
            }
        }
        assert!(answered > 15_000, "{answered} of 30000 batches were answered");
        assert!(full > 10, "{full} batches were full");
        for status in [Status::DONE].into_iter().chain(Status::REFUSALS) {
            assert!(statuses[status.0 as usize] > 20, "{status}: {statuses:?}");
        }
        assert!(services.iter().all(|&count| count > 20), "{services:?}");
    }
}
