//! Makes the filters for system calls, which the threads of the program install as they are.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

#[path = "src/confinement/filters.rs"]
mod filters;

use filters::{Role, program};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/confinement/filters.rs");
    let mut text = String::from("fn filter(role: Role) -> &'static [sock_filter] {\n    match role {\n");
    for role in Role::ALL {
        writeln!(text, "        Role::{role:?} => &[").expect("memory takes it");
        for step in program(role) {
            writeln!(
                text,
                "            sock_filter {{ code: {}, jt: {}, jf: {}, k: {} }},",
                step.code, step.jt, step.jf, step.k
            )
            .expect("memory takes it");
        }
        text.push_str("        ],\n");
    }
    text.push_str("    }\n}\n");
    let directory = env::var_os("OUT_DIR").expect("cargo names a directory");
    fs::write(Path::new(&directory).join("filter.rs"), text).expect("the filters can be written");
}
