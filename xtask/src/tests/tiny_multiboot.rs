//! Multiboot kernels of a few bytes, as kvm-unit-tests' are: they print a text, their command line and the module that they
//! are given, and end by whether there is one.

use super::tiny_kernel::End;

/// Where the file is loaded, whole.
const BASE: u32 = 0x40_0000;

/// The size of the file header and the program header (System V ABI, Intel386 supplement and ELF32).
const HEADERS: u32 = 52 + 32;

/// The size of the multiboot header, and of a descriptor table without entries, for `lidt`.
const MULTIBOOT: u32 = 12;
const NOTHING: u32 = 8;

/// `cli; 1: hlt; jmp 1b`.
const HALT: [u8; 4] = [0xfa, 0xf4, 0xeb, 0xfd];

/// Makes the whole file: headers, code, text.
pub(super) fn elf(text: &str, without_module: End, with_module: End) -> Vec<u8> {
    let entry = BASE + HEADERS + MULTIBOOT + NOTHING;
    let code = code(entry, text, without_module, with_module);
    let size = HEADERS + MULTIBOOT + NOTHING + code.len() as u32;
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // An executable file for the 80386, version 1; program headers behind this one, no section headers, no flags.
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    [2 | 3 << 16, 1, entry, 52, 0, 0].into_iter().for_each(|value| word(&mut file, value));
    [52_u16, 32, 1, 0, 0, 0].into_iter().for_each(|value| file.extend(value.to_le_bytes()));
    // PT_LOAD: offset, addresses, sizes; readable, writable and executable; alignment.
    [1, 0, BASE, BASE, size, size, 7, 0x1000].into_iter().for_each(|value| word(&mut file, value));
    // Magic, no flags, and what makes the sum 0 ("Multiboot Specification version 0.6.96").
    const MAGIC: u32 = 0x1bad_b002;
    [MAGIC, 0, MAGIC.wrapping_neg(), 0, 0].into_iter().for_each(|value| word(&mut file, value));
    file.extend(code);
    file
}

/// Assembles the 32-bit code, with the text behind it; the multiboot information is in `ebx`.
fn code(entry: u32, text: &str, without_module: End, with_module: End) -> Vec<u8> {
    const PRINT: [u8; 8] = [0xac, 0x84, 0xc0, 0x74, 0x03, 0xee, 0xeb, 0xf8]; // 1: lodsb; test al, al; jz 2f; out dx, al; jmp 1b; 2:
    let (with, without) = (end(with_module), end(without_module));
    let mut code = vec![0xfc, 0x66, 0xba, 0xf8, 0x03, 0xbe, 0, 0, 0, 0]; // cld; mov dx, 0x3f8; mov esi, text
    let text_at = code.len() - 4..code.len();
    code.extend(PRINT);
    code.extend([0x8b, 0x73, 16]); // mov esi, [ebx + 16]: the command line
    code.extend(PRINT);
    code.extend([0xb0, b'\n', 0xee]); // mov al, '\n'; out dx, al
    code.extend([0x8b, 0x4b, 20]); // mov ecx, [ebx + 20]: how many modules
    code.extend([0xe3, 12 + with.len() as u8]); // jecxz without
    code.extend([0x8b, 0x7b, 24]); // mov edi, [ebx + 24]: the first
    code.extend([0x8b, 0x37, 0x8b, 0x4f, 4]); // mov esi, [edi]; mov ecx, [edi + 4]
    code.extend([0x29, 0xf1, 0xf3, 0x6e]); // sub ecx, esi; rep outsb
    code.extend(with);
    code.extend(without);
    let place = entry + code.len() as u32;
    code.splice(text_at, place.to_le_bytes());
    code.extend(text.as_bytes());
    code.push(0);
    code
}

fn end(end: End) -> Vec<u8> {
    let code = match end {
        End::Exit(value) => vec![0xb8, value, 0, 0, 0, 0xe7, 0xf4], // mov eax, value; out 0xf4, eax
        End::Hang => Vec::new(),
        End::TripleFault => {
            let [a, b, c, d] = (BASE + HEADERS + MULTIBOOT).to_le_bytes();
            vec![0x0f, 0x01, 0x1d, a, b, c, d, 0x0f, 0x0b] // lidt [nothing]; ud2
        }
    };
    [code.as_slice(), &HALT].concat()
}
