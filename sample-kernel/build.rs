//! Links the kernel where `VMI_LINK` says: `default` (the linker's own script), `script` (a script of the kernel's),
//! `pie`, or `high` (the higher half). And lists its backends: the dependencies called `vmi-…-backend`, each of which has its
//! own in a static called `BACKEND`.

use std::{env, fs, path::Path};

/// Where a position-independent image is linked, and loaded, so that nothing need be relocated.
const PIE_BASE: &str = "0x200000";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=link");
    println!("cargo::rerun-if-changed=Cargo.toml");
    println!("cargo::rerun-if-env-changed=VMI_LINK");
    println!("cargo::rustc-check-cfg=cfg(freestanding)");
    let bare_target = env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none");
    let freestanding = bare_target || env::var_os("CARGO_CFG_VMI_FREESTANDING").is_some();
    if !freestanding {
        return;
    }
    println!("cargo::rustc-cfg=freestanding");
    list_backends();

    // The bare target's linker is called by itself, the host's through the C compiler.
    let link = |argument: &str| match bare_target {
        true => println!("cargo::rustc-link-arg-bins={argument}"),
        false => println!("cargo::rustc-link-arg-bins=-Wl,{argument}"),
    };
    if !bare_target {
        for argument in ["-nostartfiles", "-nostdlib", "-static"] {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
        link("--defsym=rust_eh_personality=0");
    }
    link("--entry=pvh_start");
    link("--gc-sections");

    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let variant = env::var("VMI_LINK").unwrap_or_else(|_| "default".into());
    // What the PVH note holds: the physical address of the entry, as the assembler can say it.
    let entry = match variant.as_str() {
        "default" => "pvh_start",
        "script" => {
            link(&format!("--script={here}/link/script.ld"));
            "pvh_start"
        }
        "high" => {
            link(&format!("--script={here}/link/high.ld"));
            "pvh_start - 0xffffffff80000000"
        }
        "pie" => {
            link("-pie");
            link("--apply-dynamic-relocs");
            link(&format!("--image-base={PIE_BASE}"));
            link(&format!("--defsym=pvh_entry=pvh_start-__ehdr_start+{PIE_BASE}"));
            "pvh_entry"
        }
        other => panic!("VMI_LINK={other}: known are default, script, pie, high"),
    };
    println!("cargo::rustc-env=PVH_ENTRY={entry}");
}

/// Writes the list as an expression, for the kernel to include.
fn list_backends() {
    let manifest = fs::read_to_string("Cargo.toml").expect("the manifest is in the build script's directory");
    let names = manifest.lines().filter_map(|line| line.split(['.', '=', ' ']).next());
    let backends = names.filter(|name| name.starts_with("vmi-") && name.ends_with("-backend"));
    let list: String = backends.map(|name| format!("&{}::BACKEND, ", name.replace('-', "_"))).collect();
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("backends.rs"), format!("[{list}]")).expect("OUT_DIR can be written to");
}
