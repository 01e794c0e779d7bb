//! The ways in which an op is done: their order, their colours, and what they are.

/// A way in which an op is done.
#[derive(Debug)]
pub(super) struct Variant {
    /// As the document calls it; the style sheet has a colour for each, `--NAME`.
    pub(super) name: &'static str,
    /// What it is.
    pub(super) about: &'static str,
}

/// All ways, in the order in which they are shown.
pub(super) const VARIANTS: [Variant; 10] = [
    Variant {
        name: "bare",
        about: "the instruction, written by hand in asm! with the best options it allows",
    },
    Variant { name: "native", about: "the op, its site as it was linked" },
    Variant { name: "inline", about: "the op, its site edited to other instructions in place" },
    Variant { name: "naked", about: "the op, its site edited to a call of a naked function" },
    Variant { name: "thunk", about: "the op, its site edited to a call of a thunk that keeps all registers" },
    Variant { name: "backend", about: "the op after vmi::init, as the backend of that host wants it" },
    Variant { name: "direct", about: "a direct call of an ordinary function" },
    Variant { name: "table", about: "a call through a table of function pointers" },
    Variant { name: "dyn", about: "a call through a trait object" },
    Variant { name: "retpoline", about: "an indirect call through a retpoline" },
];

/// Returns the class that gives a bar its colour. A variant that nobody knows has none of its own.
pub(super) fn class(name: &str) -> String {
    let known = VARIANTS.iter().find(|variant| variant.name == name);
    known.map_or_else(|| "v-other".to_owned(), |variant| format!("v-{}", variant.name))
}

/// Returns the place of a variant in the order in which they are shown; unknown ones come last.
pub(super) fn place(name: &str) -> usize {
    VARIANTS.iter().position(|variant| variant.name == name).unwrap_or(VARIANTS.len())
}
