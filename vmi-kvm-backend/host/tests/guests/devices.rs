//! The devices, by guests that use them.

use std::time::{Duration, Instant};

use vmi_kvm_backend_host::Ending;

use crate::guest;
use crate::tiny::{BLOCKS, Tiny};

guest!(
    echo,
    "2: mov edx, 0x3fd; in al, dx; test al, 1; jz 2b",
    "mov edx, 0x3f8; in al, dx; out dx, al",
    "cmp al, 0x71; jne 2b",
    "mov al, 7; out 0xf4, al",
);

#[test]
#[ignore = "needs KVM"]
fn input_reaches_the_guest_however_much_there_is() {
    let text = format!("{}q", "0123456789".repeat(100));
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let mut from_file = Tiny::new(echo());
    from_file.input = Some(file.into());
    let (code, _, console) = from_file.exit_code();
    assert_eq!((code, console), (7, text.clone()));

    let (read, mut write) = std::io::pipe().unwrap();
    let mut from_pipe = Tiny::new(echo());
    from_pipe.input = Some(read.into());
    let sent = text.clone();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut write, sent.as_bytes()));
    let (code, _, console) = from_pipe.exit_code();
    assert_eq!((code, console), (7, text));
    writer.join().unwrap().unwrap();
}

// Without a handler for the exception, nor for what follows from that.
guest!(triple_fault, "mov al, 1; out 0x80, al; int 3");
guest!(announced, "mov word ptr [0x472], 0x1234; int 3");
guest!(cleared, "xor eax, eax; xor edi, edi; mov ecx, 0x400; rep stosd; int 3");
guest!(spin, "2: jmp 2b");
guest!(sleep, "2: cli; hlt; jmp 2b");

#[test]
#[ignore = "needs KVM"]
fn a_triple_fault_ends_the_run() {
    for code in [triple_fault(), cleared()] {
        assert_eq!(Tiny::new(code).run().0.unwrap().ending, Ending::TripleFault);
    }
}

#[test]
#[ignore = "needs KVM"]
fn a_triple_fault_that_was_announced_is_a_reset() {
    assert_eq!(Tiny::new(announced()).run().0.unwrap().ending, Ending::Reset);
}

guest!(keyboard, "2: in al, 0x64; test al, 2; jnz 2b", "mov al, 0xfe; out 0x64, al; jmp 2b");
guest!(output_port, "mov al, 0xd1; out 0x64, al; mov al, 0xde; out 0x60, al", "2: jmp 2b");
guest!(port92, "in al, 0x92; or al, 1; out 0x92, al", "2: jmp 2b");
guest!(chipset, "mov edx, 0xcf9; mov al, 6; out dx, al", "2: jmp 2b");
guest!(vector, "mov eax, 0xffff0; jmp eax");
guest!(rom, "mov dword ptr [0xfffffff0], 0xf4f4f4f4; mov eax, 0xfffffff0; jmp eax");
// An INIT to itself, which makes it begin at the reset vector.
guest!(
    init,
    "mov dword ptr [0xfee000f0], 0x1ff; mov dword ptr [0xfee00310], 0; mov dword ptr [0xfee00300], 0x4500",
    "2: hlt; jmp 2b"
);
// Has CPU 1 begin below 1 MiB, by an interrupt controller that is as it was after the reset.
guest!(
    start_other,
    "mov dword ptr [0xfee00310], 0x1000000; mov dword ptr [0xfee00300], 0xc500",
    "mov dword ptr [0xfee00300], 0x8500; mov dword ptr [0xfee00300], 0x609",
    "2: pause; jmp 2b"
);
guest!(other, "mov al, 42; out 0xf4, al");

#[test]
#[ignore = "needs KVM"]
fn a_cpu_is_started_before_any_interrupt_controller_is_set() {
    let mut guest = Tiny::new(start_other());
    guest.cpus = 2;
    guest.segment = Some((0x9000, other()));
    assert_eq!(guest.exit_code().0, 42);
}

// From protected mode to real mode, by a segment of 16 bits that begins where the test places what goes on there.
guest!(real_mode, "mov esp, 0x11f000; lgdt [0x104040]; push 8; push 0; retf");

/// `mov eax, cr0`, `and al, 0xfe`, `mov cr0, eax`, `jmp` there; at 0x20 a table of one segment, at 0x40 where that is.
fn to_real_mode(segment: u16, offset: u16) -> Tiny {
    const TO_REAL_MODE: [u8; 9] = [0x0f, 0x20, 0xc0, 0x24, 0xfe, 0x0f, 0x22, 0xc0, 0xea];
    const SEGMENT: u64 = 0x0000_9b10_4000_ffff;
    Tiny::new(real_mode())
        .with(BLOCKS, &TO_REAL_MODE)
        .with(BLOCKS + TO_REAL_MODE.len() as u64, [offset, segment].map(u16::to_le_bytes).as_flattened())
        .with(BLOCKS + 0x28, &SEGMENT.to_le_bytes())
        .with(BLOCKS + 0x40, &[0xf, 0, 0x20, 0x40, 0x10, 0])
}

