//! The kinds of exits that reach this program.

use serde::Serialize;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal),+ $(,)?) => {
        /// A kind of exit.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(rename_all = "kebab-case")]
        #[non_exhaustive]
        pub enum Kind {
            $($(#[$doc])* $kind),+
        }

        impl Kind {
            /// All kinds, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// Returns the kind's name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name),+
                }
            }
        }
    };
}

kinds! {
    /// A read of a port.
    PortRead = "port-read",
    /// A write of a port.
    PortWrite = "port-write",
    /// A read of memory that is none.
    MmioRead = "mmio-read",
    /// A write of memory that is none.
    MmioWrite = "mmio-write",
    /// A read of a model-specific register that this program answers.
    MsrRead = "msr-read",
    /// A write of a model-specific register that this program answers.
    MsrWrite = "msr-write",
    /// A batch of VMI calls.
    VmiCall = "vmi-call",
    /// A ring of the doorbell that KVM did not turn into an event.
    VmiDoorbell = "vmi-doorbell",
    /// The thread was interrupted, by this program itself or by a signal.
    Interrupted = "interrupted",
    /// Something else; it ends the run in most cases.
    Other = "other",
}
