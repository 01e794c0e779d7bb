//! The record of a fixup, as it lies in the image.

/// Where control goes when an instruction that may fault does: one record of section `vmi_fixups`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixup {
    /// Distance in bytes from this record to the first byte of the covered text.
    pub start: i32,
    /// Distance in bytes from this record to the place to go on at.
    pub landing: i32,
    /// Bytes of covered text: a site may be edited, so a fault anywhere in it counts.
    pub len: u32,
}

const _: () = assert!(size_of::<Fixup>() == 12 && align_of::<Fixup>() == 4);
const _: () = assert!(core::mem::offset_of!(Fixup, landing) == 4);
const _: () = assert!(core::mem::offset_of!(Fixup, len) == 8);

/// The assembly text of a [`Fixup`]: a fault of the text from label `start` up to label `end` goes on at label `landing`.
///
/// `own` is a symbol in the section of that text, to which the record's is tied (flag `o`): the linker keeps the record
/// exactly if it keeps the text. Of two records that have the same, the one whose text comes first is given first.
#[doc(hidden)]
#[macro_export]
macro_rules! __fixup_text {
    ($own:literal, $start:literal, $end:literal, $landing:literal) => {
        concat!(
            ".pushsection vmi_fixups,\"ao\",@progbits,",
            $own,
            "\n.balign 4\n775: .long ",
            $start,
            " - 775b, ",
            $landing,
            " - 775b, ",
            $end,
            " - ",
            $start,
            "\n.popsection",
        )
    };
}
