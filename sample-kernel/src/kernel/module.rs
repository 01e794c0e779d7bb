//! A module: text with sites of its own and their records, which is loaded at run time, wherever there is room.

// UNSAFETY: copies code into a page and runs it, and registers its sites.
#![expect(unsafe_code)]

use core::{mem, ops::Range, ptr, slice};

use vmi::{Backend, Error, Flaw, Op, Registered, SiteSet, Text, patch::Records};
use vmi_abi::{Class, SITE_LEN_MIN, SiteRecord, io};
use vmi_native::Native;

use super::{
    checks::PASSED,
    insn::module::{self, READ_CR0, SITES},
    lives::{start, stop},
    paging::{Page, set_executable},
    platform::PLATFORM,
    tally::{Failure, Verdict, equal, holds, present},
};

/// Where the module is loaded, and its text lies.
static PAGE: Page = Page::new();

static SET: SiteSet = SiteSet::new();

static TEXT: ModuleText = ModuleText;

/// The text of the module, once it is loaded.
struct ModuleText;

// SAFETY: the module is loaded into one page, which is mapped; it is written as the kernel's own text is, whose writer lets
// read-only pages be written; no op is used here.
unsafe impl Text for ModuleText {
    fn ranges(&self) -> &[Range<*const u8>] {
        static RANGE: Bounds = Bounds([PAGE.start()..PAGE.start().wrapping_add(READ_CR0 + 16)]);
        &RANGE.0
    }

    unsafe fn write(&self, place: *mut u8, bytes: &[u8]) {
        // SAFETY: the caller's promise.
        unsafe { PLATFORM.get().write(place, bytes) };
    }

    unsafe fn edit(&self, edit: &mut dyn FnMut()) {
        // SAFETY: the caller's promise.
        unsafe { PLATFORM.get().edit(edit) };
    }
}

struct Bounds([Range<*const u8>; 1]);

// SAFETY: the pointers are only compared.
unsafe impl Sync for Bounds {}

/// Loads the module: copies it, and links the sites of call ops to the kernel's functions. Returns its records.
fn load() -> &'static mut [SiteRecord] {
    set_executable(&PAGE, false);
    let (image, records) = module::image();
    let page = PAGE.start().cast_mut();
    // SAFETY: the page is writable, nobody executes it, and the module fits.
    unsafe { page.copy_from_nonoverlapping(image.as_ptr(), image.len()) };
    let records = page.wrapping_add(records);
    // SAFETY: the records were just copied, aligned, and nobody else has them.
    let records = unsafe { slice::from_raw_parts_mut(records.cast::<SiteRecord>(), SITES) };
    for record in records.iter() {
        let op = Op::new(record.op).expect("an op");
        let site = ptr::from_ref(record).cast::<u8>().wrapping_offset(record.offset as isize);
        if op.class() == Class::Call {
            let distance = vmi::native_table().address(op).wrapping_sub(site.addr() + SITE_LEN_MIN) as i32;
            // SAFETY: the distance of the call, inside the page.
            unsafe { site.cast_mut().wrapping_add(1).cast::<i32>().write_unaligned(distance) };
        }
    }
    records
}

/// Runs both functions of the module.
fn run() -> (u64, u64) {
    // SAFETY: the first function, which returns nanoseconds.
    let now = unsafe { mem::transmute::<*const u8, extern "sysv64" fn() -> u64>(PAGE.start()) };
    let cr0 = PAGE.start().wrapping_add(READ_CR0);
    // SAFETY: the second function, which returns CR0.
    let cr0 = unsafe { mem::transmute::<*const u8, extern "sysv64" fn() -> u64>(cr0) };
    (now(), cr0())
}

/// Returns a hash of the module's text.
fn hash() -> u64 {
    // SAFETY: the page is mapped.
    let text = unsafe { slice::from_raw_parts(PAGE.start(), READ_CR0 + 16) };
    text.iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// The second site's text.
fn delay() -> [u8; SITE_LEN_MIN] {
    let site = PAGE.start().wrapping_add(4 + SITE_LEN_MIN).cast::<[u8; SITE_LEN_MIN]>();
    // SAFETY: inside the page.
    unsafe { site.read() }
}

const NOP: [u8; SITE_LEN_MIN] = [0x0f, 0x1f, 0x44, 0, 0];

fn register(records: &'static [SiteRecord]) -> Result<Registered, Error> {
    // SAFETY: the module stays in its page until the guard is dropped, and is not executed meanwhile.
    unsafe { SET.register(Records::of_slice(records), &TEXT) }
}

/// `backend` has the clock count from 0, and drops the delay.
pub fn lives_with_the_kernel(backend: &'static dyn Backend) -> Verdict {
    let records = load();
    set_executable(&PAGE, true);
    let native = hash();
    let cr0 = <Native as vmi_abi::Cpu>::read_cr0();
    let serves = |what: &'static str| -> Result<(), Failure> {
        equal(what, u64::from(delay() == NOP), 1_u64)?;
        let (now, found) = run();
        holds("the backend's clock", now < 1_000_000)?;
        equal("CR0", found, cr0)
    };
    let is_native = |what: &'static str| -> Result<(), Failure> {
        equal(what, hash(), native)?;
        let (now, found) = run();
        holds("the native clock", now > 1_000_000)?;
        equal("CR0", found, cr0)
    };
    let started = present("it starts", start(&[backend]).ok())?;
    let guard = present("it registers", register(records).ok())?;
    holds("once", register(records).is_err_and(|error| error == Error::Registered))?;
    serves("edited at once")?;
    holds("it is torn down", stop().is_ok())?;
    is_native("native after the teardown")?;
    let again = present("it starts again", start(&[backend]).ok())?;
    equal("its sites are counted", (again.sites.total - started.sites.total) as u64, SITES as u64)?;
    serves("edited by the second init")?;
    drop(guard);
    is_native("native when dropped")?;
    holds("it is torn down again", stop().is_ok())?;
    let guard = present("it registers natively", register(records).ok())?;
    is_native("registered natively")?;
    present("it starts a third time", start(&[backend]).ok())?;
    serves("edited by the third init")?;
    holds("it is torn down a third time", stop().is_ok())?;
    drop(guard);
    is_native("native in the end")?;
    Ok(PASSED)
}

/// A damaged record is refused whenever it is seen: when it is registered, and by the next `init`.
pub fn damaged_is_refused(backend: &'static dyn Backend) -> Verdict {
    let records = load();
    records[1].op = io::in8::OP.number();
    let records: &'static [SiteRecord] = records;
    let native = hash();
    set_executable(&PAGE, true);
    let refused = |error: Error| matches!(error, Error::Record { index: 1, flaw: Flaw::Original { .. }, .. });
    holds("refused natively", register(records).is_err_and(refused))?;
    present("it starts", start(&[backend]).ok())?;
    holds("refused while active", register(records).is_err_and(refused))?;
    equal("the module's text", hash(), native)?;
    holds("it is torn down", stop().is_ok())?;

    let records = load();
    let damaged: *mut u16 = &raw mut records[2].op;
    let guard = present("it registers", register(records).ok())?;
    // SAFETY: the set's own records, which are damaged on purpose.
    unsafe { damaged.write_volatile(u16::MAX) };
    let refused = start(&[backend]);
    drop(guard);
    holds(
        "refused by init",
        refused.is_err_and(|error| matches!(error, Error::Record { index: 2, flaw: Flaw::Op(_), .. })),
    )?;
    holds("the kernel is native", stop() == Err(Error::NotInitialised))?;
    holds("and so is the module", delay() != NOP)?;
    Ok(PASSED)
}
