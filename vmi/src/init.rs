//! Selection: describe, probe, stack, validate, enable, edit; the way back; and what follows a restore.

// UNSAFETY: calls the backends and the patcher.
#![expect(unsafe_code)]

use vmi_abi::{Backend, Bottom, CommandLine, Machine, Platform, Replacements, Table};
use vmi_native::BareMetal;

use crate::{
    Error, Report, SiteCounts,
    layers::BACKENDS_MAX,
    masked::Masked,
    patch::{Edited, Plan, Records},
    set,
    state::{Active, Held, STATE},
    time::Continuity,
};

/// Stacks the backends that serve the machine this runs on, and edits the image's sites for them.
///
/// Every backend that finds its interface and replaces an op is a layer; an op is served by the topmost layer that
/// replaces it. On a machine where there is none, nothing is edited and the sites are not even looked at. The word `nopv`
/// on the platform's command line refuses every backend, `no-NAME` the one of that name; what firmware left registered
/// with a hypervisor that is there is taken back all the same.
///
/// # Errors
///
/// Any error of [`Error`] but [`Error::NotInitialised`] and [`Error::Registered`]. The kernel is then as native as before, but
/// for [`Error::AlreadyInitialised`] and [`Error::Busy`], nothing is registered, not even by firmware, and `init` may be
/// called again.
///
/// # Safety
///
/// - The caller is the boot CPU, in ring 0, and no other CPU has been started.
/// - No exception or non-maskable interrupt handler that runs meanwhile uses an op.
/// - The handlers of #GP, #UD and #PF ask [`fixup::landing`](crate::fixup::landing), unless no hypervisor announces what it
///   lacks.
pub unsafe fn init(
    platform: &'static dyn Platform,
    backends: &[&'static dyn Backend],
) -> Result<Report, Error> {
    // SAFETY: the caller's promises, and by them the bottom is bare metal.
    unsafe { init_on(&BareMetal, platform, backends) }
}

/// Does what [`init`] does, with another bottom under all layers than bare metal: a mock in user space, a kernel that is
/// started in ring 3.
///
/// # Errors
///
/// As of [`init`].
///
/// # Safety
///
/// - `bottom` is for the machine that this runs on.
/// - The caller is the only CPU or thread that executes sites, and where `bottom` says so, in ring 0.
/// - No handler that runs while `bottom` masks interrupts uses an op.
/// - Who handles #GP, #UD and #PF asks [`fixup::landing`](crate::fixup::landing), unless no hypervisor announces what it
///   lacks.
pub unsafe fn init_on(
    bottom: &'static dyn Bottom,
    platform: &'static dyn Platform,
    backends: &[&'static dyn Backend],
) -> Result<Report, Error> {
    let _masked = Masked::new(bottom);
    let held = STATE.hold_native()?;
    let machine = Machine::new(bottom.cpuid(), CommandLine::new(platform.command_line()));
    let mut report = Report::of_probes(&machine, backends);
    let replacements = report.stack(bottom, &machine);
    // Before a layer registers something: a backend that is none may know the same registration.
    for (backend, offer) in report.others(backends, &machine) {
        // SAFETY: the offer is from this backend's probe just now, on the boot CPU with interrupts off; it is not enabled.
        unsafe { backend.clear_inherited(&offer, bottom.table()) };
    }
    let life = Life { bottom, platform, machine: &machine, replacements };
    // SAFETY: the caller's promises; interrupts are masked, and the state is held.
    match unsafe { life.begin(&held, backends.len(), &mut report) } {
        Ok(table) => {
            held.activate(Active { bottom, platform, layers: report.layers, replacements, table });
            Ok(report)
        }
        Err(Failure { error, enabled }) => {
            for layer in report.layers.iter().skip(enabled) {
                // SAFETY: as above.
                unsafe { layer.backend.clear_inherited(&layer.offer, bottom.table()) };
            }
            Err(error)
        }
    }
}

/// Makes the kernel native again: every site is put back, text byte for byte what it was, and then every registration
/// with a hypervisor is put back to its reset value. Time goes on without a step.
///
/// # Errors
///
/// [`Error::NotInitialised`] and [`Error::Busy`]. Those of the records are not to be expected, since [`init`] found them good.
///
/// # Safety
///
/// - The caller is in ring 0, or wherever the bottom is, and the only CPU that runs.
/// - No interrupted code is inside a replacement: not called from an interrupt handler.
pub unsafe fn teardown() -> Result<(), Error> {
    let held = STATE.hold()?;
    let Some(active) = held.active() else { return Err(Error::NotInitialised) };
    let _masked = Masked::new(active.bottom);
    if !active.replacements.is_empty() {
        let records = Records::of_image()?;
        let plan = Plan::native();
        // SAFETY: `init` found the records valid and edited their sites, with this text.
        let sites = unsafe { Edited::assume(&plan, records, active.bottom.writer(active.platform)) };
        let clock = Continuity::of_backend(&active.replacements);
        // SAFETY: the caller says that nobody else runs; interrupts are masked.
        unsafe { sites.write_back() };
        // SAFETY: as above.
        unsafe { set::write_all_back(&held, active.bottom, &plan) };
        active.bottom.serialise();
        clock.resume();
    }
    // SAFETY: `init` enabled them, and no site leads to one any more.
    unsafe { active.layers.disable(active.layers.iter().count()) };
    held.deactivate();
    Ok(())
}

/// Has every layer register with its hypervisor anew, upwards, and read anew what it prepared: behind a restore from a
/// snapshot or a sleep, of which the hypervisor, or another one, may remember nothing. No site is edited. Where nothing was
/// forgotten it does no harm.
///
/// # Errors
///
/// [`Error::NotInitialised`], [`Error::Busy`], and [`Error::Enable`] of the lowest layer that could not register, or whose
/// hypervisor is [gone](vmi_abi::EnableError::Gone): every other layer has all the same, and what that one's registration
/// served is served by what is below it. [`teardown`] and [`init`] choose anew.
///
/// # Safety
///
/// - The caller is the boot CPU, in ring 0, or wherever the bottom is, and the only CPU that runs.
/// - No interrupted code is inside a replacement: not called from an interrupt handler.
/// - No exception or non-maskable interrupt handler that runs meanwhile uses an op.
/// - The handlers of #GP, #UD and #PF ask [`fixup::landing`](crate::fixup::landing).
pub unsafe fn resume() -> Result<(), Error> {
    let held = STATE.hold()?;
    let Some(active) = held.active() else { return Err(Error::NotInitialised) };
    let Active { bottom, platform, ref layers, .. } = *active;
    let _masked = Masked::new(bottom);
    let machine = Machine::new(bottom.cpuid(), CommandLine::new(platform.command_line()));
    // SAFETY: `init` enabled them; the caller's promises; interrupts are masked.
    unsafe { layers.resume(bottom, &machine, platform) }
}

/// Returns the function table: per op, the function that serves it now.
pub fn table() -> &'static Table {
    STATE.table().unwrap_or(native_table())
}

/// Returns the table with which the image was linked: what native sites of call ops call. The loader of a module links
/// those of the module to the same functions.
pub fn native_table() -> &'static Table {
    &vmi_native::TABLE
}

