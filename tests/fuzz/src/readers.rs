//! Other programs that read `.env` files, asked about some of the inputs: each costs more than the
//! check of many. Never asked what could run: a shell sees assignments of plain words alone.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use pk_tests::skipped;

/// One of so many inputs is shown to python-dotenv, which stays, and to a shell, which is started.
const PYTHON: u64 = 32;
const SHELL: u64 = 1024;

/// A reader that is asked at times.
#[derive(Debug)]
struct Sample {
    count: AtomicU64,
    every: AtomicU64,
}

impl Sample {
    const fn every(number: u64) -> Sample {
        Sample {
            count: AtomicU64::new(0),
            every: AtomicU64::new(number),
        }
    }

    /// Whether it is asked now. The first input is shown, so that one that is replayed is.
    fn is_due(&self) -> bool {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        count.is_multiple_of(self.every.load(Ordering::Relaxed))
    }

    /// From now on it sees all: what it did not agree with is to be made small.
    fn sees_all(&self) {
        self.every.store(1, Ordering::Relaxed);
    }
}

/// Checks what python-dotenv reads, if it is asked about this input.
///
/// # Panics
/// It reads `before` as is said there, and not `after`.
pub(crate) fn check_python(before: (&[u8], &Values), after: (&[u8], &Values)) {
    static SAMPLE: Sample = Sample::every(PYTHON);
    if !SAMPLE.is_due() {
        return;
    }
    if python_dotenv(before.0).as_ref() == Some(before.1) {
        let read = python_dotenv(after.0);
        if read.as_ref() != Some(after.1) {
            SAMPLE.sees_all();
            panic!("python-dotenv differs: {read:?}, not {:?}", after.1);
        }
    }
}

/// Checks what a shell reads of the value of a key, if it is asked about this input.
///
/// # Panics
/// It reads something else.
pub(crate) fn check_shell(file: &[u8], key: &str, value: &str) {
    static SAMPLE: Sample = Sample::every(SHELL);
    if !SAMPLE.is_due() {
        return;
    }
    let read = shell(file, key);
    if read.as_deref().is_some_and(|read| read != value.as_bytes()) {
        SAMPLE.sees_all();
        panic!("sh differs: {read:?}, not {value:?}");
    }
}

/// What each key is.
pub(crate) type Values = BTreeMap<String, String>;

struct Python {
    child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
}

/// Reads files, each a line of JSON, and prints what they say.
const SCRIPT: &str = "\
import io, json, sys, dotenv
for line in sys.stdin:
    # As open() reads a text.
    file = io.StringIO(json.loads(line), newline=None)
    read = dotenv.dotenv_values(stream=file, interpolate=False)
    print(json.dumps({key: value for key, value in read.items() if value is not None}), flush=True)
";

/// `None` where there is none, or it can't read this.
fn python_dotenv(file: &[u8]) -> Option<Values> {
    static PYTHON: OnceLock<Option<Mutex<Python>>> = OnceLock::new();
    let text = std::str::from_utf8(file).ok()?;
    let python = PYTHON.get_or_init(|| Python::start().map(Mutex::new));
    let mut python = python.as_ref()?.lock().ok()?;
    let line = serde_json::to_string(text).unwrap() + "\n";
    python.ask.write_all(line.as_bytes()).unwrap();
    let mut answer = String::new();
    python.answer.read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).ok()
}

impl Python {
    fn start() -> Option<Python> {
        let mut python = Command::new("python3");
        let piped = python.args(["-c", SCRIPT]).stderr(Stdio::null());
        let child = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.ok()?;
        let (ask, answer) = (child.stdin.take()?, child.stdout.take()?);
        let mut python = Python {
            child,
            ask,
            answer: BufReader::new(answer),
        };
        let mut answer = String::new();
        let is_there = python.ask.write_all(b"\"\"\n").is_ok()
            && python.answer.read_line(&mut answer).is_ok()
            && answer == "{}\n";
        if !is_there {
            skipped("python-dotenv, which reads .env files, is not there");
            let _ = python.child.wait();
        }
        is_there.then_some(python)
    }
}

/// `None` where the file is more than assignments of what no shell looks into.
fn shell(file: &[u8], key: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(file).ok()?;
    let special = ["PATH", "IFS", "ENV", "OPTIND", "PPID", "LINENO", "PS4"];
    if !text.split_terminator('\n').all(is_tame) || special.contains(&key) {
        return None;
    }
    let script = format!("eval \"$1\"; printf %s \"${key}\"");
    let output = Command::new("sh")
        .args(["-c", &script, "sh", text])
        .output();
    output.ok().map(|output| output.stdout)
}

fn is_tame(line: &str) -> bool {
    if line.is_empty() || line.starts_with('#') {
        return true;
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let Some((key, value)) = line.split_once('=') else {
        return false;
    };
    let is_name = key.starts_with(|one: char| one.is_ascii_alphabetic())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:@%+,=-".contains(&byte);
    let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    let is_inert = |byte: u8| !b"'\"\\$`\r\0".contains(&byte);
    is_name
        && match (quoted('\''), quoted('"')) {
            (Some(inner), _) => inner.bytes().all(|byte| byte == b'"' || is_inert(byte)),
            (_, Some(inner)) => inner.bytes().all(|byte| byte == b'\'' || is_inert(byte)),
            _ => value.bytes().all(is_plain),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_sees_assignments_alone() {
        let check = |line: &str, expect| assert_eq!(is_tame(line), expect, "{line}");
        for tame in ["", "# `x`", "A=", "A=1", "export A='a $b'", "A=\"it's\""] {
            check(tame, !tame.contains('$') || tame.starts_with('#'));
        }
        for wild in [
            "x",
            "A=1 x",
            "A=$(x)",
            "A=`x`",
            "A=\"`x`\"",
            "A='a'b'",
            "A;x=1",
        ] {
            check(wild, false);
        }
        assert_eq!(shell(b"A=1\nB=\"it's\"\n", "B").unwrap(), b"it's");
        assert_eq!(shell(b"A=1\nx\n", "A"), None);
    }
}
