//! The memory of one CPU's batches.

use core::sync::atomic::{
    AtomicU8, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use vmi_abi::port_call::{Call, Header, PAGE_BYTES, Status, block_bytes};

/// Bytes of data in a block: the text of lines, and what the host returns.
pub const DATA_BYTES: usize = 1024;

/// How many calls a block of one page has room for.
pub const CALLS_OF_PAGE: usize = 93;

/// A word for each four bytes.
pub(super) type Head = [AtomicU32; size_of::<Header>() / 4];
pub(super) type Slot = [AtomicU32; size_of::<Call>() / 4];
pub(super) type Data = [AtomicU8; DATA_BYTES];

/// A batch as the host sees it, the data that its calls name, and who has it. Whatever the host writes, every field of
/// it is an atomic.
///
/// A static, or memory of the kernel's, in one piece of physical memory; a CPU has its own.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Block<const CALLS: usize> {
    head: Head,
    slots: [Slot; CALLS],
    data: Data,
    owner: AtomicU32,
}

const _: () = {
    assert!(size_of::<Block<CALLS_OF_PAGE>>() == PAGE_BYTES as usize);
    assert!(core::mem::offset_of!(Block<CALLS_OF_PAGE>, slots) == block_bytes(0));
    assert!(core::mem::offset_of!(Block<CALLS_OF_PAGE>, data) == block_bytes(CALLS_OF_PAGE));
};

/// Nobody has the block.
const FREE: u32 = 0;
/// Code of this kernel has it.
const TAKEN: u32 = 1;
/// The host has it, until it answers.
const POSTED: u32 = 2;

impl<const CALLS: usize> Block<CALLS> {
    /// Returns an empty block.
    pub const fn new() -> Self {
        Self {
            head: [const { AtomicU32::new(0) }; _],
            slots: [const { [const { AtomicU32::new(0) }; _] }; CALLS],
            data: [const { AtomicU8::new(0) }; _],
            owner: AtomicU32::new(FREE),
        }
    }

    /// Returns the virtual address of the block.
    pub const fn address(&'static self) -> *const u8 {
        (&raw const *self).cast()
    }

    pub(super) fn view(&'static self) -> View {
        View { head: &self.head, slots: &self.slots, data: &self.data, owner: &self.owner }
    }
}

impl<const CALLS: usize> Default for Block<CALLS> {
    fn default() -> Self {
        Self::new()
    }
}

/// A block of any size.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    head: &'static Head,
    pub(super) slots: &'static [Slot],
    pub(super) data: &'static Data,
    owner: &'static AtomicU32,
}

impl View {
    /// Takes the block, where nobody has it, or the host has answered what it had.
    pub(super) fn take(&self) -> bool {
        let from = match self.owner.load(Acquire) {
            POSTED if Status(self.status().load(Acquire)) != Status::POSTED => POSTED,
            _ => FREE,
        };
        self.owner.compare_exchange(from, TAKEN, Acquire, Relaxed).is_ok()
    }

    /// Gives the block back.
    pub(super) fn give_back(&self) {
        self.owner.store(FREE, Release);
    }

    /// Leaves the block to the host.
    pub(super) fn leave_posted(&self) {
        self.owner.store(POSTED, Release);
    }

    /// Writes the header; its status last, when all else is seen.
    pub(super) fn put_header(&self, header: &Header) {
        put(self.head, &Header { status: Status::IDLE.0, ..*header }.to_bytes());
        self.status().store(header.status, Release);
    }

    /// Returns the header as it is now.
    #[cfg(test)]
    pub(super) fn header(&self) -> Header {
        Header::from_bytes(&get(self.head))
    }

    /// Returns the header's status.
    pub(super) fn answer(&self) -> Status {
        Status(self.status().load(Acquire))
    }

    /// Returns how many calls the host has gone through, by its word.
    pub(super) fn done(&self) -> u32 {
        self.head[core::mem::offset_of!(Header, done) / 4].load(Relaxed)
    }

    /// Takes a batch back that the host did not look at.
    pub(super) fn withdraw(&self) {
        self.status().store(Status::IDLE.0, Relaxed);
    }

    /// Writes a call.
    pub(super) fn put_call(&self, index: usize, call: &Call) {
        put(&self.slots[index], &call.to_bytes());
    }

    /// Returns a call with the host's answer.
    pub(super) fn call(&self, index: usize) -> Call {
        Call::from_bytes(&get(&self.slots[index]))
    }

    fn status(&self) -> &'static AtomicU32 {
        &self.head[core::mem::offset_of!(Header, status) / 4]
    }
}

fn get<const BYTES: usize>(words: &[AtomicU32]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *place = word.load(Relaxed).to_le_bytes();
    }
    bytes
}

fn put(words: &[AtomicU32], bytes: &[u8]) {
    for (word, bytes) in words.iter().zip(bytes.as_chunks().0) {
        word.store(u32::from_le_bytes(*bytes), Relaxed);
    }
}
