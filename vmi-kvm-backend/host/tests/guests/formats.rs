//! Every boot format, by guests that look at what they are given.

use std::io::Write;
use std::process::Command;

use tempfile::NamedTempFile;
use vmi_kvm_backend_host::Module;

use crate::guest;
use crate::tiny::{CODE, Format, Tiny};

/// Where guests have their header: within what is searched, and aligned for either version.
const HEADER: u64 = CODE + 0x800;
/// What a guest of this file adds up.
const SUM: u8 = b'K'.wrapping_add(b'm').wrapping_add(b'M');

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Gives a guest a command line that ends with `K`, and a module of an `m` whose command line ends with `M`.
fn given(mut guest: Tiny, format: Format) -> (Tiny, NamedTempFile) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(b"m").unwrap();
    guest.format = format;
    guest.command_line = "first K".to_owned();
    guest.modules = vec![Module { path: file.path().to_owned(), command_line: "of the M".to_owned() }];
    (guest, file)
}

// Adds up the last byte of the command line, the only module's first, and the last of its command line; but first looks
// at the magic number, at the flags for all of that and the memory, and at the size of low memory.
guest!(
    multiboot,
    "cmp eax, 0x2badb002; jne 9f",
    "mov eax, [ebx]; and eax, 0x24d; cmp eax, 0x24d; jne 9f",
    "cmp dword ptr [ebx + 4], 639; jne 9f",
    "mov esi, [ebx + 16]; 2: lodsb; test al, al; jnz 2b; mov dl, [esi - 2]",
    "cmp dword ptr [ebx + 20], 1; jne 9f",
    "mov edi, [ebx + 24]; mov ecx, [edi]; add dl, [ecx]; inc ecx; cmp ecx, [edi + 4]; jne 9f",
    "mov esi, [edi + 8]; 3: lodsb; test al, al; jnz 3b; add dl, [esi - 2]",
    "mov al, dl; out 0xf4, al",
    "9: mov al, 1; out 0xf4, al",
);

/// A header of the first version, by flags and addresses.
fn header(flags: u32, addresses: &[u32]) -> Vec<u8> {
    const MAGIC: u32 = 0x1bad_b002;
    words(&[&[MAGIC, flags, 0_u32.wrapping_sub(MAGIC).wrapping_sub(flags)], addresses].concat())
}

#[test]
#[ignore = "needs KVM"]
fn multiboot_starts_elf_files_and_flat_images() {
    let code = CODE as u32;
    let end = code + 0x1_0000;
    let flat = header(0x1_0000, &[HEADER as u32, code, end, end + 0x1000, code]);
    let rest = header(0x1_0003, &[HEADER as u32, code, 0, 0, code]);
    let cases = [
        (Format::Elf32, header(3, &[])),
        (Format::Elf, header(0, &[])),
        (Format::Flat, flat.clone()),
        (Format::Flat, rest.clone()),
        (Format::Elf, flat),
        (Format::Elf32, rest),
    ];
    for (format, header) in cases {
        let (guest, _file) = given(Tiny::new(multiboot()).with(HEADER, &header), format);
        assert_eq!(guest.exit_code().0, SUM, "{format:?} {header:x?}");
    }
}

// The same by tags; and the root pointer of ACPI begins with an R.
guest!(
    multiboot2,
    "cmp eax, 0x36d76289; jne 9f",
    "test ebx, 7; jnz 9f",
    "lea esi, [ebx + 8]; mov al, -0x52",
    "2: mov ecx, [esi]; test ecx, ecx; jz 8f",
    "mov edx, [esi + 4]",
    "cmp ecx, 1; jne 3f; add al, [esi + edx - 2]",
    "3: cmp ecx, 3; jne 4f; add al, [esi + edx - 2]; mov edi, [esi + 8]; add al, [edi]",
    "4: cmp ecx, 15; jne 5f; add al, [esi + 8]",
    "5: lea edx, [edx + 7]; and edx, -8; add esi, edx; jmp 2b",
    "8: add esi, 8; sub esi, ebx; cmp esi, [ebx]; jne 9f; out 0xf4, al",
    "9: mov al, 1; out 0xf4, al",
);

