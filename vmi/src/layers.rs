//! The backends that found their interface, one on top of the other.

// UNSAFETY: enables and disables backends, and fills the tables of their layers.
#![expect(unsafe_code)]

use core::iter;

use vmi_abi::{Backend, Bottom, EnableError, Machine, Offer, Op, Override, Platform, Replacements, Table};

use crate::{Error, patch::Form};

/// How many backends [`init`](crate::init) takes.
pub const BACKENDS_MAX: usize = 8;

/// The tables of the layers, from the lowest up: filled before a backend is given one.
static TABLES: [Table; BACKENDS_MAX] = [const { Table::vacant() }; BACKENDS_MAX];

/// A backend in the stack, with what it offered.
#[derive(Clone, Copy)]
pub(crate) struct Layer {
    /// Its place among the backends given.
    pub(crate) index: u8,
    pub(crate) backend: &'static dyn Backend,
    pub(crate) offer: Offer,
}

/// The stack, from the lowest layer up.
#[derive(Clone, Copy)]
pub(crate) struct Layers([Option<Layer>; BACKENDS_MAX]);

impl Layers {
    pub(crate) const NONE: Self = Self([None; BACKENDS_MAX]);

    /// Puts a layer where its rank has it: of equal ranks, the one that came first is above.
    pub(crate) fn insert(&mut self, layer: Layer) {
        let below = self.iter().take_while(|other| other.offer.rank < layer.offer.rank).count();
        self.0[below..].rotate_right(1);
        self.0[below] = Some(layer);
    }

    /// Returns the layers from the lowest up.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Layer> {
        self.0.iter().flatten()
    }

    /// Returns what stands in place of each op: what the topmost layer says that replaces it, or the bottom. Leaves out the
    /// layers that replace nothing, fills the tables of the others, and notes of each op which layer serves it.
    pub(crate) fn compose(
        &mut self,
        bottom: &dyn Bottom,
        machine: &Machine<'_>,
        mut note: impl FnMut(Op, Form, &Layer),
    ) -> Replacements {
        let mut all = bottom.replacements();
        let mut below = bottom.table();
        let mut kept = 0;
        for place in 0..BACKENDS_MAX {
            let Some(layer) = self.0[place].take() else { break };
            let own = layer.backend.replacements(&layer.offer, machine);
            if own.is_empty() {
                continue;
            }
            let table = &TABLES[kept];
            // SAFETY: the table is that of a layer to be, which serves nothing yet.
            unsafe { table.copy(below) };
            for op in Op::all() {
                let with = own.get(op);
                if with == Override::Keep {
                    continue;
                }
                if let Override::Call(function) = with {
                    // SAFETY: the backend promises its replacements, and they are typed.
                    unsafe { table.set(op, function) };
                }
                // SAFETY: the backend promises its replacements for the machine on which it found its interface.
                unsafe { all.set_raw(op, with) };
                note(op, Form::of(with), &layer);
            }
            self.0[kept] = Some(layer);
            kept += 1;
            below = table;
        }
        all
    }

    /// Enables every layer, upwards, each with the table that [`compose`](Self::compose) made for the one below, and returns
    /// the table of the topmost.
    ///
    /// # Errors
    ///
    /// How many layers were enabled, the last of them in vain, its name, and why. All are disabled then.
    ///
    /// # Safety
    ///
    /// - The offers are from probes of this machine just now.
    /// - The call is made on the boot CPU, with interrupts off, and no backend is enabled.
    pub(crate) unsafe fn enable(
        &self,
        bottom: &dyn Bottom,
        machine: &Machine<'_>,
        platform: &dyn Platform,
    ) -> Result<&'static Table, (usize, &'static str, EnableError)> {
        let mut below = bottom.table();
        for (index, (layer, table)) in iter::zip(self.iter(), &TABLES).enumerate() {
            // SAFETY: the caller's promises.
            if let Err(error) = unsafe { layer.backend.enable(&layer.offer, machine, platform, below) } {
                // SAFETY: these are enabled, the topmost of them half-way, and no site was edited.
                unsafe { self.disable(index + 1) };
                return Err((index + 1, layer.backend.name(), error));
            }
            below = table;
        }
        Ok(below)
    }

    /// Asks every layer, upwards, to register anew, with an offer from a probe of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Enable`], of the lowest layer that fails; those above it were asked all the same.
    ///
    /// # Safety
    ///
    /// - The layers are enabled, on this bottom.
    /// - The call is made on the boot CPU, with interrupts off, and no CPU executes a replacement meanwhile.
    pub(crate) unsafe fn resume(
        &self,
        bottom: &dyn Bottom,
        machine: &Machine<'_>,
        platform: &dyn Platform,
    ) -> Result<(), Error> {
        let mut below = bottom.table();
        let mut result = Ok(());
        for (Layer { backend, .. }, table) in iter::zip(self.iter(), &TABLES) {
            // SAFETY: the caller's promises; the table is the one it was enabled with.
            let again = |offer| unsafe { backend.resume(&offer, machine, platform, below) };
            let resumed = backend.probe(machine).map_err(EnableError::Gone).and_then(again);
            let resumed = resumed.map_err(|error| Error::Enable { backend: backend.name(), error });
            result = result.and(resumed);
            below = table;
        }
        result
    }

    /// Disables the lowest `count` layers, downwards.
    ///
    /// # Safety
    ///
    /// - They are enabled, or were half-way, and are the only ones.
    /// - No site is edited to a replacement of theirs, and no CPU is inside one.
    pub(crate) unsafe fn disable(&self, count: usize) {
        for layer in self.0[..count].iter().rev().flatten() {
            // SAFETY: the caller's promises.
            unsafe { layer.backend.disable() };
        }
    }
}
