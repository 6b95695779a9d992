//! What a folder tells about the ports of its project. Never fails: what makes no sense tells nothing.

use std::path::Path;

use pk_config::document::{Form, Node, Value};
use pk_config::dotenv::EnvFile;

use super::super::format::upper;
use super::super::variables::is_name;
use crate::files;

/// A port that somebody seems to use.
#[derive(Debug, Clone)]
pub(super) struct PortGuess {
    pub(super) name: String,
    pub(super) preferred: Option<u16>,
    pub(super) env: Option<String>,
    /// What made it seem so.
    pub(super) why: String,
}

/// What a folder tells.
#[derive(Debug, Default)]
pub(super) struct Guess {
    pub(super) ports: Vec<PortGuess>,
    pub(super) has_env: bool,
    /// The number of `PORT` in the `.env` file.
    usual: Option<u16>,
    /// The name of the compose file.
    pub(super) compose: String,
    /// What services publish: the service, where in its list, and the text that takes its place.
    pub(super) services: Vec<(String, usize, String)>,
}

const COMPOSE: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
];

/// What listens where, if nobody says otherwise. The more telling words come first.
const TOOLS: [(&str, u16); 16] = [
    ("next", 3000),
    ("nuxt", 3000),
    ("astro", 4321),
    ("vite", 5173),
    ("react-scripts", 3000),
    ("ng serve", 4200),
    ("webpack", 8080),
    ("http-server", 8080),
    ("django", 8000),
    ("fastapi", 8000),
    ("uvicorn", 8000),
    ("gunicorn", 8000),
    ("flask", 5000),
    ("streamlit", 8501),
    ("jupyter", 8888),
    ("mkdocs", 8000),
];

impl Guess {
    pub(super) fn of(folder: &Path) -> Guess {
        let mut guess = Guess::default();
        guess.compose(folder);
        guess.env_file(folder);
        guess.procfile(folder);
        if guess.ports.is_empty() {
            guess.manifests(folder);
        }
        let overrides = ["compose.override.yaml", "compose.override.yml"];
        if overrides.iter().any(|name| folder.join(name).exists()) {
            // It is somebody's own, and would be replaced as a whole.
            guess.services.clear();
        }
        if guess.ports.is_empty() {
            guess.add(
                "web",
                None,
                None,
                "Nothing in this folder tells of a port.".into(),
            );
        }
        guess
    }

    /// Adds a port unless its name or its number is there already. A variable that is another
    /// port's already, by what is said or by its name, is not this one's as well.
    fn add(
        &mut self,
        name: &str,
        preferred: Option<u16>,
        env: Option<String>,
        why: String,
    ) -> bool {
        let name: String = name.to_ascii_lowercase().replace('_', "-");
        let is_good = name.parse::<pk_registry::Name>().is_ok() && !name.contains(['.', '/']);
        let is_known = self
            .ports
            .iter()
            .any(|port| port.name == name || (preferred.is_some() && port.preferred == preferred));
        let usual = |name: &str| format!("{}_PORT", upper(name));
        let is_free = |env: &String| {
            let mut others = self.ports.iter();
            !others.any(|port| *port.env.as_ref().unwrap_or(&usual(&port.name)) == *env)
        };
        let (env, why) = match env {
            Some(env) if !is_free(&env) => {
                let why = format!("{why}, which is another port's: it needs one of its own.");
                (None, why)
            }
            env => (env, why),
        };
        let has_variable = env.is_some() || is_free(&usual(&name));
        let is_new = is_good && !is_known && has_variable;
        if is_new {
            self.ports.push(PortGuess {
                name,
                preferred,
                env,
                why,
            });
        }
        is_new
    }

    fn compose(&mut self, folder: &Path) {
        let Some((file, root)) = COMPOSE
            .iter()
            .find_map(|name| Some((name, document(&folder.join(name), Form::Yaml)?)))
        else {
            return;
        };
        self.compose = (*file).to_owned();
        for (service, node) in members(member(&root, "services")) {
            let Some(Value::List(items)) = member(node, "ports").map(|node| &node.value) else {
                continue;
            };
            // The list as a whole takes the place of the one there: what is not ours stays in it.
            let mut list = Vec::new();
            let mut has_ours = false;
            for item in items {
                let ours = published(item)
                    .and_then(|(outside, inside)| self.publish(file, service, outside, inside));
                has_ours |= ours.is_some();
                list.push(ours.or_else(|| verbatim(item)));
            }
            if let (true, Some(list)) = (has_ours, list.into_iter().collect::<Option<Vec<_>>>()) {
                let numbered = list.into_iter().enumerate();
                let of_service = numbered.map(|(at, text)| (service.clone(), at, text));
                self.services.extend(of_service);
            }
        }
    }

    /// Adds a port that a service publishes. What is published in its place.
    fn publish(&mut self, file: &str, service: &str, outside: u16, inside: u16) -> Option<String> {
        let name = match self.ports.iter().any(|port| port.name == service) {
            false => service.to_owned(),
            true => format!("{service}-{inside}"),
        };
        let why = format!("{file}: {service} publishes {outside}");
        // Such a number is the container engine's to have, and not everybody's to ask for.
        let (preferred, why) = match outside {
            1024.. => (Some(outside), why),
            _ => (None, format!("{why}, which not everybody may bind.")),
        };
        self.add(&name, preferred, None, why)
            .then(|| format!("127.0.0.1:${{{}_PORT}}:{inside}", upper(&name)))
    }

