//! `x86/unittests.cfg`: what a checkout says of its tests.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// Where it lies in a checkout.
pub(super) const PATH: &str = "x86/unittests.cfg";

/// What `smp = $MAX_SMP` is for: as many CPUs as the rig has.
const MAX_SMP: &str = "1";

/// What surrounds a value of several lines.
const LINES: &str = "\"\"\"";

/// One test.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Entry {
    /// What it is called; not always by one name alone.
    pub(super) name: String,
    /// The file beside `unittests.cfg` that is its image.
    pub(super) file: String,
    /// The value for QEMU's `-smp`.
    pub(super) smp: String,
    /// More words for QEMU, as a shell would read them.
    pub(super) params: String,
    /// The command line, as a shell would read it.
    pub(super) test_args: Option<String>,
    /// The only architecture that it is for.
    pub(super) arch: Option<String>,
    /// The only accelerator that it is for.
    pub(super) accel: Option<String>,
    /// The groups that it belongs to.
    pub(super) groups: Vec<String>,
    /// How long it may take; 0 means for ever.
    pub(super) timeout: Option<Duration>,
    /// Files of the host, and what each must hold for the test to make sense.
    pub(super) checks: Vec<(String, String)>,
}

/// Reads the file. Keys that are unknown say nothing, as in kvm-unit-tests itself.
///
/// # Errors
///
/// Names the line that is of no known form.
pub(super) fn read(text: &str) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut lines = text.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = || format!("{PATH}, line {number}");
        if line.starts_with('[') {
            let name = uncommented(line).strip_prefix('[').and_then(|name| name.strip_suffix(']'));
            let name = name.map(str::trim).filter(|name| !name.is_empty());
            let name = name.with_context(|| format!("{}: `{line}` is no name in brackets", bad()))?;
            entries.last().map_or(Ok(()), finish)?;
            entries.push(Entry { name: name.to_owned(), smp: "1".to_owned(), ..Entry::default() });
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            bail!("{}: `{line}` is neither [NAME] nor KEY = VALUE", bad());
        };
        let value = match value.trim().strip_prefix(LINES) {
            Some(first) => {
                several(first, &mut lines).with_context(|| format!("{}: {LINES} has no end", bad()))?
            }
            None => value.trim().to_owned(),
        };
        let entry =
            entries.last_mut().with_context(|| format!("{}: `{line}` stands under no [NAME]", bad()))?;
        set(entry, key.trim(), &value).with_context(bad)?;
    }
    entries.last().map_or(Ok(()), finish)?;
    ensure!(!entries.is_empty(), "{PATH} has no test in it");
    Ok(entries)
}

/// Refuses a test that has no image.
fn finish(entry: &Entry) -> Result<()> {
    ensure!(!entry.file.is_empty(), "{PATH}: the test `{}` has no file", entry.name);
    Ok(())
}

/// Reads on to the end of a value of several lines.
fn several<'a>(first: &str, lines: &mut impl Iterator<Item = (&'a str, u32)>) -> Option<String> {
    let mut value = first.to_owned();
    loop {
        if let Some(value) = value.trim_end().strip_suffix(LINES) {
            return Some(value.trim().to_owned());
        }
        value.push('\n');
        value.push_str(lines.next()?.0);
    }
}

fn set(entry: &mut Entry, key: &str, value: &str) -> Result<()> {
    let plain = uncommented(value);
    match key {
        "file" => {
            ensure!(!plain.contains('/'), "`{plain}` is not the name of a file alone");
            plain.clone_into(&mut entry.file);
        }
        "smp" => plain.replace("$MAX_SMP", MAX_SMP).clone_into(&mut entry.smp),
        // Comments in these are for whoever knows about quotes.
        "extra_params" | "qemu_params" => value.clone_into(&mut entry.params),
        "test_args" => entry.test_args = Some(value.to_owned()),
        "arch" => entry.arch = some(plain),
        "accel" => entry.accel = some(plain),
        "groups" => entry.groups = plain.split_whitespace().map(str::to_owned).collect(),
        "timeout" => entry.timeout = Some(duration(plain)?),
        "check" => {
            for check in plain.split_whitespace() {
                let (path, value) =
                    check.split_once('=').with_context(|| format!("`{check}` is not PATH=VALUE"))?;
                entry.checks.push((path.to_owned(), value.to_owned()));
            }
        }
        _ => {}
    }
    Ok(())
}

fn some(value: &str) -> Option<String> {
    Some(value.to_owned()).filter(|value| !value.is_empty())
}

/// Returns the text before a comment.
fn uncommented(text: &str) -> &str {
    let begins = |at: usize| text[..at].ends_with(char::is_whitespace) || at == 0;
    let comment = text.match_indices('#').find(|(at, _)| begins(*at));
    text[..comment.map_or(text.len(), |(at, _)| at)].trim_end()
}

