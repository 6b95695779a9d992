//! The answer of `doctor`.

use portkeeper::doctor::{Checkup, Finding};
use portkeeper::registry::Sharing;
use serde::Serialize;

use super::line;
use crate::output::human;

#[derive(Serialize)]
struct DoctorAnswer<'a> {
    /// None where its place can't be told.
    registry: Option<String>,
    /// None where it can't be read.
    kind: Option<&'static str>,
    why: &'static str,
    findings: Vec<Found<'a>>,
    facts: Vec<Fact<'a>>,
}

#[derive(Serialize)]
struct Found<'a> {
    code: &'static str,
    severity: &'static str,
    what: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    mend: Option<String>,
    fixed: bool,
}

#[derive(Serialize)]
struct Fact<'a> {
    name: &'static str,
    value: &'a str,
    meaning: &'static str,
}

pub(crate) fn checkup(checkup: &Checkup) -> String {
    let found = |finding| Found::new(finding, checkup);
    line(&DoctorAnswer {
        registry: checkup
            .registry
            .as_ref()
            .map(|path| path.to_string_lossy().into_owned()),
        kind: checkup.sharing.map(Sharing::name),
        why: checkup.chosen.name(),
        findings: checkup.findings.iter().map(found).collect(),
        facts: checkup
            .facts
            .iter()
            .map(|fact| Fact {
                name: fact.name,
                value: &fact.value,
                meaning: fact.meaning,
            })
            .collect(),
    })
}

impl<'a> Found<'a> {
    fn new(finding: &'a Finding, checkup: &Checkup) -> Found<'a> {
        Found {
            code: finding.code,
            severity: finding.severity.name(),
            what: &finding.what,
            path: finding
                .path
                .as_ref()
                .map(|path| path.to_string_lossy().into_owned()),
            port: finding.port.map(Into::into),
            mend: human::command(checkup, finding),
            fixed: finding.fixed,
        }
    }
}
