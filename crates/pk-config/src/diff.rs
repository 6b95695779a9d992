//! What a change of a file looks like, as a unified diff of the changed lines alone: those around
//! them may be secrets. Never decides what is changed.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use similar::DiffTag;
use similar::algorithms::{Capture, Compact, Replace, myers};

/// A unified diff of what a file holds (nothing, where it is not there) and will hold.
pub(crate) fn unified(path: &Path, before: Option<&[u8]>, after: &[u8]) -> String {
    let old = String::from_utf8_lossy(before.unwrap_or_default());
    let new = String::from_utf8_lossy(after);
    let [old, new] = [&old, &new].map(|text| text.split_inclusive('\n').collect::<Vec<_>>());
    let mut changes = Compact::new(Replace::new(Capture::new()), &old[..], &new[..]);
    let done: Result<(), Infallible> =
        myers::diff(&mut changes, &old[..], 0..old.len(), &new[..], 0..new.len());
    let Ok(()) = done;
    let mut diff = String::new();
    for change in changes.into_inner().into_inner().into_ops() {
        let (tag, was, is) = change.as_tag_tuple();
        if tag == DiffTag::Equal {
            continue;
        }
        if diff.is_empty() {
            let to = path.display();
            match before {
                Some(_) => put(&mut diff, format_args!("--- {to}\n+++ {to}\n")),
                None => put(&mut diff, format_args!("--- /dev/null\n+++ {to}\n")),
            }
        }
        let (from, to) = (place(&was), place(&is));
        put(&mut diff, format_args!("@@ -{from} +{to} @@\n"));
        old[was].iter().for_each(|text| line(&mut diff, '-', text));
        new[is].iter().for_each(|text| line(&mut diff, '+', text));
    }
    diff
}

/// Which lines: the first and how many; an empty range is named by the line before it.
fn place(range: &Range<usize>) -> String {
    match range.len() {
        0 => format!("{},0", range.start),
        1 => format!("{}", range.start + 1),
        length => format!("{},{length}", range.start + 1),
    }
}

fn line(diff: &mut String, sign: char, text: &str) {
    diff.push(sign);
    diff.push_str(text);
    if !text.ends_with('\n') {
        diff.push_str("\n\\ No newline at end of file\n");
    }
}

fn put(diff: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string can't fail.
    let _ = diff.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_is_shown() {
        let check = |before: Option<&str>, after: &str, expect: &str| {
            let diff = unified(Path::new("f"), before.map(str::as_bytes), after.as_bytes());
            assert_eq!(diff, expect);
        };
        check(Some("a\n"), "a\n", "");
        check(None, "", "");
        check(None, "a\n", "--- /dev/null\n+++ f\n@@ -0,0 +1 @@\n+a\n");
        check(Some("a\n"), "", "--- f\n+++ f\n@@ -1 +0,0 @@\n-a\n");
        check(
            Some("a\nb\nc\nd\ne\n"),
            "a\nB\nc\ne\nf",
            "--- f\n+++ f\n@@ -2 +2 @@\n-b\n+B\n@@ -4 +3,0 @@\n-d\n@@ -5,0 +5 @@\n+f\n\\ No newline at end of file\n",
        );
        check(
            Some("a\r\nb"),
            "a\r\nb\r\nc\r\n",
            "--- f\n+++ f\n@@ -2 +2,2 @@\n-b\n\\ No newline at end of file\n+b\r\n+c\r\n",
        );
    }
}
