//! Changes to the mapping of memory.

// UNSAFETY: changes the mapping of a window that nothing uses, and switches between equal address spaces.
#![expect(unsafe_code)]

use core::hint::black_box;

use super::{Benchmark, Phase, repeat::repeat};
use crate::kernel::{
    insn::{bare, keep::keep},
    paging::{PRESENT, Page, WRITABLE, copy_of_top_table, window_entry},
};

pub const ALL: &[&[Benchmark]] = &[&[
    site("paging::update_1", |turns| update::<1>(turns, set_entry)),
    bare("paging::update_1", |turns| update::<1>(turns, set_entry_bare)),
    site("paging::update_16", |turns| update::<16>(turns, set_entry)),
    bare("paging::update_16", |turns| update::<16>(turns, set_entry_bare)),
    site("paging::update_512", |turns| update::<512>(turns, set_entry)),
    bare("paging::update_512", |turns| update::<512>(turns, set_entry_bare)),
    empty("paging::switch", |turns| switch(turns, keep)),
    site("paging::switch", |turns| switch(turns, write_cr3)),
    bare("paging::switch", |turns| switch(turns, write_cr3_bare)),
    site("paging::flush", flush),
    bare("paging::flush", flush_bare),
]];

/// What leads from one value of CR3 to the other: it is subtracted.
const fn empty(name: &'static str, run: fn(u64)) -> Benchmark {
    Benchmark::new(name, "empty", "loop", run)
}

const fn site(name: &'static str, run: fn(u64)) -> Benchmark {
    Benchmark::new(name, "site", "loop", run)
}

const fn bare(name: &'static str, run: fn(u64)) -> Benchmark {
    Benchmark::new(name, "bare", "loop", run).in_phases(&[Phase::Before])
}

/// What the window is mapped to.
static FRAME: Page = Page::new();

/// Sets as many entries of a table in use as `ENTRIES` says, one after the other: going from entry to entry is part of an
/// update, and counted.
#[inline(always)]
fn update<const ENTRIES: usize>(turns: u64, set: impl Fn(*mut u64, u64)) {
    let table = window_entry();
    repeat(turns, (table, FRAME.physical() | PRESENT | WRITABLE, ENTRIES), |(table, value, entries)| {
        for index in 0..entries {
            set(table.wrapping_add(index), value);
        }
    });
    for index in 0..ENTRIES {
        set_entry(table.wrapping_add(index), 0);
    }
}

#[inline(always)]
fn set_entry(entry: *mut u64, value: u64) {
    // SAFETY: an entry of the window, which nothing uses: no access has brought it into the TLB.
    unsafe { vmi::mmu::set_entry(entry, value) };
}

#[inline(always)]
fn set_entry_bare(entry: *mut u64, value: u64) {
    // SAFETY: as above.
    unsafe { bare::mmu::set_entry(entry, value) };
}

/// The top table of the other address space.
static TOP: Page = Page::new();

/// Goes back and forth between two address spaces, one switch a turn, and ends where it began.
#[inline(always)]
fn switch(turns: u64, switch_to: impl Fn(u64)) {
    let here = vmi::cpu::read_cr3();
    let difference = black_box(here ^ copy_of_top_table(&TOP));
    let mut space = here;
    for _ in 0..turns {
        space ^= difference;
        switch_to(space);
    }
    write_cr3(here);
}

#[inline(always)]
fn write_cr3(space: u64) {
    // SAFETY: both top tables map the same.
    unsafe { vmi::cpu::write_cr3(space) };
}

#[inline(always)]
fn write_cr3_bare(space: u64) {
    // SAFETY: as above.
    unsafe { bare::cpu::write_cr3(space) };
}

fn flush(turns: u64) {
    repeat(turns, (), |()| vmi::mmu::flush_global());
}

fn flush_bare(turns: u64) {
    // SAFETY: flushing changes no mapping.
    repeat(turns, (), |()| unsafe { bare::mmu::flush_global() });
}
