//! What `portkeeper.toml` may say, and what it means. Never reserves or writes anything.

mod reader;

use std::path::{Path, PathBuf};

use pk_config::Position;
use pk_config::document::{Form, Key, Node};
use pk_core::{Host, Port, PortRange, Protocol};
use pk_registry::Name;

use super::error::Error;
use super::variables::is_name;
use crate::files;
use reader::Reader;

/// What a project's file says.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The file.
    pub path: PathBuf,
    /// Which profile is meant; none: the project itself.
    pub profile: Option<String>,
    pub(crate) ports: Vec<PortOf>,
    pub(crate) vars: Vec<Var>,
    pub(crate) outputs: Vec<Output>,
}

/// A port of a project.
#[derive(Debug, Clone)]
pub(crate) struct PortOf {
    /// By what it is reserved.
    pub(crate) name: Name,
    /// What the file calls it.
    pub(crate) label: String,
    /// The variable that has its number.
    pub(crate) env: String,
    pub(crate) keys: PortKeys,
}

/// What is said of a port.
#[derive(Debug, Clone, Default)]
pub(crate) struct PortKeys {
    pub(crate) preferred: Option<Port>,
    pub(crate) ranges: Vec<PortRange>,
    pub(crate) env: Option<(String, Position)>,
    pub(crate) host: Option<Host>,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) hold: Option<bool>,
}

/// A variable, whose text may have others in it.
#[derive(Debug, Clone)]
pub(crate) struct Var {
    pub(crate) name: String,
    /// Where its name stands.
    pub(crate) key: Position,
    pub(crate) text: Text,
}

/// A text, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) at: Position,
}

/// A file to be written.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) number: usize,
    pub(crate) kind: OutputKind,
    /// As it is named in the file.
    pub(crate) path: String,
    /// What gets which value. `None`: every port's variable.
    pub(crate) map: Option<Vec<(Key, Text)>>,
    /// The file that is filled in.
    pub(crate) template: Option<String>,
    /// What a script gives the values to.
    pub(crate) variable: Option<String>,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputKind {
    Env,
    Json,
    Toml,
    Template,
    Compose,
    Js,
}

impl OutputKind {
    pub(crate) const ALL: [OutputKind; 6] = [
        OutputKind::Env,
        OutputKind::Json,
        OutputKind::Toml,
        OutputKind::Template,
        OutputKind::Compose,
        OutputKind::Js,
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            OutputKind::Env => "env",
            OutputKind::Json => "json",
            OutputKind::Toml => "toml",
            OutputKind::Template => "template",
            OutputKind::Compose => "compose",
            OutputKind::Js => "js",
        }
    }
}

impl Output {
    /// How it is called in errors.
    pub(crate) fn label(&self) -> String {
        format!(
            "output {} ({}, {})",
            self.number,
            self.kind.word(),
            self.path
        )
    }
}

/// What a profile changes.
#[derive(Debug, Default)]
struct Profile {
    only: Option<Vec<(String, Position)>>,
    ports: Vec<(Key, PortKeys)>,
    vars: Vec<Var>,
    outputs: Option<Vec<Output>>,
}

impl Definition {
    /// Reads the file at `path`, as one of its profiles wants it.
    ///
    /// # Errors
    /// [`Error::Meaningless`] with the place, [`Error::NoProfile`]; [`crate::Error::Config`] when it
    /// can't be read.
    pub fn read(path: &Path, profile: Option<&str>) -> Result<Definition, crate::Error> {
        let bytes = files::read(path)?;
        Ok(Definition::parse(&bytes, path, profile)?)
    }

    pub(crate) fn parse(
        bytes: &[u8],
        path: &Path,
        profile: Option<&str>,
    ) -> Result<Definition, Error> {
        let form = match path.extension().and_then(std::ffi::OsStr::to_str) {
            Some("toml") => Form::Toml,
            _ => Form::Yaml,
        };
        let reader = Reader { path };
        let root = Node::parse(bytes, form).map_err(|error| Error::Meaningless {
            path: path.into(),
            at: error.at,
            what: error.what,
        })?;
        let members = reader.members(&root, &reader::ROOT_KEYS)?;
        let (mut ports, mut vars, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
        let mut profiles = Vec::new();
        for (key, node) in members {
            match key.name.as_str() {
                "ports" => ports = reader.ports(node)?,
                "vars" => vars = reader.vars(node)?,
                "outputs" => outputs = reader.outputs(node)?,
                "profiles" => profiles = reader.profiles(node)?,
                _ => {}
            }
        }
        if ports.is_empty() {
            return Err(reader.wrong(root.at, "there is no [ports.NAME]"));
        }
        // Each profile is looked at, whichever is wanted.
        for (key, profile) in &profiles {
            reader.apply(key, profile, &ports)?;
        }
        if let Some(wanted) = profile {
            let found = profiles.into_iter().find(|(key, _)| key.name == wanted);
            let Some((key, profile)) = found else {
                return Err(Error::NoProfile {
                    path: path.into(),
                    name: wanted.into(),
                });
            };
            ports = reader.apply(&key, &profile, &ports)?;
            for var in profile.vars {
                vars.retain(|old| old.name != var.name);
                vars.push(var);
            }
            outputs = profile.outputs.unwrap_or(outputs);
        }
        let definition = Definition {
            path: path.into(),
            profile: profile.map(str::to_owned),
            ports: reader.named(ports, profile)?,
            vars,
            outputs,
        };
        reader.check(&definition)?;
        Ok(definition)
    }

    /// The folder that its paths begin at.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

impl PortKeys {
    /// What is said here, and else what is said there.
    fn over(&self, other: &PortKeys) -> PortKeys {
        PortKeys {
            preferred: self.preferred.or(other.preferred),
            ranges: match self.ranges.is_empty() {
                true => other.ranges.clone(),
                false => self.ranges.clone(),
            },
            env: self.env.clone().or_else(|| other.env.clone()),
            host: self.host.or(other.host),
            protocol: self.protocol.or(other.protocol),
            hold: self.hold.or(other.hold),
        }
    }
}

/// The variable of a port that names none: `web-api` has `WEB_API_PORT`.
pub(crate) fn upper(name: &str) -> String {
    let upper = |byte: char| match byte.is_ascii_alphanumeric() {
        true => byte.to_ascii_uppercase(),
        false => '_',
    };
    let text: String = name.chars().map(upper).collect();
    match is_name(&text) {
        true => text,
        // It begins with a digit.
        false => format!("_{text}"),
    }
}

#[cfg(test)]
mod tests;
