//! The shape of files: a head that says what the room is for, a length that can be read, and no
//! word about the place where the project happens to be built.

use super::Finding;

/// The longest file, in lines.
const LONGEST: usize = 500;

/// Checks a Rust file.
pub(super) fn check_rust(path: &str, text: &str) -> Vec<Finding> {
    let finding = |line, what, instead| Finding {
        path: path.to_owned(),
        line,
        what,
        instead,
    };
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push(finding(
            1,
            "does not start with `//!`".to_owned(),
            "say what the file is for and what it never does",
        ));
    }
    let lines = text.lines().count();
    if lines > LONGEST {
        let what = format!("{lines} lines, {LONGEST} are allowed");
        findings.push(finding(
            LONGEST + 1,
            what,
            "split it by what its parts are for",
        ));
    }
    findings
}

/// Checks any text file for paths of the machine that it was written on: those below `checkout`,
/// where the project lies there.
pub(super) fn check_text(path: &str, text: &str, checkout: &str) -> Vec<Finding> {
    let lines = text.lines().zip(1..);
    lines
        .filter(|(text, _)| names(text, checkout))
        .map(|(_, line)| Finding {
            path: path.to_owned(),
            line,
            what: format!("mentions {checkout}"),
            instead: "say it in the project's own words",
        })
        .collect()
}

/// Whether `line` has `folder` at the start of a path, not in the midst of one (`~/src/shop`).
fn names(line: &str, folder: &str) -> bool {
    let inside = format!("{}/", folder.trim_end_matches('/'));
    line.match_indices(&inside).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || "~-_.}".contains(before))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn rust_files_have_a_head_and_an_end() {
        let check =
            |text: &str, expect: &[usize]| assert_eq!(lines(&check_rust("a.rs", text)), expect);
        check("//! A room.\n", &[]);
        check("", &[1]);
        check("/// An item.\n", &[1]);
        check("\n//! Late.\n", &[1]);
        check(&format!("//!{}", "\n".repeat(500)), &[]);
        check(&format!("//!{}", "\n".repeat(501)), &[501]);
    }

    #[test]
    fn the_project_speaks_of_itself_alone() {
        let check = |text: &str, checkout: &str, expect: &[usize]| {
            assert_eq!(lines(&check_text("a.md", text, checkout)), expect);
        };
        let text = "cd ~/builds/shop\nhttps://example.org/builds/1\n/buildshop\n";
        check(text, "/builds", &[]);
        check("one\nsee /builds/x\n(`/builds/`)\n", "/builds", &[2, 3]);
        check("one\nsee /builds/x\n", "/builds/", &[2]);
    }
}
