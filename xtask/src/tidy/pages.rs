//! What pages promise: a test that a page names is there, and a name that a page lists is given. Never
//! runs a test.

use super::Finding;

/// The page of faults and attacks, whose tests begin with the number of their row.
const FAULTS: &str = "docs/reference/faults.md";
/// The page of bugs, each with the tests that would find it again.
const BUGS: &str = "docs/bugs.md";
/// The page of what `doctor` finds, and where it finds it.
const DOCTOR: &str = "docs/reference/doctor.md";
/// The page of which room is for what.
const ARCHITECTURE: &str = "docs/architecture.md";
const DOCTORS_ROOMS: &str = "crates/portkeeper/src/doctor/";

/// Checks the pages against all texts, each with its path.
pub(super) fn check(texts: &[(String, String)]) -> Vec<Finding> {
    let page = |wanted: &str| {
        let (_, text) = texts.iter().find(|(path, _)| path == wanted)?;
        Some(text.as_str())
    };
    let mut findings = Vec::new();
    for (path, is_test) in [(FAULTS, is_row as fn(&str) -> bool), (BUGS, is_sentence)] {
        for (name, line) in page(path).into_iter().flat_map(names) {
            let is_there = texts.iter().any(|(path, text)| defines(path, text, name));
            if is_test(name) && !is_there {
                findings.push(finding(path, line, format!("names the test {name}")));
            }
        }
    }
    for (name, line) in page(ARCHITECTURE).into_iter().flat_map(names) {
        if name.ends_with(".rs") && !texts.iter().any(|(path, _)| is_room(path, name)) {
            findings.push(finding(
                ARCHITECTURE,
                line,
                format!("names the room {name}"),
            ));
        }
    }
    let listed: Vec<_> = page(DOCTOR).into_iter().flat_map(names).collect();
    let rooms = || {
        texts
            .iter()
            .filter(|(path, _)| path.starts_with(DOCTORS_ROOMS))
    };
    for (path, text) in rooms() {
        for (code, line) in codes(text) {
            if !listed.iter().any(|(name, _)| *name == code) {
                findings.push(finding(path, line, format!("{code} is not in {DOCTOR}")));
            }
        }
    }
    for (name, line) in listed {
        let is_code = name.contains('-') && !name.starts_with('-') && is_kebab(name);
        if is_code && !rooms().any(|(_, text)| codes(text).any(|(code, _)| code == name)) {
            findings.push(finding(DOCTOR, line, format!("lists {name}")));
        }
    }
    findings
}

fn finding(path: &str, line: usize, what: String) -> Finding {
    Finding {
        path: path.to_owned(),
        line,
        what,
        instead: "let page and code say the same",
    }
}

/// Whether the file at `path` is what the page calls `name`, which leaves `crates/` and `src/` out.
fn is_room(path: &str, name: &str) -> bool {
    let path = path.replacen("/src/", "/", 1);
    path.strip_suffix(name)
        .is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

/// The words in backticks, each with its line, from 1.
fn names(page: &str) -> impl Iterator<Item = (&str, usize)> {
    let lines = page.lines().zip(1..);
    lines.flat_map(|(text, line)| text.split('`').skip(1).step_by(2).map(move |it| (it, line)))
}

/// `f27_…`, `a10_…`, in Python `test_f40_…`.
fn is_row(name: &str) -> bool {
    let row = name.strip_prefix("test_").unwrap_or(name).as_bytes();
    matches!(row, [b'f' | b'a', first, second, b'_', ..]
        if first.is_ascii_digit() && second.is_ascii_digit())
}

/// `a_file_is_whole`: the name of a test is a sentence of three words at least.
fn is_sentence(name: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().all(is_fine) && name.matches('_').count() >= 2
}

fn defines(path: &str, text: &str, name: &str) -> bool {
    let keyword = match path.rsplit_once('.') {
        Some((_, "rs")) => "fn",
        Some((_, "py")) => "def",
        _ => return false,
    };
    text.contains(&format!("{keyword} {name}("))
}

/// The names of findings, each with its line: the first argument of what makes one.
fn codes(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let calls = ["problem(", "note("].into_iter();
    calls.flat_map(move |call| {
        text.match_indices(call).filter_map(move |(at, _)| {
            let rest = text[at + call.len()..].trim_start();
            let (code, _) = rest.strip_prefix('"')?.split_once('"')?;
            let line = text[..at].matches('\n').count() + 1;
            is_kebab(code).then_some((code, line))
        })
    })
}

fn is_kebab(name: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
    !name.is_empty() && name.bytes().all(is_fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(texts: &[(&str, &str)], expect: &[&str]) {
        let owned = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        let texts: Vec<_> = texts.iter().map(owned).collect();
        let found: Vec<_> = super::check(&texts).into_iter().map(|it| it.what).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn a_test_that_a_page_names_is_there() {
        let page = "| F27 | `f27_it_is_so` | `status` |\n| A25 | `test_a25_b` |\n";
        let (rust, python) = (
            ("a.rs", "fn f27_it_is_so() {"),
            ("b.py", "def test_a25_b():"),
        );
        check(&[(FAULTS, page), rust, python], &[]);
        check(&[(FAULTS, page), rust], &["names the test test_a25_b"]);
        check(&[(FAULTS, page), python], &["names the test f27_it_is_so"]);
    }

    #[test]
    fn a_test_that_would_find_a_bug_again_is_there() {
        let page = (BUGS, "| Lost | `it_is_kept_now`, `gc`, `a_b` |\n");
        check(&[page, ("a.rs", "fn it_is_kept_now() {")], &[]);
        check(&[page], &["names the test it_is_kept_now"]);
    }

    #[test]
    fn a_room_that_the_page_of_rooms_names_is_there() {
        let page = (
            ARCHITECTURE,
            "`pk-core/probe.rs` asks `hold/`, not `other.rs`\n",
        );
        let probe = ("crates/pk-core/src/probe.rs", "");
        check(&[page, probe, ("xtask/src/other.rs", "")], &[]);
        check(
            &[page, probe, ("another.rs", "")],
            &["names the room other.rs"],
        );
        check(
            &[page, ("crates/pk-fs/src/probe.rs", ""), ("other.rs", "")],
            &["names the room pk-core/probe.rs"],
        );
    }

    #[test]
    fn findings_and_their_page_agree() {
        let room = (
            "crates/portkeeper/src/doctor/a.rs",
            "Finding::problem(\n    \"no-home\", what)\nFinding::note(\"temp-files\", what)",
        );
        check(&[room, (DOCTOR, "`no-home`, `temp-files`; `--fix`")], &[]);
        check(
            &[room, (DOCTOR, "`no-home`")],
            &["temp-files is not in docs/reference/doctor.md"],
        );
        check(
            &[room, (DOCTOR, "`no-home` `temp-files` `gone-now`")],
            &["lists gone-now"],
        );
    }
}
