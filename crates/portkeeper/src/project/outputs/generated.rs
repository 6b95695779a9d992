//! Files that are written as a whole: a compose override, a script. Never replaces what somebody
//! else wrote.

use std::fmt::Write as _;

use super::super::variables::Meaning;

/// How the first line of each begins, after what makes it a comment.
const MARK: &str = "Written by portkeeper prepare";
const REST: &str = ". What is changed here is lost: change portkeeper.toml.";
/// What a script gives its values to where nothing is said.
const VARIABLE: &str = "globalThis.CONFIG";

/// Values by name and by place.
#[derive(Debug, Clone, Default)]
pub(super) enum Tree {
    #[default]
    Nothing,
    Leaf(Meaning),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

/// Whether a file was written here.
pub(super) fn is_ours(bytes: &[u8]) -> bool {
    let line = bytes
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let comment = line.strip_prefix(b"# ").or(line.strip_prefix(b"// "));
    bytes.is_empty() || comment.is_some_and(|comment| comment.starts_with(MARK.as_bytes()))
}

impl Tree {
    /// Puts a value at a pointer. What a number or `-` is the name of is a list.
    pub(super) fn put(&mut self, pointer: &str, meaning: &Meaning) -> Result<(), String> {
        let parts = pk_config::json::parts(pointer)
            .map_err(|what| format!("not a pointer: {} ({what})", pointer.escape_debug()))?;
        let mut tree = self;
        for part in &parts {
            let index = match part.as_str() {
                "-" => Some(usize::MAX),
                part => part.parse().ok(),
            };
            tree = match (tree, index) {
                (tree @ (Tree::Nothing | Tree::List(_)), Some(index)) => {
                    if let Tree::Nothing = tree {
                        *tree = Tree::List(Vec::new());
                    }
                    let Tree::List(items) = tree else {
                        return Err(format!("{pointer} leads through a value"));
                    };
                    let index = index.min(items.len());
                    if index == items.len() {
                        items.push(Tree::Nothing);
                    }
                    &mut items[index]
                }
                (tree @ (Tree::Nothing | Tree::Map(_)), _) => {
                    if let Tree::Nothing = tree {
                        *tree = Tree::Map(Vec::new());
                    }
                    let Tree::Map(members) = tree else {
                        return Err(format!("{pointer} leads through a value"));
                    };
                    let known = members.iter().position(|(name, _)| name == part);
                    let at = known.unwrap_or_else(|| {
                        members.push((part.clone(), Tree::Nothing));
                        members.len() - 1
                    });
                    &mut members[at].1
                }
                (Tree::Leaf(_) | Tree::List(_), _) => {
                    return Err(format!("{pointer} leads through a value or a list"));
                }
            };
        }
        match tree {
            Tree::Nothing => {
                *tree = Tree::Leaf(meaning.clone());
                Ok(())
            }
            _ => Err(format!("{pointer} is a value, a list and a table at once")),
        }
    }

    /// A file that compose reads after the project's own. The ports of a service take the place of
    /// those that are written there, which needs Compose 2.24.4.
    pub(super) fn compose(&self) -> String {
        let mut text = format!("# {MARK}{REST}\n");
        self.yaml(&mut text, 0, &mut Vec::new());
        text
    }

    fn yaml<'t>(&'t self, text: &mut String, depth: usize, path: &mut Vec<&'t str>) {
        let indent = "  ".repeat(depth);
        match self {
            Tree::Nothing => {}
            Tree::Leaf(meaning) => {
                text.truncate(text.trim_end().len());
                let _ = writeln!(text, " {}", literal(meaning));
            }
            Tree::List(items) => {
                for item in items {
                    let _ = writeln!(text, "{indent}-");
                    item.yaml(text, depth + 1, path);
                }
            }
            Tree::Map(members) => {
                for (name, member) in members {
                    path.push(name);
                    let is_ports = matches!(path.as_slice(), ["services", _, "ports"]);
                    let tag = if is_ports { " !override" } else { "" };
                    let _ = writeln!(text, "{indent}{}:{tag}", key(name));
                    member.yaml(text, depth + 1, path);
                    path.pop();
                }
            }
        }
    }

