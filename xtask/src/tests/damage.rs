//! Damaged records on the real image: `init` refuses, names the record, and leaves a native kernel that works.

use anyhow::{Context as _, Result, ensure};

use super::run::{Context, Outcome, Test};
use crate::boot::{Boot, Ending};
use crate::console::Report;
use crate::elf::{Elf, RECORD};
use crate::host::{Host, Machine};

pub(super) const TESTS: &[Test] = &[
    Test { name: "damage::a_damaged_record_is_refused_by_name", run: a_damaged_record_is_refused_by_name },
    Test { name: "damage::firmwares_clock_page_is_taken_back_all_the_same", run: firmwares_page },
];

/// A name, and what is done to the records. It says which record must be named.
type Damage = (&'static str, fn(&mut [u8]) -> usize);

const DAMAGES: [Damage; 11] = [
    ("offset, lowest byte", |records| flip(records, 0)),
    ("offset, highest byte", |records| flip(records, 3)),
    ("op, low byte", |records| flip(records, 4)),
    ("op, high byte", |records| flip(records, 5)),
    ("length", |records| flip(records, 6)),
    ("reserved field", |records| flip(records, 7)),
    ("the first record", |records| {
        records[6] ^= 1;
        0
    }),
    ("the last record", |records| {
        let last = records.len() - RECORD;
        records[last + 6] ^= 1;
        last / RECORD
    }),
    ("a duplicate", |records| {
        let middle = middle(records);
        let copy = moved(record(records, middle), -(RECORD as i32));
        records[(middle + 1) * RECORD..][..RECORD].copy_from_slice(&copy);
        middle + 1
    }),
    ("two records in swapped order", |records| {
        let middle = middle(records);
        let first = moved(record(records, middle), -(RECORD as i32));
        let second = moved(record(records, middle + 1), RECORD as i32);
        records[middle * RECORD..][..RECORD].copy_from_slice(&second);
        records[(middle + 1) * RECORD..][..RECORD].copy_from_slice(&first);
        middle + 1
    }),
    ("a record of zeros", |records| {
        let middle = middle(records);
        records[middle * RECORD..][..RECORD].fill(0);
        middle
    }),
];

fn middle(records: &[u8]) -> usize {
    records.len() / RECORD / 2
}

fn record(records: &[u8], index: usize) -> [u8; RECORD] {
    std::array::from_fn(|byte| records[index * RECORD + byte])
}

/// Returns a record that names the same site from another place.
fn moved(record: [u8; RECORD], by: i32) -> [u8; RECORD] {
    let [o0, o1, o2, o3, rest @ ..] = record;
    let [o0, o1, o2, o3] = (i32::from_le_bytes([o0, o1, o2, o3]) + by).to_le_bytes();
    let [r0, r1, r2, r3] = rest;
    [o0, o1, o2, o3, r0, r1, r2, r3]
}

/// Flips a bit of one byte of the middle record.
fn flip(records: &mut [u8], byte: usize) -> usize {
    let middle = middle(records);
    records[middle * RECORD + byte] ^= 0x20;
    middle
}

fn a_damaged_record_is_refused_by_name(context: &mut Context) -> Result<Outcome> {
    let elf = Elf::read(&context.image()?)?;
    for (name, damage) in DAMAGES {
        let mut index = 0;
        let image = context.write("damaged", &elf.with_records(|records| index = damage(records)))?;
        let mut boot = Boot::new(Host::named("tcg")?, &image).arguments("backend=selftest");
        boot.machine = Machine::Microvm;
        let run = boot.run()?;
        let report = Report::read(&run.console);
        let refusal = report.failed.first().with_context(|| format!("{name}: nothing was refused"))?;
        let expected = format!("site record {index} ");
        ensure!(refusal.0 == "init/vmi::init", "{name}: {refusal:?}");
        ensure!(refusal.1.starts_with(&expected), "{name}: `{}` does not start `{expected}`", refusal.1);
        ensure!(report.failed.len() == 1, "{name}: {:?}", report.failed);
        ensure!(report.passed.len() > 30, "{name}: {} native checks passed", report.passed.len());
        ensure!(run.ending == Ending::Exit(0x11), "{name}: {}", run.ending);
    }
    Ok(Outcome::Passed)
}

/// SeaBIOS registers a page, which an `init` that refuses clears before it goes.
fn firmwares_page(context: &mut Context) -> Result<Outcome> {
    let elf = Elf::read(&context.image()?)?;
    let image = context.write("damaged", &elf.with_records(|records| _ = flip(records, 6)))?;
    let mut boot = Boot::new(Host::named("kvm")?, &image);
    boot.machine = Machine::Pc;
    let report = Report::read(&boot.run()?.console);
    let failed: Vec<&str> = report.failed.iter().map(|(name, _)| name.as_str()).collect();
    ensure!(failed == ["init/vmi::init"], "{:?}", report.failed);
    let check = "refused/kvm/no page is registered";
    ensure!(report.passed.iter().any(|name| name == check), "{:?}", report.passed);
    Ok(Outcome::Passed)
}
