//! What is printed: data on standard output, everything else on standard error. Never panics when
//! nobody reads it.

pub(crate) mod human;
pub(crate) mod json;
mod remedy;
pub(crate) mod screen;
pub(crate) mod variables;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};
use portkeeper::registry::reservation::is_unprintable;

use crate::args::{Color, Format};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();
pub(crate) const HEADING: Style = Style::new().bold();

/// Set once, at the start of a command.
static QUIET: AtomicBool = AtomicBool::new(false);

pub(crate) fn set_up(color: Color, quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
    match color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
}

/// The format of an answer that is a table or a sentence on a terminal and JSON on a pipe.
pub(crate) fn format_for_people(asked: Option<Format>) -> Format {
    asked.unwrap_or(if io::stdout().is_terminal() {
        Format::Text
    } else {
        Format::Json
    })
}

/// The columns of the terminal on standard output; `None` where that is none.
pub(crate) fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

/// Prints an answer, in one call where it fits into a pipe.
pub(crate) fn print(text: &str) -> io::Result<()> {
    // JSON may be long, and has no colours that would have to be taken out.
    if !text.contains('\u{1b}') {
        return print_bytes(text.as_bytes());
    }
    let mut out = anstream::AutoStream::auto(io::stdout().lock());
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Prints bytes that are somebody's data, as they are.
pub(crate) fn print_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Prints what clap has styled.
pub(crate) fn print_styled(text: &clap::builder::StyledStr) -> io::Result<()> {
    print(&text.ansi().to_string())
}

pub(crate) fn warn(message: &dyn Display) {
    if !QUIET.load(Ordering::Relaxed) {
        tell(&format!(
            "{WARNING}warning:{WARNING:#} {}\n",
            printable(&message.to_string())
        ));
    }
}

/// Tells something that was asked for, between what a program that runs prints.
pub(crate) fn note(message: &dyn Display) {
    tell(&format!(
        "portkeeper: {}\n",
        printable(&message.to_string())
    ));
}

/// Warns of what some programs will stumble over in a file.
pub(crate) fn warn_all(path: &Path, warnings: &[portkeeper::config::dotenv::Warning]) {
    for warning in warnings {
        warn(&format_args!("{}: {warning}", path.display()));
    }
}

pub(crate) fn error(message: &str, hint: &str) {
    tell(&format!(
        "{ERROR}error:{ERROR:#} {message}\n{HINT}hint:{HINT:#} {hint}\n"
    ));
}

fn tell(text: &str) {
    // There is nobody left to tell that nobody listens.
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

/// The text with what a terminal would act upon made visible.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unprintable(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn nothing_that_moves_a_cursor_is_printed() {
        assert_eq!(
            printable("a\u{1b}[2Jb\nc\u{9b}\u{202e}é"),
            "a\\u{1b}[2Jb\\u{a}c\\u{9b}\\u{202e}é"
        );
    }
}
