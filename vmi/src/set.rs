//! Sets of sites beside the image's own: a module's, loaded later, dropped earlier.

// UNSAFETY: keeps what was registered in cells that the state guards, and has the patcher edit it.
#![expect(unsafe_code)]

use core::{
    cell::{Cell, UnsafeCell},
    fmt,
    marker::PhantomData,
};

use vmi_abi::{Bottom, Text};

use crate::{
    Error, SiteCounts,
    masked::Masked,
    patch::{Edited, Plan, Records},
    state::{Held, STATE},
};

/// Room for the sites of a module, which are edited with the image's own as long as they are registered.
///
/// The kernel keeps one for each module that it may load, in memory that stays: the sets are a list that is threaded through
/// them, so nothing is allocated and there is no maximum.
pub struct SiteSet {
    content: UnsafeCell<Option<Content>>,
    next: Cell<Option<&'static Self>>,
}

/// Records, and the text that they name.
#[derive(Clone, Copy)]
struct Content {
    records: Records<'static>,
    text: &'static dyn Text,
}

/// A set that is registered; when this is dropped, its sites are native again, and forgotten.
///
/// The drop waits for whoever edits sites, so it must not interrupt them: no interrupt handler drops one.
#[must_use = "the sites are native again and forgotten as soon as this is dropped"]
pub struct Registered {
    set: &'static SiteSet,
    not_send: PhantomData<*mut ()>,
}

/// The first set, and in it the next.
struct List(Cell<Option<&'static SiteSet>>);

static LIST: List = List(Cell::new(None));

// SAFETY: read and written only by who holds the state.
unsafe impl Sync for List {}

// SAFETY: the cells are read and written only by who holds the state.
unsafe impl Sync for SiteSet {}

impl SiteSet {
    /// Returns an empty set.
    pub const fn new() -> Self {
        Self { content: UnsafeCell::new(None), next: Cell::new(None) }
    }

    /// Takes the sites of a module in: they are edited at once for the layers that are active, and follow every
    /// [`teardown`](crate::teardown) and [`init`](crate::init).
    ///
    /// Native sites of call ops call the functions of [`native_table`](crate::native_table): who loads the module sees to
    /// it, as with any other call into the kernel.
    ///
    /// # Errors
    ///
    /// [`Error::Record`] for the first wrong record, counted within the set, [`Error::Registered`], and [`Error::Busy`].
    /// The sites are then as they were, and not registered.
    ///
    /// # Safety
    ///
    /// - Until the guard is dropped, the records and the text stay where they are, and nobody else writes to them.
    /// - No CPU executes the text before this returns, nor while the guard is dropped.
    /// - The sites are ones at which a replacement may stand: where the documentation of their ops holds.
    pub unsafe fn register(
        &'static self,
        records: Records<'static>,
        text: &'static dyn Text,
    ) -> Result<Registered, Error> {
        let held = STATE.hold()?;
        if self.content().is_some() {
            return Err(Error::Registered);
        }
        if let Some(active) = held.active() {
            let _masked = Masked::new(active.bottom);
            let mut plan = Plan::native();
            plan.replace(&active.replacements)?;
            let sites = plan.validate(records, active.bottom.writer(text))?;
            // SAFETY: validated just now; by the caller, nobody executes the text.
            let _ = unsafe { sites.write() };
            active.bottom.serialise();
        } else {
            let _ = Plan::native().validate(records, text)?;
        }
        // SAFETY: the state is held, and no reference into the cell is left.
        unsafe { *self.content.get() = Some(Content { records, text }) };
        self.next.set(LIST.0.replace(Some(self)));
        Ok(Registered { set: self, not_send: PhantomData })
    }

    /// Returns what is registered. The caller holds the state.
    fn content(&self) -> Option<Content> {
        // SAFETY: it is written only by who holds the state.
        unsafe { *self.content.get() }
    }
}

impl Default for SiteSet {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let held = loop {
            match STATE.hold() {
                Ok(held) => break held,
                Err(_) => core::hint::spin_loop(),
            }
        };
        if let (Some(active), Some(content)) = (held.active(), self.set.content()) {
            let _masked = Masked::new(active.bottom);
            // SAFETY: registered, so valid, and by who registered it nobody executes the text.
            unsafe { content.write_back(active.bottom, &Plan::native()) };
            active.bottom.serialise();
        }
        // SAFETY: the state is held, and no reference into the cell is left.
        unsafe { *self.set.content.get() = None };
        let mut place = &LIST.0;
        while let Some(other) = place.get() {
            if core::ptr::eq(other, self.set) {
                place.set(other.next.take());
                break;
            }
            place = &other.next;
        }
    }
}

impl Content {
    /// Puts the native text back.
    ///
    /// # Safety
    ///
    /// - The records were found valid with this text, and since then only the patcher wrote to it.
    /// - Nobody executes the text, and interrupts are masked.
    unsafe fn write_back(&self, bottom: &dyn Bottom, plan: &Plan) {
        // SAFETY: the caller's promise.
        let sites = unsafe { Edited::assume(plan, self.records, bottom.writer(self.text)) };
        // SAFETY: the caller's promise.
        unsafe { sites.write_back() };
    }
}

/// Returns what is registered, by who holds the state.
fn registered(_held: &Held) -> impl Iterator<Item = Content> {
    let mut next = LIST.0.get();
    core::iter::from_fn(move || {
        let set = next?;
        next = set.next.get();
        set.content()
    })
}

/// Checks every set against a plan.
pub(crate) fn validate_all(held: &Held, bottom: &dyn Bottom, plan: &Plan) -> Result<SiteCounts, Error> {
    let mut counts = SiteCounts::default();
    for Content { records, text } in registered(held) {
        counts += plan.validate(records, bottom.writer(text))?.counts();
    }
    Ok(counts)
}

/// Edits every set as a plan says; the caller has this CPU see it.
///
/// # Safety
///
/// - The sets passed [`validate_all`] just now, with the same plan.
/// - No other CPU executes the texts, interrupts are masked, and no handler uses an op.
pub(crate) unsafe fn write_all(held: &Held, bottom: &dyn Bottom, plan: &Plan) {
    for Content { records, text } in registered(held) {
        // SAFETY: the caller's promise.
        let sites = unsafe { plan.valid(records, bottom.writer(text)) };
        // SAFETY: the caller's promise.
        let _ = unsafe { sites.write() };
    }
}

/// Puts the native text of every set back; the caller has this CPU see it.
///
/// # Safety
///
/// - Every set was edited by [`write_all`] or when it was registered.
/// - No other CPU executes the texts, interrupts are masked, and no handler uses an op.
pub(crate) unsafe fn write_all_back(held: &Held, bottom: &dyn Bottom, plan: &Plan) {
    for content in registered(held) {
        // SAFETY: registered, so valid; the rest is the caller's promise.
        unsafe { content.write_back(bottom, plan) };
    }
}

impl fmt::Debug for SiteSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteSet").finish_non_exhaustive()
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered").finish_non_exhaustive()
    }
}
