//! Rows under headings: as columns, or as a list where columns don't fit or can't be seen. Never draws
//! lines, which a screen reader would read aloud.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::output::{HEADING, terminal_width};

/// How rows are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// In columns, unless the terminal is too narrow for them.
    Columns,
    /// Each value on a line of its own, behind the name of its column.
    List,
}

/// The rows as they fit the terminal, if it is one.
pub(super) fn drawn(headings: &[&str], rows: &[Vec<String>], layout: Layout) -> String {
    within(headings, rows, layout, terminal_width())
}

fn within(headings: &[&str], rows: &[Vec<String>], layout: Layout, width: Option<usize>) -> String {
    match layout {
        Layout::Columns => columns(headings, rows, width).unwrap_or_else(|| list(headings, rows)),
        Layout::List => list(headings, rows),
    }
}

/// Columns without lines between them. Where the whole is too wide the owners are cut; `None` where even
/// that does not help.
fn columns(headings: &[&str], rows: &[Vec<String>], width: Option<usize>) -> Option<String> {
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.width()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let all: usize = widths.iter().sum::<usize>() + 2 * (widths.len() - 1);
    if let Some(too_much) = width.and_then(|width| all.checked_sub(width)) {
        let owner = headings.iter().position(|it| *it == "OWNER").unwrap_or(0);
        widths[owner] = widths[owner]
            .checked_sub(too_much)
            .filter(|left| *left >= headings[owner].len())?;
    }
    let mut text = String::new();
    let headings: Vec<String> = headings.iter().map(ToString::to_string).collect();
    let heading = joined(&headings, &widths);
    // Writing to a string can't fail.
    let _ = writeln!(text, "{HEADING}{heading}{HEADING:#}");
    for row in rows {
        let _ = writeln!(text, "{}", joined(row, &widths));
    }
    Some(text)
}

/// A paragraph for each row; what it has nothing to say about is left out.
fn list(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (row, at) in rows.iter().zip(0..) {
        if at > 0 {
            text.push('\n');
        }
        for (heading, cell) in headings.iter().zip(row).filter(|(_, cell)| *cell != "-") {
            let heading = heading.to_lowercase();
            let _ = writeln!(text, "{HEADING}{heading}:{HEADING:#} {cell}");
        }
    }
    text
}

pub(super) fn joined(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, &width) in cells.iter().zip(widths) {
        let cell = cut(cell, width);
        let blanks = " ".repeat(width.saturating_sub(cell.width()) + 2);
        line.push_str(&cell);
        line.push_str(&blanks);
    }
    line.truncate(line.trim_end().len());
    line
}

/// The text in at most `width` columns, with `…` where something was cut off.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut short: String = text
        .chars()
        .take_while(
            |character| match left.checked_sub(character.width().unwrap_or(0)) {
                Some(rest) => {
                    left = rest;
                    true
                }
                None => false,
            },
        )
        .collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [&str; 8] = [
        "PORT", "PROTO", "HOST", "STATE", "OWNER", "PID", "AGE", "EXPIRES",
    ];

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn owners_are_cut_before_anything_else() {
        let row = |owner: &str| {
            [
                "8888",
                "tcp",
                "127.0.0.1",
                "held",
                owner,
                "4712",
                "5s",
                "in 23h59m",
            ]
            .map(str::to_owned)
            .to_vec()
        };
        let rows = [
            row("a quite long label of somebody's"),
            row("日本語日本語日本語日本語"),
        ];
        let expect = "PORT  PROTO  HOST       STATE  OWNER     PID   AGE  EXPIRES\n\
                      8888  tcp    127.0.0.1  held   a quite…  4712  5s   in 23h59m\n\
                      8888  tcp    127.0.0.1  held   日本語…   4712  5s   in 23h59m\n";
        assert_eq!(
            plain(&within(&COLUMNS, &rows, Layout::Columns, Some(61))),
            expect
        );
        let wide = plain(&within(&COLUMNS, &rows, Layout::Columns, None));
        assert!(
            wide.contains("a quite long label of somebody's  4712"),
            "{wide}"
        );
    }

    #[test]
    fn what_fits_in_no_columns_is_a_list() {
        let rows = [["8888", "api"], ["9999", "-"]].map(|row| row.map(str::to_owned).to_vec());
        let check = |layout: Layout, width: Option<usize>, expect: &str| {
            assert_eq!(
                plain(&within(&["PORT", "OWNER"], &rows, layout, width)),
                expect
            );
        };
        let columns = "PORT  OWNER\n8888  api\n9999  -\n";
        let list = "port: 8888\nowner: api\n\nport: 9999\n";
        check(Layout::Columns, None, columns);
        check(Layout::Columns, Some(11), columns);
        check(Layout::Columns, Some(10), list);
        check(Layout::List, None, list);
    }

    #[test]
    fn nothing_is_wider_than_its_terminal() {
        let row = [
            "8888",
            "tcp",
            "127.0.0.1",
            "held",
            "a quite long label of somebody's, and more",
        ]
        .into_iter()
        .chain(["4712", "5s", "in 23h59m"])
        .map(str::to_owned)
        .collect::<Vec<_>>();
        let check = |width: usize, in_columns: bool, is_whole: bool| {
            let rows = std::slice::from_ref(&row);
            let text = plain(&within(&COLUMNS, rows, Layout::Columns, Some(width)));
            assert_eq!(text.starts_with("PORT  PROTO"), in_columns, "{text}");
            assert_eq!(text.contains("and more"), is_whole, "{text}");
            let widest = text.lines().map(UnicodeWidthStr::width).max();
            assert!(!in_columns || widest <= Some(width), "{text}");
        };
        check(40, false, true);
        check(80, true, false);
        check(200, true, true);
    }
}
