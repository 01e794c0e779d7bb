//! Mutants that no test in user space can notice, and why.

use super::outcomes::Survivor;

/// A function whose mutants may survive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Excuse {
    pub(super) package: &'static str,
    /// The path of the file in the workspace.
    pub(super) file: &'static str,
    /// Its name, with the type or trait that it is of, as cargo-mutants gives it.
    pub(super) function: &'static str,
    pub(super) reason: &'static str,
}

const SAME: &str = "the change comes to the same";
const RING_0: &str = "needs ring 0: the image's checks";

/// The functions.
pub(super) const EXCUSES: &[Excuse] = &[
    Excuse {
        package: "vmi-host-backend",
        file: "vmi-host-backend/src/port_call/batch.rs",
        function: "Batch<'a>::send_in_parts",
        reason: SAME,
    },
    Excuse {
        package: "vmi-host-backend",
        file: "vmi-host-backend/src/port_call/block.rs",
        function: "View::put_header",
        reason: "the order of two stores, which only a host that reads meanwhile sees",
    },
    Excuse {
        package: "vmi-host-backend",
        file: "vmi-host-backend/src/time.rs",
        function: "wall_clock",
        reason: RING_0,
    },
];

impl Excuse {
    /// Tells whether it is for this mutant.
    pub(super) fn is_for(&self, survivor: &Survivor) -> bool {
        self.file == survivor.file && self.function == survivor.function
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::PACKAGES;
    use super::*;
    use crate::workspace;

    #[test]
    fn excuses_are_for_files_that_there_are() {
        for Excuse { package, file, .. } in EXCUSES {
            assert!(PACKAGES.contains(package), "{package}");
            assert!(workspace::root().join(file).is_file(), "{file}");
        }
    }
}
