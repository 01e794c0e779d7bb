//! The function table: per op, the function that serves it now.

// UNSAFETY: reads functions back that were stored as addresses, and tables of other versions through a pointer.
#![expect(unsafe_code)]

use core::{
    fmt, mem, ptr, slice,
    sync::atomic::{
        AtomicPtr,
        Ordering::{Acquire, Release},
    },
};

use crate::{Entry, Op, Operation};

/// The function table of one layer: per op, the function that serves it there.
///
/// Entries lie by op number behind a head of version and count, so that code of another version finds those it knows:
/// [`TableView`]. Every entry of a table that somebody is given is the address of a function of its op.
#[repr(C)]
pub struct Table {
    version: u32,
    count: u32,
    entries: [AtomicPtr<()>; Op::COUNT],
}

/// Bytes in front of the entries.
const HEAD: usize = 8;

const _: () = assert!(size_of::<Table>() == HEAD + 8 * Op::COUNT && align_of::<Table>() == 8);
const _: () = assert!(mem::offset_of!(Table, count) == 4 && mem::offset_of!(Table, entries) == HEAD);

impl Table {
    /// Version of the layout: tables of different ones have nothing to say to each other.
    const MAJOR: u32 = 2;

    /// Version of the table: the layout's above the low 16 bits, and in them the minor version, which rises as ops are
    /// appended.
    pub const VERSION: u32 = Self::MAJOR << 16 | Op::new(Op::COUNT as u16 - 1).unwrap().info().since as u32;

    /// Returns the table of these functions, by op number.
    ///
    /// # Safety
    ///
    /// - Each is the function of its op: of the type [`Operation::Function`], and does what the op's documentation says.
    pub const unsafe fn new(functions: [*const (); Op::COUNT]) -> Self {
        let mut table = Self::vacant();
        let mut number = 0;
        while number < Op::COUNT {
            table.entries[number] = AtomicPtr::new(functions[number].cast_mut());
            number += 1;
        }
        table
    }

    /// Returns a table of nothing: [`get`](Self::get) panics until [`copy`](Self::copy) has filled it.
    pub const fn vacant() -> Self {
        let entries = [const { AtomicPtr::new(ptr::null_mut()) }; Op::COUNT];
        Self { version: Self::VERSION, count: Op::COUNT as u32, entries }
    }

    /// Returns the function that serves an op.
    #[inline]
    pub fn get<O: Operation>(&self) -> O::Function {
        // SAFETY: entries are addresses of functions of their ops, by the contracts of what writes them, or null, which
        // `function` refuses.
        unsafe { function::<O>(&self.entries[O::OP.index()]) }
    }

    /// Returns the address of the function that serves an op.
    pub fn address(&self, op: Op) -> usize {
        self.entries[op.index()].load(Acquire).addr()
    }

    /// Takes over every function of another table.
    ///
    /// # Safety
    ///
    /// - The other is filled, and nobody relies on what served the ops of this one.
    pub unsafe fn copy(&self, other: &Self) {
        for (to, from) in self.entries.iter().zip(&other.entries) {
            to.store(from.load(Acquire), Release);
        }
    }

    /// Has the function at `address` serve an op.
    ///
    /// # Safety
    ///
    /// - The function is of the op: of the type [`Operation::Function`], and does what the op's documentation says.
    pub unsafe fn set(&self, op: Op, address: usize) {
        self.entries[op.index()].store(ptr::with_exposed_provenance_mut(address), Release);
    }

    /// Returns the distance of an op's entry from the start of a table, in bytes.
    pub const fn offset(op: Op) -> usize {
        HEAD + 8 * op.index()
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(Op::all().map(|op| (op.name(), self.address(op) as *const ()))).finish()
    }
}

/// A table as code of another version reads it: the ops that both know.
#[derive(Clone, Copy, Debug)]
pub struct TableView<'a> {
    version: u32,
    entries: &'a [AtomicPtr<()>],
}

/// A table that nothing can be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableError {
    /// Its layout is that of another major version: the version it has.
    Version(u32),
    /// It claims to hold more ops than numbers go: how many.
    Count(u32),
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => {
                let (major, minor) = (version >> 16, version & 0xffff);
                write!(f, "a table of version {major}.{minor}, not {}", Table::MAJOR)
            }
            Self::Count(count) => write!(f, "a table of {count} ops"),
        }
    }
}

impl core::error::Error for TableError {}

