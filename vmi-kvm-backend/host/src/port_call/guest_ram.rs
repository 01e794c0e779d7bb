//! Guest memory, as far as calls by port touch it.

use std::sync::atomic::Ordering;

use thiserror::Error;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

/// A range that is not all guest memory.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{bytes:#x} bytes at {address:#x} are not all guest memory")]
pub struct Fault {
    /// Guest-physical address of the first byte.
    pub address: u64,
    /// How many bytes were asked for.
    pub bytes: u64,
}

/// Guest memory. The guest may change it at any moment.
///
/// Every method takes any address and any length, and does nothing at all where not every byte is guest memory.
pub trait GuestRam {
    /// Tells whether every byte of the range is guest memory. An empty range is.
    fn contains(&self, address: u64, bytes: u64) -> bool;

    /// Copies bytes out.
    ///
    /// # Errors
    ///
    /// Where not all of them are guest memory.
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Fault>;

    /// Copies bytes in.
    ///
    /// # Errors
    ///
    /// Where not all of them are guest memory.
    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Fault>;

    /// Loads a word; what the guest stored before it is seen by what follows.
    ///
    /// # Errors
    ///
    /// Where the word is not guest memory, or its address not a multiple of 4.
    fn load(&self, address: u64) -> Result<u32, Fault>;

    /// Stores a word; whoever sees it in the guest sees what was written before it.
    ///
    /// # Errors
    ///
    /// Where the word is not guest memory, or its address not a multiple of 4.
    fn store(&self, address: u64, value: u32) -> Result<(), Fault>;
}

impl<M: GuestMemoryBackend> GuestRam for M {
    fn contains(&self, address: u64, bytes: u64) -> bool {
        usize::try_from(bytes).is_ok_and(|bytes| self.check_range(GuestAddress(address), bytes))
    }

    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        let fault = Fault { address, bytes: bytes.len() as u64 };
        if !GuestRam::contains(self, address, fault.bytes) {
            return Err(fault);
        }
        self.read_slice(bytes, GuestAddress(address)).map_err(|_| fault)
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        let fault = Fault { address, bytes: bytes.len() as u64 };
        if !GuestRam::contains(self, address, fault.bytes) {
            return Err(fault);
        }
        self.write_slice(bytes, GuestAddress(address)).map_err(|_| fault)
    }

    fn load(&self, address: u64) -> Result<u32, Fault> {
        Bytes::load(self, GuestAddress(address), Ordering::Acquire).map_err(|_| Fault { address, bytes: 4 })
    }

    fn store(&self, address: u64, value: u32) -> Result<(), Fault> {
        Bytes::store(self, value, GuestAddress(address), Ordering::Release)
            .map_err(|_| Fault { address, bytes: 4 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_at_an_address_is_read_there_and_nowhere_else() {
        let memory = crate::memory::allocate(2 << 20).unwrap();
        for address in [0_u64, 0x1000, 0x1f_fff0] {
            let bytes = address.to_le_bytes().map(|byte| byte ^ 0x5a);
            GuestRam::write(&memory, address, &bytes).unwrap();
        }
        for address in [0_u64, 0x1000, 0x1f_fff0] {
            let mut bytes = [0; 8];
            GuestRam::read(&memory, address, &mut bytes).unwrap();
            assert_eq!(bytes, address.to_le_bytes().map(|byte| byte ^ 0x5a));
            GuestRam::store(&memory, address, 7).unwrap();
            assert_eq!(GuestRam::load(&memory, address), Ok(7));
        }
        assert!(GuestRam::read(&memory, 0x1f_fffc, &mut [0; 8]).is_err());
    }
}
