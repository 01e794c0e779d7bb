use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use super::*;

/// How long a thread gets to do what it does at once.
const SOON: Duration = Duration::from_secs(5);

/// An output that answers by a script, and then takes everything; it tells what it took.
struct Script(VecDeque<io::Result<usize>>, Sender<Vec<u8>>);

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.0.pop_front().unwrap_or(Ok(bytes.len()))?.min(bytes.len());
        let _ = self.1.send(bytes[..taken].to_vec());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn start(output: impl Output + 'static) -> (Arc<Console>, JoinHandle<()>) {
    let console = Arc::new(Console::new(Box::new(output)));
    let writer = Arc::clone(&console);
    (console, thread::spawn(move || writer.write_out()))
}

fn soon(mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is() {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(1));
    }
}

/// Returns everything that got out, and what was lost.
fn written(script: Vec<io::Result<usize>>, text: &[u8]) -> (Vec<u8>, Option<Lost>) {
    let (sender, receiver) = channel();
    let (console, writer) = start(Script(script.into(), sender));
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        line.iter().for_each(|byte| console.put(*byte));
        console.wait_for_room();
    }
    console.close();
    writer.join().unwrap();
    assert!(console.is_done());
    (receiver.iter().flatten().collect(), console.lost())
}

#[test]
fn an_output_that_takes_little_or_nothing_now_gets_everything_in_the_end() {
    let text = b"a line\nand another\nand a piece".repeat(3000);
    let busy = || Err(ErrorKind::WouldBlock.into());
    let interrupted = || Err(ErrorKind::Interrupted.into());
    let script = vec![Ok(1), busy(), Ok(2), interrupted(), busy(), busy(), interrupted(), Ok(3)];
    let (out, lost) = written(script, &text);
    assert!(out == text, "{} of {} bytes", out.len(), text.len());
    assert!(lost.is_none(), "{lost:?}");
}

#[test]
fn what_an_output_refuses_is_lost_by_number_and_reason_and_the_rest_is_not() {
    let full = Err(io::Error::from_raw_os_error(libc::ENOSPC));
    let (out, lost) = written(vec![Ok(2), full], b"12345");
    let lost = lost.unwrap();
    assert_eq!((out.len() + lost.bytes, lost.kind), (5, ErrorKind::StorageFull));
    let text = lost.to_string();
    let expected = "bytes of the console's output were lost: No space left on device (os error 28)";
    assert!(text.ends_with(expected), "{text}");
    let (_, lost) = written(vec![Ok(0)], b"1");
    assert_eq!(lost.unwrap().kind, ErrorKind::WriteZero);
}

#[test]
fn a_piece_of_a_line_waits_a_little_and_a_line_goes_out_whole() {
    let (sender, receiver) = channel();
    let (console, writer) = start(Script(VecDeque::new(), sender));
    let begin = Instant::now();
    console.put_bytes(b"piece");
    assert_eq!(receiver.recv_timeout(SOON).unwrap(), b"piece");
    assert!(begin.elapsed() >= PATIENCE, "{:?}", begin.elapsed());
    console.put_line(b"a line");
    assert_eq!(receiver.recv_timeout(SOON).unwrap(), b"a line\n");
    console.close();
    writer.join().unwrap();
}

/// What the smallest pipe holds.
const PIPE: usize = 4096;

/// A pipe that is full and that nobody reads.
fn full_pipe() -> (io::PipeReader, io::PipeWriter) {
    let (reader, mut writer) = io::pipe().unwrap();
    rustix::pipe::fcntl_setpipe_size(&writer, PIPE).unwrap();
    writer.write_all(&[b'x'; PIPE]).unwrap();
    (reader, writer)
}

#[test]
fn who_writes_waits_for_room_until_the_run_is_over_and_nobody_else_waits() {
    let (_reader, pipe) = full_pipe();
    let (console, writer) = start(pipe);
    // From here on it takes nothing out of the queue.
    console.put_bytes(&[b'x'; LINE_MAX]);
    soon(|| lock(&console.queue).is_writing);
    let cpu = Arc::clone(&console);
    let (sender, receiver) = channel();
    let cpu = thread::spawn(move || {
        loop {
            cpu.put_bytes(&[b'x'; 100]);
            cpu.wait_for_room();
            if cpu.waiting() >= ROOM {
                return sender.send(()).unwrap();
            }
        }
    });
    soon(|| lock(&console.queue).held_up == 1);
    assert!(console.waiting() < ROOM + 100);
    assert!(receiver.try_recv().is_err(), "the CPU waits");
    console.let_pass(true);
    receiver.recv_timeout(SOON).unwrap();
    cpu.join().unwrap();
    console.let_pass(false);
    let cpu = Arc::clone(&console);
    let cpu = thread::spawn(move || cpu.wait_for_room());
    soon(|| lock(&console.queue).held_up == 1);
    console.let_go();
    cpu.join().unwrap();
    // The thread that writes is in the middle of a system call, out of which a signal gets it.
    crate::vcpu::install_handler().unwrap();
    assert!(!console.is_done());
    console.give_up();
    soon(|| {
        crate::vcpu::kick_thread(&writer);
        console.is_done()
    });
    let lost = console.lost().unwrap();
    assert_eq!(lost.kind, ErrorKind::TimedOut);
    assert!(lost.bytes >= LINE_MAX + ROOM, "{lost}");
}

#[test]
fn an_output_that_panics_holds_nobody_up() {
    struct Panics;
    impl Write for Panics {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            panic!("as it should")
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (console, writer) = start(Panics);
    console.put_line(b"a line");
    assert!(writer.join().is_err() && console.is_done());
    console.put_bytes(&[0; 2 * ROOM]);
    console.wait_for_room();
}
