//! From the boot stub to the summary.

// UNSAFETY: implements an unsafe trait, and calls `init` and `teardown`.
#![expect(unsafe_code)]

use core::{arch::global_asm, ops::Range, panic::PanicInfo};

use vmi::{Backend, CommandLine, Error, Report, SiteCounts, patch::Records};
use vmi_abi::{Cpu, Machine};
use vmi_kvm_backend::BACKEND;
use vmi_native::Native;

use crate::{
    backends::{Likeness, REFUSAL},
    kernel::{
        console::{self, line},
        exit::{Code, exit},
    },
    measure::{BATCHES, Sample},
    text::{COUNT, keep_sites},
};

#[cfg(vmi_freestanding)]
global_asm!(include_str!("../kernel/memory.s"));
global_asm!(concat!(".set PVH_ENTRY, ", env!("PVH_ENTRY")), include_str!("../kernel/boot.s"));

unsafe extern "C" {
    static __executable_start: u8;
    static etext: u8;
}

static PLATFORM: SitesPlatform = SitesPlatform([&raw const __executable_start..&raw const etext]);

struct SitesPlatform([Range<*const u8>; 1]);

// SAFETY: the pointers are only compared and handed to `write`.
unsafe impl Sync for SitesPlatform {}

// SAFETY: the range is the linker's, around the text, and mapped where it is by `boot.s`, writable; no op is used here.
unsafe impl vmi::Text for SitesPlatform {
    fn ranges(&self) -> &[Range<*const u8>] {
        &self.0
    }

    unsafe fn write(&self, place: *mut u8, bytes: &[u8]) {
        // SAFETY: by the caller, these bytes are text, and nobody executes them now.
        unsafe { place.copy_from(bytes.as_ptr(), bytes.len()) };
    }
}

// SAFETY: memory is mapped where it is.
unsafe impl vmi::Platform for SitesPlatform {
    fn physical_address(&self, pointer: *const u8) -> u64 {
        pointer.addr() as u64
    }
}

#[unsafe(no_mangle)]
extern "sysv64" fn kernel_main(_: u64, _: u64) -> ! {
    console::enable();
    keep_sites();
    let records = Records::of_image().expect("records").len();
    assert_eq!(records, COUNT, "records in the image");
    line!("vmi sites {}, {records} records", env!("CARGO_PKG_VERSION"));
    let kvm =
        vmi_kvm_backend::probe(&Machine::new(&<Native as Cpu>::cpuid, CommandLine::default())).is_some();
    let editing: &'static dyn Backend = if kvm { &BACKEND } else { &Likeness::Willing };
    let [mut native, mut validate, mut edit, mut restore] = [Sample::new(); 4];
    let mut sites = SiteCounts::default();
    // The first time, clocks are calibrated.
    init(&[editing]).expect("init");
    teardown();
    for _ in 0..BATCHES {
        if !kvm {
            let report = native.call(|| init(&[&BACKEND])).expect("init natively");
            assert_eq!(report.sites.native, records, "sites left native");
            teardown();
        }
        let refused = validate.call(|| init(&[&Likeness::Refusing]));
        assert!(matches!(refused, Err(Error::Enable { error: REFUSAL, .. })), "{refused:?}");
        sites = edit.call(|| init(&[editing])).expect("init").sites;
        restore.call(teardown);
    }
    line!("vmi: backend: {}\nvmi: sites: {sites}", editing.name());
    assert!(sites.call > 0 && sites.nop > 0 && sites.native > 0, "too little was edited");
    if kvm {
        line!("SKIP bench/init::native: KVM is there");
    } else {
        native.print("init::native", "native", "before");
    }
    for phase in ["before", "after"] {
        Sample::empty().print("empty", "empty", phase);
    }
    validate.print("init::validate", "backend", "before");
    edit.print("init::edit", "backend", "before");
    restore.print("init::restore", "backend", "after");
    line!("PASS init/sites\nsummary: 1 passed, 0 failed, {} skipped", u8::from(kvm));
    exit(Code::Passed)
}

fn init(backends: &[&'static dyn Backend]) -> Result<Report, Error> {
    // SAFETY: one CPU, ring 0, and no handler at all.
    unsafe { vmi::init(&PLATFORM, backends) }
}

fn teardown() {
    // SAFETY: one CPU, and not in an interrupt.
    unsafe { vmi::teardown() }.expect("teardown");
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    line!("FAIL init/sites: {info}");
    exit(Code::Failed)
}
