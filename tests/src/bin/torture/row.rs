//! A row: what it tries, what it needs, and the one line that comes of it. Never knows what a row is
//! about.

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pk_tests::has;
use pk_tests::process::spawn;
use rustix::process::{Signal, geteuid, set_parent_process_death_signal};

use crate::options::{Options, Scale};

/// What a row tries, and how.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// In a few words.
    pub(crate) about: &'static str,
    pub(crate) needs: Needs,
    /// Panics where it does not hold.
    pub(crate) run: fn(&Options) -> Outcome,
}

/// What a row found where all went well: its figures; or why it could not run here.
pub(crate) type Outcome = Result<String, Skipped>;

/// Why a row could not run here.
#[derive(Debug)]
pub(crate) struct Skipped(pub(crate) String);

/// What a row's process must be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    /// A mount namespace of its own.
    Mounts,
    /// The same, and a process namespace of its own.
    Processes,
}

/// How a row's process says what came of it.
const PASSED: u8 = 0;
const FAILED: u8 = 1;
const SKIPPED: u8 = 2;

/// A quick row that has not ended by then hangs.
const QUICK_LIMIT: Duration = Duration::from_secs(120);

/// Runs the rows that were asked for, each in a process of its own, and prints a line for each.
pub(crate) fn run(rows: &[&Row], options: &Options) -> ExitCode {
    let is_asked =
        |row: &Row| options.rows.is_empty() || options.rows.iter().any(|it| it == row.name);
    let chosen: Vec<&Row> = rows.iter().copied().filter(|row| is_asked(row)).collect();
    let is_known = |name: &&String| rows.iter().any(|row| row.name == **name);
    if let Some(unknown) = options.rows.iter().find(|name| !is_known(name)) {
        eprintln!("error: {unknown} is no row; --list names them");
        return ExitCode::from(2);
    }
    if options.is_row {
        return chosen
            .first()
            .map_or(ExitCode::from(2), |row| here(row, options));
    }
    let begun = Instant::now();
    let mut counts = [0_usize; 3];
    for row in chosen {
        counts[usize::from(elsewhere(row, options))] += 1;
    }
    let [passed, failed, skipped] = counts;
    let (seconds, seed) = (begun.elapsed().as_secs(), options.seed);
    let scale = format!("{:?}", options.scale).to_lowercase();
    eprintln!(
        "torture: {passed} passed, {failed} failed, {skipped} skipped; {seconds} s, scale {scale}, seed {seed}"
    );
    ExitCode::from(u8::from(failed > 0))
}

/// Runs a row in this process, which does nothing else.
fn here(row: &Row, options: &Options) -> ExitCode {
    // Whoever asked for it has gone: nobody wants to know any more.
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    panic::set_hook(Box::new(note));
    let begun = Instant::now();
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (row.run)(options)));
    match outcome {
        Ok(Ok(figures)) => {
            let seconds = begun.elapsed().as_secs_f32();
            say("pass", row, &format!("{figures}, {seconds:.1} s"));
            ExitCode::from(PASSED)
        }
        Ok(Err(Skipped(why))) => {
            say("skipped", row, &why);
            ExitCode::from(SKIPPED)
        }
        Err(_) => {
            let why = WHY.lock().unwrap_or_else(PoisonError::into_inner).clone();
            fail(row, options, why.as_deref().unwrap_or("it panicked"));
            ExitCode::from(FAILED)
        }
    }
}

/// Runs a row in a process of its own; gives back how it ended.
fn elsewhere(row: &Row, options: &Options) -> u8 {
    let mut command = match row.needs.command() {
        Ok(command) => command,
        Err(Skipped(why)) => {
            say("skipped", row, &why);
            return SKIPPED;
        }
    };
    command.arg("--in-row").args(options.words_for(row.name));
    let begun = Instant::now();
    let mut child = spawn(&mut command).expect("ourselves");
    let limit =
        (options.scale == Scale::Quick).then_some(QUICK_LIMIT + options.time.unwrap_or_default());
    let ended = loop {
        if let Some(status) = child.try_wait().expect("our own child") {
            break status.code().and_then(|code| u8::try_from(code).ok());
        }
        if limit.is_some_and(|limit| begun.elapsed() > limit) {
            end(&mut child);
            fail(row, options, "it hangs");
            return FAILED;
        }
        thread::sleep(Duration::from_millis(20));
    };
    match ended {
        Some(code @ (PASSED | FAILED | SKIPPED)) => code,
        code => {
            fail(row, options, &format!("its process ended with {code:?}"));
            FAILED
        }
    }
}

fn end(child: &mut Child) {
    // Gone already is as good.
    let _ = child.kill();
    let _ = child.wait();
}

fn say(verdict: &str, row: &Row, what: &str) {
    println!("{verdict:<8} {:<4} {}: {what}", row.name, row.about);
}

fn fail(row: &Row, options: &Options, why: &str) {
    let why = why.lines().next().unwrap_or_default();
    let again = options.words_for(row.name).join(" ");
    say(
        "FAIL",
        row,
        &format!("{why}; again: cargo xtask torture {again}"),
    );
}

/// The first thing that went wrong in this process, whichever thread it was in.
static WHY: Mutex<Option<String>> = Mutex::new(None);

fn note(panic: &PanicHookInfo<'_>) {
    let text = panic.payload_as_str().unwrap_or("a panic without words");
    let place = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    eprintln!("{place}: {text}");
    let mut why = WHY.lock().unwrap_or_else(PoisonError::into_inner);
    why.get_or_insert(format!("{text} ({place})").replacen('\n', " ", 1));
}

impl Needs {
    /// The start of a command that runs this program with what is needed.
    fn command(self) -> Result<Command, Skipped> {
        let ours = std::env::current_exe().expect("our own path");
        let (what, namespaces) = match self {
            Needs::Nothing => return Ok(Command::new(ours)),
            Needs::Mounts => ("mount namespace", &["--mount"][..]),
            Needs::Processes => (
                "process namespace",
                &["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"][..],
            ),
        };
        let unshare = || {
            let mut command = Command::new("unshare");
            if !geteuid().is_root() {
                command.args(["--user", "--map-root-user"]);
            }
            command.args(namespaces);
            command
        };
        let mut probe = unshare();
        probe
            .arg("true")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let works = has("unshare")
            && spawn(&mut probe)
                .and_then(|mut it| it.wait())
                .is_ok_and(|it| it.success());
        if !works {
            return Err(Skipped(format!("no {what} of its own may be made here")));
        }
        let mut command = unshare();
        command.arg("--").arg(ours);
        Ok(command)
    }
}
