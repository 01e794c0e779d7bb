//! A batch of calls in guest memory.

use bitflags::bitflags;

use super::{Number, Status, wire::wire};

/// Bytes of a page: a batch starts at one.
pub const PAGE_BYTES: u64 = 4096;

/// First word of a batch: "VMIB" in memory. A page without it is no batch, and is not written to.
pub const MAGIC: u32 = u32::from_le_bytes(*b"VMIB");

/// The address of no page: taken in place of that of any page that a call registers, and undoes that. All ones, because 0 is
/// an address.
pub const OFF: u64 = u64::MAX;

/// The most calls that a batch of this version has.
pub const CALLS_MAX: usize = 512;

/// How many calls one page holds behind its header.
pub const CALLS_PER_PAGE: usize = (PAGE_BYTES as usize - size_of::<Header>()) / size_of::<Call>();

wire! {
    /// The head of a batch.
    Header 64 {
        /// [`MAGIC`].
        0 magic: u32,
        /// From the guest: the [`Version`](super::Version) that it speaks.
        4 version: u32,
        /// From the guest: the [`Features`](super::Features) that it uses.
        8 features: u32,
        /// From the guest: how many calls stand behind the header.
        12 count: u32,
        /// [`Status::ASKED`] or [`Status::POSTED`] from the guest, then the host's answer, written last.
        16 status: u32,
        /// From the host: how many calls have been gone through, also refused ones. From the guest, in a
        /// [partial](HeaderFlags::PARTIAL) batch: how many have been already, which the host passes over; else nothing.
        20 done: u32,
        /// From the guest: [`HeaderFlags`]. Reserved before version 1.1.
        24 flags: u32,
        /// Reserved.
        28 zero: [u32; 9],
    }
}

bitflags! {
    /// How the guest wants a batch handled. Unknown bits are refused.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct HeaderFlags: u32 {
        /// The host may answer when it has gone through one call or more, and not through all: status [`Status::DONE`] and
        /// `done` below `count`. The guest asks again, with `done` as it is, for the rest. A call that ends the machine ends
        /// the batch. Of a posted batch it says nothing, because nobody is held up by that.
        const PARTIAL = 1 << 0;
    }
}

wire! {
    /// One call.
    Call 32 {
        /// From the guest: the [`Number`].
        0 number: u32,
        /// [`Status::ASKED`] from the guest, then the host's answer.
        4 status: u32,
        /// From the guest: the first argument.
        8 a0: u64,
        /// From the guest: the second argument.
        16 a1: u64,
        /// From the host: what the call returns where its status is [`Status::DONE`], else 0.
        24 result: u64,
    }
}

impl Call {
    /// Returns a call that waits for its answer. Arguments that a call does not have are 0.
    pub const fn new(number: Number, a0: u64, a1: u64) -> Self {
        Self { number: number.0, status: Status::ASKED.0, a0, a1, result: 0 }
    }
}

/// Returns how many bytes a batch of `calls` calls takes.
pub const fn block_bytes(calls: usize) -> usize {
    size_of::<Header>() + calls * size_of::<Call>()
}

const _: () = assert!(CALLS_PER_PAGE == 126 && block_bytes(CALLS_PER_PAGE) == PAGE_BYTES as usize);
