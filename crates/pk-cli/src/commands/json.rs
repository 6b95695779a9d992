//! `portkeeper json`.

use portkeeper::PortKeeper;
use portkeeper::config::edit::Json as Edits;
use portkeeper::config::json::{JsonFile, Value};
use portkeeper::config::{Create, Rewrite};

use super::change;
use crate::args::{Format, Json, JsonSet};
use crate::error::Error;
use crate::output;

pub(crate) fn run(args: &Json, keeper: &PortKeeper, format: Option<Format>) -> Result<(), Error> {
    match args {
        Json::Set(args) => change(rewrite(args)?, &args.write, keeper, format)
            .map_err(|error| error.or_if_missing("--create makes it")),
        Json::Get(args) => {
            let path = &args.file.path;
            let bytes = portkeeper::files::read(path)?;
            let found = JsonFile::parse(&bytes)
                .and_then(|file| Ok(file.get(&args.pointer)?.map(str::to_owned)))
                .map_err(|error| portkeeper::config::Error::Edit {
                    path: path.clone(),
                    source: error.into(),
                })?;
            let Some(value) = found else {
                let message = format!("nothing at {} in {}", args.pointer, path.display());
                return Err(Error::No {
                    message: output::printable(&message),
                    hint: format!(
                        "portkeeper json set {}=VALUE",
                        output::printable(&args.pointer)
                    ),
                });
            };
            output::print_bytes(format!("{value}\n").as_bytes()).map_err(Error::unprinted)
        }
    }
}

fn rewrite(args: &JsonSet) -> Result<Rewrite<Edits>, Error> {
    let create = if args.create {
        Create::IfMissing
    } else {
        Create::Never
    };
    let mut rewrite = Rewrite::json(&args.file.path).create(create);
    if args.at.len() != args.value.len() {
        return Err(Error::Usage {
            message: format!(
                "{} --at and {} --value make no pairs",
                args.at.len(),
                args.value.len()
            ),
            hint: "portkeeper json set --at /a=b --value 8080".into(),
        });
    }
    for text in &args.assignments {
        let Some((pointer, value)) = text.split_once('=') else {
            return Err(Error::Usage {
                message: output::printable(&format!("{text} has no value")),
                hint: "portkeeper json set /server/port=8080".into(),
            });
        };
        let parsed = if args.string {
            None
        } else {
            value.parse::<Value>().ok()
        };
        rewrite = rewrite.set(pointer, parsed.unwrap_or_else(|| Value::from(value)));
    }
    for (pointer, value) in args.at.iter().zip(&args.value) {
        rewrite = rewrite.set(pointer, value.clone());
    }
    Ok(match &args.merge {
        Some(value) => rewrite.merge(value.clone()),
        None => rewrite,
    })
}
