//! Where in a file something is, as a person counts: lines and columns from one. Never reads files.

use std::fmt;

/// A place in a text: line and column, both counted from one, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters; a byte-order mark is not counted.
    pub column: usize,
}

impl Position {
    /// The place of the byte at `offset`. Bytes that are not UTF-8 count as one character each.
    #[must_use]
    pub fn of(text: &[u8], offset: usize) -> Position {
        let before = &text[..offset];
        let start = match before.iter().rposition(|&byte| byte == b'\n') {
            Some(newline) => newline + 1,
            None if text.starts_with(BOM) => BOM.len().min(offset),
            None => 0,
        };
        Position {
            line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
            column: 1 + String::from_utf8_lossy(&before[start..]).chars().count(),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The UTF-8 byte-order mark that some editors put at the beginning of a file.
pub(crate) const BOM: &[u8] = b"\xef\xbb\xbf";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters_after_the_mark() {
        let check = |text: &str, offset, line, column| {
            assert_eq!(
                Position::of(text.as_bytes(), offset),
                Position { line, column },
                "{text:?}"
            );
        };
        check("", 0, 1, 1);
        check("ab", 1, 1, 2);
        check("é=\"", 3, 1, 3);
        check("\u{feff}A=1", 5, 1, 3);
        check("A\r\nB\n", 4, 2, 2);
        check("A\n\n", 3, 3, 1);
    }
}
