//! Every target is a program that tries files.

use std::fs;
use std::process::Command;

const TARGETS: [&str; 4] = [
    env!("CARGO_BIN_EXE_port_call"),
    env!("CARGO_BIN_EXE_devices"),
    env!("CARGO_BIN_EXE_registers"),
    env!("CARGO_BIN_EXE_images"),
];

#[test]
fn targets_try_files_and_name_those_that_cannot_be_read() {
    let directory = env!("CARGO_TARGET_TMPDIR");
    let (there, missing) = (format!("{directory}/case"), format!("{directory}/missing"));
    fs::write(&there, [7; 1000]).unwrap();
    for target in TARGETS {
        let run = |file: &str| Command::new(target).args([&there, file]).output().unwrap();
        let (good, bad) = (run(&there), run(&missing));
        assert!(good.status.success(), "{target}: {good:?}");
        assert_eq!(String::from_utf8_lossy(&good.stdout), format!("{there}: no harm\n").repeat(2));
        assert!(!bad.status.success(), "{target}: {bad:?}");
        assert!(String::from_utf8_lossy(&bad.stderr).contains(&missing), "{target}: {bad:?}");
    }
}
