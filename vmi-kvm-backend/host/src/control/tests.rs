//! The socket, of a run without a guest.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::client::Client;
use super::{Control, Facts, Server};
use crate::ending::Ending;
use crate::shared::Shared;

const STATUS: &str = r#"{"command":"status"}"#;

struct Socket {
    directory: tempfile::TempDir,
    shared: Arc<Shared>,
    _server: Server,
    _control: Control,
}

impl Socket {
    /// Serves a socket of a run in which no CPU ever parks, or that has none.
    fn new(cpus: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let control = Control::bind(&directory.path().join("control")).unwrap();
        let shared = Shared::of_no_guest(cpus);
        let facts = Facts { cpus, memory_bytes: 4096, has_power: false };
        let server = Server::start(control.listener().unwrap(), facts, &shared).unwrap();
        Self { directory, shared, _server: server, _control: control }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.directory.path().join("control")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        stream
    }

    fn ask(&self, commands: &str) -> Vec<serde_json::Value> {
        let mut stream = self.connect();
        stream.write_all(commands.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let lines = BufReader::new(stream).lines();
        lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
    }

    /// Asks for the status, which must come in a second.
    fn state(&self) -> String {
        let answers = self.ask(STATUS);
        assert_eq!((answers.len(), answers[0]["ok"].as_bool()), (1, Some(true)), "{answers:?}");
        answers[0]["state"].as_str().unwrap().to_owned()
    }
}

#[test]
fn answers_come_in_order_also_where_they_take_long() {
    let socket = Socket::new(0);
    let commands = ["pause", "status", "resume", "status", "dance"];
    let commands: String = commands.map(|name| format!("{{\"command\":\"{name}\"}}\n")).concat();
    let answers = socket.ask(&commands);
    let states: Vec<Option<&str>> = answers.iter().map(|answer| answer["state"].as_str()).collect();
    assert_eq!(states, [None, Some("paused"), None, Some("running"), None]);
    let ok: Vec<bool> = answers.iter().map(|answer| answer["ok"].as_bool().unwrap()).collect();
    assert_eq!(ok, [true, true, true, true, false]);
    assert!(answers[4]["error"].as_str().unwrap().contains("`dance`"), "{answers:?}");
    assert_eq!((&answers[1]["cpus"], &answers[1]["memory_bytes"]), (&0.into(), &4096.into()));
}

#[test]
fn what_was_said_before_a_client_closed_is_obeyed() {
    // Its answer fails; it is longer in coming than the client stays; it is too long for who reads nothing of it.
    for (before, times) in [("status", 1), ("pause", 1), ("status", 2000)] {
        let socket = Socket::new(0);
        let mut stream = socket.connect();
        let commands = format!("{{\"command\":\"{before}\"}}\n").repeat(times) + r#"{"command":"quit"}"#;
        stream.write_all(commands.as_bytes()).unwrap();
        drop(stream);
        let begin = Instant::now();
        while !socket.shared.is_over() && begin.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(socket.state(), "ending", "{times} times {before}");
    }
}

#[test]
fn a_client_that_closed_and_waits_is_not_polled() {
    let (mut peer, stream) = UnixStream::pair().unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut client = Client::new(stream, 0);
    peer.write_all(b"first\n").unwrap();
    client.serve(PollFlags::IN);
    assert_eq!(client.command().unwrap(), b"first\n");
    peer.write_all(b"second").unwrap();
    drop(peer);
    assert_eq!(client.interest(), Some(PollFlags::empty()));
    client.serve(PollFlags::HUP);
    assert_eq!((client.interest(), client.is_gone()), (None, false), "its end would be told again at once");
    client.answer(&Err("the first").into());
    assert_eq!((client.interest(), client.is_gone()), (Some(PollFlags::IN), false));
    for _ in 0..2 {
        client.serve(PollFlags::IN | PollFlags::HUP);
    }
    assert_eq!(client.command().unwrap(), b"second");
    client.answer(&Err("the second").into());
    assert!(client.is_gone());
}

#[test]
fn who_says_half_a_line_or_reads_nothing_or_comes_in_numbers_starves_nobody() {
    let socket = Socket::new(1);
    let mut deaf = socket.connect();
    deaf.set_nonblocking(true).unwrap();
    let commands = format!("{STATUS}\n").repeat(1000);
    let (mut taken, mut is_full) = (0, false);
    let begin = Instant::now();
    // Until it takes no more for as long as it would take to answer.
    while !is_full && begin.elapsed() < Duration::from_secs(10) {
        match deaf.write(commands.as_bytes()) {
            Ok(written) => taken += written,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                std::thread::sleep(Duration::from_millis(300));
                is_full = deaf.write(b"{").is_err();
            }
        }
    }
    assert!(is_full && taken < 2 << 20, "{taken} bytes were taken from who reads no answer");
    let mut crowd: Vec<UnixStream> = (0..40).map(|_| socket.connect()).collect();
    crowd.iter().for_each(|stream| stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap());
    for stream in &mut crowd {
        // Those that made way for others are closed.
        let _ = stream.write_all(br#"{"command":"#);
    }
    assert_eq!(socket.state(), "running");
    for (at, stream) in crowd.iter_mut().enumerate() {
        // The last ones are left, but for one that has made way for the question.
        let is_closed = !matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
        assert_eq!(is_closed, at < 40 - 15, "connection {at}");
    }
    drop(crowd);
    assert_eq!(socket.state(), "running");
}

#[test]
fn a_line_without_an_end_is_refused_and_closed() {
    let socket = Socket::new(1);
    let mut stream = socket.connect();
    let _ = stream.write_all(&[b'x'; 20_000]);
    let mut answer = String::new();
    // What was sent and not read makes the end a reset.
    let _ = stream.read_to_string(&mut answer);
    assert_eq!(answer, "{\"ok\":false,\"error\":\"a command has more than 8192 bytes\"}\n");
}

#[test]
fn a_pause_that_takes_long_holds_up_nobody_else_and_ends_with_the_run() {
    let socket = Socket::new(2);
    let mut waits = socket.connect();
    waits.write_all(b"{\"command\":\"pause\"}\n").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(socket.state(), "running", "its CPUs never park");
    assert_eq!(
        socket.ask(r#"{"command":"nmi","cpu":2}"#)[0]["error"],
        "there is no CPU 2: the guest's are 0 to 1"
    );
    let text = "the guest has no power button, for `power` was left out";
    assert_eq!(socket.ask(r#"{"command":"powerdown"}"#)[0]["error"], text);
    assert_eq!(socket.ask(r#"{"command":"quit"}"#)[0]["ok"], true);
    assert_eq!(socket.state(), "ending");
    let mut answer = String::new();
    BufReader::new(waits).read_line(&mut answer).unwrap();
    assert_eq!(answer, "{\"ok\":false,\"error\":\"the run is over\"}\n");
    assert_eq!(socket.shared.outcome().unwrap().unwrap(), Ending::Quit);
}

#[test]
fn what_was_counted_is_told() {
    let socket = Socket::new(2);
    socket.shared.book.count(1, crate::accounting::Kind::PortWrite, None);
    let answer = &socket.ask(r#"{"command":"stats"}"#)[0];
    assert_eq!([0, 1].map(|cpu| answer["exits"][cpu]["port-write"].as_u64().unwrap()), [0, 1]);
    assert_eq!(answer["vmi"]["calls"], 0);
}
