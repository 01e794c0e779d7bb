//! What things cost is counted right, by this program and by the kernel, and the two agree.

use vmi_abi::port_call::{Number, Status};
use vmi_kvm_backend_host::accounting::{Kind, Span};

use crate::guest;
use crate::tiny::{BLOCKS, Tiny};

const MARK_1: u64 = BLOCKS;
const MARK_2: u64 = BLOCKS + 0x1000;
const BATCH: u64 = BLOCKS + 0x2000;
const POSTED: u64 = BLOCKS + 0x8000;
const TEXT: u64 = BLOCKS + 0x9000;

/// Returns the span between marks 1 and 2.
fn between(spans: &[Span]) -> &Span {
    let is =
        |mark: Option<vmi_kvm_backend_host::accounting::Mark>, number| mark.is_some_and(|m| m.mark == number);
    spans.iter().find(|span| is(span.from, 1) && is(span.to, 2)).expect("both marks were set")
}

fn marked(code: &[u8]) -> Tiny {
    Tiny::new(code)
        .with_calls(MARK_1, &[(Number::TRACE_MARK, 1, 0)])
        .with_calls(MARK_2, &[(Number::TRACE_MARK, 2, 0)])
}

guest!(
    cpuid_10000,
    "mov edx, 0x5640; mov eax, 0x104; out dx, eax",
    "mov esi, 10000",
    "2: xor eax, eax; cpuid",
    "dec esi; jnz 2b",
    "mov edx, 0x5640; mov eax, 0x105; out dx, eax",
    "mov al, 0x10; out 0xf4, al",
);

#[test]
#[ignore = "needs KVM"]
fn ten_thousand_cpuid_at_one_address_are_ten_thousand_at_that_symbol() {
    let (code, outcome, _) = marked(cpuid_10000()).exit_code();
    assert_eq!(code, 0x10);
    let statistics = outcome.statistics.expect("asked for");
    assert_eq!(statistics.kernel_missing, None);
    let span = between(&statistics.spans);
    let kernel = span.kernel.as_ref().expect("the kernel counts");
    let cpuid: Vec<_> = kernel.iter().filter(|count| count.reason == "cpuid").collect();
    let [only] = cpuid[..] else { panic!("{cpuid:?}") };
    assert_eq!(only.count, 10_000);
    let place = only.place.as_ref().expect("the image names it");
    assert_eq!(place.symbol.as_deref(), Some("guest"));
    assert_eq!(span.user_total(), 1, "the mark that ends it: {:?}", span.user);
    // Everything that KVM counted is in some span.
    let total: u64 = statistics.spans.iter().filter_map(Span::kernel_total).sum();
    assert_eq!(total, statistics.counters[0]["exits"]);
}

guest!(
    batch_of_512,
    "mov edx, 0x5640; mov eax, 0x104; out dx, eax",
    "mov eax, 0x106; out dx, eax",
    "mov eax, 0x105; out dx, eax",
    "mov al, [0x106010]; out 0xf4, al",
);

#[test]
#[ignore = "needs KVM"]
fn a_batch_of_512_calls_costs_one_exit() {
    let calls = vec![(Number::WALL_CLOCK, 0, 0); 512];
    let (status, outcome, _) = marked(batch_of_512()).with_calls(BATCH, &calls).exit_code();
    assert_eq!(u32::from(status), Status::DONE.0);
    let statistics = outcome.statistics.expect("asked for");
    assert_eq!(statistics.vmi["calls"], 514);
    let span = between(&statistics.spans);
    assert_eq!(span.user_total(), 2, "the batch, and the mark that ends the span: {:?}", span.user);
    let kernel = span.kernel.as_ref().expect("the kernel counts");
    let ports: Vec<u64> =
        kernel.iter().filter(|count| count.reason == "port").map(|count| count.count).collect();
    assert_eq!(ports, [1, 1]);
}

guest!(
    lines,
    "mov edx, 0x5640; mov eax, 0x104; out dx, eax",
    "mov esi, 0x10d000; mov ecx, 80; mov edx, 0x3f8",
    "2: lodsb; out dx, al",
    "loop 2b",
    "mov edx, 0x5640; mov eax, 0x105; out dx, eax",
    "mov eax, 0x106; out dx, eax",
    "mov al, 0x10; out 0xf4, al",
);

#[test]
#[ignore = "needs KVM"]
fn a_line_of_80_characters_costs_one_exit_and_80_on_the_uart() {
    let line = [b'x'; 80];
    let guest = marked(lines()).with(TEXT, &line).with_calls(BATCH, &[(Number::CONSOLE_LINE, TEXT, 80)]);
    let (_, outcome, console) = guest.exit_code();
    let x = "x".repeat(80);
    assert_eq!(console, format!("{x}{x}\n"));
    let statistics = outcome.statistics.expect("asked for");
    let uart = between(&statistics.spans);
    let writes: u64 =
        uart.user.iter().filter(|count| count.kind == Kind::PortWrite).map(|count| count.count).sum();
    assert_eq!(writes, 80);
    let after = statistics.spans.last().expect("the span behind mark 2");
    let calls: u64 =
        after.user.iter().filter(|count| count.kind == Kind::VmiCall).map(|count| count.count).sum();
    assert_eq!(calls, 1);
    let kernel = after.kernel.as_ref().expect("the kernel counts");
    let ports: u64 = kernel.iter().filter(|count| count.reason == "port").map(|count| count.count).sum();
    assert_eq!(ports, 2, "the line, and the end of the run");
}

guest!(
    doorbell_1000,
    "mov edx, 0x5640; mov eax, 0x106; out dx, eax",
    "mov eax, 0x104; out dx, eax",
    "mov edx, 0x5644; mov ecx, 1000",
    "2: out dx, eax",
    "loop 2b",
    // Served on another thread: wait for the status, without an exit.
    "3: pause; cmp dword ptr [0x10c010], 2; je 3b",
    "mov edx, 0x5640; mov eax, 0x105; out dx, eax",
    "mov al, [0x10c010]; out 0xf4, al",
);

#[test]
#[ignore = "needs KVM"]
fn a_doorbell_costs_no_exit_to_user_space() {
    let guest = marked(doorbell_1000())
        .with_calls(BATCH, &[(Number::POST_BLOCK, POSTED, 0)])
        .with_posted(POSTED, &[(Number::CONSOLE_LINE, TEXT, 5)])
        .with(TEXT, b"hello");
    let (status, outcome, console) = guest.exit_code();
    assert_eq!((u32::from(status), console.as_str()), (Status::DONE.0, "hello\n"));
    let statistics = outcome.statistics.expect("asked for");
    assert_eq!(statistics.vmi["doorbells"], 1000);
    assert_eq!(statistics.vmi["posted"], 1);
    let span = between(&statistics.spans);
    let user: Vec<_> = span.user.iter().filter(|count| count.kind != Kind::Interrupted).collect();
    assert_eq!(user.len(), 1, "the mark that ends it: {user:?}");
    let kernel = span.kernel.as_ref().expect("the kernel counts");
    let rings = kernel.iter().find(|count| count.reason == "port").expect("rings are exits of the CPU");
    assert_eq!(rings.count, 1000);
}
