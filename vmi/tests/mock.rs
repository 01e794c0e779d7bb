//! `init` in user space: a bottom that is no ring 0, with a machine of its own under the layers.

// UNSAFETY: implements unsafe traits, and has this program's own sites edited.
#![expect(unsafe_code)]

use std::{
    arch::x86_64::CpuidResult,
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};

use rustix::mm::{MprotectFlags, mprotect};
use vmi::{Backend, Bottom, Platform, Text};
use vmi_abi::{EnableError, Machine, Offer, Rank, Replacements, Table, cpu, cpuid::Cpuid, irq, leaf};

unsafe extern "C" {
    static __executable_start: u8;
    static etext: u8;
}

/// The bits of RFLAGS that are always set, and the interrupt flag.
const FLAGS: u64 = 0x202;

/// The machine's interrupt flag.
static ENABLED: AtomicBool = AtomicBool::new(true);
static MASKED: AtomicU32 = AtomicU32::new(0);
static SERIALISED: AtomicU32 = AtomicU32::new(0);
static REGISTERED: AtomicU32 = AtomicU32::new(0);
static WRITTEN: AtomicU32 = AtomicU32::new(0);

static PROGRAM: Program = Program([&raw const __executable_start..&raw const etext]);

struct Program([Range<*const u8>; 1]);

// SAFETY: the pointers are only compared, and handed to `mprotect`.
unsafe impl Sync for Program {}

// SAFETY: the range is the linker's, around the text; no op is used here.
unsafe impl Text for Program {
    fn ranges(&self) -> &[Range<*const u8>] {
        &self.0
    }

    unsafe fn write(&self, _: *mut u8, _: &[u8]) {
        unreachable!("the bottom writes");
    }
}

// SAFETY: nothing asks for an address here.
unsafe impl Platform for Program {
    fn physical_address(&self, pointer: *const u8) -> u64 {
        pointer.addr() as u64
    }

    fn command_line(&self) -> &str {
        "no-absent"
    }
}

/// What the program may not do itself: writes its text.
struct Writer;

// SAFETY: the bytes are copied, while the text may be written; no op is used here.
unsafe impl Text for Writer {
    fn ranges(&self) -> &[Range<*const u8>] {
        PROGRAM.ranges()
    }

    unsafe fn write(&self, place: *mut u8, bytes: &[u8]) {
        WRITTEN.fetch_add(1, Relaxed);
        // SAFETY: by the caller these bytes are text, and may be written now.
        unsafe { place.copy_from(bytes.as_ptr(), bytes.len()) };
    }

    unsafe fn edit(&self, edit: &mut dyn FnMut()) {
        let text = &PROGRAM.0[0];
        let first_page = text.start.map_addr(|address| address & !0xfff).cast_mut();
        let len = text.end.addr() - first_page.addr();
        // SAFETY: this program's own text, which stays executable.
        let allow = |flags| unsafe {
            mprotect(first_page.cast(), len, MprotectFlags::READ | MprotectFlags::EXEC | flags)
        };
        allow(MprotectFlags::WRITE).expect("text that can be made writable");
        edit();
        allow(MprotectFlags::empty()).expect("text as it was");
    }
}

/// A machine in user space whose interrupt flag is a variable.
struct Mock;

// SAFETY: the ops that ring 3 may not do are replaced by ones that act on the variable.
unsafe impl Bottom for Mock {
    fn table(&self) -> &'static Table {
        vmi::native_table()
    }

    fn replacements(&self) -> Replacements {
        let mut all = Replacements::KEEP;
        all.set::<irq::save>(leaf!(irq::save, || if ENABLED.load(Relaxed) { FLAGS } else { 2 }));
        all.set::<irq::restore>(leaf!(irq::restore, |flags| ENABLED.store(flags == FLAGS, Relaxed)));
        all.set::<irq::disable>(leaf!(irq::disable, || ENABLED.store(false, Relaxed)));
        all
    }

    fn mask(&self) -> u64 {
        MASKED.fetch_add(1, Relaxed);
        ENABLED.swap(false, Relaxed).into()
    }

    unsafe fn unmask(&self, before: u64) {
        ENABLED.store(before != 0, Relaxed);
    }

    fn serialise(&self) {
        SERIALISED.fetch_add(1, Relaxed);
        let _ = std::arch::x86_64::__cpuid(0);
    }

    fn cpuid(&self) -> &Cpuid<'_> {
        &|leaf, _| {
            let signature =
                CpuidResult { eax: 0x4000_0000, ebx: u32::from_le_bytes(*b"Mock"), ecx: 0, edx: 0 };
            if leaf == 0x4000_0000 { signature } else { CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 } }
        }
    }

    fn writer<'a>(&'a self, _: &'a dyn Text) -> &'a dyn Text {
        &Writer
    }
}

/// A layer on top, found by the bottom's CPUID.
struct Counter(&'static str);

// SAFETY: only this test reads the counter.
unsafe impl Backend for Counter {
    fn name(&self) -> &'static str {
        self.0
    }

    fn probe(&self, machine: &Machine<'_>) -> Result<Offer, &'static str> {
        let interface = machine.interface(*b"Mock\0\0\0\0\0\0\0\0").ok_or("no mock")?;
        Ok(Offer { rank: Rank::HYPERVISOR, features: 0, hints: 0, base_leaf: interface.base })
    }

    fn replacements(&self, _: &Offer, _: &Machine<'_>) -> Replacements {
        let mut all = Replacements::KEEP;
        all.set::<cpu::cycles>(leaf!(cpu::cycles, || 42));
        all
    }

    unsafe fn enable(
        &self,
        _: &Offer,
        _: &Machine<'_>,
        _: &dyn Platform,
        _: &'static Table,
    ) -> Result<(), EnableError> {
        assert!(!ENABLED.load(Relaxed), "enabled with interrupts on");
        REGISTERED.fetch_add(1, Relaxed);
        Ok(())
    }
}

#[test]
fn a_mock_under_the_layers_masks_serialises_and_writes() {
    // SAFETY: the bottom is for user space, and no other thread executes a site.
    let report =
        unsafe { vmi::init_on(&Mock, &PROGRAM, &[&Counter("counter"), &Counter("absent")]) }.expect("init");
    assert!(report.layers().eq(["counter"]), "{report}");
    assert_eq!(report.hypervisor.map(|found| found.to_string()).as_deref(), Some("Mock"));
    assert_eq!(report.server(cpu::cycles::OP), Some("counter"));
    assert_eq!(report.server(irq::save::OP), None, "the bottom is no layer");
    assert!(WRITTEN.load(Relaxed) > 0);
    assert_eq!((MASKED.load(Relaxed), SERIALISED.load(Relaxed), ENABLED.load(Relaxed)), (1, 1, true));
    assert_eq!(vmi::cpu::cycles(), 42);
    // Natively this kills a program.
    vmi::irq::without(|| assert!(!ENABLED.load(Relaxed)));
    assert!(ENABLED.load(Relaxed));
    let written = WRITTEN.load(Relaxed);
    // SAFETY: as above.
    unsafe { vmi::resume() }.expect("resume");
    assert_eq!((REGISTERED.load(Relaxed), WRITTEN.load(Relaxed), ENABLED.load(Relaxed)), (2, written, true));
    // SAFETY: as above.
    unsafe { vmi::teardown() }.expect("teardown");
    assert_eq!((MASKED.load(Relaxed), SERIALISED.load(Relaxed)), (3, 2));
    // SAFETY: as above.
    assert_eq!(unsafe { vmi::resume() }, Err(vmi::Error::NotInitialised));
    assert_ne!(vmi::cpu::cycles(), 42);
}
