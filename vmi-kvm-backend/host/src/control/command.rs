//! Commands and answers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What can be asked for.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "command", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Command {
    /// How the run stands.
    Status {},
    /// What was counted so far.
    Stats {},
    /// To stand still.
    Pause {},
    /// To go on.
    Resume {},
    /// A snapshot.
    Snapshot {
        /// The file that is to be made or replaced.
        file: PathBuf,
    },
    /// A non-maskable interrupt.
    Nmi {
        /// The CPU that gets it.
        #[serde(default)]
        cpu: usize,
    },
    /// The power button.
    Powerdown {},
    /// The end.
    Quit {},
}

impl Command {
    /// Reads a line.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub(super) fn read(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| {
            format!("`{}` is no command: {error}", String::from_utf8_lossy(line).trim_end().escape_debug())
        })
    }
}

/// An answer.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Answer {
    ok: bool,
    #[serde(flatten)]
    body: Body,
}

/// What an answer says beside.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Body {
    Done {},
    Status {
        /// `running`, `paused`, or `ending` where only output is left to be written.
        state: &'static str,
        cpus: usize,
        memory_bytes: u64,
        /// Since the run began.
        milliseconds: u64,
    },
    Stats {
        /// Exits to this program by kind, a CPU each.
        exits: Vec<BTreeMap<&'static str, u64>>,
        /// What calls by port counted up.
        vmi: BTreeMap<&'static str, u64>,
    },
    Error {
        error: String,
    },
}

impl Answer {
    pub(super) fn to_line(&self) -> Vec<u8> {
        // Every key is a string, and every value a number, a string or a list or map of such.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

impl<E: ToString> From<Result<Body, E>> for Answer {
    fn from(result: Result<Body, E>) -> Self {
        match result {
            Ok(body) => Self { ok: true, body },
            Err(error) => Self { ok: false, body: Body::Error { error: error.to_string() } },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_or_refused_with_what_is_wrong() {
        let read = |line: &str| Command::read(line.as_bytes());
        assert_eq!(read(r#"{"command":"status"}"#), Ok(Command::Status {}));
        assert_eq!(read("{\"command\":\"nmi\",\"cpu\":3}\r"), Ok(Command::Nmi { cpu: 3 }));
        assert_eq!(read(r#" {"command" : "nmi"} "#), Ok(Command::Nmi { cpu: 0 }));
        for (line, named) in [
            ("", "EOF"),
            ("status", "`status` is no command"),
            ("{}", "`command`"),
            (r#"{"command":"dance"}"#, "`dance`"),
            (r#"{"command":"status","cpu":1}"#, "`cpu`"),
            (r#"{"command":"nmi","cpu":-1}"#, "-1"),
            (r#"{"command":"snapshot"}"#, "`file`"),
            (r#"{"command":"quit"} {"command":"quit"}"#, "trailing"),
        ] {
            let refused = read(line).unwrap_err();
            assert!(refused.contains(named) && !refused.contains('\n'), "{line}: {refused}");
        }
        assert!(Command::read(b"\xff\0\x1b").unwrap_err().contains(r"\u{1b}"));
    }

    #[test]
    fn an_answer_is_a_line() {
        let done = Answer::from(Ok::<_, String>(Body::Done {})).to_line();
        assert_eq!(done, b"{\"ok\":true}\n");
        let refused = Answer::from(Err("no\nway")).to_line();
        assert_eq!(refused, b"{\"ok\":false,\"error\":\"no\\nway\"}\n");
    }
}
