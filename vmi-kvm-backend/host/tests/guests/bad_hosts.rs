//! Each way in which a host can be bad, by a guest that notices.

use vmi_abi::port_call::{Number, Status};
use vmi_kvm_backend_host::bad_host::BadHost;

use crate::guest;
use crate::tiny::{BLOCKS, Tiny};

fn code_on(code: &[u8], bad_host: BadHost) -> u8 {
    let mut guest = Tiny::new(code)
        .with_calls(BLOCKS, &[(Number::TRACE_MARK, 1, 0)])
        .with_calls(BLOCKS + 0x1000, &[(Number::WALL_CLOCK, 0, 0)]);
    guest.bad_host = bad_host;
    guest.exit_code().0
}

fn clock(fault: &str) -> BadHost {
    BadHost { clock: Some(fault.parse().expect("a fault")), ..BadHost::default() }
}

guest!(features_low, "mov eax, 0x40000001; cpuid; out 0xf4, al");
guest!(features_high, "mov eax, 0x40000001; cpuid; shr eax, 16; out 0xf4, al");

#[test]
#[ignore = "needs KVM"]
fn cpuid_is_overridden() {
    let honest = code_on(features_low(), BadHost::default());
    let rule = "0x40000001:eax=0x4/0xf".parse().unwrap();
    let bad = code_on(features_low(), BadHost { cpuid: vec![rule], ..BadHost::default() });
    assert_eq!(bad, honest & 0xf0 | 4);
    assert_ne!(bad, honest);
}

#[test]
#[ignore = "needs KVM"]
fn a_feature_is_claimed() {
    let claims = vec!["16".parse().unwrap(), "17".parse().unwrap()];
    let honest = code_on(features_high(), BadHost::default());
    assert_eq!(honest & 3, 0, "KVM offers neither by itself");
    assert_eq!(code_on(features_high(), BadHost { claims, ..BadHost::default() }) & 3, 3);
}

guest!(counter_adjust, "mov ecx, 0x3b; rdmsr; out 0xf4, al");
guest!(counter_adjust_written, "mov ecx, 0x3b; mov eax, 0xff; xor edx, edx; wrmsr; rdmsr; out 0xf4, al");

#[test]
#[ignore = "needs KVM"]
fn a_register_is_overridden_or_faults() {
    let with = |rule: &str| BadHost { msrs: vec![rule.parse().unwrap()], ..BadHost::default() };
    assert_eq!(code_on(counter_adjust(), BadHost::default()), 0);
    assert_eq!(code_on(counter_adjust(), with("0x3b=0x5a")), 0x5a);
    assert_eq!(code_on(counter_adjust_written(), with("0x3b=0x50/0xf0")), 0x5f);
    let mut guest = Tiny::new(counter_adjust());
    guest.bad_host = with("0x3b=fault");
    let ending = guest.run().0.unwrap().ending;
    assert_eq!(ending, vmi_kvm_backend_host::Ending::TripleFault, "the guest has no handler");
}

// Registers the page at 0x110000 and hands out a byte of it.
guest!(
    version,
    "mov ecx, 0x4b564d01; mov eax, 0x110001; xor edx, edx; wrmsr; mov al, [0x110000]; and al, 1; out 0xf4, al"
);
guest!(
    shift,
    "mov ecx, 0x4b564d01; mov eax, 0x110001; xor edx, edx; wrmsr; mov al, [0x11001c]; out 0xf4, al"
);
guest!(
    multiplier,
    "mov ecx, 0x4b564d01; mov eax, 0x110001; xor edx, edx; wrmsr",
    "cmp dword ptr [0x110018], 0; sete al; out 0xf4, al",
);
guest!(
    flags,
    "mov ecx, 0x4b564d01; mov eax, 0x110001; xor edx, edx; wrmsr; mov al, [0x11001d]; out 0xf4, al"
);
guest!(
    future,
    "mov ecx, 0x4b564d01; mov eax, 0x110001; xor edx, edx; wrmsr; rdtsc",
    "sub eax, [0x110008]; sbb edx, [0x11000c]; sets al; out 0xf4, al",
);
// Waits until a version is odd, or the time limit ends it.
guest!(
    torn,
    "mov ecx, 0x4b564d01; mov eax, 0x110001; xor edx, edx; wrmsr",
    "2: test dword ptr [0x110000], 1; jz 2b",
    "mov al, 1; out 0xf4, al",
);
// Waits until the time of the page is lower than it was.
guest!(
    back,
    "mov ecx, 0x4b564d01; mov eax, 0x110001; xor edx, edx; wrmsr",
    "mov ebx, [0x110010]; mov esi, [0x110014]",
    "2: mov eax, [0x110010]; mov edx, [0x110014]; sub eax, ebx; sbb edx, esi; jns 2b",
    "mov al, 1; out 0xf4, al",
);
// Hands out whether the wall clock's page holds a time.
guest!(
    filled,
    "mov ecx, 0x4b564d00; mov eax, 0x110000; xor edx, edx; wrmsr",
    "cmp dword ptr [0x110004], 0; setne al; out 0xf4, al",
);
// Waits until the wall clock's page is garbage.
guest!(
    stale,
    "mov ecx, 0x4b564d00; mov eax, 0x110000; xor edx, edx; wrmsr",
    "2: cmp dword ptr [0x110004], 0x55555555; jne 2b",
    "mov al, 1; out 0xf4, al",
);