/// Reads a time as `timeout` of the GNU Core Utilities does, in whole numbers.
fn duration(text: &str) -> Result<Duration> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 60 * 60),
        _ => (text, 1),
    };
    let seconds = number.parse().ok().and_then(|number: u32| number.checked_mul(unit));
    let seconds = seconds.with_context(|| format!("`{text}` is not a number of seconds"))?;
    Ok(Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Entry {
        let entries = read(text).unwrap();
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries.into_iter().next().unwrap()
    }

    fn refused(text: &str) -> String {
        format!("{:#}", read(text).unwrap_err())
    }

    #[test]
    fn a_test_has_all_its_keys() {
        let entry =
            one("[svm]\nfile = svm.flat\nsmp = 2\nextra_params = -cpu max,+svm -m 4g -append \"-pause\"\n\
             arch = x86_64\ngroups = svm nodefault\naccel = kvm\ntimeout = 30\ntest_args = 'a b'\n\
             check = /sys/a=Y /proc/b=0\ncheck = /proc/c=N\n");
        let check = |path: &str, value: &str| (path.to_owned(), value.to_owned());
        let expected = Entry {
            name: "svm".to_owned(),
            file: "svm.flat".to_owned(),
            smp: "2".to_owned(),
            params: "-cpu max,+svm -m 4g -append \"-pause\"".to_owned(),
            test_args: Some("'a b'".to_owned()),
            arch: Some("x86_64".to_owned()),
            accel: Some("kvm".to_owned()),
            groups: vec!["svm".to_owned(), "nodefault".to_owned()],
            timeout: Some(Duration::from_secs(30)),
            checks: vec![check("/sys/a", "Y"), check("/proc/b", "0"), check("/proc/c", "N")],
        };
        assert_eq!(entry, expected);
    }

    #[test]
    fn what_is_not_said_is_left_to_the_defaults() {
        let entry = one("[a]\nfile = a.flat");
        let file = "a.flat".to_owned();
        assert_eq!(entry, Entry { name: "a".to_owned(), file, smp: "1".to_owned(), ..Entry::default() });
    }

    #[test]
    fn comments_say_nothing() {
        let entry = one(
            "####\n# [no]\n\n#[init]\n[a] # why\n# file = no.flat\nfile = a.flat\t# its file\n  smp = 3 #\n\
             groups = # none\narch =#all\nqemu_params = -append 'a #b' # c\n",
        );
        assert_eq!((entry.file.as_str(), entry.smp.as_str()), ("a.flat", "3"));
        assert!(entry.groups.is_empty() && entry.arch.is_none());
        assert_eq!(entry.params, "-append 'a #b' # c");
    }

    #[test]
    fn lines_may_end_as_in_dos_and_blanks_may_be_missing() {
        let entry = one("[a]\r\nfile=a.flat\r\ntest_args=x\r\ntimeout=90s\r\n");
        assert_eq!((entry.file.as_str(), entry.test_args.as_deref()), ("a.flat", Some("x")));
        assert_eq!(entry.timeout, Some(Duration::from_secs(90)));
    }

    #[test]
    fn keys_of_other_checkouts_are_passed_over() {
        let entry =
            one("[a]\nfile = a.flat\nkvmtool_params = -x\ndisabled_if = [[ a = b ]]\nmachine = q35\n");
        assert_eq!(entry, one("[a]\nfile = a.flat"));
    }

    #[test]
    fn a_name_may_be_there_twice() {
        let entries = read("[a]\nfile = a.flat\n[a]\nfile = b.flat").unwrap();
        let files: Vec<&str> = entries.iter().map(|entry| entry.file.as_str()).collect();
        assert_eq!(files, ["a.flat", "b.flat"]);
    }

    #[test]
    fn values_may_have_several_lines() {
        let entry = one(
            "[a]\nfile = a.flat\nextra_params = \"\"\"-cpu max \\\n-append 'x y' \\\n  -m 1g\"\"\"\nsmp = 2\n",
        );
        assert_eq!(entry.params, "-cpu max \\\n-append 'x y' \\\n  -m 1g");
        assert_eq!(entry.smp, "2");
        assert_eq!(one("[a]\nfile = a.flat\nqemu_params = \"\"\"-m 1g\"\"\"\n").params, "-m 1g");
        let said = refused("[a]\nfile = a.flat\nqemu_params = \"\"\"-m 1g\n[b]\nfile = b.flat\n");
        assert_eq!(said, "x86/unittests.cfg, line 3: \"\"\" has no end");
    }

    #[test]
    fn times_have_units() {
        for (text, seconds) in [("30", 30), ("30s", 30), ("2m", 120), ("1h", 3600), ("0", 0)] {
            assert_eq!(duration(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        for text in ["", "s", "-1", "1.5", "9999999999", "4294967295h", "1d"] {
            assert_eq!(
                duration(text).unwrap_err().to_string(),
                format!("`{text}` is not a number of seconds")
            );
        }
    }

    #[test]
    fn the_rig_has_one_cpu() {
        assert_eq!(one("[a]\nfile = a.flat\nsmp = $MAX_SMP\n").smp, "1");
    }

    #[test]
    fn what_has_no_known_form_is_named() {
        for (text, said) in [
            ("", "x86/unittests.cfg has no test in it"),
            ("# nothing\n", "x86/unittests.cfg has no test in it"),
            ("[a]\nsmp = 1\n", "x86/unittests.cfg: the test `a` has no file"),
            ("[a]\n[b]\nfile = b.flat", "x86/unittests.cfg: the test `a` has no file"),
            ("[a]\nfile =\n", "x86/unittests.cfg: the test `a` has no file"),
            ("smp = 2\n[a]\n", "x86/unittests.cfg, line 1: `smp = 2` stands under no [NAME]"),
            (
                "[a]\nfile a.flat\n",
                "x86/unittests.cfg, line 2: `file a.flat` is neither [NAME] nor KEY = VALUE",
            ),
            ("\n[a\nfile = a.flat\n", "x86/unittests.cfg, line 2: `[a` is no name in brackets"),
            ("[ ]\nfile = a.flat\n", "x86/unittests.cfg, line 1: `[ ]` is no name in brackets"),
            ("[a]\nfile = ../a\n", "x86/unittests.cfg, line 2: `../a` is not the name of a file alone"),
            ("[a]\ntimeout = soon\n", "x86/unittests.cfg, line 2: `soon` is not a number of seconds"),
            ("[a]\ncheck = /proc/a\n", "x86/unittests.cfg, line 2: `/proc/a` is not PATH=VALUE"),
        ] {
            assert_eq!(refused(text), said, "{text:?}");
        }
    }
}
