//! The status of what ends before there is a guest: 125 for wrong options, for a guest may end with any other.

use std::process::{Command, Output, Stdio};

fn run(words: &str) -> Output {
    let script = format!("exec \"$0\" {words}");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_vmi-run")]).stdin(Stdio::null());
    command.output().unwrap()
}

#[test]
fn wrong_options_are_no_status_of_a_guest() {
    for (words, named) in [
        ("", "IMAGE"),
        ("--nonsense image", "--nonsense"),
        ("--memory lots image", "lots"),
        ("--limit -1 image", "-1"),
        ("--limit 9.3e18 image", "9.3e18"),
        ("--limit 1e20 image", "1e20"),
        ("--without floppy image", "floppy"),
        ("--pin 1-0 image", "1-0"),
        ("--profile xen image", "xen"),
        ("--restore snapshot image", "--restore"),
        ("--restore snapshot --memory 1G", "--memory"),
        ("--restore snapshot --restart", "--restart"),
        ("--restore snapshot --steal 1", "--steal"),
        ("--restore snapshot -- words", "--restore"),
        ("--restore /no/snapshot", "/no/snapshot"),
        ("--control /no/directory/control image", "/no/directory/control"),
    ] {
        let output = run(words);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(125), "{words}: {text}");
        assert!(text.contains(named), "{words}: {text}");
    }
}

#[test]
fn help_is_no_failure_whoever_hears_it() {
    for words in ["--help", "-h", "--version", "--help-bad-host"] {
        let output = run(words);
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{words}");
        assert!(!output.stdout.is_empty());
        for redirected in [">&-", ">/dev/full", "2>&-"] {
            assert_eq!(run(&format!("{words} {redirected}")).status.code(), Some(0), "{words} {redirected}");
        }
    }
    for redirected in ["2>&-", "2>/dev/full"] {
        assert_eq!(run(&format!("--nonsense {redirected}")).status.code(), Some(125), "{redirected}");
        assert_eq!(run(&format!("/no/image {redirected}")).status.code(), Some(125), "{redirected}");
    }
}