    fn env_file(&mut self, folder: &Path) {
        let Ok(bytes) = files::read(&folder.join(".env")) else {
            return;
        };
        self.has_env = true;
        let Ok(file) = EnvFile::parse(&bytes) else {
            return;
        };
        let text = String::from_utf8_lossy(&bytes);
        let keys = text.lines().filter_map(|line| line.split_once('='));
        for (key, _) in keys {
            let key = key.trim().trim_start_matches("export ").trim();
            let is_port = key == "PORT" || key.ends_with("_PORT");
            let value = file.get(key).unwrap_or_default();
            let number = std::str::from_utf8(&value).ok().and_then(port);
            if key == "PORT" {
                self.usual = number;
            }
            if let (true, true, Some(number)) = (is_port, is_name(key), number) {
                let name = match key.strip_suffix("_PORT") {
                    Some(name) if !name.is_empty() => name,
                    _ => "web",
                };
                let why = format!(".env: {key} is {number}");
                self.add(name, Some(number), Some(key.to_owned()), why);
            }
        }
    }

    fn procfile(&mut self, folder: &Path) {
        let Ok(bytes) = files::read(&folder.join("Procfile")) else {
            return;
        };
        for line in String::from_utf8_lossy(&bytes).lines() {
            let Some((name, command)) = line.split_once(':') else {
                continue;
            };
            if name.starts_with('#') {
                continue;
            }
            if let Some(number) = number_in(command) {
                self.add(
                    name,
                    Some(number),
                    None,
                    format!("Procfile: {name} has {number}"),
                );
            } else if command.contains("$PORT") || command.contains("${PORT}") {
                let why = format!("Procfile: {name} reads PORT");
                // The number that .env has for it stays, unless that is a port's already.
                let known = self.usual.filter(|number| {
                    let mut ports = self.ports.iter();
                    !ports.any(|port| port.preferred == Some(*number))
                });
                self.add(name, known, Some("PORT".into()), why);
            }
        }
    }

    fn manifests(&mut self, folder: &Path) {
        if let Some(root) = document(&folder.join("package.json"), Form::Yaml) {
            for (name, node) in members(member(&root, "scripts")) {
                let Value::Text(command) = &node.value else {
                    continue;
                };
                let is_server = ["dev", "start", "serve", "preview"].contains(&name.as_str());
                if let (true, Some((tool, usual))) = (is_server, tool_in(command)) {
                    let preferred = number_in(command).unwrap_or(usual);
                    let why = format!("package.json: the script {name} runs {tool}");
                    self.add("web", Some(preferred), None, why);
                }
            }
        }
        if let Ok(bytes) = files::read(&folder.join("pyproject.toml"))
            && let Some((tool, usual)) = tool_in(&String::from_utf8_lossy(&bytes))
        {
            let why = format!("pyproject.toml: {tool}");
            self.add("web", Some(usual), None, why);
        }
    }
}

fn document(path: &Path, form: Form) -> Option<Node> {
    Node::parse(&files::read(path).ok()?, form).ok()
}

fn member<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let Value::Map(members) = &node.value else {
        return None;
    };
    let found = members.iter().find(|(key, _)| key.name == name);
    found.map(|(_, node)| node)
}

fn members(node: Option<&Node>) -> impl Iterator<Item = (&String, &Node)> {
    let members = match node.map(|node| &node.value) {
        Some(Value::Map(members)) => members.as_slice(),
        _ => &[],
    };
    members.iter().map(|(key, node)| (&key.name, node))
}

/// The port outside and the one inside, where both are plain numbers.
fn published(item: &Node) -> Option<(u16, u16)> {
    match &item.value {
        Value::Text(text) => {
            let text = text.strip_suffix("/tcp").unwrap_or(text);
            let (outside, inside) = text.rsplit_once(':')?;
            let outside = match outside.rsplit_once(':') {
                // Another address is there for a reason.
                Some((address, _)) if !["127.0.0.1", "0.0.0.0"].contains(&address) => return None,
                Some((_, outside)) => outside,
                None => outside,
            };
            Some((port(outside)?, port(inside)?))
        }
        Value::Map(_) => {
            let number = |name| match &member(item, name)?.value {
                Value::Text(text) => port(text),
                Value::Integer(number) => port(&number.to_string()),
                _ => None,
            };
            // A host_ip, a protocol or a mode would be lost in a text.
            let plain = ["published", "target"];
            let is_plain = members(Some(item)).all(|(key, _)| plain.contains(&key.as_str()));
            let both = (number("published")?, number("target")?);
            is_plain.then_some(both)
        }
        _ => None,
    }
}

/// What is no pair of plain numbers, as a text that comes to the same. A longer form has none.
fn verbatim(item: &Node) -> Option<String> {
    match &item.value {
        Value::Text(text) if text.contains(|c: char| c.is_control() || "\"\\".contains(c)) => None,
        Value::Text(text) => Some(text.replace("${", "$${")),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

fn port(text: &str) -> Option<u16> {
    text.trim().parse().ok().filter(|number| *number > 0)
}

/// What follows `--port`, `-p` or a `:` in a command.
fn number_in(command: &str) -> Option<u16> {
    let words: Vec<&str> = command
        .split(|c: char| c.is_whitespace() || c == '=')
        .collect();
    let named = words.windows(2).find_map(|pair| {
        ["--port", "-p", "PORT"]
            .contains(&pair[0])
            .then(|| port(pair[1]))?
    });
    let after_colon = || words.iter().find_map(|word| port(word.rsplit_once(':')?.1));
    named.or_else(after_colon)
}

fn tool_in(text: &str) -> Option<(&'static str, u16)> {
    let text = text.to_ascii_lowercase();
    TOOLS.into_iter().find(|(tool, _)| text.contains(tool))
}
