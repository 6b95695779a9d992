//! A first `portkeeper.toml`, guessed from what is in a folder. Never overwrites one.

mod guess;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pk_config::{Create, Rewrite};

use super::error::Error;
use super::find::{FILE, FILES};
use super::format::upper;
use crate::keeper::PortKeeper;
use guess::Guess;

/// A first file of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Draft {
    /// Where it belongs.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// A first file for the project in a folder, from its `compose.yaml`, `.env`, `Procfile`,
/// `package.json` and `pyproject.toml`. What can't be read there tells nothing.
///
/// # Errors
/// [`Error::Exists`] where the folder has one.
pub fn draft(folder: &Path) -> Result<Draft, Error> {
    let known = FILES.iter().map(|name| folder.join(name));
    if let Some(path) = known
        .into_iter()
        .find(|path| path.symlink_metadata().is_ok())
    {
        return Err(Error::Exists { path });
    }
    Ok(Draft {
        path: folder.join(FILE),
        text: text(&Guess::of(folder)),
    })
}

impl PortKeeper {
    /// Writes a first file.
    ///
    /// # Errors
    /// [`crate::Error::Config`].
    pub fn write_draft(&self, draft: &Draft) -> Result<(), crate::Error> {
        let rewrite = Rewrite::content(&draft.path, draft.text.as_bytes());
        rewrite
            .create(Create::IfMissing)
            .commit(&self.state()?, SystemTime::now())?;
        Ok(())
    }
}

