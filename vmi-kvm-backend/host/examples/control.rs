//! Gives commands by a control socket: `control PATH status pause '{"command":"nmi","cpu":1}'`, each as its name alone or
//! as JSON; prints the answers, a line each, and fails at the first refusal.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

fn main() -> std::io::Result<ExitCode> {
    let mut words = std::env::args().skip(1);
    let path = words.next().unwrap_or_default();
    let mut stream = BufReader::new(UnixStream::connect(path)?);
    for word in words {
        let line = if word.starts_with('{') { word } else { format!("{{\"command\":\"{word}\"}}") };
        writeln!(stream.get_mut(), "{line}")?;
        let mut answer = String::new();
        stream.read_line(&mut answer)?;
        print!("{answer}");
        if !answer.starts_with("{\"ok\":true") {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
