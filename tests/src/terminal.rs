//! A terminal for a command to talk to, so that it answers as it answers people. Never the
//! terminal that the tests themselves run on.

use std::fs::File;
use std::io::{self, Read as _};
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// The width of the terminal, in columns.
const COLUMNS: u16 = 100;

/// Puts the three standard streams of `command` on a new terminal; the thread gives back all that
/// was written there, once everybody has let go of it.
pub(crate) fn attach(command: &mut Command) -> io::Result<JoinHandle<Vec<u8>>> {
    attach_with_keys(command).map(|(_, written)| written)
}

/// The same, with the keyboard: what is written to it is typed.
pub(crate) fn attach_with_keys(command: &mut Command) -> io::Result<(File, JoinHandle<Vec<u8>>)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?;
    let theirs = open(
        name,
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    tcsetwinsize(
        &theirs,
        Winsize {
            ws_row: 40,
            ws_col: COLUMNS,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )?;
    let theirs = File::from(theirs);
    command
        .stdin(theirs.try_clone()?)
        .stdout(theirs.try_clone()?)
        .stderr(Stdio::from(theirs));
    let mut screen = File::from(ours);
    let keys = screen.try_clone()?;
    let written = thread::spawn(move || {
        let mut written = Vec::new();
        // The end of a terminal is an error (EIO), with all that came before kept.
        let _ = screen.read_to_end(&mut written);
        written.retain(|byte| *byte != b'\r');
        written
    });
    Ok((keys, written))
}
