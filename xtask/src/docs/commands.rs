//! The page of all commands: what each says for `--help`, in the order in which the program lists them.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use super::said;

const HEAD: &str = "\
# Commands

Made from the program's own `--help`; `cargo xtask docs` makes it again.
";

/// The page, as `program` tells it.
///
/// # Errors
/// The program can't be asked.
pub(super) fn page(program: &Path) -> Result<String, Box<dyn Error>> {
    let mut page = HEAD.to_owned();
    add(&mut page, program, &[])?;
    Ok(page)
}

/// Adds the command with these words, and all below it.
fn add(page: &mut String, program: &Path, words: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut command = Command::new(program);
    let help = said(command.args(words).arg("--help").env_clear())?;
    let name = ["portkeeper"]
        .iter()
        .chain(words)
        .copied()
        .collect::<Vec<_>>()
        .join(" ");
    let text: Vec<_> = help.trim_end().lines().map(str::trim_end).collect();
    *page += &format!("\n## {name}\n\n```text\n{}\n```\n", text.join("\n"));
    for below in below(&help) {
        let words: Vec<_> = words.iter().copied().chain([below]).collect();
        add(page, program, &words)?;
    }
    Ok(())
}

/// The names of the commands that a help text lists: the first words under headings that end in
/// "ommands:".
fn below(help: &str) -> Vec<&str> {
    let mut is_list = false;
    let mut names = Vec::new();
    for line in help.lines() {
        if !line.starts_with(' ') {
            is_list = line.ends_with("ommands:") || (is_list && line.is_empty());
        } else if is_list && !line.starts_with("   ") {
            names.extend(line.split_whitespace().next());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_in_help() {
        let check = |help: &str, expect: &[&str]| assert_eq!(below(help), expect);
        check("Text\n\nOptions:\n  -h  Help\n", &[]);
        check(
            "Commands:\n  a   One\n  b   Two\n      more\n\nOptions:\n  -h\n",
            &["a", "b"],
        );
        check(
            "Reading commands:\n  a  One\n\nOther commands:\n  c  X\n",
            &["a", "c"],
        );
    }
}
