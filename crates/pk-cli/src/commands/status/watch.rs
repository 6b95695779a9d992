//! `portkeeper status --watch`: on a terminal a table that lives, elsewhere a line of JSON for each
//! change. Never asks the registry's lock for anything.

use std::io::{self, ErrorKind, IsTerminal as _};

use anstream::{AutoStream, ColorChoice};
use portkeeper::listeners::Listeners;
use portkeeper::watch::Event;
use portkeeper::{PortKeeper, Selection, Snapshot};
use rustix::process::{Signal, getpid, kill_process};
use rustix::stdio::{stdin, stdout};

use crate::args::Format;
use crate::error::Error;
use crate::output::human;
use crate::output::screen::Screen;
use crate::output::{self, json};

pub(super) fn run(
    keeper: &PortKeeper,
    selection: &Selection,
    format: Option<Format>,
) -> Result<(), Error> {
    match (
        output::format_for_people(format),
        io::stdout().is_terminal(),
    ) {
        (Format::Json, _) => lines(keeper, selection),
        (Format::Text, true) => table(keeper, selection),
        (Format::Text, false) => Err(Error::Usage {
            message: "a live table needs a terminal".into(),
            hint: "portkeeper status --watch --format json has a line for each change".into(),
        }),
        (Format::Port, _) => Err(Error::Usage {
            message: "--watch has no answer in --format port".into(),
            hint: "portkeeper status --watch --format json has a line for each change".into(),
        }),
    }
}

/// A line for each change of what is listed, until nobody reads them.
fn lines(keeper: &PortKeeper, selection: &Selection) -> Result<(), Error> {
    let mut watch = keeper.watch(&[])?;
    let mut told: Option<Snapshot> = None;
    loop {
        let now = look(keeper, selection)?;
        if told
            .as_ref()
            .is_none_or(|told| told.warnings != now.warnings)
        {
            now.warnings
                .iter()
                .for_each(|warning| output::warn(warning));
        }
        if told.as_ref().is_none_or(|told| told.entries != now.entries) {
            match output::print(&json::status(&now)) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                printed => printed.map_err(Error::unprinted)?,
            }
        }
        told = Some(now);
        if watch.next(Some(stdout()))? == Event::Other {
            return Ok(());
        }
    }
}

/// What ends the table, and what changes the screen.
const SIGNALS: [Signal; 7] = [
    Signal::INT,
    Signal::TERM,
    Signal::HUP,
    Signal::QUIT,
    Signal::WINCH,
    Signal::TSTP,
    Signal::CONT,
];

fn table(keeper: &PortKeeper, selection: &Selection) -> Result<(), Error> {
    let is_bold = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
    let mut listeners = Listeners::default();
    // What can't be read at all is told on the screen that was there.
    let mut now = look(keeper, selection)?;
    let mut watch = keeper.watch(&SIGNALS.map(Signal::as_raw))?;
    let mut screen = Screen::take().map_err(Error::unprinted)?;
    let mut keyboard = io::stdin().is_terminal().then(stdin);
    loop {
        let frame = human::frame(&now, &mut listeners, screen.size(), is_bold);
        match screen.show(frame) {
            // The terminal is gone.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                return Ok(());
            }
            shown => shown.map_err(Error::unprinted)?,
        }
        match watch.next(keyboard)? {
            Event::Look => now = look(keeper, selection)?,
            Event::Other => match key() {
                Key::End => return Ok(()),
                Key::Gone => keyboard = None,
                Key::Any => {}
            },
            Event::Signal(signal) if signal == Signal::WINCH.as_raw() => {
                screen.forget().map_err(Error::unprinted)?;
            }
            Event::Signal(signal) if signal == Signal::CONT.as_raw() => {
                screen.take_again().map_err(Error::unprinted)?;
            }
            Event::Signal(signal) if signal == Signal::TSTP.as_raw() => {
                screen.give_back();
                // The shell goes on here, until somebody says `fg`.
                let _ = kill_process(getpid(), Signal::STOP);
                screen.take_again().map_err(Error::unprinted)?;
            }
            _ => return Ok(()),
        }
    }
}

fn look(keeper: &PortKeeper, selection: &Selection) -> Result<Snapshot, Error> {
    let mut snapshot = keeper.status()?;
    snapshot.entries.retain(|entry| selection.lists(entry));
    Ok(snapshot)
}

/// What was typed.
enum Key {
    End,
    Gone,
    Any,
}

/// Reads what was typed, all at once; somebody who pastes something has not asked for each letter.
fn key() -> Key {
    let mut typed = [0; 64];
    match rustix::io::read(stdin(), &mut typed) {
        Ok(0) | Err(_) => Key::Gone,
        Ok(length) if typed[..length].contains(&b'q') => Key::End,
        Ok(_) => Key::Any,
    }
}
