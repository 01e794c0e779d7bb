//! The control socket of a run with a guest.

use std::io::{PipeReader, Read, pipe};
use std::process::{Child, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use vmi_abi::port_call::{Number, Status};

use crate::client::Client;
use crate::guest;
use crate::output::full_pipe;
use crate::program::{program, soon, status};
use crate::tiny::{BLOCKS, Tiny};

/// Starts a guest with a control socket; what it says comes by the pipe.
pub fn start(guest: &Tiny, options: &[&str], stdout: impl Into<Stdio>) -> (Child, Client, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control");
    let image = guest.write();
    let mut command = program();
    command.arg("--control").arg(&path).args(options).arg(image.path());
    let child = command.stdin(Stdio::null()).stdout(stdout).spawn().unwrap();
    let client = Client::connect(&path);
    (child, client, directory)
}

pub fn next(reader: &mut PipeReader) -> u8 {
    let mut byte = [0];
    reader.read_exact(&mut byte).unwrap();
    byte[0]
}

// Has the power button's interrupt go to its local APIC, where it stays; then waits for a non-maskable interrupt, for the
// flag in a clock page that says that it was paused, and for the button, and says so each time.
guest!(
    listens,
    "mov esp, 0x11f000; lidt [0x104040]; mov dword ptr [0xfee000f0], 0x1ff",
    "mov dword ptr [0xfec00000], 0x23; mov dword ptr [0xfec00010], 0",
    "mov dword ptr [0xfec00000], 0x22; mov dword ptr [0xfec00010], 0x40",
    "mov edx, 0x3f8; mov al, 0x72; out dx, al",
    "2: cmp byte ptr [0x108000], 1; jne 2b",
    "mov al, 0x6e; out dx, al",
    "mov ecx, 0x4b564d01; mov eax, 0x109001; xor edx, edx; wrmsr; mov edx, 0x3f8; mov al, 0x63; out dx, al",
    "3: test byte ptr [0x10901d], 2; jz 3b",
    "mov al, 0x70; out dx, al",
    "4: mov eax, [0xfee00220]; test al, 1; jz 4b",
    "mov al, 42; out 0xf4, al",
);

#[test]
#[ignore = "needs KVM"]
fn a_guest_is_paused_interrupted_resumed_and_asked_to_switch_off() {
    // `mov byte ptr [0x108000], 1`, `iretd`; the gate of vector 2 that leads there, and where the table is.
    const HANDLER: [u8; 8] = [0xc6, 0x05, 0x00, 0x80, 0x10, 0x00, 0x01, 0xcf];
    const GATE: u64 = 0x0010_8e00_0010_4100;
    let guest = Tiny::new(listens())
        .with(BLOCKS + 0x100, &HANDLER)
        .with(BLOCKS + 0x10, &GATE.to_le_bytes())
        .with(BLOCKS + 0x40, &[0x17, 0, 0, 0x40, 0x10, 0]);
    let (mut reader, writer) = pipe().unwrap();
    let (mut child, mut client, directory) = start(&guest, &["-c", "2"], writer);
    assert_eq!(next(&mut reader), b'r');
    client.ask("pause");
    assert_eq!(client.state(), "paused");
    client.ask("nmi");
    rustix::io::ioctl_fionbio(&reader, true).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert!(reader.read(&mut [0]).is_err(), "it stands still");
    rustix::io::ioctl_fionbio(&reader, false).unwrap();
    client.ask("resume");
    assert_eq!((client.state().as_str(), next(&mut reader)), ("running", b'n'));
    assert_eq!(next(&mut reader), b'c');
    client.ask("pause");
    client.ask("resume");
    assert_eq!(next(&mut reader), b'p', "the clock page says that it was paused");
    let stats = client.ask("stats");
    assert_eq!(stats["exits"][0]["port-write"], 4, "{stats}");
    let refused = client.try_ask(r#"{"command":"nmi","cpu":2}"#, Duration::from_secs(1));
    assert_eq!(refused["error"], "there is no CPU 2: the guest's are 0 to 1");
    client.ask("powerdown");
    assert_eq!(status(&mut child).code(), Some(42));
    assert!(!directory.path().join("control").exists());
}

// Makes the same batch of calls again and again.
guest!(floods, "mov edx, 0x5640; mov eax, 0x10c", "2: mov dword ptr [0x10c010], 1; out dx, eax; jmp 2b");

#[test]
#[ignore = "needs KVM"]
fn a_guest_that_floods_starves_no_command() {
    const BATCH: u64 = 0x10_c000;
    const LINES: usize = 100;
    const LINE: u64 = 1000;
    assert_eq!(Status::ASKED.0, 1);
    let guest = Tiny::new(floods()).with_calls(BATCH, &[(Number::CONSOLE_LINE, BLOCKS, LINE); LINES]);
    let (mut reader, writer) = full_pipe();
    let (mut child, mut client, _directory) = start(&guest, &[], writer);
    // More than waits for whoever reads: the CPU waits too.
    soon("the flood", || client.ask("stats")["vmi"]["lines"].as_u64() >= Some(60));
    for _ in 0..3 {
        assert_eq!(client.state(), "running");
        client.ask("pause");
        assert_eq!(client.state(), "paused");
        client.ask("resume");
    }
    client.ask("pause");
    let drain = std::thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        all.len()
    });
    // What it said so far comes out, the rest of the batch with it, and nothing more.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(client.state(), "paused");
    client.ask("quit");
    assert_eq!(status(&mut child).code(), Some(123));
    assert_eq!(drain.join().unwrap(), 4096 + LINES * (LINE as usize + 1));
}