#[test]
#[ignore = "needs KVM"]
fn the_clock_page_is_spoiled_in_every_way() {
    let honest = BadHost::default;
    assert_eq!((code_on(version(), honest()), code_on(version(), clock("odd"))), (0, 1));
    assert_eq!(code_on(shift(), clock("shift=-100")), (-100_i8).cast_unsigned());
    assert!((-31..=31).contains(&code_on(shift(), honest()).cast_signed()));
    assert_eq!((code_on(multiplier(), honest()), code_on(multiplier(), clock("zero"))), (0, 1));
    assert_eq!((code_on(future(), honest()), code_on(future(), clock("future"))), (0, 1));
    assert_eq!((code_on(flags(), honest()) & 2, code_on(flags(), clock("paused")) & 2), (0, 2));
    assert_eq!(code_on(flags(), clock("apart")) & 1, 0);
    assert_eq!(code_on(torn(), clock("torn")), 1);
    assert_eq!(code_on(back(), clock("back")), 1);
    assert_eq!((code_on(filled(), honest()), code_on(filled(), clock("stale"))), (1, 1), "right at first");
    assert_eq!(code_on(stale(), clock("stale")), 1);
}

guest!(wall_clock, "mov edx, 0x5640; mov eax, 0x105; out dx, eax", "mov al, [0x105044]; out 0xf4, al");

#[test]
#[ignore = "needs KVM"]
fn a_call_is_refused_as_asked() {
    assert_eq!(u32::from(code_on(wall_clock(), BadHost::default())), Status::DONE.0);
    for (refusal, status) in [("failed", Status::FAILED), ("wall-clock=invalid", Status::INVALID)] {
        let failed_call = Some(refusal.parse().unwrap());
        let code = code_on(wall_clock(), BadHost { failed_call, ..BadHost::default() });
        assert_eq!(u32::from(code), status.0);
    }
}

// Sets mark 1 and hands out how many times 2^24 the counter went on meanwhile, 255 at most.
guest!(
    held,
    "rdtsc; mov ebx, eax; mov esi, edx",
    "mov edx, 0x5640; mov eax, 0x104; out dx, eax",
    "rdtsc; sub eax, ebx; sbb edx, esi; shrd eax, edx, 24; cmp eax, 255; jbe 2f; mov eax, 255; 2: out 0xf4, al",
);

#[test]
#[ignore = "needs KVM"]
fn a_cpu_is_held_off_at_a_mark() {
    let holds = vec!["1:0:500".parse().unwrap()];
    let held = [BadHost::default(), BadHost { holds, ..BadHost::default() }].map(|bad| code_on(held(), bad));
    assert!(held[1] > 2 * held[0] + 8, "{held:?}");
}

// Registers the page of steal time, sets mark 1 and hands out how many times 2^24 ns were stolen.
guest!(
    stolen,
    "mov ecx, 0x4b564d03; mov eax, 0x110001; xor edx, edx; wrmsr",
    "mov edx, 0x5640; mov eax, 0x104; out dx, eax",
    "mov eax, [0x110000]; mov edx, [0x110004]; shrd eax, edx, 24; cmp eax, 255; jbe 2f; mov eax, 255; 2: out 0xf4, al",
);

#[test]
#[ignore = "needs KVM"]
fn steal_time_is_added() {
    let steal = Some("2000".parse().unwrap());
    let stolen =
        [BadHost::default(), BadHost { steal, ..BadHost::default() }].map(|bad| code_on(stolen(), bad));
    assert!(stolen[1] >= 119 && stolen[0] < 60, "{stolen:?}");
}
