//! The bytes of a snapshot.

use std::io::{self, ErrorKind, Read, Write};

use sha2::{Digest, Sha256};

use super::state::State;
use crate::layout::PAGE;
use crate::memory::{self, Memory};
use crate::port_call::GuestRam;

/// What a snapshot begins with.
pub(super) const MAGIC: [u8; 8] = *b"\x7fVMISNAP";
/// The version that is written, and the only one that is read.
pub(super) const VERSION: u32 = 1;
/// The longest state: that of the most CPUs is a tenth of it.
const STATE_MAX: u32 = 64 << 20;
/// How much memory is looked at, and moved, at once.
const BLOCK: usize = 64 << 10;
/// The bytes of the checksum.
const DIGEST: u64 = 32;

/// Writes a snapshot.
///
/// # Errors
///
/// Fails where the output does.
pub(super) fn write(output: impl Write, state: &State, memory: &Memory) -> io::Result<()> {
    let mut output = Summed { inner: output, sum: Sha256::new() };
    let json = serde_json::to_vec(state)?;
    let length = u32::try_from(json.len()).ok().filter(|length| *length <= STATE_MAX);
    let length = length.ok_or_else(|| io::Error::other("the state is too long"))?;
    output.write_all(&MAGIC)?;
    output.write_all(&VERSION.to_le_bytes())?;
    output.write_all(&length.to_le_bytes())?;
    output.write_all(&json)?;
    let mut block = vec![0; BLOCK];
    for (start, bytes) in memory::ram(state.memory_bytes) {
        let mut at = start;
        while at < start + bytes {
            let block = &mut block[..(start + bytes - at).min(BLOCK as u64) as usize];
            GuestRam::read(memory, at, block).map_err(io::Error::other)?;
            write_block(&mut output, at, block)?;
            at += block.len() as u64;
        }
    }
    output.write_all(&[0; 16])?;
    let Summed { mut inner, sum } = output;
    inner.write_all(&sum.finalize())?;
    inner.flush()
}

/// Writes those pages of a block that are not all zero.
fn write_block(output: &mut impl Write, address: u64, block: &[u8]) -> io::Result<()> {
    let is_zero = |page: &[u8]| *page == [0; PAGE as usize];
    let pages: Vec<&[u8]> = block.chunks(PAGE as usize).collect();
    let mut at = 0;
    for run in pages.chunk_by(|one, next| is_zero(one) == is_zero(next)) {
        let bytes = &block[at..at + run.len() * PAGE as usize];
        if !is_zero(run[0]) {
            output.write_all(&(address + at as u64).to_le_bytes())?;
            output.write_all(&(bytes.len() as u64).to_le_bytes())?;
            output.write_all(bytes)?;
        }
        at += bytes.len();
    }
    Ok(())
}

/// Why bytes are no snapshot that can be read here.
pub(super) type Refused = String;

/// Looks whether so many bytes are a snapshot of a version that is known, and whole.
///
/// # Errors
///
/// Says what they are instead.
pub(super) fn verify(input: &mut impl Read, length: u64) -> Result<(), Refused> {
    let mut head = [0; 12];
    let head = match input.read_exact(&mut head) {
        Ok(()) => head,
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            return Err(format!("its {length} bytes are no snapshot"));
        }
        Err(error) => return Err(error.to_string()),
    };
    if head[..8] != MAGIC {
        return Err("it is no snapshot: it begins with something else".to_owned());
    }
    let version = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
    if version != VERSION {
        return Err(format!("it is of version {version}, and the only one known here is {VERSION}"));
    }
    let damaged = || "it is truncated or damaged: its checksum is not that of its contents".to_owned();
    let mut left = length.checked_sub(head.len() as u64 + DIGEST).ok_or_else(damaged)?;
    let mut sum = Sha256::new_with_prefix(head);
    let mut block = vec![0; BLOCK];
    while left != 0 {
        let block = &mut block[..left.min(BLOCK as u64) as usize];
        read(input, block)?;
        sum.update(&*block);
        left -= block.len() as u64;
    }
    let mut digest = [0; DIGEST as usize];
    read(input, &mut digest)?;
    if sum.finalize().as_slice() == digest { Ok(()) } else { Err(damaged()) }
}

/// Reads the state. What was verified may have been changed since: nothing is believed.
///
/// # Errors
///
/// Says what is wrong with it.
pub(super) fn read_state(input: &mut impl Read) -> Result<State, Refused> {
    let mut head = [0; 16];
    read(input, &mut head)?;
    let length = u32::from_le_bytes([head[12], head[13], head[14], head[15]]);
    if length > STATE_MAX {
        return Err(format!("its state has {length} bytes, and {STATE_MAX} are the most"));
    }
    let mut json = vec![0; length as usize];
    read(input, &mut json)?;
    let state: State =
        serde_json::from_slice(&json).map_err(|error| format!("its state is damaged: {error}"))?;
    state.check()?;
    Ok(state)
}

/// Reads memory, behind the state, into memory that is all zero.
///
/// # Errors
///
/// Says what is wrong with it.
pub(super) fn read_memory(input: &mut impl Read, memory: &Memory) -> Result<(), Refused> {
    let mut block = vec![0; BLOCK];
    let mut next = 0;
    loop {
        let mut head = [0; 16];
        read(input, &mut head)?;
        let (address, bytes) = head.split_at(8);
        let [address, bytes] =
            [address, bytes].map(|word| word.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)));
        if bytes == 0 {
            return Ok(());
        }
        let is_whole = address.is_multiple_of(PAGE) && bytes.is_multiple_of(PAGE);
        if !is_whole || address < next || !memory.contains(address, bytes) {
            return Err(format!(
                "{bytes:#x} bytes of its memory at {address:#x} are not the guest's, or come twice"
            ));
        }
        // Memory ends far below what 64 bits can say.
        next = address + bytes;
        let mut at = address;
        while at < next {
            let block = &mut block[..(next - at).min(BLOCK as u64) as usize];
            read(input, block)?;
            GuestRam::write(memory, at, block).map_err(|fault| fault.to_string())?;
            at += block.len() as u64;
        }
    }
}

fn read(input: &mut impl Read, bytes: &mut [u8]) -> Result<(), Refused> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
        _ => error.to_string(),
    })
}

/// An output, and the checksum of what it took.
struct Summed<W> {
    inner: W,
    sum: Sha256,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.update(&bytes[..written.min(bytes.len())]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
