//! What the guest says gets out, whatever takes it and however slowly; and nothing that takes it holds up the end.

use std::fs::{self, File};
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use vmi_abi::port_call::Number;

use crate::guest;
use crate::program::{program, soon, status};
use crate::signals::thread_of;
use crate::tiny::{BLOCKS, CODE, Tiny};

/// How long an end may take: a fraction of a second by its own doing, and the rest for a machine that is busy with
/// other tests and emulates this one.
const END: Duration = Duration::from_millis(2500);
/// What the smallest pipe holds.
const PIPE: usize = 4096;
/// How much the guests say that say much: more than the pipe holds, and than queue and pipe do.
const MORE_THAN_PIPE: usize = 0x4000;
const MORE_THAN_QUEUE: usize = 0x1_1800;

/// A pipe that holds as little as pipes can.
fn small_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    rustix::pipe::fcntl_setpipe_size(&writer, PIPE).unwrap();
    (reader, writer)
}

/// The writer's end of a pipe that holds nothing more and that nobody reads.
pub fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = small_pipe();
    writer.write_all(&[0; PIPE]).unwrap();
    (reader, writer)
}

fn start(image: &Path, options: &[&str], stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Child {
    let mut command = program();
    command.args(options).arg(image).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    command.spawn().unwrap()
}

pub fn kill(child: &Child, signal: i32) {
    // SAFETY: any numbers may be given.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

/// Waits until the program runs its guest, and output has had time to fill what takes it.
fn runs(child: &Child) {
    soon("the run", || {
        let threads = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
        let mut names = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")));
        names.any(|name| name.is_ok_and(|name| name.trim() == "console"))
    });
    thread::sleep(Duration::from_millis(200));
}

/// Waits for the end, which must come soon.
pub fn ends(child: &mut Child) -> Option<i32> {
    let begin = Instant::now();
    let status = status(child);
    assert!(begin.elapsed() <= END, "it took {:?} to end: {status}", begin.elapsed());
    status.code()
}

guest!(flood, "mov edx, 0x3f8; mov al, 0x78", "2: out dx, al; jmp 2b");
// Single characters, each of which waits in vain for the end of its line.
guest!(
    pieces,
    "mov edx, 0x3f8",
    "2: mov al, 0x78; out dx, al; mov ecx, 20000000",
    "3: dec ecx; jnz 3b; jmp 2b"
);
guest!(exits_not, "2: hlt; jmp 2b");
guest!(exits, "mov al, 0x78; mov edx, 0x3f8; out dx, al; mov al, 42; out 0xf4, al");
guest!(
    says_more_than_a_pipe_holds,
    "mov esi, 0x100000; mov ecx, 0x4000; mov edx, 0x3f8; rep outsb",
    "mov al, 42; out 0xf4, al"
);
guest!(
    says_more_than_the_queue_holds,
    "mov esi, 0x100000; mov ecx, 0x11800; mov edx, 0x3f8; rep outsb",
    "mov al, 42; out 0xf4, al"
);

guest!(
    says_more_than_the_queue_holds_by_the_debug_console,
    "mov esi, 0x100000; mov ecx, 0x11800; mov edx, 0xe9; rep outsb",
    "mov al, 42; out 0xf4, al"
);

/// A guest that says so many bytes, and what they are.
fn much(code: &'static [u8], bytes: usize) -> (Tiny, Vec<u8>) {
    let said: Vec<u8> = (0..bytes - PIPE).map(|at| (at * 7 % 251) as u8).collect();
    let mut all = code.to_vec();
    all.resize(PIPE, 0);
    all.extend(&said);
    (Tiny::new(code).with(CODE + PIPE as u64, &said), all)
}

#[test]
#[ignore = "needs KVM"]
fn output_that_nobody_reads_holds_up_no_end() {
    for code in [flood(), pieces(), exits()] {
        let image = Tiny::new(code).write();
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGUSR1] {
            let (_reader, writer) = full_pipe();
            let mut child = start(image.path(), &[], writer, Stdio::null());
            runs(&child);
            kill(&child, signal);
            assert_eq!(ends(&mut child), Some(128 + signal));
        }
        let (_reader, writer) = full_pipe();
        let begin = Instant::now();
        let mut child = start(image.path(), &["--limit", "0.5"], writer, Stdio::null());
        assert_eq!(status(&mut child).code(), Some(124));
        assert!(begin.elapsed() < Duration::from_millis(500) + 2 * END, "{:?}", begin.elapsed());
    }
}

#[test]
#[ignore = "needs KVM"]
fn no_console_takes_more_than_the_queue_holds_while_nobody_reads() {
    for code in [says_more_than_the_queue_holds(), says_more_than_the_queue_holds_by_the_debug_console()] {
        let image = Tiny::new(code).write();
        let (_reader, writer) = full_pipe();
        let mut child = start(image.path(), &[], writer, Stdio::null());
        let cpu = format!("/proc/{}/task/{}", child.id(), thread_of(child.id(), "cpu-0"));
        // It waits for room: three looks find it asleep, and in between it did nothing.
        let mut looks: Vec<String> = vec![];
        soon("waiting for room", || {
            let stat = fs::read_to_string(format!("{cpu}/stat")).unwrap_or_default();
            let switches = fs::read_to_string(format!("{cpu}/status")).unwrap_or_default();
            let switches = switches.lines().filter(|line| line.contains("ctxt_switches")).collect::<String>();
            looks.push(if stat.contains(") S ") { switches } else { String::new() });
            thread::sleep(Duration::from_millis(50));
            matches!(&looks[..], [.., a, b, c] if !a.is_empty() && a == b && b == c)
                || child.try_wait().unwrap().is_some()
        });
        assert!(child.try_wait().unwrap().is_none(), "it has said everything");
        kill(&child, libc::SIGTERM);
        assert_eq!(ends(&mut child), Some(143));
    }
}

#[test]
#[ignore = "needs KVM"]
fn what_is_said_about_a_run_holds_up_no_end_either() {
    let image = Tiny::new(flood()).write();
    let (_reader, writer) = full_pipe();
    let mut child = start(image.path(), &["--stats", "--verbose"], Stdio::null(), writer);
    runs(&child);
    kill(&child, libc::SIGTERM);
    assert_eq!(ends(&mut child), Some(143));
    // And where somebody is there to hear it, all is told, also to who asks twice.
    let image = Tiny::new(exits_not()).write();
    for second in [libc::SIGTERM, libc::SIGINT] {
        let (mut reader, writer) = pipe().unwrap();
        let mut child = start(image.path(), &["--stats=json"], Stdio::null(), writer);
        runs(&child);
        kill(&child, libc::SIGTERM);
        thread::sleep(Duration::from_millis(2));
        kill(&child, second);
        assert_eq!(ends(&mut child), Some(143));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
    }
    // A guest that ended by itself has everything told, until somebody wants no more of it.
    let image = Tiny::new(exits()).write();
    let (_reader, writer) = full_pipe();
    let mut child = start(image.path(), &["--verbose"], Stdio::null(), writer);
    thread::sleep(Duration::from_secs(1));
    assert!(child.try_wait().unwrap().is_none());
    kill(&child, libc::SIGTERM);
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(status(&mut child).signal(), Some(libc::SIGTERM));
}

#[test]
#[ignore = "needs KVM"]
fn a_slow_reader_gets_everything_also_where_writing_would_block() {
    let blocking = much(says_more_than_a_pipe_holds(), MORE_THAN_PIPE);
    let nonblocking = much(says_more_than_the_queue_holds(), MORE_THAN_QUEUE);
    for ((guest, all), is_nonblocking) in [(blocking, false), (nonblocking, true)] {
        let image = guest.write();
        let (mut reader, writer) = small_pipe();
        rustix::io::ioctl_fionbio(&writer, is_nonblocking).unwrap();
        let mut child = start(image.path(), &[], writer, Stdio::null());
        let mut said: Vec<u8> = Vec::new();
        let mut bytes = [0; PIPE];
        loop {
            thread::sleep(Duration::from_millis(10));
            match reader.read(&mut bytes) {
                Ok(0) => break,
                Ok(read) => said.extend(&bytes[..read]),
                // The mode is that of the pipe's end, of which this is the other.
                Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted),
            }
        }
        assert_eq!(status(&mut child).code(), Some(42));
        assert!(said == all, "{} of {} bytes", said.len(), all.len());
    }
}

