//! What KVM counted for a CPU, from its binary statistics.
//!
//! Source: KVM API, "KVM_GET_STATS_FD". Only the names and single numbers are read; histograms are left out.

// UNSAFETY: makes an ioctl that `kvm-ioctls` does not have.
#![expect(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;

use kvm_ioctls::VcpuFd;

/// `KVM_GET_STATS_FD`: `_IO(0xae, 0xce)`.
const GET_STATS: u64 = 0xaece;
/// Bytes of the header: six words.
const HEADER: usize = 24;
/// Bytes of a descriptor before its name.
const DESCRIPTOR: usize = 16;
/// More names, or longer ones, are no statistics of KVM's.
const NAMES_MAX: usize = 1024;
const NAME_MAX: usize = 256;

/// The statistics of a CPU, which can be read as long as the machine lives.
#[derive(Debug)]
pub(crate) struct Counters(File);

impl Counters {
    /// Opens the statistics of a CPU; there are none on Linux before 5.14.
    pub(crate) fn open(cpu: &VcpuFd) -> Option<Self> {
        // SAFETY: the descriptor is that of a CPU, and the call takes no argument.
        let descriptor = unsafe { libc::ioctl(cpu.as_raw_fd(), GET_STATS as libc::Ioctl, 0) };
        if descriptor < 0 {
            return None;
        }
        // SAFETY: the descriptor was just made and nobody else has it.
        Some(Self(unsafe { File::from_raw_fd(descriptor) }))
    }

    /// Reads the counters by name.
    pub(crate) fn read(&self) -> Option<BTreeMap<String, u64>> {
        let mut header = [0; HEADER];
        self.0.read_exact_at(&mut header, 0).ok()?;
        let word = |bytes: &[u8], at: usize| {
            bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes)
        };
        let (name_size, names) = (word(&header, 4) as usize, word(&header, 8) as usize);
        let (descriptors, data) = (word(&header, 16), word(&header, 20));
        if name_size > NAME_MAX || names > NAMES_MAX {
            return None;
        }
        let size = DESCRIPTOR + name_size;
        let mut bytes = vec![0; size * names];
        self.0.read_exact_at(&mut bytes, descriptors.into()).ok()?;
        let mut counters = BTreeMap::new();
        for descriptor in bytes.chunks_exact(size) {
            // Two bytes behind the exponent are how many numbers there are, and four behind them where they are.
            let values = u16::from_le_bytes([descriptor[6], descriptor[7]]);
            let offset = word(descriptor, 8);
            let name = descriptor[DESCRIPTOR..].split(|byte| *byte == 0).next().unwrap_or_default();
            let mut value = [0; 8];
            if values == 1 && self.0.read_exact_at(&mut value, u64::from(data) + u64::from(offset)).is_ok() {
                counters.insert(String::from_utf8_lossy(name).into_owned(), u64::from_le_bytes(value));
            }
        }
        Some(counters)
    }
}
