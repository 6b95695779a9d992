//! The variables that tell of the ports of a request, where they are not written into a file but
//! given to a shell or a pipeline. Never gives two of them one name.

use pk_core::{Host, Port};
use pk_registry::Name;

use super::{Request, contradiction};
use crate::error::Error;
use crate::project::upper;
use crate::template::Template;

impl Request<'_> {
    /// The names and values of the variables that tell of these ports: what the `.env` file is given,
    /// where it is given something; else `NAME_PORT` for a name, and `PORT` without one, or `PORT0`,
    /// `PORT1`, … where there are several.
    ///
    /// # Errors
    /// [`Error::Request`] when two ports would share a variable, or keys and ports do not match.
    pub fn variables(&self, ports: &[(Host, Port)]) -> Result<Vec<(String, String)>, Error> {
        self.targets.check(ports.len())?;
        let keys = &self.targets.env;
        let variables: Vec<_> = match (keys.len(), ports) {
            (0, [(host, port)]) => {
                let name = self.name.as_ref().map(Name::as_str);
                let key = name.map_or("PORT".into(), |name| format!("{}_PORT", upper(name)));
                vec![(key, Template::port().fill(*host, *port))]
            }
            (0, _) => {
                let numbered = |(at, (_, port)): (usize, &(Host, Port))| {
                    (format!("PORT{at}"), port.to_string())
                };
                ports.iter().enumerate().map(numbered).collect()
            }
            (_, [(host, port)]) => {
                let filled = keys.iter();
                filled
                    .map(|it| (it.key.clone(), it.value.fill(*host, *port)))
                    .collect()
            }
            _ => {
                let filled = keys.iter().zip(ports);
                filled
                    .map(|(it, (host, port))| (it.key.clone(), it.value.fill(*host, *port)))
                    .collect()
            }
        };
        for (at, (key, _)) in variables.iter().enumerate() {
            if variables[..at].iter().any(|(other, _)| other == key) {
                let why = format!("the variable {} is given twice", key.escape_debug());
                return Err(contradiction(&why));
            }
        }
        Ok(variables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::PortKeeper;

    #[test]
    fn ports_have_names_of_their_own() {
        let temp = tempfile::tempdir().unwrap();
        let keeper = PortKeeper::at(temp.path().join("registry.json")).unwrap();
        let check = |request: Request<'_>, ports: &[u16], expect: Option<&[(&str, &str)]>| {
            let port = |number: &u16| (Host::default(), Port::new(*number).unwrap());
            let ports: Vec<_> = ports.iter().map(port).collect();
            let found = request.variables(&ports).ok();
            let pair = |it: &(&str, &str)| (it.0.to_owned(), it.1.to_owned());
            assert_eq!(found, expect.map(|it| it.iter().map(pair).collect()));
        };
        let named = |name: &str| keeper.request().name(name.parse().unwrap());
        let url: Template = "http://{host}:{port}".parse().unwrap();
        check(keeper.request(), &[80], Some(&[("PORT", "80")]));
        check(
            named("test/web-1"),
            &[80],
            Some(&[("TEST_WEB_1_PORT", "80")]),
        );
        check(named("1"), &[80], Some(&[("_1_PORT", "80")]));
        let several = [("PORT0", "80"), ("PORT1", "81")];
        check(keeper.request().count(2), &[80, 81], Some(&several));
        check(named("web").write_env("A"), &[80], Some(&[("A", "80")]));
        check(
            keeper.request().write_env("A").write_env_as("B", url),
            &[80],
            Some(&[("A", "80"), ("B", "http://127.0.0.1:80")]),
        );
        let two = keeper.request().count(2).write_env("A");
        check(two.clone(), &[80, 81], None);
        check(two.clone().write_env("A"), &[80, 81], None);
        let both = [("A", "80"), ("B", "81")];
        check(two.write_env("B"), &[80, 81], Some(&both));
    }
}
