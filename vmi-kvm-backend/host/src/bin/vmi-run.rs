//! `vmi-run`: runs a kernel under KVM, and speaks VMI with it.

use std::process::ExitCode;
use vmi_kvm_backend_host::{Boot, Config, Ending, Machine, Outside};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let image = arguments.next().unwrap_or_default();
    let line: Vec<String> = arguments.skip_while(|a| a == "--").collect();
    let mut config = Config::new(Boot { image: image.into(), command_line: line.join(" "), ..Boot::default() });
    config.limit = Some(std::time::Duration::from_secs(30));
    let run = Machine::new(&config, Box::new(std::io::stdout())).and_then(|m| m.run(Outside::default()));
    match run {
        Ok(ending) => { eprintln!("{ending}"); ExitCode::from(ending.status()) }
        Err(error) => { eprintln!("vmi-run: {error}"); ExitCode::from(Ending::FAILED) }
    }
}
