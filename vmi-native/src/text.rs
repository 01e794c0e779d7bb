//! The native text of ops: the instruction, filled up with prefixes, and what becomes of its faults.
//!
//! Prefixes, not NOPs, because then a site is one instruction: nothing extra is executed natively, and no interrupt
//! frame, preempted thread or other CPU can hold an address inside it. A jump is filled up behind, since prefixes on
//! branches are reserved and what stands behind is never reached.
//!
//! Records are link-order sections (`"ao"`), each tied to a label at its text: the linker keeps a record exactly if it
//! keeps the code, and lays records out in ascending order of their texts. The label needs a name, and the same text
//! may be emitted many times (inlining, loops unrolled), so an assembler symbol counts them.
//!
//! Numeric labels are high, because this text stands between lines of the user's own.

/// Emits the next label of the counter, and remembers how to open a section tied to it.
#[doc(hidden)]
#[macro_export]
macro_rules! __label {
    () => {
        concat!(
            ".ifndef .Lvmi_count\n.set .Lvmi_count, 0\n.endif\n",
            ".set .Lvmi_count, .Lvmi_count + 1\n",
            ".altmacro\n",
            ".macro vmi_label n\n.Lvmi_\\n:\n.endm\n",
            "vmi_label %.Lvmi_count\n",
            ".purgem vmi_label\n",
            ".noaltmacro\n",
        )
    };
}

/// Opens a section tied to the last label.
#[doc(hidden)]
#[macro_export]
macro_rules! __tied_section {
    ($name:literal) => {
        concat!(
            ".altmacro\n",
            ".macro vmi_section n\n.pushsection ",
            $name,
            ",\"ao\",@progbits,.Lvmi_\\n\n.endm\n",
            "vmi_section %.Lvmi_count\n",
            ".purgem vmi_section\n",
            ".noaltmacro\n",
        )
    };
}

/// The native form of an op between labels 771 and 773: `__form!(class number "instruction" fill)`.
#[doc(hidden)]
#[macro_export]
macro_rules! __form {
    (jump $number:literal $native:literal $fill:literal) => {
        concat!("771: ", $native, "\n772: .skip -((772b - 771b < 5) * (5 - (772b - 771b))), 0xcc\n773:\n")
    };
    (note $number:literal $native:literal $fill:literal) => {
        concat!("771: .byte 0x0f, 0x1f, 0x44, 0x00, ", $number, "\n773:\n")
    };
    ($class:ident $number:literal $native:literal $fill:literal) => {
        concat!(
            "771: .skip -((773f - 772f < 5) * (5 - (773f - 772f))), ",
            $fill,
            "\n772: ",
            $native,
            "\n773:\n"
        )
    };
}

/// What becomes of a fault between labels 771 and 773, for an op with an output called `fault`: that register is set,
/// and control goes on at 773. For other ops, nothing.
#[doc(hidden)]
#[macro_export]
macro_rules! __fixup {
    ([fault: "rsi" $($bits:tt)*]) => {
        concat!(
            ".pushsection .text.vmi_landings,\"ax\",@progbits\n",
            "774: mov esi, 1\njmp 773b\n",
            ".popsection\n",
            $crate::__tied_section!("vmi_fixups"),
            ".balign 4\n775: .long 771b - 775b, 774b - 775b, 773b - 771b\n",
            ".popsection\n",
        )
    };
    ([$output:ident: $register:tt $low:literal..$high:literal, $($rest:tt)*]) => { $crate::__fixup!([$($rest)*]) };
    ($outputs:tt) => { "" };
}

/// The whole native text of an op, behind a label that records can be tied to:
/// `__native_text!(class number "instruction" fill [outputs])`.
#[doc(hidden)]
#[macro_export]
macro_rules! __native_text {
    ($class:ident $number:literal $native:literal $fill:literal $outputs:tt) => {
        concat!($crate::__label!(), $crate::__form!($class $number $native $fill), $crate::__fixup!($outputs))
    };
}
