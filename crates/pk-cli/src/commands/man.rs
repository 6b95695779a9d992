//! `portkeeper man`.

use std::path::Path;

use clap::Command;
use clap_mangen::Man as Page;
use portkeeper::config;
use portkeeper::fs::replace::{DurableError, Like, Target};

use crate::args::{self, Man};
use crate::error::Error;
use crate::output;

/// The largest file that can have been a manual page.
const MOST_BYTES: u64 = 1 << 20;

pub(crate) fn run(args: &Man) -> Result<(), Error> {
    let mut root = args::definition();
    root.build();
    let Some(folder) = &args.folder else {
        let page = render(&root).map_err(Error::unprinted)?;
        return output::print_bytes(&page).map_err(Error::unprinted);
    };
    for command in with_commands(&root) {
        let page = render(command).map_err(Error::unprinted)?;
        // Such as `portkeeper-env-set`: building the definition has named them so.
        let name = command.get_display_name().unwrap_or(command.get_name());
        let path = folder.join(format!("{name}.1"));
        write(&path, &page).map_err(config::Error::from)?;
    }
    Ok(())
}

fn write(path: &Path, page: &[u8]) -> Result<(), DurableError> {
    let target = Target::resolve(path)?;
    let original = target.read(MOST_BYTES)?;
    let like = original.as_ref().map_or(Like::AnyNew, Like::Original);
    target.stage(page, like)?.commit()
}

/// A command and all commands below it.
fn with_commands(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().filter(|it| !it.is_hide_set());
    [command]
        .into_iter()
        .chain(below.flat_map(with_commands))
        .collect()
}

fn render(command: &Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Page::new(command.clone()).render(&mut page)?;
    Ok(page)
}