/// A header of the second version, by its tags: type, flags and words.
fn header2(tags: &[(u16, u16, &[u32])]) -> Vec<u8> {
    const MAGIC: u32 = 0xe852_50d6;
    let mut body = Vec::new();
    for (kind, flags, content) in tags.iter().chain([&(0, 0, &[][..])]) {
        body.extend([kind.to_le_bytes(), flags.to_le_bytes()].as_flattened());
        body.extend(words(&[8 + 4 * content.len() as u32]));
        body.extend(words(content));
        body.resize(body.len().next_multiple_of(8), 0);
    }
    let size = 16 + body.len() as u32;
    [words(&[MAGIC, 0, size, 0_u32.wrapping_sub(MAGIC).wrapping_sub(size)]), body].concat()
}

#[test]
#[ignore = "needs KVM"]
fn multiboot2_starts_elf_files_and_flat_images() {
    let code = CODE as u32;
    let wishes: [(u16, u16, &[u32]); 3] = [(1, 0, &[1, 6, 15]), (6, 0, &[]), (77, 1, &[1])];
    let addresses = [HEADER as u32, code, code + 0x1_0000, 0];
    let from_start = [HEADER as u32, u32::MAX, 0, 0];
    let flat = |addresses| header2(&[(2, 0, addresses), (3, 0, &[code])]);
    let cases = [
        (Format::Elf32, header2(&wishes)),
        (Format::Elf, header2(&[])),
        (Format::Elf, header2(&[(3, 0, &[code])])),
        (Format::Flat, flat(&addresses)),
        (Format::Flat, flat(&from_start)),
    ];
    for (format, header) in cases {
        let (guest, _file) = given(Tiny::new(multiboot2()).with(HEADER, &header), format);
        assert_eq!(guest.exit_code().0, SUM, "{format:?} {header:x?}");
    }
}

// The same by PVH's start info.
guest!(
    pvh,
    "cmp dword ptr [ebx], 0x336ec578; jne 9f",
    "mov esi, [ebx + 24]; 2: lodsb; test al, al; jnz 2b; mov dl, [esi - 2]",
    "mov edi, [ebx + 16]; mov ecx, [edi]; add dl, [ecx]",
    "mov esi, [edi + 16]; 3: lodsb; test al, al; jnz 3b; add dl, [esi - 2]",
    "mov al, dl; out 0xf4, al",
    "9: mov al, 1; out 0xf4, al",
);

#[test]
#[ignore = "needs KVM"]
fn pvh_starts_elf_files_of_32_bits_too() {
    for format in [Format::Pvh, Format::Pvh32] {
        let (guest, _file) = given(Tiny::new(pvh()), format);
        assert_eq!(guest.exit_code().0, SUM, "{format:?}");
    }
}

// Goes on in the segment below 1 MiB, which loads a descriptor.
guest!(jump, "mov eax, 0x9000; jmp eax");
guest!(
    low,
    "cmp dword ptr [ebx], 0x336ec578; jne 9f",
    "mov eax, 0x18; mov ss, eax; mov al, 42; out 0xf4, al",
    "9: mov al, 1; out 0xf4, al",
);

#[test]
#[ignore = "needs KVM"]
fn a_segment_below_1_mib_lies_where_boot_information_would() {
    for format in [Format::Pvh, Format::Pvh32] {
        let mut guest = Tiny::new(jump());
        guest.format = format;
        guest.segment = Some((0x9000, low()));
        assert_eq!(guest.exit_code().0, 42, "{format:?}");
    }
}

// Looks at the header and the memory of the zero page; adds up the last byte of the command line and the initial file
// system's first.
guest!(
    linux,
    "cmp dword ptr [esi + 0x202], 0x53726448; jne 9f",
    "cmp dword ptr [esi + 0x1e0], 127 * 1024; jne 9f",
    "cmp byte ptr [esi + 0x1e8], 3; jne 9f",
    "mov ecx, [esi + 0x218]; mov dl, [ecx]; cmp dword ptr [esi + 0x21c], 1; jne 9f",
    "mov esi, [esi + 0x228]; 2: lodsb; test al, al; jnz 2b; add dl, [esi - 2]",
    "mov al, dl; out 0xf4, al",
    "9: mov al, 1; out 0xf4, al",
);