/// Why `init` failed, and how many layers, from the lowest up, were enabled before, and are disabled again.
struct Failure {
    error: Error,
    enabled: usize,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, enabled: 0 }
    }
}

/// What [`init_on`] found out before anything can fail.
struct Life<'a> {
    bottom: &'static dyn Bottom,
    platform: &'static dyn Platform,
    machine: &'a Machine<'a>,
    replacements: Replacements,
}

impl Life<'_> {
    /// Validates, enables and edits, and returns the table in force.
    ///
    /// # Safety
    ///
    /// - The caller's promises of [`init_on`]; interrupts are masked.
    unsafe fn begin(
        &self,
        held: &Held,
        backends: usize,
        report: &mut Report,
    ) -> Result<&'static Table, Failure> {
        let Self { bottom, platform, machine, replacements } = self;
        if backends > BACKENDS_MAX {
            return Err(Error::TooManyBackends(backends).into());
        }
        let records = Records::of_image()?;
        report.sites = SiteCounts::all_native(records.len());
        if replacements.is_empty() {
            return Ok(bottom.table());
        }
        let mut plan = Plan::native();
        plan.replace(replacements)?;
        let sites = plan.validate(records, bottom.writer(*platform))?;
        report.sites = sites.counts();
        report.sites += set::validate_all(held, *bottom, &plan)?;
        // SAFETY: the offers are from probes just now, on the boot CPU with interrupts off, and the state says that no
        // backend is enabled.
        let table = unsafe { report.layers.enable(*bottom, machine, *platform) }.map_err(
            |(enabled, name, error)| Failure { error: Error::Enable { backend: name, error }, enabled },
        )?;
        let clock = Continuity::of_native(replacements);
        // SAFETY: validated just now; no other CPU runs, interrupts are masked, and by the caller no handler uses an op.
        // The backends promise their replacements for the machine on which their probes found the hypervisor.
        let _ = unsafe { sites.write() };
        // SAFETY: as above.
        unsafe { set::write_all(held, *bottom, &plan) };
        bottom.serialise();
        clock.resume();
        Ok(table)
    }
}
