//! Nothing to build: cargo allows the `links` key, which forbids two copies of this crate in one image, only to
//! packages with a build script.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