#[test]
#[ignore = "needs KVM"]
fn linux_starts_from_protocol_2_02_on() {
    let mut initrd = NamedTempFile::new().unwrap();
    initrd.write_all(b"m").unwrap();
    for (version, high) in [(0x202_u16, true), (0x202, false), (0x206, true), (0x20a, true), (0x20f, true)] {
        let mut image = vec![0; 1024];
        image[0x1f1] = 1;
        image[0x201..0x206].copy_from_slice(b"\x6aHdrS");
        image[0x206..0x208].copy_from_slice(&version.to_le_bytes());
        image[0x211] = high.into();
        image[0x214..0x218].copy_from_slice(&if high { 0x10_0000_u32 } else { 0x1000 }.to_le_bytes());
        if version < 0x203 {
            // Code already, where later protocols have fields.
            image[0x22c..0x26c].fill(0x01);
        } else {
            image[0x22c..0x230].copy_from_slice(&0x37ff_ffff_u32.to_le_bytes());
        }
        image.extend(linux());
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(&image).unwrap();
        let mut command = program();
        let status = command.arg("-i").args([initrd.path(), file.path()]).args(["--", "K"]).status().unwrap();
        assert_eq!(status.code(), Some((b'm' + b'K').into()), "{version:#x}, high: {high}");
    }
}

// The setup's first instruction jumps behind its header. Looks at that; reads the memory map up to a range from 1 MiB on,
// waits for the timer, prints two keys, of which it looks at the first twice; and adds up as the kernel above.
guest!(
    linux_real,
    ".code16",
    "cmp dword ptr [0x202], 0x53726448; jne 9f; test byte ptr [0x211], 0x80; jz 9f",
    "cmp word ptr [0x224], 0xde00; jne 9f; mov ax, ss; mov cx, ds; cmp ax, cx; jne 9f",
    "mov di, 0x1000; xor ebx, ebx",
    "2: mov eax, 0xe820; mov edx, 0x534d4150; mov ecx, 20; int 0x15; jc 9f; cmp eax, 0x534d4150; jne 9f",
    "cmp dword ptr [di], 0x100000; je 3f; test ebx, ebx; jnz 2b; jmp 9f",
    "3: cmp dword ptr [di + 8], 127 << 20; jne 9f; cmp dword ptr [di + 16], 1; jne 9f; test ebx, ebx; jnz 9f",
    "mov ebx, 9; mov eax, 0xe820; int 0x15; jnc 9f",
    "push 0; pop es; mov eax, es:[0x46c]; sti; 4: hlt; cmp eax, es:[0x46c]; je 4b",
    "5: mov ah, 1; int 0x16; jz 5b; mov ah, 0x11; int 0x16; jz 9f",
    "mov ah, 0; int 0x16; mov ah, 0xe; int 0x10; mov ah, 0x10; int 0x16; mov ah, 0xe; int 0x10",
    "mov si, [0x228]; 6: lodsb al, es:[si]; test al, al; jnz 6b; mov dl, es:[si - 2]",
    "cmp dword ptr [0x21c], 1; jne 9f; mov al, dl; out 0xf4, al",
    "9: mov al, 1; out 0xf4, al",
);

#[test]
#[ignore = "needs KVM"]
fn linux_without_a_32_bit_entry_starts_in_real_mode_and_finds_a_bios() {
    let mut initrd = NamedTempFile::new().unwrap();
    initrd.write_all(b"m").unwrap();
    let mut image = vec![0; 1536];
    image[0x1f1] = 2;
    image[0x200..0x208].copy_from_slice(b"\xeb\x6aHdrS\x07\x02");
    image[0x211] = 1;
    image[0x22c..0x230].copy_from_slice(&0x37ff_ffff_u32.to_le_bytes());
    image[0x26c..][..linux_real().len()].copy_from_slice(linux_real());
    image.push(0);
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&image).unwrap();
    let (keys, mut keyboard) = std::io::pipe().unwrap();
    keyboard.write_all(b"hi").unwrap();
    let mut command = program();
    let output = command.arg("-i").args([initrd.path(), file.path()]).args(["--", "K"]).stdin(keys).output();
    let output = output.unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(b'K'.into()), b"hi".to_vec()));
}

/// The program: where `VMI_RUN` says, or where it was built.
fn program() -> Command {
    let program = std::env::var("VMI_RUN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_vmi-run").to_owned());
    let mut command = Command::new(program);
    command.args(["--limit", "20"]).stdin(std::process::Stdio::null());
    command
}

guest!(pvh_exit, "mov al, 42; out 0xf4, al");

#[test]
#[ignore = "needs KVM"]
fn an_image_that_comes_by_a_pipe_boots_and_its_symbols_are_known() {
    let image = Tiny::new(pvh_exit()).write();
    let (read, mut write) = std::io::pipe().unwrap();
    let bytes = std::fs::read(image.path()).unwrap();
    let writer = std::thread::spawn(move || write.write_all(&bytes));
    let output = program().args(["--stats", "/proc/self/fd/0"]).stdin(read).output().unwrap();
    writer.join().unwrap().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(42), "{text}");
    assert!(text.contains("guest+0x"), "{text}");
}
