//! The rig: a stock Linux with KVM on an emulated CPU with SVM, which runs the guests by its own QEMU.

mod archive;
mod cache;
mod control;
mod guest;
mod machine;
mod run;
mod started;

pub(crate) use cache::{FIRMWARE, QEMU, describe, initramfs, kernel, libraries};
pub(crate) use run::{Errand, VMI_RUN, errand, errands, run};