#[test]
#[ignore = "needs KVM"]
fn every_reset_that_a_pc_has_is_one() {
    let guests = [
        ("keyboard", keyboard()),
        ("output port", output_port()),
        ("port 0x92", port92()),
        ("0xcf9", chipset()),
        ("F000:FFF0, flat", vector()),
        ("ROM", rom()),
        ("INIT", init()),
    ];
    for (name, code) in guests {
        assert_eq!(Tiny::new(code).run().0.unwrap().ending, Ending::Reset, "{name}");
    }
    let vector = to_real_mode(0xf000, 0xfff0);
    assert_eq!(vector.run().0.unwrap().ending, Ending::Reset, "F000:FFF0, real mode");
}

// Asks for what there is not, for a key, for the size of memory and the devices; has a device interrupt; starts anew.
guest!(
    services,
    ".code16",
    "xor ax, ax; mov ss, ax; mov sp, 0x8000",
    "mov ah, 0x88; clc; int 0x15; jnc 9f; cmp ah, 0x86; jne 9f",
    "mov ah, 1; test sp, sp; int 0x16; jnz 9f",
    "int 0x12; cmp ax, 639; jne 9f; int 0x11; test ax, ax; jnz 9f",
    "mov ax, 0x1234; int 9; jc 9f; cmp ax, 0x1234; jne 9f",
    "int 0x19",
    "9: mov al, 1; out 0xf4, al",
);

#[test]
#[ignore = "needs KVM"]
fn a_bios_that_is_asked_for_what_there_is_not_refuses() {
    let mut guest = to_real_mode(0, 0x9000);
    guest.segment = Some((0x9000, services()));
    assert_eq!(guest.run().0.unwrap().ending, Ending::Reset);
}

#[test]
#[ignore = "needs KVM"]
fn a_guest_that_never_ends_is_ended_whether_it_spins_or_sleeps() {
    for code in [spin(), sleep()] {
        for cpus in [1, 2] {
            let mut guest = Tiny::new(code);
            guest.limit = Some(Duration::from_millis(300));
            guest.cpus = cpus;
            let start = Instant::now();
            assert_eq!(guest.run().0.unwrap().ending, Ending::TimeLimit);
            assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        }
    }
}

guest!(
    wide,
    "mov edx, 0x3fc; mov eax, 0xa5000000; out dx, eax",
    "inc edx; inc edx; in ax, dx; mov al, ah; out 0xf4, al"
);

#[test]
#[ignore = "needs KVM"]
fn a_wide_access_reaches_the_registers_behind() {
    assert_eq!(Tiny::new(wide()).exit_code().0, 0xa5);
}

// Reads the line status three times by one instruction, of which KVM makes one exit.
guest!(string, "mov edi, 0x110000; mov ecx, 3; mov edx, 0x3fd; rep insb", "mov al, [0x110002]; out 0xf4, al");

#[test]
#[ignore = "needs KVM"]
fn a_string_of_bytes_is_one_register_again_and_again() {
    const TRANSMITTER_EMPTY: u8 = 0x60;
    assert_eq!(Tiny::new(string()).exit_code().0, TRANSMITTER_EMPTY);
}

// Adds up the number of modules, the second one's size and its first byte.
guest!(
    modules,
    "mov eax, [ebx + 12]; mov ecx, [ebx + 16]; add eax, [ecx + 32 + 8]",
    "mov edx, [ecx + 32]; add al, [edx]; out 0xf4, al",
);

#[test]
#[ignore = "needs KVM"]
fn modules_are_where_the_start_info_says() {
    let files = [b"first".as_slice(), b"\x40 second"].map(|bytes| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
        file
    });
    let mut guest = Tiny::new(modules());
    guest.modules = files.iter().map(|file| file.path().to_owned().into()).collect();
    assert_eq!(guest.exit_code().0, 2 + 8 + 0x40);
}

guest!(nothing, "in al, 0x80; out 0xf4, al");
guest!(no_memory, "mov eax, [0xd0000000]; cmp eax, -1; sete al; out 0xf4, al");

#[test]
#[ignore = "needs KVM"]
fn where_nothing_is_ones_are_read() {
    assert_eq!(Tiny::new(nothing()).exit_code().0, 0xff);
    assert_eq!(Tiny::new(no_memory()).exit_code().0, 1);
}

guest!(memory_type, "mov ecx, 0x2ff; rdmsr; cmp eax, 0x806; sete al; out 0xf4, al");

#[test]
#[ignore = "needs KVM"]
fn memory_is_cached_from_the_start_on() {
    assert_eq!(Tiny::new(memory_type()).exit_code().0, 1);
}

guest!(debug_console, "in al, 0xe9; mov bl, al", "mov al, 0x79; out 0xe9, al", "mov al, bl; out 0xf4, al");

#[test]
#[ignore = "needs KVM"]
fn the_debug_console_prints() {
    let (code, _, console) = Tiny::new(debug_console()).exit_code();
    assert_eq!((code, console.as_str()), (0xe9, "y"));
}
