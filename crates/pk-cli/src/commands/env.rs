//! `portkeeper env`.

use portkeeper::PortKeeper;
use portkeeper::config::dotenv::EnvFile;
use portkeeper::config::{Create, Rewrite};

use super::change;
use crate::args::{Env, Format};
use crate::error::Error;
use crate::output;

pub(crate) fn run(args: &Env, keeper: &PortKeeper, format: Option<Format>) -> Result<(), Error> {
    match args {
        Env::Set(args) => {
            let create = if args.create {
                Create::IfMissing
            } else {
                Create::Never
            };
            let rewrite = args
                .assignments
                .iter()
                .fold(Rewrite::env(&args.file.path), |rewrite, (key, value)| {
                    rewrite.set(key, value)
                });
            change(rewrite.create(create), &args.write, keeper, format)
                .map_err(|error| error.or_if_missing("--create makes it"))
        }
        Env::Unset(args) => {
            let rewrite = args
                .keys
                .iter()
                .fold(Rewrite::env(&args.file.path), |rewrite, key| {
                    rewrite.unset(key)
                });
            change(rewrite, &args.write, keeper, format)
        }
        Env::Get(args) => {
            let path = &args.file.path;
            let bytes = portkeeper::files::read(path)?;
            let file = EnvFile::parse(&bytes).map_err(|error| portkeeper::config::Error::Edit {
                path: path.clone(),
                source: error.into(),
            })?;
            let Some(value) = file.get(&args.key) else {
                return Err(Error::No {
                    message: output::printable(&format!(
                        "{} is not in {}",
                        args.key,
                        path.display()
                    )),
                    hint: format!("portkeeper env set {}=VALUE", output::printable(&args.key)),
                });
            };
            // A value is somebody's data: it goes to a pipe as it is.
            output::print_bytes(&[&*value, b"\n"].concat()).map_err(Error::unprinted)
        }
    }
}
