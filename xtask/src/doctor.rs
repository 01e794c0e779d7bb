//! Looks what is there and says how to get what is not.

use std::process::Command;

use anyhow::Result;

use crate::host::{HOSTS, Host, Machine};
use crate::table::{Cell, Colour, Table};
use crate::{install, process, qemu, rig, workspace, xen};

/// What was found of one thing.
enum Finding {
    /// It is there.
    Fine(String),
    /// It is not there, but nothing needs it, or it comes by itself.
    Absent(String),
    /// It is needed; this command gets it.
    Missing(String),
}

/// Prints what is there and what is missing; returns whether nothing that is needed is missing.
pub(crate) fn run() -> Result<bool> {
    let findings = [
        ("rustc", compiler()),
        ("linker", program("cc", "sudo apt-get install -y gcc libc6-dev")),
        (install::TARGET, target()),
        ("QEMU", qemu_version()),
        ("firmware", firmware()),
        ("apt-get", program("apt-get", "use Debian 12, or a system like it")),
        ("dpkg-deb", program("dpkg-deb", "sudo apt-get install -y dpkg")),
        ("gzip", program("gzip", "sudo apt-get install -y gzip")),
        ("ldd", program("ldd", "sudo apt-get install -y libc-bin")),
        ("rig", fetched(rig::describe())),
        ("Xen", fetched(xen::describe())),
        ("/dev/kvm", kvm()),
    ];
    let mut table = Table::default();
    for (name, finding) in &findings {
        let (state, colour, text) = match finding {
            Finding::Fine(text) => ("ok", Colour::Good, text.clone()),
            Finding::Absent(text) => ("absent", Colour::Faint, text.clone()),
            Finding::Missing(command) => ("missing", Colour::Bad, format!("get it: {command}")),
        };
        table.row([Cell::word(state).colour(colour), Cell::word(*name), Cell::word(text)]);
    }
    table.print()?;
    Ok(!findings.iter().any(|(_, finding)| matches!(finding, Finding::Missing(_))))
}

/// Runs a program for the first line it prints.
fn first_line(command: &mut Command) -> Option<String> {
    let finished = process::run_ok(command).ok()?;
    finished.stdout.lines().next().map(str::to_owned)
}

fn compiler() -> Finding {
    let wanted = env!("CARGO_PKG_RUST_VERSION");
    let Some(version) = first_line(workspace::rustc().arg("--version")) else {
        return Finding::Missing(format!("install Rust {wanted} from https://rustup.rs"));
    };
    let numbers = |text: &str| text.split('.').map_while(|part| part.parse::<u32>().ok()).collect::<Vec<_>>();
    let found = version.split_whitespace().nth(1).map(numbers).unwrap_or_default();
    if found < numbers(wanted) {
        return Finding::Missing(format!("rustup update stable (here: {version}, needed: {wanted})"));
    }
    Finding::Fine(version)
}

fn program(name: &str, command: &str) -> Finding {
    match workspace::find_program(name) {
        Some(path) => Finding::Fine(path.display().to_string()),
        None => Finding::Missing(command.to_owned()),
    }
}

fn target() -> Finding {
    match install::has_target(install::TARGET) {
        Ok(true) => Finding::Fine("installed".to_owned()),
        Ok(false) | Err(_) => Finding::Missing(install::target_command()),
    }
}

fn qemu_version() -> Finding {
    let version = qemu::find().ok().and_then(|program| first_line(Command::new(program).arg("--version")));
    version.map_or_else(|| Finding::Missing(install::qemu_command()), Finding::Fine)
}

fn firmware() -> Finding {
    let mut fine = Vec::new();
    for machine in Machine::ALL {
        match install::firmware(machine.firmware()) {
            Ok(files) if files.iter().all(|(_, file)| file.is_some()) => fine.push(machine.name()),
            _ => return Finding::Missing(format!("{} (no firmware for {machine})", install::qemu_command())),
        }
    }
    Finding::Fine(format!("for {}", fine.join(", ")))
}

/// What is made of packages.
fn fetched(packages: Option<String>) -> Finding {
    match packages {
        Some(packages) => Finding::Fine(packages),
        None => Finding::Absent("made when it is needed first".to_owned()),
    }
}

fn kvm() -> Finding {
    let extras = || HOSTS.iter().filter(|host| host.extra);
    let names = extras().map(|host| host.name).collect::<Vec<_>>().join(" and ");
    match extras().find_map(Host::missing) {
        None => Finding::Fine(format!("can be used; the hosts {names} are tried")),
        Some(reason) => Finding::Absent(format!("{reason}; the hosts {names} are skipped")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_kvm_is_what_its_hosts_do() {
        for host in HOSTS.iter().filter(|host| host.extra) {
            let (Finding::Fine(text) | Finding::Absent(text) | Finding::Missing(text)) = kvm();
            assert!(text.contains(host.name), "{text}");
            match host.missing() {
                Some(reason) => assert!(text.starts_with(&reason) && text.ends_with("skipped"), "{text}"),
                None => assert!(text.ends_with("tried"), "{text}"),
            }
        }
    }
}
