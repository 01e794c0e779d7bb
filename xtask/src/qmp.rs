//! QEMU's control channel: starts the machine, and tells a power-off from a reset.
//!
//! QEMU ends with status 0 after both; only the event on this channel says which it was (QEMU QMP Reference Manual,
//! event SHUTDOWN and type ShutdownCause). The machine is started by command, so that no event can come before
//! anybody listens.

use std::path::Path;

use serde_json::{Value, json};

/// The options that open the channel on QEMU's standard input and output and keep the machine from starting.
pub(crate) const OPTIONS: [&str; 3] = ["-S", "-qmp", "stdio"];

/// The commands that start the machine.
pub(crate) const START: &str = "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"cont\"}\n";

/// Returns the commands that send the state of the running machine to whoever listens at a socket.
pub(crate) fn save(socket: &Path) -> String {
    let capability = json!({ "capability": "events", "state": true });
    let commands = [
        json!({ "execute": "migrate-set-capabilities", "arguments": { "capabilities": [capability] } }),
        json!({ "execute": "migrate-set-parameters", "arguments": { "max-bandwidth": 1_u64 << 40 } }),
        json!({ "execute": "migrate", "arguments": { "uri": format!("unix:{}", socket.display()) } }),
    ];
    commands.map(|command| format!("{command}\n")).concat()
}

/// Returns the options that have a machine go on from a state in a file.
pub(crate) fn go_on(state: &Path) -> [String; 2] {
    let file = state.display().to_string().replace('\'', r"'\''");
    ["-incoming".to_owned(), format!("exec:cat '{file}'")]
}

/// What QEMU said so far about its machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events {
    /// The machine ran.
    pub(crate) resumed: bool,
    /// Why the machine shut down, in QEMU's words.
    pub(crate) shutdown: Option<String>,
    /// Why the machine stopped without shutting down: nothing will happen any more.
    pub(crate) stopped: Option<String>,
    /// Whether the machine's state was sent, once that is over.
    pub(crate) saved: Option<bool>,
}

impl Events {
    /// Takes in one line of the channel; what is not an event of interest changes nothing.
    pub(crate) fn take(&mut self, line: &str) {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            return;
        };
        match message["event"].as_str() {
            Some("RESUME") => self.resumed = true,
            Some("SHUTDOWN") => {
                self.shutdown = message["data"]["reason"].as_str().map(str::to_owned);
            }
            Some("MIGRATION") => match message["data"]["status"].as_str() {
                Some("completed") => self.saved = Some(true),
                Some("failed" | "cancelled") => self.saved = Some(false),
                _ => {}
            },
            // A shut-down stops the machine as well; then the reason is known already.
            Some("STOP") if self.shutdown.is_none() => {
                self.stopped = Some("the machine stopped: the accelerator cannot go on".to_owned());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(lines: &[&str]) -> Events {
        let mut events = Events::default();
        lines.iter().for_each(|line| events.take(line));
        events
    }

    #[test]
    fn a_shutdown_carries_its_reason() {
        let seen = events(&[
            r#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": []}}"#,
            r#"{"return": {}}"#,
            r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RESUME"}"#,
            r#"{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}"#,
            r#"{"event": "STOP"}"#,
        ]);
        assert!(seen.resumed);
        assert_eq!(seen.shutdown.as_deref(), Some("guest-reset"));
        assert_eq!(seen.stopped, None);
    }

    #[test]
    fn a_stop_without_a_shutdown_is_an_end_of_its_own() {
        assert!(events(&[r#"{"event": "STOP"}"#]).stopped.is_some());
    }

    #[test]
    fn a_state_is_saved_once_it_is_completed() {
        let event = |status: &str| format!(r#"{{"event": "MIGRATION", "data": {{"status": "{status}"}}}}"#);
        assert_eq!(events(&[&event("setup"), &event("active")]).saved, None);
        assert_eq!(events(&[&event("active"), &event("completed")]).saved, Some(true));
        assert_eq!(events(&[&event("active"), &event("failed")]).saved, Some(false));
    }

    #[test]
    fn what_is_no_event_changes_nothing() {
        let seen = events(&["", "no json", "[]", "{\"event\": 7}"]);
        assert!(!seen.resumed && seen.shutdown.is_none() && seen.stopped.is_none());
    }
}
