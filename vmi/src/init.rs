//! Selection: probe, choose, validate, enable, edit; and the way back.

// UNSAFETY: keeps what was chosen in a static that a state word guards, and calls the backend and the patcher.
#![expect(unsafe_code)]

use core::{
    cell::UnsafeCell,
    fmt,
    mem::MaybeUninit,
    sync::atomic::{AtomicU8, Ordering},
};

use vmi_abi::{Backend, CommandLine, Irq, Offer, Op, Overrides, Platform, Table, cpuid};
use vmi_native::Native;

use crate::{
    BACKENDS_MAX, Error, Report, SiteCounts, native,
    patch::{Edited, Kind, Plan, Records},
    report::{Candidate, Verdict},
    sites, time,
};

/// Chooses a backend for the machine this runs on and edits the image's sites for it.
///
/// On a machine where no backend has anything to offer, nothing is edited and the sites are not even looked at. The
/// word `nopv` on the platform's command line forbids any backend; what firmware left registered with a hypervisor that
/// is there is taken back all the same.
///
/// # Errors
///
/// Any error of [`Error`] but [`Error::NotInitialised`]. The kernel is then as native as before, nothing is
/// registered, and `init` may be called again.
///
/// # Safety
///
/// - The caller is the boot CPU, in ring 0, and no other CPU has been started.
/// - No exception or non-maskable interrupt handler that runs meanwhile uses an op.
/// - The #GP handler asks [`fixup::landing`](crate::fixup::landing), unless no hypervisor announces an MSR that it lacks.
pub unsafe fn init(
    platform: &'static dyn Platform,
    backends: &[&'static dyn Backend],
) -> Result<Report, Error> {
    let masked = Masked::new();
    if !STATE.advance(NATIVE, BUSY) {
        return Err(Error::AlreadyInitialised);
    }
    // SAFETY: the caller's promises; interrupts are masked, and the state word keeps other calls out.
    let chosen = unsafe { choose_and_edit(platform, backends) };
    if let Err(error) = chosen {
        STATE.advance(BUSY, NATIVE);
        return Err(error);
    }
    STATE.advance(BUSY, ACTIVE);
    drop(masked);
    chosen
}

/// Makes the kernel native again: every site is put back, text byte for byte what it was, and then every registration
/// with the hypervisor is put back to its reset value. Time goes on without a step.
///
/// # Errors
///
/// [`Error::NotInitialised`]. Those of the records are not to be expected, since [`init`] found them good.
///
/// # Safety
///
/// - The caller is in ring 0 and the only CPU that runs.
/// - No interrupted code is inside a replacement: not called from an interrupt handler.
pub unsafe fn teardown() -> Result<(), Error> {
    let masked = Masked::new();
    if !STATE.advance(ACTIVE, BUSY) {
        return Err(Error::NotInitialised);
    }
    // SAFETY: the state was active, so `init` wrote the cell, and the state word keeps other calls out.
    let active = unsafe { STATE.active() };
    // SAFETY: the caller's promises; interrupts are masked.
    let done = unsafe { put_back(active) };
    STATE.advance(BUSY, if done.is_ok() { NATIVE } else { ACTIVE });
    drop(masked);
    done
}

/// Returns the function table: per op, the function that serves it now.
pub fn table() -> Table {
    if STATE.word.load(Ordering::Acquire) == ACTIVE {
        // SAFETY: the state is active, so `init` wrote the cell.
        unsafe { STATE.active() }.table
    } else {
        native::TABLE
    }
}

/// Does the work of [`init`] between its two state changes.
///
/// # Safety
///
/// - The caller's promises of [`init`]; interrupts are masked, and the state is busy.
unsafe fn choose_and_edit(
    platform: &'static dyn Platform,
    backends: &[&'static dyn Backend],
) -> Result<Report, Error> {
    let records = Records::of_image()?;
    let command_line = CommandLine::new(platform.command_line());
    let mut report = probe(backends, command_line)?;
    report.sites = SiteCounts::all_native(records.len());
    let mut active = Active { platform, backend: None, table: native::TABLE };
    let chosen = report.choose();
    for candidate in report.candidates.iter().flatten() {
        if let Verdict::Forbidden(offer) | Verdict::Outranked(offer) = candidate.verdict {
            // SAFETY: the offer is from this backend's probe just now, on the boot CPU with interrupts off; it is not
            // enabled.
            unsafe { candidate.backend.clear_inherited(&offer, &native::TABLE) };
        }
    }
    if let Some((backend, offer)) = chosen {
        let overrides = backend.overrides(&offer, command_line);
        let plan = Plan::new(&overrides)?;
        let sites = plan.validate(records, platform)?;
        report.sites = sites.counts();
        report.forms =
            core::array::from_fn(|number| Op::new(number as u16).map_or(Kind::Native, |op| plan.kind(op)));
        // SAFETY: the offer is from this backend's probe just now, on the boot CPU with interrupts off, and the state
        // word says that it is not enabled.
        unsafe { backend.enable(&offer, platform, &native::TABLE) }.map_err(|error| {
            // SAFETY: it failed half-way, and no site was edited.
            unsafe { backend.disable() };
            Error::Enable { backend: backend.name(), error }
        })?;
        let clock = time::Continuity::of_native();
        // SAFETY: validated just now; no other CPU runs, interrupts are masked, and by the caller no handler uses an op.
        // The backend promises its replacements for the machine on which its probe found the hypervisor.
        let _ = unsafe { sites.apply() };
        clock.resume();
        active = Active { backend: Some(backend), table: native::TABLE.with(&overrides), ..active };
    }
    // SAFETY: the state is busy, so the cell is this call's alone.
    unsafe { (*STATE.active.get()).write(active) };
    Ok(report)
}

/// Does the work of [`teardown`] between its two state changes.
///
/// # Safety
///
/// - The caller's promises of [`teardown`]; interrupts are masked, and the state is busy.
unsafe fn put_back(active: &Active) -> Result<(), Error> {
    let Active { platform, backend: Some(backend), .. } = active else { return Ok(()) };
    let records = Records::of_image()?;
    let plan = Plan::new(&Overrides::KEEP)?;
    // SAFETY: `init` found the records valid and edited their sites, with this platform.
    let sites = unsafe { Edited::assume(&plan, records, *platform) };
    let clock = time::Continuity::of_backend();
    // SAFETY: the caller says that nobody else runs; interrupts are masked.
    unsafe { sites.restore() };
    clock.resume();
    // SAFETY: `init` enabled it, and no site leads to it any more.
    unsafe { backend.disable() };
    Ok(())
}

/// Asks every backend, and has them all outranked but the highest.
fn probe(backends: &[&'static dyn Backend], command_line: CommandLine<'_>) -> Result<Report, Error> {
    if backends.len() > BACKENDS_MAX {
        return Err(Error::TooManyBackends(backends.len()));
    }
    // A site of its own: if the linker keeps no record at all, something is wrong.
    let cpuid = |leaf, subleaf| sites::cpu::cpuid(leaf, subleaf);
    let mut report = Report {
        hypervisor: cpuid::first(&cpuid),
        sites: SiteCounts::default(),
        candidates: [None; BACKENDS_MAX],
        forms: [Kind::Native; Op::COUNT],
    };
    for (slot, &backend) in report.candidates.iter_mut().zip(backends) {
        let verdict = match backend.probe(&cpuid) {
            Ok(offer) if command_line.has("nopv") => Verdict::Forbidden(offer),
            found => found.map_or_else(Verdict::NotHere, Verdict::Chosen),
        };
        *slot = Some(Candidate { backend, verdict });
    }
    Ok(report)
}

impl Report {
    /// Keeps one candidate chosen: the one with the highest rank, of equals the first.
    fn choose(&mut self) -> Option<(&'static dyn Backend, Offer)> {
        let mut best: Option<(&'static dyn Backend, Offer)> = None;
        for candidate in self.candidates.iter().flatten() {
            if let Verdict::Chosen(offer) = candidate.verdict
                && best.is_none_or(|(_, other)| offer.rank > other.rank)
            {
                best = Some((candidate.backend, offer));
            }
        }
        let mut seen = false;
        for candidate in self.candidates.iter_mut().flatten() {
            if let Verdict::Chosen(offer) = candidate.verdict {
                if seen || best.is_some_and(|(_, other)| offer.rank != other.rank) {
                    candidate.verdict = Verdict::Outranked(offer);
                } else {
                    seen = true;
                }
            }
        }
        best
    }
}

/// Maskable interrupts off, natively: the ops that would do it are about to be edited.
struct Masked(u64);

impl Masked {
    fn new() -> Self {
        let flags = <Native as Irq>::save();
        <Native as Irq>::disable();
        Self(flags)
    }
}

impl Drop for Masked {
    fn drop(&mut self) {
        // SAFETY: these are the flags that this CPU had.
        unsafe { <Native as Irq>::restore(self.0) };
    }
}

/// What `init` chose, for `teardown`.
struct Active {
    platform: &'static dyn Platform,
    backend: Option<&'static dyn Backend>,
    table: Table,
}

/// Where the image is in its life, and what was chosen while it is active.
struct State {
    word: AtomicU8,
    active: UnsafeCell<MaybeUninit<Active>>,
}

const NATIVE: u8 = 0;
const BUSY: u8 = 1;
const ACTIVE: u8 = 2;

static STATE: State = State { word: AtomicU8::new(NATIVE), active: UnsafeCell::new(MaybeUninit::uninit()) };

// SAFETY: the cell is written only by whoever moved the word from NATIVE to BUSY, and read only while the word is
// ACTIVE or by whoever moved it from there to BUSY.
unsafe impl Sync for State {}

impl State {
    fn advance(&self, from: u8, to: u8) -> bool {
        self.word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Returns what was chosen.
    ///
    /// # Safety
    ///
    /// - The word is ACTIVE, or was and this call moved it on.
    unsafe fn active(&self) -> &Active {
        // SAFETY: nobody writes the cell in these states.
        let cell = unsafe { &*self.active.get() };
        // SAFETY: it was written before the word became ACTIVE.
        unsafe { cell.assume_init_ref() }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("State").field(&self.word).finish()
    }
}
