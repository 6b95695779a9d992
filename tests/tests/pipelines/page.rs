//! The guide about pipelines, taken apart: its examples as they stand there.

use super::github::Step;

const GUIDE: &str = include_str!("../../../docs/guide/ci.md");

/// The block of this language below a heading.
#[track_caller]
pub(super) fn block(heading: &str, language: &str) -> String {
    let (_, section) = GUIDE
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("no heading {heading}"));
    let section = section.split("\n## ").next().unwrap();
    let (_, block) = section
        .split_once(&format!("\n```{language}\n"))
        .unwrap_or_else(|| panic!("no block of {language} below {heading}"));
    block.split("```").next().unwrap().to_owned()
}

/// The steps of a job, as far as the guide uses the language of workflows.
pub(super) fn steps(workflow: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (_, lines) = workflow.split_once("steps:\n").expect("steps");
    for line in lines.lines() {
        let text = line.trim_start();
        let (text, is_new) = match text.strip_prefix("- ") {
            Some(text) => (text, true),
            None => (text, false),
        };
        if is_new {
            steps.push(Step::default());
        }
        let step = steps.last_mut().expect("a step begins with a dash");
        match text.split_once(": ") {
            Some(("id", id)) => step.id = Some(id.to_owned()),
            Some(("if", "always()")) => step.always = true,
            Some(("name", _) | ("run", "|")) => {}
            Some(("run", line)) => step.run = line.to_owned(),
            // A further line of a script.
            _ => step.run += &format!("{text}\n"),
        }
    }
    steps
}

/// The lines of a list in a job of GitLab.
#[track_caller]
pub(super) fn script<'p>(pipeline: &'p str, job: &str, key: &str) -> Vec<&'p str> {
    let job = format!("{job}:");
    let lines = pipeline.lines().skip_while(|line| **line != job).skip(1);
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with(' '));
    let key = format!("  {key}:");
    let list = lines.skip_while(|line| **line != key).skip(1);
    let found: Vec<_> = list.map_while(|line| line.strip_prefix("    - ")).collect();
    assert!(!found.is_empty(), "no {key} in {job}");
    found
}
