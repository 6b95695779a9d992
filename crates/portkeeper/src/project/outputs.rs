//! What a project's outputs come to: which files get which values. Never writes one itself, but for
//! what pk-config is told to.

mod generated;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pk_config::{Create, Position, Preview, Rewrite, State, Transaction};

use super::error::Error;
use super::format::{Definition, Output, OutputKind, Text, upper};
use super::variables::{Meaning, Unfit, Variables};
use crate::Record;
use crate::files::{self, WriteOptions};
use generated::Tree;

/// A file that is to be written, and all that is.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathBuf,
    kind: OutputKind,
    /// The outputs that write it.
    label: String,
    /// What gets which value, and by which output.
    values: Vec<(String, Meaning, String)>,
    /// What a script gives the values to.
    variable: Option<String>,
    /// A template that was filled in.
    filled: Option<String>,
}

/// What stands for the ports of a project and what it sets itself.
pub(crate) fn variables(definition: &Definition, records: &[Record]) -> Result<Variables, Error> {
    let mut variables = Variables::default();
    for (port, record) in definition.ports.iter().zip(records) {
        variables.set(&port.env, Meaning::Port(record.port.number()));
        let host = format!("{}_HOST", upper(&port.label));
        variables.set(host, Meaning::Text(record.host.to_string()));
    }
    for var in &definition.vars {
        let meaning = fill(&variables, &var.text, &definition.path)?;
        variables.set(&var.name, meaning);
    }
    Ok(variables)
}

/// The files that the outputs write, in order. Several outputs for one file are one.
pub(crate) fn targets(
    definition: &Definition,
    variables: &Variables,
) -> Result<Vec<Target>, crate::Error> {
    let mut targets: Vec<Target> = Vec::new();
    let mut known: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for output in &definition.outputs {
        let path = definition.folder().join(&output.path);
        let target = target(definition, output, &path, variables)?;
        match known.get(&real(&path)) {
            None => {
                known.insert(real(&path), targets.len());
                targets.push(target);
            }
            Some(&at) => targets[at].merge(target)?,
        }
    }
    Ok(targets)
}

fn target(
    definition: &Definition,
    output: &Output,
    path: &Path,
    variables: &Variables,
) -> Result<Target, crate::Error> {
    let label = output.label();
    let mut values = Vec::new();
    match &output.map {
        Some(map) => {
            for (key, text) in map {
                let meaning = fill(variables, text, &definition.path)?;
                values.push((key.name.clone(), meaning, label.clone()));
            }
        }
        None if output.kind == OutputKind::Env => {
            for port in &definition.ports {
                let text = Text {
                    text: format!("${{{}}}", port.env),
                    at: Position { line: 1, column: 1 },
                };
                let meaning = fill(variables, &text, &definition.path)?;
                values.push((port.env.clone(), meaning, label.clone()));
            }
        }
        None => {}
    }
    let filled = match &output.template {
        Some(template) => Some(from_template(
            definition, output, template, path, variables,
        )?),
        None => None,
    };
    Ok(Target {
        path: path.into(),
        kind: output.kind,
        label,
        values,
        variable: output.variable.clone(),
        filled,
    })
}

fn from_template(
    definition: &Definition,
    output: &Output,
    template: &str,
    path: &Path,
    variables: &Variables,
) -> Result<String, crate::Error> {
    let failed = |source: crate::Error| Error::Output {
        output: output.label(),
        source: Box::new(source),
    };
    let template = definition.folder().join(template);
    if real(&template) == real(path) {
        let why = "a template is not its own output".into();
        return Err(failed(crate::Error::Request { why }).into());
    }
    let bytes = files::read(&template).map_err(failed)?;
    let meaningless = |at: usize, what: String| Error::Meaningless {
        path: template.clone(),
        at: Position::of(&bytes, at),
        what,
    };
    let text = std::str::from_utf8(&bytes)
        .map_err(|error| meaningless(error.valid_up_to(), "not UTF-8".into()))?;
    match variables.fill(text) {
        Ok(meaning) => Ok(meaning.text()),
        Err(Unfit { at, what }) => Err(meaningless(at, what).into()),
    }
}

fn fill(variables: &Variables, text: &Text, path: &Path) -> Result<Meaning, Error> {
    variables
        .fill(&text.text)
        .map_err(|unfit| Error::Meaningless {
            path: path.into(),
            at: text.at,
            what: unfit.what,
        })
}

/// The file itself, where it is there; else as far as it is.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| {
        let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
        match (folder, path.file_name()) {
            (Some(folder), Some(name)) => folder.join(name),
            _ => path.into(),
        }
    })
}

