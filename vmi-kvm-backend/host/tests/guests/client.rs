//! The other end of the control socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::program::soon;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(1);

pub struct Client(BufReader<UnixStream>);

impl Client {
    /// Connects to a run that has begun, or soon will.
    pub fn connect(path: &Path) -> Self {
        let mut stream = None;
        soon("the control socket", || {
            stream = UnixStream::connect(path).ok();
            stream.is_some()
        });
        let mut client = Self(BufReader::new(stream.unwrap()));
        // The run has begun when it answers.
        client.ask_for(r#"{"command":"status"}"#, Duration::from_secs(10));
        client
    }

    /// Gives a command, of a name alone or as JSON, whose answer is in time and no refusal.
    pub fn ask(&mut self, command: &str) -> Value {
        self.ask_for(command, ANSWER)
    }

    /// The same, where the answer may take so long.
    pub fn ask_for(&mut self, command: &str, at_most: Duration) -> Value {
        let answer = self.try_ask(command, at_most);
        assert_eq!(answer["ok"], true, "{command}: {answer}");
        answer
    }

    /// The same, whatever the answer is.
    pub fn try_ask(&mut self, command: &str, at_most: Duration) -> Value {
        let named = format!("{{\"command\":\"{command}\"}}");
        let line = if command.starts_with('{') { command } else { &named };
        let stream = self.0.get_mut();
        stream.set_read_timeout(Some(at_most)).unwrap();
        stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap_or_else(|error| panic!("{command}: {error}"));
        serde_json::from_str(&answer).unwrap()
    }

    pub fn state(&mut self) -> String {
        self.ask("status")["state"].as_str().unwrap().to_owned()
    }
}
