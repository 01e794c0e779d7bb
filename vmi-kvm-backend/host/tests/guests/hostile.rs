//! Guests that mean harm: whatever they do, the program goes on or says in a sentence why not, and can be ended.

use std::time::{Duration, Instant};

use vmi_kvm_backend_host::Ending;

use crate::guest;
use crate::tiny::Tiny;

// A generator (xorshift) in ebp; what it yields chooses port, width and value.
guest!(
    random_ports,
    "mov ebp, 0x2545f491; mov esi, 20000",
    "2: mov eax, ebp; shl eax, 13; xor ebp, eax; mov eax, ebp; shr eax, 17; xor ebp, eax",
    "mov eax, ebp; shl eax, 5; xor ebp, eax",
    "mov edx, ebp; shr edx, 16; mov eax, ebp",
    "test ebp, 1; jz 3f",
    "in eax, dx; jmp 6f",
    "3: test ebp, 2; jz 4f",
    "out dx, ax; jmp 6f",
    "4: test ebp, 4; jz 5f",
    "out dx, eax; jmp 6f",
    "5: in al, dx; out dx, al",
    "6: dec esi; jnz 2b",
    "mov edx, 0x5640; mov eax, 0x104; out dx, eax",
    "2: jmp 2b",
);

#[test]
#[ignore = "needs KVM"]
fn random_accesses_of_ports_harm_nobody() {
    let mut guest = Tiny::new(random_ports());
    guest.bare = true;
    let end = [(vmi_abi::port_call::Number::SHUTDOWN, 9, 0)];
    let (outcome, _) = guest.with_calls(crate::tiny::BLOCKS, &end).run();
    assert_eq!(outcome.unwrap().ending, Ending::Exit(9));
}

guest!(
    random_mmio,
    "mov ebp, 0x2545f491; mov esi, 20000",
    "2: mov eax, ebp; shl eax, 13; xor ebp, eax; mov eax, ebp; shr eax, 17; xor ebp, eax",
    "mov eax, ebp; shl eax, 5; xor ebp, eax",
    // Above all memory: the hole, with the interrupt controllers in it.
    "mov edi, ebp; or edi, 0xc0000000",
    "test ebp, 1; jz 3f",
    "mov eax, [edi]; jmp 4f",
    "3: mov [edi], eax; mov [edi], al",
    "4: dec esi; jnz 2b",
    "mov al, 9; out 0xf4, al",
);

#[test]
#[ignore = "needs KVM"]
fn random_accesses_of_device_memory_harm_nobody() {
    assert_eq!(Tiny::new(random_mmio()).exit_code().0, 9);
}

// All of the interrupt table leads to a handler that skips the two bytes of `rdmsr` and `wrmsr`.
guest!(
    random_msrs,
    "mov esp, 0x11f000; mov edi, 0x118000; mov ecx, 256",
    "call 2f",
    "add esp, 4; add dword ptr [esp], 2; iretd",
    "2: pop eax",
    "3: mov edx, eax; and edx, 0xffff; or edx, 0x00100000; mov [edi], edx",
    "mov edx, eax; and edx, 0xffff0000; or edx, 0x8e00; mov [edi + 4], edx",
    "add edi, 8; loop 3b",
    "mov word ptr [0x117000], 0x7ff; mov dword ptr [0x117002], 0x118000; lidt [0x117000]",
    "mov ebp, 0x2545f491; mov esi, 20000",
    "4: mov eax, ebp; shl eax, 13; xor ebp, eax; mov eax, ebp; shr eax, 17; xor ebp, eax",
    "mov eax, ebp; shl eax, 5; xor ebp, eax",
    // KVM's own registers, and the low ones.
    "mov ecx, ebp; and ecx, 0x1ff; test ebp, 0x10000; jz 5f",
    "and ecx, 0xff; or ecx, 0x4b564d00",
    "5: mov eax, ebp; mov edx, ebp; shr edx, 12; test ebp, 0x20000; jz 6f",
    "rdmsr; jmp 8f",
    "6: wrmsr",
    "8: dec esi; jnz 4b",
    "mov al, 9; out 0xf4, al",
);

#[test]
#[ignore = "needs KVM"]
fn random_accesses_of_registers_harm_nobody_else() {
    let mut guest = Tiny::new(random_msrs());
    guest.limit = Some(Duration::from_secs(5));
    let (outcome, _) = guest.run();
    // The guest may well undo itself: it turns its interrupt controller off and points the host's pages at its code.
    let ending = outcome.map(|outcome| outcome.ending);
    assert!(matches!(ending, Ok(Ending::Exit(9) | Ending::TripleFault | Ending::TimeLimit)), "{ending:?}");
}

guest!(flood_console, "mov edx, 0x3f8; mov al, 0x78", "2: out dx, al; jmp 2b");
guest!(flood_doorbell, "mov edx, 0x5644", "2: out dx, eax; jmp 2b");
guest!(flood_calls, "mov edx, 0x5640", "2: inc eax; out dx, eax; jmp 2b");

#[test]
#[ignore = "needs KVM"]
fn a_flood_is_ended_in_time() {
    for code in [flood_console(), flood_doorbell(), flood_calls()] {
        let mut guest = Tiny::new(code);
        guest.limit = Some(Duration::from_millis(300));
        let start = Instant::now();
        assert_eq!(guest.run().0.unwrap().ending, Ending::TimeLimit);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}
