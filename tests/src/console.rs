//! Sessions at a terminal as documents show them: commands, and what they answer. Never runs
//! anything; it reads the document and compares.
//!
//! In a block that is marked `console`, a line after `$ ` is a command (after `> `, its
//! continuation) and the lines below it are the answer, where `[..]` stands for any part of a line
//! and a line `...` for any number of lines.

/// A command and its expected answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// The line of the document, from 1.
    pub line: usize,
    /// What is typed.
    pub command: String,
    /// What is answered, with wildcards.
    pub answer: Vec<String>,
}

/// The steps of all `console` blocks of a document, in order.
#[must_use]
pub fn steps(document: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for (text, line) in document.lines().zip(1..) {
        if text.starts_with("```") {
            inside = !inside && text == "```console";
        } else if !inside {
        } else if let Some(command) = text.strip_prefix("$ ") {
            steps.push(Step {
                line,
                command: command.to_owned(),
                answer: Vec::new(),
            });
        } else if let Some(step) = steps.last_mut() {
            match text.strip_prefix("> ") {
                Some(more) if step.answer.is_empty() => step.command += &format!("\n{more}"),
                _ => step.answer.push(text.to_owned()),
            }
        }
    }
    for step in &mut steps {
        while step.answer.last().is_some_and(String::is_empty) {
            step.answer.pop();
        }
    }
    steps
}

/// Whether `actual` is what `expected`, with its wildcards, describes.
#[must_use]
pub fn matches(expected: &[String], actual: &str) -> bool {
    let actual: Vec<_> = actual.trim_end().lines().collect();
    lines_match(expected, &actual)
}

fn lines_match(expected: &[String], actual: &[&str]) -> bool {
    match expected.split_first() {
        None => actual.is_empty(),
        Some((line, rest)) if line == "..." => {
            (0..=actual.len()).any(|skipped| lines_match(rest, &actual[skipped..]))
        }
        Some((line, rest)) => actual.split_first().is_some_and(|(first, others)| {
            line_matches(line.trim_end(), first.trim_end()) && lines_match(rest, others)
        }),
    }
}

fn line_matches(expected: &str, actual: &str) -> bool {
    let Some((head, tail)) = expected.split_once("[..]") else {
        return expected == actual;
    };
    let Some(rest) = actual.strip_prefix(head) else {
        return false;
    };
    let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.into_iter().any(|at| line_matches(tail, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_cut_into_steps() {
        let document =
            "# Title\n```sh\n$ no\n```\n```console\n$ one \\\n> more\na\n\nb\n\n$ two\n```\n$ no\n";
        let step = |line, command: &str, answer: &[&str]| Step {
            line,
            command: command.to_owned(),
            answer: answer.iter().map(|&line| line.to_owned()).collect(),
        };
        let expect = [
            step(6, "one \\\nmore", &["a", "", "b"]),
            step(12, "two", &[]),
        ];
        assert_eq!(steps(document), expect);
    }

    #[test]
    fn answers_match_with_wildcards() {
        let check = |expected: &[&str], actual: &str, expect: bool| {
            let expected: Vec<_> = expected.iter().map(|&line| line.to_owned()).collect();
            assert_eq!(
                matches(&expected, actual),
                expect,
                "{expected:?} {actual:?}"
            );
        };
        check(&[], "", true);
        check(&[], "a\n", false);
        check(&["a"], "", false);
        check(&["a"], "a \n", true);
        check(&["a", "b"], "a\n", false);
        check(&["port [..]"], "port 1\n", true);
        check(&["port [..]"], "ports", false);
        check(&["[..]1[..]"], "port 1", true);
        check(&["[..]b[..]b"], "abab", true);
        check(&["[..]b[..]c"], "abab", false);
        check(&["a", "...", "d"], "a\nb\nc\nd", true);
        check(&["a", "...", "d"], "a\nb\nc", false);
        check(&["...", "a"], "a", true);
    }
}