fn text(guess: &Guess) -> String {
    let mut text = String::from(
        "# The ports of this project, and the files that tell of them: `portkeeper prepare` has both.\n",
    );
    // Writing to a string can't fail.
    for port in &guess.ports {
        let _ = write!(text, "\n# {}\n[ports.{}]\n", port.why, port.name);
        if let Some(preferred) = port.preferred {
            let _ = writeln!(text, "preferred = {preferred}");
        }
        let usual = format!("{}_PORT", upper(&port.name));
        match &port.env {
            Some(env) if *env != usual => {
                let _ = writeln!(text, "env = \"{env}\"");
            }
            _ => {
                let _ = writeln!(text, "# env = \"{usual}\"");
            }
        }
    }
    let why = match guess.has_env {
        true => "There is a .env file: only the variables above are changed in it.",
        false => "Most tools read a .env file. It is made where it is not there.",
    };
    let _ = write!(
        text,
        "\n# {why}\n[[outputs]]\ntype = \"env\"\npath = \".env\"\n"
    );
    if !guess.services.is_empty() {
        let _ = write!(
            text,
            "\n# {} publishes ports that are written in it. This file, which compose reads as well, takes\n# their place (Compose 2.24.4).\n[[outputs]]\ntype = \"compose\"\npath = \"compose.override.yaml\"\n[outputs.map]\n",
            guess.compose
        );
        for (service, at, publishes) in &guess.services {
            let _ = writeln!(text, "\"/services/{service}/ports/{at}\" = \"{publishes}\"");
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "plain files set the scene")]
mod tests {
    use super::*;
    use crate::project::Definition;

    fn drafted(files: &[(&str, &str)]) -> String {
        let temp = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(temp.path().join(name), text).unwrap();
        }
        let draft = draft(temp.path()).unwrap();
        std::fs::write(&draft.path, &draft.text).unwrap();
        // Whatever is guessed, it means something.
        Definition::read(&draft.path, None).unwrap();
        assert!(matches!(
            super::draft(temp.path()),
            Err(Error::Exists { .. })
        ));
        draft.text
    }

    #[test]
    fn an_empty_folder_has_one_port() {
        let text = drafted(&[]);
        assert!(
            text.contains("[ports.web]\n# env = \"WEB_PORT\"\n"),
            "{text}"
        );
    }

    #[test]
    fn services_of_compose_keep_their_numbers() {
        let text = drafted(&[(
            "compose.yaml",
            "services:\n  web:\n    ports: ['8080:80', '127.0.0.1:8443:443', '${X}:1', 9000-9001:1]\n  db:\n    ports:\n      - target: 5432\n        published: '5433'\n  worker: {}\n",
        )]);
        for part in [
            "# compose.yaml: web publishes 8080\n[ports.web]\npreferred = 8080\n",
            "[ports.web-443]\npreferred = 8443\n",
            "[ports.db]\npreferred = 5433\n",
            "\"/services/web/ports/0\" = \"127.0.0.1:${WEB_PORT}:80\"",
            "\"/services/web/ports/1\" = \"127.0.0.1:${WEB_443_PORT}:443\"",
            "\"/services/db/ports/0\" = \"127.0.0.1:${DB_PORT}:5432\"",
        ] {
            assert!(text.contains(part), "no {part} in {text}");
        }
        assert!(!text.contains("worker"), "{text}");
    }

    #[test]
    fn what_a_service_publishes_besides_stays_published() {
        let text = drafted(&[(
            "compose.yaml",
            "services:\n  web:\n    ports: ['8080:80', '${X}:1', '9:9/udp', 6379, '192.0.2.1:7:7']\n",
        )]);
        let list = "\"/services/web/ports/0\" = \"127.0.0.1:${WEB_PORT}:80\"\n\
                    \"/services/web/ports/1\" = \"$${X}:1\"\n\
                    \"/services/web/ports/2\" = \"9:9/udp\"\n\
                    \"/services/web/ports/3\" = \"6379\"\n\
                    \"/services/web/ports/4\" = \"192.0.2.1:7:7\"\n";
        assert!(text.ends_with(list), "{text}");
        let text = drafted(&[("compose.yaml", "services: {web: {ports: ['80:80']}}\n")]);
        let port = "# compose.yaml: web publishes 80, which not everybody may bind.\n\
                    [ports.web]\n# env = \"WEB_PORT\"\n";
        assert!(text.contains(port), "{text}");
    }

    #[test]
    fn a_service_with_more_than_texts_is_left_as_it_is() {
        let text = drafted(&[(
            "compose.yaml",
            "services:\n  db:\n    ports:\n      - '5433:5432'\n      - target: 1\n        published: 2\n        protocol: udp\n",
        )]);
        // One that can't be said in a text is not to be lost: its service is left as it is.
        assert!(text.contains("[ports.db]\npreferred = 5433\n"), "{text}");
        assert!(!text.contains("/services/db"), "{text}");
    }

    #[test]
    fn no_two_ports_have_one_variable_and_port_keeps_its_number() {
        let text = drafted(&[
            ("compose.yaml", "services: {web: {ports: ['8080:80']}}\n"),
            (".env", "PORT=3000\n"),
            ("Procfile", "admin: run -p $PORT\napi: run -p $PORT\n"),
        ]);
        for part in [
            "# Procfile: admin reads PORT\n[ports.admin]\npreferred = 3000\nenv = \"PORT\"\n",
            "# Procfile: api reads PORT, which is another port's: it needs one of its own.\n\
             [ports.api]\n# env = \"API_PORT\"\n",
        ] {
            assert!(text.contains(part), "no {part} in {text}");
        }
        drafted(&[
            (".env", "PORT=3000\n"),
            ("Procfile", "admin: run -p $PORT\n"),
        ]);
    }

    #[test]
    fn variables_processes_and_manifests() {
        let text = drafted(&[
            (
                ".env",
                "PORT=3000\nAPI_PORT=4000 # api\nREPORT=1\nDEBUG=1\n",
            ),
            (
                "Procfile",
                "# c\nweb: run --port $PORT\nworker: work\nadmin: serve --port=9000\n",
            ),
            (
                "package.json",
                r#"{"name": "shop", "scripts": {"dev": "vite"}}"#,
            ),
        ]);
        for part in [
            "[ports.web]\npreferred = 3000\nenv = \"PORT\"\n",
            "[ports.api]\npreferred = 4000\n",
            "# Procfile: admin has 9000\n[ports.admin]\npreferred = 9000\n",
            "There is a .env file",
        ] {
            assert!(text.contains(part), "no {part} in {text}");
        }
        assert!(!text.contains("worker") && !text.contains("vite"), "{text}");
        let text = drafted(&[(
            "package.json",
            r#"{"scripts": {"dev": "vite --port 5175"}}"#,
        )]);
        assert!(
            text.contains(
                "# package.json: the script dev runs vite\n[ports.web]\npreferred = 5175\n"
            ),
            "{text}"
        );
        let text = drafted(&[(
            "pyproject.toml",
            "[project]\ndependencies = ['Django>=5']\n",
        )]);
        assert!(
            text.contains("# pyproject.toml: django\n[ports.web]\npreferred = 8000\n"),
            "{text}"
        );
    }
}
