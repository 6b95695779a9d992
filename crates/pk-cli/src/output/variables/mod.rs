//! Ports as variables, for a shell or a pipeline to read. Never lets a value be more than a value.

pub(crate) mod github;

use portkeeper::config::Guards;
use portkeeper::config::edit::is_dangerous;
use portkeeper::registry::reservation::is_unprintable;

use crate::args::Syntax;
use crate::env_vars::StepPaths;
use crate::error::Error;
use crate::output;
use github::Step;

/// A name, of letters, digits and underscores alone, and what it stands for.
pub(crate) type Variable = (String, String);

/// Where variables are told, and how.
#[derive(Debug)]
pub(crate) enum Teller {
    /// On standard output.
    Print(Syntax),
    /// In the files of a step in GitHub Actions.
    Step(Step),
}

impl Teller {
    /// Makes sure that there is somebody to tell. To be done before anything is reserved.
    pub(crate) fn open(syntax: Syntax, paths: &StepPaths) -> Result<Teller, Error> {
        match syntax {
            Syntax::Github => Ok(Teller::Step(Step::open(paths)?)),
            _ => Ok(Teller::Print(syntax)),
        }
    }

    /// Whether each value can be said so that it is read as it is, and does nothing else.
    pub(crate) fn check(&self, variables: &[Variable], guards: Guards) -> Result<(), Error> {
        let dangerous = variables.iter().find(|(name, _)| is_dangerous(name));
        match dangerous.filter(|_| guards == Guards::Up) {
            Some((name, _)) => Err(Error::Usage {
                message: format!("{name} changes which programs run"),
                hint: "--force tells it all the same".into(),
            }),
            None => check(variables, self.syntax()),
        }
    }

    /// Tells all of them, or none. A step has outputs as well.
    pub(crate) fn tell(
        &self,
        variables: &[Variable],
        outputs: impl FnOnce() -> Vec<Variable>,
    ) -> Result<(), Error> {
        match self {
            Teller::Print(syntax) => {
                output::print(&text(variables, *syntax)).map_err(Error::unprinted)
            }
            Teller::Step(step) => step.add(variables, &outputs()),
        }
    }

    fn syntax(&self) -> Syntax {
        match self {
            Teller::Print(syntax) => *syntax,
            Teller::Step(_) => Syntax::Github,
        }
    }
}

/// The variables, one a line.
fn text(variables: &[Variable], syntax: Syntax) -> String {
    let line = |(name, value): &Variable| match syntax {
        Syntax::Env => format!("{name}={value}\n"),
        Syntax::Shell => format!("export {name}='{}'\n", value.replace('\'', r"'\''")),
        Syntax::Fish => {
            let value = value.replace('\\', r"\\").replace('\'', r"\'");
            format!("set -gx {name} '{value}';\n")
        }
        Syntax::Github => github::line(name, value),
    };
    variables.iter().map(line).collect()
}

fn check(variables: &[Variable], syntax: Syntax) -> Result<(), Error> {
    let refuse = |name: &str, why: &str| {
        Err(Error::Usage {
            message: format!("{name} {why}"),
            hint: "--format json says any value".into(),
        })
    };
    let is_lost = |it: char| is_unprintable(it) && !matches!(it, '\n' | '\t');
    for (name, value) in variables {
        if value.chars().any(is_lost) {
            return refuse(name, "has a character in it that no terminal shows");
        }
        // Its readers know no quotes, and cut blanks off (GitLab's `scan_line!` does).
        if syntax == Syntax::Env && (value.contains('\n') || value.trim() != value) {
            return refuse(
                name,
                "has several lines, or blanks at an end: KEY=VALUE can't say that",
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_values() {
        let check = |value: &str, expect: [&str; 4]| {
            let variables = [("A".to_owned(), value.to_owned())];
            let said =
                [Syntax::Env, Syntax::Shell, Syntax::Fish, Syntax::Github].map(
                    |syntax| match check(&variables, syntax) {
                        Ok(()) => text(&variables, syntax),
                        Err(_) => String::new(),
                    },
                );
            assert_eq!(said.each_ref().map(String::as_str), expect, "{value:?}");
        };
        check(
            "80",
            ["A=80\n", "export A='80'\n", "set -gx A '80';\n", "A=80\n"],
        );
        check(
            r"'$(x)`y`\",
            [
                "A='$(x)`y`\\\n",
                "export A=''\\''$(x)`y`\\'\n",
                "set -gx A '\\'$(x)`y`\\\\';\n",
                "A='$(x)`y`\\\n",
            ],
        );
        check(
            "a\nB=1",
            [
                "",
                "export A='a\nB=1'\n",
                "set -gx A 'a\nB=1';\n",
                "A<<END\na\nB=1\nEND\n",
            ],
        );
        check(
            "END\nEND_\n B",
            [
                "",
                "export A='END\nEND_\n B'\n",
                "set -gx A 'END\nEND_\n B';\n",
                "A<<END__\nEND\nEND_\n B\nEND__\n",
            ],
        );
        for lost in ["\0", "a\rb", "\u{1b}[2J", "\u{2028}"] {
            check(lost, [""; 4]);
        }
    }
}