impl Target {
    fn merge(&mut self, other: Target) -> Result<(), Error> {
        let disagree = |key: &str, first: &str, second: &str| Error::Disagree {
            path: self.path.clone(),
            key: key.into(),
            first: first.into(),
            second: second.into(),
        };
        if self.kind != other.kind {
            return Err(disagree("the type", &self.label, &other.label));
        }
        if self.filled != other.filled {
            return Err(disagree("the text", &self.label, &other.label));
        }
        if self.variable != other.variable {
            return Err(disagree("the variable", &self.label, &other.label));
        }
        for (key, meaning, label) in other.values {
            match self.values.iter().find(|(known, ..)| *known == key) {
                Some((_, known, first)) if *known != meaning => {
                    return Err(disagree(&key, first, &label));
                }
                Some(_) => {}
                None => self.values.push((key, meaning, label)),
            }
        }
        self.label = format!("{} and {}", self.label, other.label);
        Ok(())
    }

    /// Adds what is to be done to a transaction.
    fn add<'s>(
        &self,
        transaction: Transaction<'s>,
        options: WriteOptions,
    ) -> Result<Transaction<'s>, crate::Error> {
        let values = || self.values.iter().map(|(key, meaning, _)| (key, meaning));
        let made = Create::IfMissing;
        Ok(match self.kind {
            OutputKind::Env => {
                let rewrite = values().fold(Rewrite::env(&self.path), |rewrite, (key, meaning)| {
                    rewrite.set(key, meaning.text())
                });
                transaction.add(options.apply(rewrite).create(made))
            }
            OutputKind::Json => {
                let mut rewrite = Rewrite::json(&self.path);
                for (key, meaning) in values() {
                    rewrite = match meaning {
                        Meaning::Port(port) => rewrite.set_port(key, *port),
                        Meaning::Text(text) => rewrite.set(key, text.as_str()),
                    };
                }
                transaction.add(options.apply(rewrite).create(made))
            }
            OutputKind::Toml => {
                let mut rewrite = Rewrite::toml(&self.path);
                for (key, meaning) in values() {
                    rewrite = match meaning {
                        Meaning::Port(port) => rewrite.set_port(key, *port),
                        Meaning::Text(text) => rewrite.set(key, text.as_str()),
                    };
                }
                transaction.add(options.apply(rewrite).create(made))
            }
            OutputKind::Template | OutputKind::Compose | OutputKind::Js => {
                let bytes = self.generated()?.into_bytes();
                let rewrite = Rewrite::content(&self.path, bytes);
                transaction.add(options.apply(rewrite).create(made))
            }
        })
    }

    /// The whole file.
    fn generated(&self) -> Result<String, crate::Error> {
        if let Some(filled) = &self.filled {
            return Ok(filled.clone());
        }
        if let Ok(bytes) = files::read(&self.path)
            && !generated::is_ours(&bytes)
        {
            return Err(Error::NotOurs {
                path: self.path.clone(),
                output: self.label.clone(),
            }
            .into());
        }
        let mut tree = Tree::default();
        for (pointer, meaning, label) in &self.values {
            let put = tree.put(pointer, meaning);
            put.map_err(|why| Error::Output {
                output: label.clone(),
                source: Box::new(crate::Error::Request { why }),
            })?;
        }
        Ok(match self.kind {
            OutputKind::Compose => tree.compose(),
            _ => tree.script(self.variable.as_deref()),
        })
    }
}

/// What would be written, one for each file; an error names the output.
pub(crate) fn preview(
    targets: &[Target],
    state: &State,
    options: WriteOptions,
) -> Result<Vec<Preview>, crate::Error> {
    let mut previews = Vec::new();
    for target in targets {
        let failed = |source: crate::Error| match source {
            crate::Error::Project(error) => crate::Error::Project(error),
            source => Error::Output {
                output: target.label.clone(),
                source: Box::new(source),
            }
            .into(),
        };
        let transaction = target
            .add(Transaction::new(state), options)
            .map_err(failed)?;
        let seen = transaction
            .preview()
            .map_err(|error| failed(error.into()))?;
        previews.extend(seen);
    }
    Ok(previews)
}

/// All that is to be done, as one.
pub(crate) fn transaction<'s>(
    targets: &[Target],
    state: &'s State,
    options: WriteOptions,
) -> Result<Transaction<'s>, crate::Error> {
    let all = Transaction::new(state);
    targets
        .iter()
        .try_fold(all, |all, target| target.add(all, options))
}
