//! Segments, the task state with its stacks, and the interrupt descriptor table.

// UNSAFETY: loads descriptor tables.
#![expect(unsafe_code)]

use core::cell::UnsafeCell;

use x86_64::{
    VirtAddr,
    instructions::tables::load_tss,
    registers::segmentation::{CS, DS, ES, SS, Segment},
    structures::{
        gdt::{Descriptor, GlobalDescriptorTable},
        tss::TaskStateSegment,
    },
};

use super::{once::Once, trap};

/// Every interrupt and exception gets a stack of its own kind, so that none ever writes below the stack pointer of the
/// code it interrupts (a build for the host's target has a red zone there).
#[derive(Clone, Copy, Debug)]
pub enum Stack {
    Exception,
    DoubleFault,
    NonMaskable,
    Interrupt,
}

const STACK_LEN: usize = 16 * 1024;

#[repr(C, align(16))]
struct Stacks(UnsafeCell<[[u8; STACK_LEN]; 4]>);

// SAFETY: only the CPU uses the stacks, one kind at a time.
unsafe impl Sync for Stacks {}

static STACKS: Stacks = Stacks(UnsafeCell::new([[0; STACK_LEN]; 4]));
static TSS: Once<TaskStateSegment> = Once::new();
static GDT: Once<GlobalDescriptorTable> = Once::new();

/// The selector of the kernel's code, as [`load`] lays the table out.
pub const KERNEL_CODE: u16 = 8;
/// The selector of the kernel's data.
pub const KERNEL_DATA: u16 = 16;

/// Loads segments, task state and interrupt descriptors.
///
/// # Safety
///
/// - Called once, at boot, with interrupts off.
pub unsafe fn load() {
    let mut tss = TaskStateSegment::new();
    tss.interrupt_stack_table = core::array::from_fn(|index| {
        let end = (index + 1).min(4) * STACK_LEN;
        VirtAddr::from_ptr(STACKS.0.get()) + end as u64
    });
    // SAFETY: nobody reads it before this function does.
    unsafe { TSS.set(tss) };
    let mut gdt = GlobalDescriptorTable::new();
    let code = gdt.append(Descriptor::kernel_code_segment());
    let data = gdt.append(Descriptor::kernel_data_segment());
    let task = gdt.append(Descriptor::tss_segment(TSS.get()));
    assert_eq!((code.0, data.0), (KERNEL_CODE, KERNEL_DATA));
    // SAFETY: nobody reads it before this function does.
    unsafe { GDT.set(gdt) };
    GDT.get().load();
    // SAFETY: the selector is that of a 64-bit code segment of ring 0.
    unsafe { CS::set_reg(code) };
    // SAFETY: the selector is that of a data segment of ring 0.
    unsafe { SS::set_reg(data) };
    // SAFETY: as above.
    unsafe { DS::set_reg(data) };
    // SAFETY: as above.
    unsafe { ES::set_reg(data) };
    // SAFETY: the selector is that of the task state, which stays.
    unsafe { load_tss(task) };
    trap::load();
}
