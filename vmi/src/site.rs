//! The text of a site: the native text of its op, and its record.

/// The record of the site between labels 771 and 773.
#[doc(hidden)]
#[macro_export]
macro_rules! __record {
    ($number:literal) => {
        concat!(
            $crate::__tied_section!("vmi_sites"),
            ".balign 4\n.long 771b - .\n.short ",
            $number,
            "\n.byte 773b - 771b, 0\n.popsection\n",
        )
    };
}

/// A whole site, for any template of assembly: `__site!(class number "native form" fill [outputs])`.
#[doc(hidden)]
#[macro_export]
macro_rules! __site {
    ($class:ident $number:literal $native:literal $fill:literal $outputs:tt) => {
        concat!(
            $crate::__native_text!($class $number $native $fill $outputs),
            $crate::__record!($number),
        )
    };
}