impl<'a> TableView<'a> {
    /// Reads the head of the table at `table`.
    ///
    /// # Errors
    ///
    /// [`TableError`], for a layout that is not this one's.
    ///
    /// # Safety
    ///
    /// - `table` is aligned to 8 and valid for reads of 8 bytes: a version and a count.
    /// - If the major version is that of [`Table::VERSION`], as many entries follow, and each is the address of a
    ///   function of its op. All that stays so for `'a`.
    pub unsafe fn new(table: *const Table) -> Result<Self, TableError> {
        let head: *const [u32; 2] = table.cast();
        // SAFETY: the caller's promise.
        let [version, count] = unsafe { head.read() };
        if version >> 16 != Table::MAJOR {
            return Err(TableError::Version(version));
        }
        let len = u16::try_from(count).map_err(|_| TableError::Count(count))?;
        let first: *const AtomicPtr<()> = table.cast::<u8>().wrapping_add(HEAD).cast();
        // SAFETY: the caller's promise, for as many entries as the count says.
        let entries = unsafe { slice::from_raw_parts(first, len.into()) };
        Ok(Self { version, entries })
    }

    /// Returns the version of the table.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Returns how many ops the table holds.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Returns the function that serves an op, if the table knows the op.
    pub fn get<O: Operation>(&self) -> Option<O::Function> {
        // SAFETY: by the promise of `new`.
        self.entries.get(O::OP.index()).map(|entry| unsafe { function::<O>(entry) })
    }
}

/// Returns the function that an entry holds.
///
/// # Safety
///
/// - The entry is null, or the address of a function of the op.
#[inline]
unsafe fn function<O: Operation>(entry: &AtomicPtr<()>) -> O::Function {
    let address = entry.load(Acquire);
    assert!(!address.is_null(), "a table that was never filled");
    // SAFETY: not null, so by the caller a function of this type.
    unsafe { O::Function::from_address(address) }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::{Leaf, irq, power, time};

    extern "sysv64" fn seven() -> u64 {
        7
    }

    extern "sysv64" fn nothing() {}

    fn table() -> Table {
        // SAFETY: only the entries set below are called.
        let table = unsafe { Table::new([nothing as *const (); Op::COUNT]) };
        // SAFETY: a function of the op's type, and a clock.
        unsafe { table.set(time::now_ns::OP, seven as *const () as usize) };
        table
    }

    #[test]
    fn an_entry_is_found_by_the_type_of_its_op() {
        let table = table();
        assert_eq!(table.get::<time::now_ns>()(), 7);
        assert_eq!(table.get::<irq::disable>().address(), nothing as *const () as usize);
        assert_eq!(table.address(time::now_ns::OP), seven as *const () as usize);
        let place = (&raw const table).wrapping_byte_add(Table::offset(time::now_ns::OP)).cast::<usize>();
        // SAFETY: inside the table.
        assert_eq!(unsafe { place.read() }, seven as *const () as usize);
    }

    #[test]
    fn a_copy_serves_as_the_original_does() {
        let copy = Table::vacant();
        // SAFETY: both are this test's.
        unsafe { copy.copy(&table()) };
        assert_eq!(copy.get::<time::now_ns>()(), 7);
    }

    #[test]
    #[should_panic(expected = "never filled")]
    fn a_table_that_was_never_filled_calls_nothing() {
        Table::vacant().get::<irq::disable>();
    }

    /// A table as an older or a newer library would have it: fewer ops, or more.
    #[repr(C, align(8))]
    struct Other<const N: usize>([u32; 2], [usize; N]);

    fn view<const N: usize>(other: &Other<N>) -> Result<TableView<'_>, TableError> {
        // SAFETY: the head says how many entries follow.
        unsafe { TableView::new((&raw const *other).cast()) }
    }

    #[test]
    fn code_of_another_version_finds_the_ops_that_both_know() {
        let seven = seven as *const () as usize;
        let older = Other([Table::VERSION, 27], [seven; 27]);
        let older = view(&older).unwrap();
        assert_eq!(older.get::<time::now_ns>().map(|now_ns| now_ns()), Some(7));
        assert!(older.get::<power::reboot>().is_none());
        assert!(older.get::<irq::disable>().map(Leaf::address) == Some(seven));

        let newer = Other([Table::VERSION + 1, 300], [seven; 300]);
        let newer = view(&newer).unwrap();
        assert_eq!((newer.version(), newer.count()), (Table::VERSION + 1, 300));
        assert_eq!(newer.get::<time::now_ns>().map(|now_ns| now_ns()), Some(7));
    }

    #[test]
    fn a_table_of_another_layout_is_refused() {
        let version = Table::VERSION + (1 << 16);
        assert_eq!(view(&Other([version, 27], [0; 27])).unwrap_err(), TableError::Version(version));
        assert_eq!(view(&Other([1 << 16, 39], [0; 39])).unwrap_err(), TableError::Version(1 << 16));
        let error = view(&Other([Table::VERSION, 1 << 16], [0; 1])).unwrap_err();
        assert_eq!(std::string::ToString::to_string(&error), "a table of 65536 ops");
    }
}
