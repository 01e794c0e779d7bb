//! Where the image is in its life, and what was chosen while it is active.

// UNSAFETY: keeps what was chosen in a cell that a state word guards.
#![expect(unsafe_code)]

use core::{
    cell::UnsafeCell,
    fmt,
    mem::MaybeUninit,
    sync::atomic::{AtomicU8, Ordering},
};

use vmi_abi::{Bottom, Platform, Replacements, Table};

use crate::{Error, layers::Layers};

/// What `init` chose, for whoever edits later.
pub(crate) struct Active {
    pub(crate) bottom: &'static dyn Bottom,
    pub(crate) platform: &'static dyn Platform,
    pub(crate) layers: Layers,
    /// What stands in the sites.
    pub(crate) replacements: Replacements,
    /// The table of the topmost layer.
    pub(crate) table: &'static Table,
}

/// The image's life: whether `init` made it active, and whether somebody edits it or changes that.
pub(crate) struct State {
    word: AtomicU8,
    active: UnsafeCell<MaybeUninit<Active>>,
}

/// Somebody holds the state.
const HELD: u8 = 1 << 0;
/// The image is active.
const ACTIVE: u8 = 1 << 1;

pub(crate) static STATE: State =
    State { word: AtomicU8::new(0), active: UnsafeCell::new(MaybeUninit::uninit()) };

// SAFETY: the cell is written only by who holds the state and while it is not active, and read only while it is.
unsafe impl Sync for State {}

/// The state held: nobody else edits or changes it until this is dropped, which puts it back to what it is here.
pub(crate) struct Held {
    active: bool,
}

impl State {
    /// Takes the state of a native image.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyInitialised`] and [`Error::Busy`].
    pub(crate) fn hold_native(&self) -> Result<Held, Error> {
        let held = self.hold()?;
        if held.active { Err(Error::AlreadyInitialised) } else { Ok(held) }
    }

    /// Takes the state, whatever it is, unless somebody else holds it.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`].
    pub(crate) fn hold(&self) -> Result<Held, Error> {
        let before = self.word.fetch_or(HELD, Ordering::AcqRel);
        if before & HELD != 0 { Err(Error::Busy) } else { Ok(Held { active: before & ACTIVE != 0 }) }
    }

    /// Returns the table in force, if the image is active: also while somebody edits it.
    pub(crate) fn table(&self) -> Option<&'static Table> {
        (self.word.load(Ordering::Acquire) & ACTIVE != 0).then(|| {
            // SAFETY: the state is active, so the cell was written, and nobody writes it now.
            unsafe { self.read() }.table
        })
    }

    /// Returns what was chosen.
    ///
    /// # Safety
    ///
    /// - The word has ACTIVE, or the caller holds the state and has written the cell.
    unsafe fn read(&self) -> &Active {
        // SAFETY: nobody writes the cell in these states.
        let cell = unsafe { &*self.active.get() };
        // SAFETY: it was written before the word became ACTIVE.
        unsafe { cell.assume_init_ref() }
    }
}

impl Held {
    /// Returns what was chosen, if the image is active.
    pub(crate) fn active(&self) -> Option<&Active> {
        // SAFETY: it was active when the state was taken, and is.
        self.active.then(|| unsafe { STATE.read() })
    }

    /// Has the image be active. It was not, when the state was taken.
    pub(crate) fn activate(mut self, active: Active) {
        // SAFETY: the state is held and not active, so nobody reads the cell.
        unsafe { (*STATE.active.get()).write(active) };
        self.active = true;
    }

    /// Has the image be native.
    pub(crate) fn deactivate(mut self) {
        self.active = false;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        STATE.word.store(if self.active { ACTIVE } else { 0 }, Ordering::Release);
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("State").field(&self.word).finish()
    }
}