    /// A script that a page loads before its own.
    pub(super) fn script(&self, variable: Option<&str>) -> String {
        let variable = variable.unwrap_or(VARIABLE);
        let mut text = format!("// {MARK}{REST}\n{variable} = ");
        self.json(&mut text, 0);
        text.push_str(";\n");
        text
    }

    fn json(&self, text: &mut String, depth: usize) {
        let indent = "  ".repeat(depth + 1);
        let end = "  ".repeat(depth);
        match self {
            Tree::Nothing => text.push_str("null"),
            Tree::Leaf(meaning) => text.push_str(&literal(meaning)),
            Tree::List(items) => {
                text.push_str("[\n");
                for (at, item) in items.iter().enumerate() {
                    text.push_str(&indent);
                    item.json(text, depth + 1);
                    text.push_str(if at + 1 < items.len() { ",\n" } else { "\n" });
                }
                let _ = write!(text, "{end}]");
            }
            Tree::Map(members) => {
                text.push_str("{\n");
                for (at, (name, member)) in members.iter().enumerate() {
                    let _ = write!(text, "{indent}{}: ", quoted(name));
                    member.json(text, depth + 1);
                    text.push_str(if at + 1 < members.len() { ",\n" } else { "\n" });
                }
                let _ = write!(text, "{end}}}");
            }
        }
    }
}

/// As YAML and JavaScript both read it.
fn literal(meaning: &Meaning) -> String {
    match meaning {
        Meaning::Port(port) => port.to_string(),
        Meaning::Text(text) => quoted(text),
    }
}

/// A name in YAML: quoted where it could be read as something else.
fn key(name: &str) -> String {
    let is_plain = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&name.to_ascii_lowercase().as_str());
    match is_plain {
        true => name.into(),
        false => quoted(name),
    }
}

/// Within quotes, and without a character that could end a script or a line of one.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '<' | '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(values: &[(&str, Meaning)]) -> Result<Tree, String> {
        let mut tree = Tree::default();
        for (pointer, meaning) in values {
            tree.put(pointer, meaning)?;
        }
        Ok(tree)
    }

    fn text(text: &str) -> Meaning {
        Meaning::Text(text.into())
    }

    #[test]
    fn a_compose_override() {
        let tree = tree(&[
            ("/services/web/ports/0", text("8080:80")),
            ("/services/web/ports/-", text("8443:443")),
            ("/services/web/environment/PORT", Meaning::Port(8080)),
            ("/services/on/command", text("say \"${X}\"\n")),
        ]);
        let expect = "\
# Written by portkeeper prepare. What is changed here is lost: change portkeeper.toml.
services:
  web:
    ports: !override
      - \"8080:80\"
      - \"8443:443\"
    environment:
      PORT: 8080
  \"on\":
    command: \"say \\\"${X}\\\"\\u000a\"
";
        let found = tree.unwrap().compose();
        assert_eq!(found, expect);
        assert!(is_ours(found.as_bytes()) && is_ours(b"") && !is_ours(b"services:\n"));
    }

    #[test]
    fn a_script() {
        let tree = tree(&[
            ("/api/url", text("http://x/</script>\\")),
            ("/ports/0", Meaning::Port(8080)),
        ]);
        let found = tree.unwrap().script(Some("window.ENV"));
        let expect = "\
// Written by portkeeper prepare. What is changed here is lost: change portkeeper.toml.
window.ENV = {
  \"api\": {
    \"url\": \"http://x/\\u003c/script>\\\\\"
  },
  \"ports\": [
    8080
  ]
};
";
        assert_eq!(found, expect);
        assert!(is_ours(found.as_bytes()));
    }

    #[test]
    fn what_can_t_be_both_is_refused() {
        for pointers in [
            ["/a", "/a/b"],
            ["/a/b", "/a"],
            ["/a/0", "/a/b"],
            ["a", "/b"],
            ["/a/0", "/a/0/b"],
            ["/a/0/b", "/a/0"],
        ] {
            let values: Vec<_> = pointers.iter().map(|it| (*it, text("x"))).collect();
            assert!(tree(&values).is_err(), "{pointers:?}");
        }
    }
}
