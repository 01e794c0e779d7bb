#![doc = include_str!("../README.md")]

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use vmi_kvm_backend_host::hostile::Numbers;

/// Makes a fuzz target of a kind of hostile input; without a fuzzer, a program that tries files.
#[macro_export]
macro_rules! target {
    ($kind:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
            vmi_kvm_backend_host::hostile::$kind(vmi_kvm_backend_host::hostile::Numbers::given(bytes));
        });

        #[cfg(not(fuzzing))]
        fn main() -> std::process::ExitCode {
            $crate::try_files(vmi_kvm_backend_host::hostile::$kind)
        }
    };
}

/// Tries the cases of the files that are the program's arguments.
///
/// # Panics
///
/// When one does harm.
pub fn try_files(case: fn(Numbers)) -> ExitCode {
    for path in env::args_os().skip(1).map(PathBuf::from) {
        match fs::read(&path) {
            Ok(bytes) => case(Numbers::given(&bytes)),
            Err(reason) => {
                eprintln!("cannot read `{}`: {reason}", path.display());
                return ExitCode::FAILURE;
            }
        }
        println!("{}: no harm", path.display());
    }
    ExitCode::SUCCESS
}
