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

use crate::layers::Layers;

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

/// The image's life.
pub(crate) struct State {
    word: AtomicU8,
    active: UnsafeCell<MaybeUninit<Active>>,
}

const NATIVE: u8 = 0;
const BUSY: u8 = 1;
const ACTIVE: u8 = 2;

pub(crate) static STATE: State =
    State { word: AtomicU8::new(NATIVE), active: UnsafeCell::new(MaybeUninit::uninit()) };

// SAFETY: the cell is written only by whoever holds the state, having moved the word to BUSY, and read only while the word
// is ACTIVE, or by whoever moved it from there to BUSY.
unsafe impl Sync for State {}

/// The state held: nobody else edits or changes it until this is dropped, which puts it back to what it is here.
pub(crate) struct Held {
    active: bool,
}

impl State {
    /// Takes the state of a native image.
    pub(crate) fn hold_native(&self) -> Option<Held> {
        self.advance(NATIVE).then(|| Held { active: false })
    }

    /// Takes the state of an image that `init` made active.
    pub(crate) fn hold_active(&self) -> Option<Held> {
        self.advance(ACTIVE).then(|| Held { active: true })
    }

    /// Takes the state, whatever it is, unless somebody else holds it.
    pub(crate) fn hold(&self) -> Option<Held> {
        self.hold_native().or_else(|| self.hold_active())
    }

    fn advance(&self, from: u8) -> bool {
        self.word.compare_exchange(from, BUSY, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Returns the table in force, if the image is active.
    pub(crate) fn table(&self) -> Option<&'static Table> {
        (self.word.load(Ordering::Acquire) == ACTIVE).then(|| {
            // SAFETY: the state is active, so the cell was written, and nobody writes it now.
            unsafe { self.read() }.table
        })
    }

    /// Returns what was chosen.
    ///
    /// # Safety
    ///
    /// - The word is ACTIVE, or was and the caller holds the state.
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
        // SAFETY: it was active when the state was taken, or `activate` wrote the cell.
        self.active.then(|| unsafe { STATE.read() })
    }

    /// Has the image be active.
    pub(crate) fn activate(&mut self, active: Active) {
        // SAFETY: the state is held, and no reference from `active` is left, since that borrows `self`.
        unsafe { (*STATE.active.get()).write(active) };
        self.active = true;
    }

    /// Has the image be native.
    pub(crate) fn deactivate(&mut self) {
        self.active = false;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        STATE.word.store(if self.active { ACTIVE } else { NATIVE }, Ordering::Release);
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("State").field(&self.word).finish()
    }
}
