//! A guest that is all input.

#![no_main]

use std::cell::{Cell, RefCell};

use libfuzzer_sys::fuzz_target;
use vmi_abi::port_call::{Call, Header, Number, Status, Version};
use vmi_kvm_backend_host::port_call::{Exits, Fault, GuestRam, PortCalls, Services, Unable};

/// Where the guest's memory is, and how much: with a hole below, and pages that a page number reaches.
const START: u64 = 0x1000;
const LEN: u64 = 0x6000;

/// Memory, and what changes it: before each access, six bytes of the input are an offset and a word.
struct Ram {
    bytes: RefCell<Vec<u8>>,
    changes: RefCell<Vec<u8>>,
}

impl Ram {
    fn place(address: u64, bytes: u64) -> Option<std::ops::Range<usize>> {
        let (start, end) = (u128::from(address), u128::from(address) + u128::from(bytes));
        let inside = start >= START.into() && end <= (START + LEN).into();
        inside.then(|| (address - START) as usize..(address - START + bytes) as usize)
    }

    fn change(&self) {
        let mut changes = self.changes.borrow_mut();
        if changes.len() < 6 {
            return;
        }
        let rest = changes.split_off(6);
        let change = std::mem::replace(&mut *changes, rest);
        let offset = usize::from(u16::from_le_bytes([change[0], change[1]])) % (LEN as usize - 4);
        self.bytes.borrow_mut()[offset..offset + 4].copy_from_slice(&change[2..]);
    }
}

impl GuestRam for Ram {
    fn contains(&self, address: u64, bytes: u64) -> bool {
        self.change();
        bytes == 0 || Self::place(address, bytes).is_some()
    }

    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        self.change();
        if bytes.is_empty() {
            return Ok(());
        }
        let len = bytes.len() as u64;
        let place = Self::place(address, len).ok_or(Fault { address, bytes: len })?;
        bytes.copy_from_slice(&self.bytes.borrow()[place]);
        Ok(())
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.change();
        if bytes.is_empty() {
            return Ok(());
        }
        let len = bytes.len() as u64;
        let place = Self::place(address, len).ok_or(Fault { address, bytes: len })?;
        self.bytes.borrow_mut()[place].copy_from_slice(bytes);
        Ok(())
    }

    fn load(&self, address: u64) -> Result<u32, Fault> {
        let mut word = [0; 4];
        self.read(address, &mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    fn store(&self, address: u64, value: u32) -> Result<(), Fault> {
        self.write(address, &value.to_le_bytes())
    }
}

/// Services that hold what they are asked for against the rules.
#[derive(Default)]
struct Strict {
    ended: Cell<bool>,
}

impl Strict {
    fn runs(&self) {
        assert!(!self.ended.get(), "the batch went on behind the end");
    }
}

impl Services for Strict {
    fn console_line(&self, _: usize, line: &[u8]) -> Result<(), Unable> {
        self.runs();
        assert!(line.len() <= 1024);
        Ok(())
    }

    fn release_pages(&self, address: u64, bytes: u64) -> Result<(), Unable> {
        self.runs();
        assert!(address % 4096 == 0 && bytes % 4096 == 0 && bytes > 0);
        assert!(Ram::place(address, bytes).is_some(), "{address:#x}, {bytes:#x} is not memory");
        Ok(())
    }

    fn wall_clock_ns(&self) -> Result<u64, Unable> {
        self.runs();
        Ok(1)
    }

    fn shutdown(&self, _: usize, _: u8) {
        self.runs();
        self.ended.set(true);
    }

    fn exits(&self, _: usize) -> Exits {
        Exits::default()
    }

    fn trace_mark(&self, _: usize, _: u64, _: u64) {
        self.runs();
    }
}

// The first byte says what the guest does, the next how many changes there are; the changes and memory follow. A header
// and numbers that are nearly right are made right, or the fuzzer would seldom get past them.
fuzz_target!(|input: &[u8]| {
    let [what, changes, rest @ ..] = input else { return };
    let (changes, content) = rest.split_at((usize::from(*changes) * 6).min(rest.len()));
    let mut bytes = vec![0; LEN as usize];
    let len = content.len().min(bytes.len());
    bytes[..len].copy_from_slice(&content[..len]);
    if what & 1 == 0 {
        let mut header = Header::from_bytes(bytes[..64].try_into().expect("64 bytes"));
        header.magic = vmi_abi::port_call::MAGIC;
        header.version = Version::CURRENT.bits();
        header.features &= 0x7f;
        header.count %= 520;
        header.status = Status::ASKED.0;
        header.flags &= 1;
        header.zero = [0; 9];
        bytes[..64].copy_from_slice(&header.to_bytes());
        for call in bytes[64..].chunks_exact_mut(size_of::<Call>()) {
            let number = Number::ALL[usize::from(call[0]) % Number::ALL.len()];
            call[..4].copy_from_slice(&number.0.to_le_bytes());
        }
    }
    let ram = Ram { bytes: RefCell::new(bytes), changes: RefCell::new(changes.to_vec()) };
    let port_calls = PortCalls::new(2);
    for round in 0..3 {
        let written = [1 + round * (what >> 1 & 1), 0, 0, 0];
        port_calls.call(&ram, &Strict::default(), usize::from(what >> 2 & 3), &written);
        // Each posted block is a batch of its own, with services of its own.
        port_calls.doorbell(&ram, &Strict::default(), u64::from(*what));
        let status = Status::POSTED.0.to_le_bytes();
        ram.bytes.borrow_mut()[16..20].copy_from_slice(&status);
    }
});
