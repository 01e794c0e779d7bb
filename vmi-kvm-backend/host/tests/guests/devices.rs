//! The devices, by guests that use them.

use std::time::{Duration, Instant};

use vmi_kvm_backend_host::Ending;

use crate::guest;
use crate::tiny::Tiny;

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

guest!(triple_fault, "lidt [0]", "int 3");
guest!(spin, "2: jmp 2b");
guest!(sleep, "2: cli; hlt; jmp 2b");

#[test]
#[ignore = "needs KVM"]
fn a_triple_fault_ends_the_run() {
    // There is no interrupt table from the start on.
    assert_eq!(Tiny::new(triple_fault()).run().0.unwrap().ending, Ending::TripleFault);
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
    guest.modules = files.iter().map(|file| file.path().to_owned()).collect();
    assert_eq!(guest.exit_code().0, 2 + 8 + 0x40);
}