#[test]
#[ignore = "needs KVM"]
fn closed_and_full_outputs_leave_the_status_alone() {
    let image = Tiny::new(exits()).write();
    let words = [program().get_program().to_str().unwrap().to_owned(), image.path().display().to_string()];
    for redirected in [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full"] {
        let script = format!("exec \"$0\" --stats --verbose \"$@\" {redirected}");
        let output = Command::new("sh").args(["-c", &script]).args(&words).output().unwrap();
        assert_eq!(output.status.code(), Some(42), "{redirected}");
        let text = String::from_utf8(output.stderr).unwrap();
        let lost =
            "vmi-run: 1 bytes of the console's output were lost: No space left on device (os error 28)\n";
        assert_eq!(text.contains(lost), redirected == ">/dev/full", "{redirected}: {text}");
    }
    // Who closes a pipe does not want to hear of it.
    let (reader, writer) = small_pipe();
    drop(reader);
    let (mut reader, stderr) = small_pipe();
    let mut child = start(image.path(), &[], writer, stderr);
    assert_eq!(status(&mut child).code(), Some(42));
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut child = start(&image.path().with_extension("none"), &[], full.try_clone().unwrap(), full);
    assert_eq!(status(&mut child).code(), Some(125));
}

guest!(
    posts_and_ends,
    "mov edx, 0x5640; mov eax, 0x105; out dx, eax",
    "mov edx, 0x5644; out dx, eax",
    "mov al, 3; out 0xf4, al",
);

#[test]
#[ignore = "needs KVM"]
fn a_batch_that_was_posted_just_before_the_end_is_served() {
    const BATCH: u64 = CODE + 0x5000;
    const POSTED: u64 = CODE + 0x6000;
    for _ in 0..10 {
        let guest = Tiny::new(posts_and_ends())
            .with_calls(BATCH, &[(Number::POST_BLOCK, POSTED, 0)])
            .with_posted(POSTED, &[(Number::CONSOLE_LINE, BLOCKS, 5)])
            .with(BLOCKS, b"hello");
        let (code, outcome, console) = guest.exit_code();
        assert_eq!((code, console.as_str()), (3, "hello\n"));
        let counts = outcome.statistics.unwrap().vmi;
        assert_eq!((counts["doorbells"], counts["posted"]), (1, 1));
    }
}
