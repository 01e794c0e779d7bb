//! Kernels of a few bytes that print a text and end as they are told: guests for the tests of this program itself.

use anyhow::Result;
use std::path::PathBuf;

use super::run::Context;

/// Where the file is loaded, whole.
const BASE: u32 = 0x20_0000;

/// The size of the file header and both program headers (System V ABI, Object Files, ELF64).
const HEADERS: usize = 64 + 2 * 56;

/// The size of the PVH note: three lengths, the name "Xen", and an address.
const NOTE: usize = 12 + 4 + 4;

/// What a kernel does once it has printed its text.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// Writes a value to the exit device.
    Exit(u8),
    /// Halts for ever with interrupts disabled.
    Hang,
    /// Causes a triple fault.
    TripleFault,
}

/// What a kernel prints that passes two checks on something that looks like a bare machine.
pub(super) const GOOD: &str = "vmi: hypervisor: none\nvmi: layers: none\n\
    vmi: sites: total 3 native 3 call 0 inline 0 nop 0\nPASS a::one\nPASS a::two\nSKIP a::three: no such thing\n\
    summary: 2 passed, 0 failed, 1 skipped\n";

impl Context {
    /// Writes a kernel that prints the text and ends so, except where its command line asks for `power=shutdown` or
    /// `power=reboot`.
    pub(super) fn tiny_kernel(&self, name: &str, text: &str, end: End) -> Result<PathBuf> {
        self.write(name, &elf(text, end))
    }
}

/// Makes the whole file: headers, note, code, text.
fn elf(text: &str, end: End) -> Vec<u8> {
    let entry = BASE + (HEADERS + NOTE) as u32;
    let code = code(entry, end, text);
    let size = (HEADERS + NOTE + code.len()) as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    let long = |file: &mut Vec<u8>, value: u64| file.extend(value.to_le_bytes());
    // An executable file for x86-64, version 1.
    half(&mut file, 2);
    half(&mut file, 62);
    word(&mut file, 1);
    long(&mut file, entry.into());
    // Program headers behind this one, no section headers, no flags.
    long(&mut file, 64);
    long(&mut file, 0);
    word(&mut file, 0);
    [64, 56, 2, 0, 0, 0].into_iter().for_each(|value| half(&mut file, value));
    // PT_LOAD and PT_NOTE, readable, writable and executable: offset, addresses, sizes, alignment.
    for (kind, offset, size, alignment) in [(1, 0, size, 0x1000), (4, HEADERS as u64, NOTE as u64, 4)] {
        word(&mut file, kind);
        word(&mut file, 7);
        long(&mut file, offset);
        long(&mut file, u64::from(BASE) + offset);
        long(&mut file, u64::from(BASE) + offset);
        long(&mut file, size);
        long(&mut file, size);
        long(&mut file, alignment);
    }
    // XEN_ELFNOTE_PHYS32_ENTRY (Xen's public header `elfnote.h`).
    [4, 4, 18].into_iter().for_each(|value| word(&mut file, value));
    file.extend(b"Xen\0");
    word(&mut file, entry);
    file.extend(code);
    file
}

/// Assembles the 32-bit code, with the text behind it; the PVH start info is in `ebx`.
fn code(entry: u32, end: End, text: &str) -> Vec<u8> {
    const HALT: [u8; 4] = [0xfa, 0xf4, 0xeb, 0xfd]; // cli; 1: hlt; jmp 1b
    let triple_fault = |nothing: u32| {
        let [a, b, c, d] = nothing.to_le_bytes();
        vec![0x0f, 0x01, 0x1d, a, b, c, d, 0x0f, 0x0b] // lidt [nothing]; ud2
    };
    let end_length = 9;
    let mut code = vec![0x8b, 0x43, 0x18]; // mov eax, [ebx + 24]: the command line
    code.extend([0x81, 0x38, b'p', b'o', b'w', b'e']); // cmp dword [eax], "powe"
    code.extend([0x75, 40]); // jne print
    code.extend([0x80, 0x78, 6, b's']); // cmp byte [eax + 6], 's'
    code.extend([0x75, 21]); // jne reboot
    code.extend([0x66, 0xba, 0x04, 0x06, 0x66, 0xb8, 0x00, 0x20, 0x66, 0xef]); // mov dx, 0x604; mov ax, 0x2000; out dx, ax
    code.extend([0x66, 0xba, 0x00, 0x06, 0xb0, 0x34, 0xee]); // mov dx, 0x600; mov al, 0x34; out dx, al
    code.extend(HALT);
    let reboot_at = code.len();
    let print_at = reboot_at + 13;
    let text_at = print_at + 17 + end_length;
    let nothing = entry + (text_at + text.len() + 1) as u32;
    code.extend(triple_fault(nothing));
    code.extend(HALT);
    assert_eq!(code.len(), print_at);
    code.push(0xbe); // mov esi, text
    code.extend((entry + text_at as u32).to_le_bytes());
    code.extend([0x66, 0xba, 0xf8, 0x03]); // mov dx, 0x3f8
    code.extend([0xac, 0x84, 0xc0, 0x74, 0x03, 0xee, 0xeb, 0xf8]); // 1: lodsb; test al, al; jz 2f; out dx, al; jmp 1b; 2:
    let mut last = match end {
        End::Exit(value) => vec![0xb0, value, 0xe6, 0xf4], // mov al, value; out 0xf4, al
        End::Hang => HALT.to_vec(),
        End::TripleFault => triple_fault(nothing),
    };
    last.resize(end_length, 0xf4);
    code.extend(last);
    assert_eq!(code.len(), text_at);
    code.extend(text.as_bytes());
    // The end of the text, and a descriptor table of no length for `lidt`.
    code.extend([0; 8]);
    code
}
