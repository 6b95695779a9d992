//! The terminal while a live table has it: a screen of its own, which is given back however the
//! program ends (but for SIGKILL). Never writes more than what has changed, and that in one go.
//!
//! The sequences are those of xterm (ctlseqs), which all that call themselves so know; the one for
//! frames that are shown whole (2026) is passed over by the others.

use std::fmt::Write as _;
use std::io;
use std::panic;
use std::sync::{Mutex, PoisonError};

use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};

/// Another screen, no cursor, no wrapping of long lines.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l\u{1b}[2J";
const LEAVE: &str = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";
/// A frame, to be shown when all of it is there.
const BEGIN: &str = "\u{1b}[?2026h";
const END: &str = "\u{1b}[?2026l";

/// What has to be given back, wherever the program ends.
static TAKEN: Mutex<Option<Taken>> = Mutex::new(None);

/// How the keyboard was, where there is one.
struct Taken(Option<Termios>);

/// A terminal that is taken.
#[derive(Debug)]
pub(crate) struct Screen {
    /// The lines that are there, as they were written.
    shown: Vec<String>,
}

/// Rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Screen {
    /// Takes the terminal on standard output: keys are not shown and come at once, and signals from
    /// the keyboard are signals still.
    pub(crate) fn take() -> io::Result<Screen> {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            previous(info);
        }));
        let mut screen = Screen { shown: Vec::new() };
        screen.take_again()?;
        Ok(screen)
    }

    /// The same after it was given back, or after somebody else has had it.
    pub(crate) fn take_again(&mut self) -> io::Result<()> {
        self.shown.clear();
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let keyboard = match &*taken {
            Some(Taken(keyboard)) => keyboard.clone(),
            None => tcgetattr(stdin()).ok(),
        };
        if let Some(mut modes) = keyboard.clone() {
            modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            modes.special_codes[SpecialCodeIndex::VMIN] = 1;
            modes.special_codes[SpecialCodeIndex::VTIME] = 0;
            tcsetattr(stdin(), OptionalActions::Now, &modes)?;
        }
        *taken = Some(Taken(keyboard));
        write(ENTER)
    }

    /// Gives it back for a while.
    pub(crate) fn give_back(&self) {
        give_back();
    }

    /// How large it is.
    pub(crate) fn size(&self) -> Size {
        let known = tcgetwinsize(stdout()).ok();
        let known = known.filter(|it| it.ws_row > 0 && it.ws_col > 0);
        known.map_or(
            Size {
                rows: 24,
                columns: 80,
            },
            |it| Size {
                rows: it.ws_row.into(),
                columns: it.ws_col.into(),
            },
        )
    }

    /// Shows these lines, of which none is wider than the screen.
    pub(crate) fn show(&mut self, lines: Vec<String>) -> io::Result<()> {
        portkeeper::fs::failpoint!("watch.show");
        match changes(&self.shown, &lines) {
            text if text.is_empty() => {}
            text => write(&format!("{BEGIN}{text}{END}"))?,
        }
        self.shown = lines;
        Ok(())
    }

    /// What is there is no longer known, as after a change of its size.
    pub(crate) fn forget(&mut self) -> io::Result<()> {
        self.shown.clear();
        write("\u{1b}[2J")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// What makes the new lines of the old ones.
fn changes(old: &[String], new: &[String]) -> String {
    let mut text = String::new();
    let none = String::new();
    for at in 0..old.len().max(new.len()) {
        let (was, is) = (old.get(at).unwrap_or(&none), new.get(at).unwrap_or(&none));
        if was != is {
            // Writing to a string can't fail.
            let _ = write!(text, "\u{1b}[{};1H{is}\u{1b}[K", at + 1);
        }
    }
    text
}

/// Once: whoever comes second finds nothing to be given back.
fn give_back() {
    let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(Taken(keyboard)) = taken {
        // Where there is no terminal any more there is nothing to give back.
        let _ = write(LEAVE);
        if let Some(modes) = keyboard {
            let _ = tcsetattr(stdin(), OptionalActions::Now, &modes);
        }
    }
}

/// Writes to the terminal, past every buffer: what is one frame is one write.
fn write(text: &str) -> io::Result<()> {
    let mut bytes = text.as_bytes();
    while !bytes.is_empty() {
        match rustix::io::retry_on_intr(|| rustix::io::write(stdout(), bytes)) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::changes;

    #[test]
    fn only_what_has_changed_is_written() {
        let check = |old: &[&str], new: &[&str], expect: &str| {
            let [old, new] = [old, new].map(|it| it.iter().map(ToString::to_string).collect());
            let (old, new): (Vec<String>, Vec<String>) = (old, new);
            assert_eq!(changes(&old, &new), expect);
        };
        check(&["a", "b"], &["a", "b"], "");
        check(&["a", "b"], &["a", "c"], "\u{1b}[2;1Hc\u{1b}[K");
        check(&["a", "b"], &["a"], "\u{1b}[2;1H\u{1b}[K");
        check(&[], &["a"], "\u{1b}[1;1Ha\u{1b}[K");
    }
}
