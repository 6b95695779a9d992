//! From the tree of a project's file to what it says, or to what is wrong and where. Never looks at
//! another file.

use std::collections::BTreeSet;
use std::path::Path;

use pk_config::Position;
use pk_config::document::{Key, Node, Value};
use pk_core::{Port, PortRange};
use pk_registry::Name;

use super::super::error::Error;
use super::super::variables::{is_name, nearest};
use super::{Definition, Output, OutputKind, PortKeys, PortOf, Profile, Text, Var, upper};

pub(super) const ROOT_KEYS: [&str; 5] = ["$schema", "ports", "vars", "outputs", "profiles"];
pub(super) const PORT_KEYS: [&str; 6] = ["preferred", "range", "env", "host", "proto", "hold"];
pub(super) const OUTPUT_KEYS: [&str; 5] = ["type", "path", "map", "template", "variable"];
pub(super) const PROFILE_KEYS: [&str; 4] = ["only", "ports", "vars", "outputs"];

pub(super) struct Reader<'p> {
    pub(super) path: &'p Path,
}

impl Reader<'_> {
    pub(super) fn wrong(&self, at: Position, what: impl Into<String>) -> Error {
        Error::Meaningless {
            path: self.path.into(),
            at,
            what: what.into(),
        }
    }

    /// The members of a table, all of which are known.
    pub(super) fn members<'n>(
        &self,
        node: &'n Node,
        known: &[&str],
    ) -> Result<&'n [(Key, Node)], Error> {
        let members = self.table(node)?;
        for (key, _) in members {
            let name = key.name.as_str();
            if !known.contains(&name) {
                let what = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("unknown key {name}; did you mean {near}?"),
                    None => format!("unknown key {name} (known: {})", known.join(", ")),
                };
                return Err(self.wrong(key.at, what.escape_debug().to_string()));
            }
        }
        Ok(members)
    }

    fn table<'n>(&self, node: &'n Node) -> Result<&'n [(Key, Node)], Error> {
        match &node.value {
            Value::Map(members) => Ok(members),
            _ => Err(self.needed("a table", node)),
        }
    }

    fn list<'n>(&self, node: &'n Node) -> Result<&'n [Node], Error> {
        match &node.value {
            Value::List(items) => Ok(items),
            _ => Err(self.needed("a list", node)),
        }
    }

    fn text(&self, node: &Node) -> Result<Text, Error> {
        match &node.value {
            Value::Text(text) => Ok(Text {
                text: text.clone(),
                at: node.at,
            }),
            _ => Err(self.needed("a text", node)),
        }
    }

    fn needed(&self, what: &str, node: &Node) -> Error {
        self.wrong(
            node.at,
            format!("{what} is needed here, not {}", node.kind()),
        )
    }

    fn read<T: std::str::FromStr<Err: std::fmt::Display>>(&self, node: &Node) -> Result<T, Error> {
        let Text { text, at } = self.text(node)?;
        text.parse()
            .map_err(|error: T::Err| self.wrong(at, error.to_string()))
    }

    pub(super) fn ports(&self, node: &Node) -> Result<Vec<(Key, PortKeys)>, Error> {
        let port = |(key, node): &(Key, Node)| {
            key.name
                .parse::<Name>()
                .map_err(|error| self.wrong(key.at, error.to_string()))?;
            Ok((key.clone(), self.port(node)?))
        };
        self.table(node)?.iter().map(port).collect()
    }

    fn port(&self, node: &Node) -> Result<PortKeys, Error> {
        let mut keys = PortKeys::default();
        for (key, node) in self.members(node, &PORT_KEYS)? {
            match key.name.as_str() {
                "preferred" => keys.preferred = Some(self.number(node)?),
                "range" => keys.ranges = self.ranges(node)?,
                "env" => {
                    let Text { text, at } = self.text(node)?;
                    if !is_name(&text) {
                        let text = text.escape_debug();
                        return Err(self.wrong(at, format!("not a variable: {text}")));
                    }
                    keys.env = Some((text, at));
                }
                "host" => keys.host = Some(self.read(node)?),
                "proto" => keys.protocol = Some(self.read(node)?),
                _ => match node.value {
                    Value::Flag(flag) => keys.hold = Some(flag),
                    _ => return Err(self.needed("true or false", node)),
                },
            }
        }
        Ok(keys)
    }

    fn number(&self, node: &Node) -> Result<Port, Error> {
        match node.value {
            Value::Integer(number) => number
                .to_string()
                .parse()
                .map_err(|error: pk_core::port::ParseError| self.wrong(node.at, error.to_string())),
            _ => Err(self.needed("a number", node)),
        }
    }

    /// `[8000, 8100]`, `"8000-8100"`, or a list of such texts.
    fn ranges(&self, node: &Node) -> Result<Vec<PortRange>, Error> {
        match &node.value {
            Value::Text(_) => Ok(vec![self.read(node)?]),
            Value::List(ends) => match ends.as_slice() {
                [
                    first @ Node {
                        value: Value::Integer(_),
                        ..
                    },
                    last,
                ] => {
                    let range = PortRange::new(self.number(first)?, self.number(last)?);
                    Ok(vec![
                        range.map_err(|error| self.wrong(node.at, error.to_string()))?,
                    ])
                }
                texts => texts.iter().map(|text| self.read(text)).collect(),
            },
            _ => Err(self.needed("a range, such as [8000, 8100],", node)),
        }
    }

    pub(super) fn vars(&self, node: &Node) -> Result<Vec<Var>, Error> {
        let var = |(key, node): &(Key, Node)| {
            let name = key.name.clone();
            if !is_name(&name) {
                let what = format!("not a variable: {}", name.escape_debug());
                return Err(self.wrong(key.at, what));
            }
            // A number needs no quotes where it is a text all the same.
            let text = match node.value {
                Value::Integer(number) => Text {
                    text: number.to_string(),
                    at: node.at,
                },
                _ => self.text(node)?,
            };
            Ok(Var {
                name,
                key: key.at,
                text,
            })
        };
        self.table(node)?.iter().map(var).collect()
    }

    pub(super) fn outputs(&self, node: &Node) -> Result<Vec<Output>, Error> {
        let items = self.list(node)?.iter().zip(1..);
        items
            .map(|(node, number)| self.output(node, number))
            .collect()
    }

    fn output(&self, node: &Node, number: usize) -> Result<Output, Error> {
        let members = self.members(node, &OUTPUT_KEYS)?;
        let member = |name: &str| members.iter().find(|(key, _)| key.name == name);
        let needs = |what: &str| self.wrong(node.at, format!("an output needs a {what}"));
        let (_, word) = member("type").ok_or_else(|| needs("type"))?;
        let word = self.text(word)?;
        let kind = OutputKind::ALL
            .into_iter()
            .find(|kind| kind.word() == word.text);
        let kind = kind.ok_or_else(|| {
            let words = OutputKind::ALL.map(OutputKind::word).join(", ");
            let text = word.text.escape_debug();
            self.wrong(word.at, format!("not a type of outputs: {text} ({words})"))
        })?;
        let (_, path) = member("path").ok_or_else(|| needs("path"))?;
        let path = self.text(path)?;
        if path.text.is_empty() {
            return Err(self.wrong(path.at, "a path has at least one character"));
        }
        let of_kind = |what: &str| format!("an output of type {} {what}", kind.word());
        let takes = |name: &str| match name {
            "map" => kind != OutputKind::Template,
            "template" => kind == OutputKind::Template,
            "variable" => kind == OutputKind::Js,
            _ => true,
        };
        if let Some((key, _)) = members.iter().find(|(key, _)| !takes(&key.name)) {
            return Err(self.wrong(key.at, of_kind(&format!("has no {}", key.name))));
        }
        let optional = |name: &str| member(name).map(|(_, node)| self.text(node)).transpose();
        let map = member("map").map(|(_, node)| self.map(node)).transpose()?;
        let template = optional("template")?.map(|it| it.text);
        let variable = optional("variable")?;
        if let Some(Text { text, at }) = &variable
            && !text.split('.').all(is_name)
        {
            let text = text.escape_debug();
            return Err(self.wrong(*at, format!("not a variable of a script: {text}")));
        }
        match kind {
            OutputKind::Template if template.is_none() => {
                return Err(self.wrong(node.at, of_kind("needs a template")));
            }
            OutputKind::Json | OutputKind::Toml | OutputKind::Compose | OutputKind::Js
                if map.is_none() =>
            {
                return Err(self.wrong(node.at, of_kind("needs a map")));
            }
            _ => {}
        }
        Ok(Output {
            number,
            kind,
            path: path.text,
            map,
            template,
            variable: variable.map(|it| it.text),
        })
    }

    fn map(&self, node: &Node) -> Result<Vec<(Key, Text)>, Error> {
        let member = |(key, node): &(Key, Node)| Ok((key.clone(), self.text(node)?));
        self.table(node)?.iter().map(member).collect()
    }

    pub(super) fn profiles(&self, node: &Node) -> Result<Vec<(Key, Profile)>, Error> {
        let profile = |(key, node): &(Key, Node)| {
            key.name
                .parse::<Name>()
                .map_err(|error| self.wrong(key.at, error.to_string()))?;
            let mut profile = Profile::default();
            for (key, node) in self.members(node, &PROFILE_KEYS)? {
                match key.name.as_str() {
                    "only" => {
                        let only = self.list(node)?.iter().map(|it| self.text(it));
                        let only = only.map(|it| it.map(|it| (it.text, it.at)));
                        profile.only = Some(only.collect::<Result<_, _>>()?);
                    }
                    "ports" => profile.ports = self.ports(node)?,
                    "vars" => profile.vars = self.vars(node)?,
                    _ => profile.outputs = Some(self.outputs(node)?),
                }
            }
            Ok((key.clone(), profile))
        };
        self.table(node)?.iter().map(profile).collect()
    }

    /// The ports as a profile wants them.
    pub(super) fn apply(
        &self,
        key: &Key,
        profile: &Profile,
        ports: &[(Key, PortKeys)],
    ) -> Result<Vec<(Key, PortKeys)>, Error> {
        let is_there = |name: &str| ports.iter().any(|(key, _)| key.name == name);
        let asked = profile.only.iter().flatten().map(|(name, at)| (name, at));
        let changed = profile.ports.iter().map(|(key, _)| (&key.name, &key.at));
        for (name, at) in asked.chain(changed) {
            if !is_there(name) {
                return Err(self.wrong(*at, format!("there is no port {}", name.escape_debug())));
            }
        }
        let is_wanted = |name: &str| {
            let only = profile.only.as_ref();
            only.is_none_or(|only| only.iter().any(|(it, _)| it == name))
        };
        let mut wanted = Vec::new();
        for (port, keys) in ports.iter().filter(|(port, _)| is_wanted(&port.name)) {
            let over = profile.ports.iter().find(|(it, _)| it.name == port.name);
            let keys = over.map_or_else(|| keys.clone(), |(_, over)| over.over(keys));
            wanted.push((port.clone(), keys));
        }
        match wanted.is_empty() {
            true => Err(self.wrong(key.at, "a profile has at least one port")),
            false => Ok(wanted),
        }
    }

    /// The ports under the names by which they are reserved, each with its variable.
    pub(super) fn named(
        &self,
        ports: Vec<(Key, PortKeys)>,
        profile: Option<&str>,
    ) -> Result<Vec<PortOf>, Error> {
        let mut taken = BTreeSet::new();
        let named = |(key, keys): (Key, PortKeys)| {
            let name = match profile {
                Some(profile) => format!("{profile}/{}", key.name),
                None => key.name.clone(),
            };
            let name = name.parse().map_err(|error: pk_registry::label::Error| {
                self.wrong(key.at, error.to_string())
            })?;
            let (env, at) = match &keys.env {
                Some((env, at)) => (env.clone(), *at),
                None => (format!("{}_PORT", upper(&key.name)), key.at),
            };
            if !taken.insert(env.clone()) {
                return Err(self.wrong(at, format!("{env} is the variable of another port")));
            }
            Ok(PortOf {
                name,
                label: key.name,
                env,
                keys,
            })
        };
        ports.into_iter().map(named).collect()
    }

    /// Whether everything fits together.
    pub(super) fn check(&self, definition: &Definition) -> Result<(), Error> {
        for var in &definition.vars {
            if definition.ports.iter().any(|port| port.env == var.name) {
                let what = format!("{} is the variable of a port", var.name);
                return Err(self.wrong(var.key, what));
            }
        }
        Ok(())
    }
}
