//! The answer of `doctor` for people: what is so, what should not be, and what mends it.

use portkeeper::doctor::{Checkup, Finding, Severity};

use super::{line, plural};
use crate::output::remedy;

pub(crate) fn checkup(checkup: &Checkup) -> String {
    let mut text = String::new();
    let width = checkup.facts.iter().map(|fact| fact.name.len()).max();
    for fact in &checkup.facts {
        let meaning = match fact.meaning {
            "" => String::new(),
            meaning => format!(" ({meaning})"),
        };
        let width = width.unwrap_or_default();
        line(
            &mut text,
            &format!("{:<width$}  {}{meaning}", fact.name, fact.value),
        );
    }
    if !checkup.findings.is_empty() {
        text.push('\n');
    }
    for finding in &checkup.findings {
        let how_bad = match finding.fixed {
            true => "fixed",
            false => finding.severity.name(),
        };
        line(
            &mut text,
            &format!("{how_bad}: {}: {}", finding.code, finding.what),
        );
        if let Some(command) = command(checkup, finding).filter(|_| !finding.fixed) {
            line(&mut text, &format!("  {command}"));
        }
    }
    text.push('\n');
    line(&mut text, &sum(checkup));
    text
}

/// The ports that something is found about, one a line.
pub(crate) fn ports(checkup: &Checkup) -> String {
    let ports = checkup.findings.iter().filter_map(|finding| finding.port);
    ports.map(|port| format!("{port}\n")).collect()
}

/// The command that mends a finding.
pub(crate) fn command(checkup: &Checkup, finding: &Finding) -> Option<String> {
    finding
        .remedy
        .as_ref()
        .map(|it| remedy::doctors(it, checkup))
}

/// `2 problems and 1 note, 3 fixed`.
fn sum(checkup: &Checkup) -> String {
    let fixed = checkup.findings.iter().filter(|it| it.fixed).count();
    let left = |severity| {
        let left = checkup
            .findings
            .iter()
            .filter(|it| !it.fixed && it.severity == severity);
        left.count()
    };
    let (problems, notes) = (left(Severity::Problem), left(Severity::Note));
    let left = match (problems, notes) {
        (0, 0) => "nothing is wrong".to_owned(),
        (problems, 0) => format!("{problems} problem{}", plural(problems)),
        (0, notes) => format!("{notes} note{}", plural(notes)),
        (problems, notes) => format!(
            "{problems} problem{} and {notes} note{}",
            plural(problems),
            plural(notes)
        ),
    };
    match fixed {
        0 => left,
        fixed => format!("{left}, {fixed} fixed"),
    }
}
