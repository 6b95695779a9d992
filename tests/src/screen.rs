//! A terminal that a test can look at while a program has it: what stands where, whether the cursor
//! can be seen, how the keyboard is set. Never knows more of its language than the program speaks:
//! an unknown sequence is a failure.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::env::LIMIT;
use crate::{Answer, Running};

/// A program on a terminal.
#[derive(Debug)]
pub struct Screen {
    program: Option<Running>,
    terminal: File,
    coming: Receiver<Vec<u8>>,
    picture: Picture,
    unread: Vec<u8>,
    /// Each write of the program, as it came: the kernel keeps them apart when somebody reads.
    pub frames: usize,
    /// All bytes so far.
    pub bytes: usize,
}

/// What there is to be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    /// The lines, without the blanks at their ends.
    pub lines: Vec<String>,
    /// Whether it is another screen than the one that the shell had.
    pub is_other: bool,
    /// Whether the cursor is hidden.
    pub is_cursor_hidden: bool,
    row: usize,
    column: usize,
}

impl Screen {
    /// Starts a command on a terminal of this size; `setsid --ctty` makes that its controlling one.
    ///
    /// # Panics
    /// There is no terminal, or the command cannot be started.
    #[must_use]
    pub fn start(mut command: Command, rows: u16, columns: u16) -> Screen {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs: OwnedFd = open(name, flags, Mode::empty()).unwrap();
        tcsetwinsize(&theirs, size(rows, columns)).unwrap();
        let theirs = File::from(theirs);
        command
            .stdin(theirs.try_clone().unwrap())
            .stdout(theirs.try_clone().unwrap())
            .stderr(theirs);
        let terminal = File::from(ours);
        let mut reader = terminal.try_clone().unwrap();
        let (sender, coming) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = vec![0; 1 << 16];
            // The end of a terminal is an error (EIO).
            while let Ok(length) = reader.read(&mut bytes)
                && length > 0
                && sender.send(bytes[..length].to_vec()).is_ok()
            {}
        });
        Screen {
            program: Some(Running::start(command).expect("a program")),
            terminal,
            coming,
            picture: Picture::default(),
            unread: Vec::new(),
            frames: 0,
            bytes: 0,
        }
    }

    /// The program's number.
    ///
    /// # Panics
    /// It has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.program.as_ref().expect("a program that runs").pid()
    }

    /// Types something.
    ///
    /// # Panics
    /// There is no terminal any more.
    pub fn type_in(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// Makes it larger or smaller, of which the program is told.
    ///
    /// # Panics
    /// There is no terminal any more.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        tcsetwinsize(&self.terminal, size(rows, columns)).unwrap();
    }

    /// Whether what is typed is shown, and comes line by line: as a shell leaves it.
    ///
    /// # Panics
    /// There is no terminal any more.
    #[must_use]
    pub fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.terminal).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON)
    }

    /// Waits until the picture is as it should be, and gives it back.
    ///
    /// # Panics
    /// It is not within a minute.
    #[track_caller]
    pub fn until(&mut self, what: &str, is_so: impl Fn(&Picture) -> bool) -> Picture {
        let limit = Instant::now() + LIMIT;
        while !is_so(&self.picture) {
            let left = limit.saturating_duration_since(Instant::now());
            match self.coming.recv_timeout(left) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("not {what}: {self:#?}")
                }
            }
        }
        self.picture.clone()
    }

    /// Waits for the end of the program; what it left behind is in the picture.
    #[track_caller]
    pub fn end(&mut self) -> Answer {
        let program = self.program.take().expect("a program that runs");
        let answer = program.end();
        while let Ok(bytes) = self.coming.recv_timeout(LIMIT) {
            self.take(&bytes);
        }
        answer
    }

    /// What is there now.
    #[must_use]
    pub fn picture(&self) -> &Picture {
        &self.picture
    }

    fn take(&mut self, bytes: &[u8]) {
        self.frames += 1;
        self.bytes += bytes.len();
        self.unread.extend_from_slice(bytes);
        let used = self.picture.draw(&self.unread);
        self.unread.drain(..used);
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

impl Picture {
    /// Whether some line has this part.
    #[must_use]
    pub fn has(&self, part: &str) -> bool {
        self.lines.iter().any(|line| line.contains(part))
    }

    /// Draws what is whole, and tells how many bytes that were.
    fn draw(&mut self, bytes: &[u8]) -> usize {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            // The rest of a character is yet to come.
            Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap(),
        };
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            if let Some(sequence) = rest.strip_prefix("\u{1b}[") {
                let Some(end) = sequence.find(|it: char| it.is_ascii_alphabetic()) else {
                    break;
                };
                self.obey(&sequence[..=end]);
                rest = &sequence[end + 1..];
            } else if rest == "\u{1b}" {
                break;
            } else {
                self.write(character);
                rest = &rest[character.len_utf8()..];
            }
        }
        text.len() - rest.len()
    }

    fn write(&mut self, character: char) {
        match character {
            '\r' => self.column = 0,
            '\n' => self.row += 1,
            _ => {
                let row = self.row;
                while self.lines.len() <= row {
                    self.lines.push(String::new());
                }
                let mut cells: Vec<char> = self.lines[row].chars().collect();
                while cells.len() <= self.column {
                    cells.push(' ');
                }
                cells[self.column] = character;
                self.lines[row] = cells.into_iter().collect();
                self.column += 1;
            }
        }
    }

    fn obey(&mut self, sequence: &str) {
        match sequence {
            "?1049h" => self.is_other = true,
            "?1049l" => {
                self.is_other = false;
                self.lines.clear();
                (self.row, self.column) = (0, 0);
            }
            "?25l" => self.is_cursor_hidden = true,
            "?25h" => self.is_cursor_hidden = false,
            "2J" => self.lines.clear(),
            "K" => {
                if let Some(line) = self.lines.get_mut(self.row) {
                    *line = line.chars().take(self.column).collect();
                }
            }
            "?7l" | "?7h" | "?2026h" | "?2026l" => {}
            style if style.ends_with('m') => {}
            place if place.ends_with('H') => {
                let (row, column) = place[..place.len() - 1].split_once(';').expect("a place");
                self.row = row.parse::<usize>().unwrap() - 1;
                self.column = column.parse::<usize>().unwrap() - 1;
            }
            unknown => panic!("an unknown sequence: {unknown:?}"),
        }
    }
}
