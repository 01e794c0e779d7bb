//! A guest that goes on in another process.

use std::fs;
use std::io::{Seek, Write, pipe};
use std::process::Stdio;
use std::time::Duration;

use crate::control::{next, start};
use crate::guest;
use crate::program::{program, status};
use crate::tiny::Tiny;

/// How long a snapshot may take where everything is emulated.
const SAVE: Duration = Duration::from_secs(20);

// Leaves something everywhere: in memory far away, in the coprocessor, in the real-time clock's memory; registers a clock
// page, and keeps the time in it. Then it waits for input, and looks all the while whether its counter goes back. What
// is not as it should be by then is its status.
guest!(
    lives_on,
    "mov esp, 0x11f000; mov dword ptr [0x700ff8], 0x12345678",
    "mov eax, 0x9abcdef0; movd mm0, eax",
    "mov al, 0x40; out 0x70, al; mov al, 0x5a; out 0x71, al",
    "mov ecx, 0x4b564d01; mov eax, 0x109001; xor edx, edx; wrmsr",
    "3: mov esi, [0x109010]; mov edi, [0x109014]; mov eax, esi; or eax, edi; jz 3b",
    "mov edx, 0x3f8; mov al, 0x72; out dx, al",
    "2: rdtsc; mov bl, 1; cmp edx, [0x10b004]; jb 9f; ja 4f; cmp eax, [0x10b000]; jb 9f",
    "4: mov [0x10b000], eax; mov [0x10b004], edx",
    "mov edx, 0x3fd; in al, dx; test al, 1; jz 2b",
    "mov edx, 0x3f8; in al, dx",
    "inc ebx; cmp al, 0x67; jne 9f",
    "inc ebx; cmp dword ptr [0x700ff8], 0x12345678; jne 9f",
    "inc ebx; movd eax, mm0; cmp eax, 0x9abcdef0; jne 9f",
    "inc ebx; in al, 0x71; cmp al, 0x5a; jne 9f",
    "inc ebx; test byte ptr [0x10901d], 2; jz 9f",
    // Between 1 s and 16 times 2^32 ns.
    "inc ebx; mov eax, [0x109010]; mov edx, [0x109014]; sub eax, esi; sbb edx, edi; cmp edx, 16; jae 9f",
    "inc ebx; test edx, edx; jnz 5f; cmp eax, 1000000000; jb 9f",
    "5: mov bl, 42",
    "9: mov al, bl; out 0xf4, al",
);

#[test]
#[ignore = "needs KVM"]
fn a_guest_goes_on_from_a_snapshot_with_all_it_had_and_its_clocks_right() {
    let (mut reader, writer) = pipe().unwrap();
    let (mut child, mut client, directory) = start(&Tiny::new(lives_on()), &["-c", "2"], writer);
    assert_eq!(next(&mut reader), b'r');
    let file = directory.path().join("snapshot");
    let save = serde_json::json!({"command": "snapshot", "file": file}).to_string();
    client.ask_for(&save, SAVE);
    assert_eq!(client.state(), "running");
    let first = fs::read(&file).unwrap();
    client.ask("pause");
    client.ask_for(&save, SAVE);
    assert_eq!(client.state(), "paused", "as before");
    let refused = client.try_ask(r#"{"command":"snapshot","file":"/proc/none"}"#, SAVE);
    let text = refused["error"].as_str().unwrap();
    assert!(text.starts_with("cannot save a snapshot as `/proc/none`: "), "{text}");
    client.ask("quit");
    assert_eq!(status(&mut child).code(), Some(123));
    assert!(first.len() < 2 << 20, "{} bytes are not what is not zero", first.len());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");

    let restore = |input: &str| {
        let mut stdin = tempfile::tempfile().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        stdin.rewind().unwrap();
        let mut command = program();
        command.args(["--limit", "30", "--restore"]).arg(&file).stdin(stdin);
        let output = command.stderr(Stdio::piped()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(restore("g"), (Some(42), String::new()));
    assert_eq!(restore("h").0, Some(2), "as often as one likes");
    let second = fs::read(&file).unwrap();
    fs::write(&file, &second[..second.len() - 1]).unwrap();
    let text = format!(
        "vmi-run: cannot restore the snapshot `{}`: it is truncated or damaged: its checksum is not that of its contents\n",
        file.display()
    );
    assert_eq!(restore("g"), (Some(125), text));
}
