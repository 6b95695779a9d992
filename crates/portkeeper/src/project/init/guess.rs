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
    /// The name of the compose file.
    pub(super) compose: String,
    /// What services publish: the service, where in its list, the variable, and the port inside.
    pub(super) services: Vec<(String, usize, String, u16)>,
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

    /// Adds a port unless its name or its number is there already.
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
        let is_new = is_good && !is_known;
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
            for item in items {
                let Some((outside, inside)) = published(item) else {
                    continue;
                };
                let name = match self.ports.iter().any(|port| port.name == *service) {
                    false => service.clone(),
                    true => format!("{service}-{inside}"),
                };
                let why = format!("{file}: {service} publishes {outside}");
                if self.add(&name, Some(outside), None, why) {
                    let at = self.services.iter().filter(|it| it.0 == *service).count();
                    let env = format!("{}_PORT", upper(&name));
                    self.services.push((service.clone(), at, env, inside));
                }
            }
        }
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
                self.add(name, None, Some("PORT".into()), why);
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
            let outside = outside.rsplit_once(':').map_or(outside, |(_, it)| it);
            Some((port(outside)?, port(inside)?))
        }
        Value::Map(_) => {
            let number = |name| match &member(item, name)?.value {
                Value::Text(text) => port(text),
                Value::Integer(number) => port(&number.to_string()),
                _ => None,
            };
            Some((number("published")?, number("target")?))
        }
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
