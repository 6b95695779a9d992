//! Commands in namespaces of their own: other clocks, process numbers, networks, mounts. Never touches
//! those of the machine.

use std::process::{Command, Stdio};

use rustix::process::geteuid;

use crate::{TestEnv, has, skipped};

impl TestEnv {
    /// `command`, started by unshare(1) with `options` after a shell there has done `prepare` as root;
    /// `None`, with a word about it, where that cannot be.
    #[must_use]
    pub fn unshared(&self, options: &str, prepare: &str, command: &Command) -> Option<Command> {
        if !geteuid().is_root() || !has("unshare") {
            skipped(format_args!("unshare {options}: not root, or no unshare"));
            return None;
        }
        let wrapped = |words: &mut dyn Iterator<Item = &std::ffi::OsStr>| {
            let mut wrapped = Command::new("unshare");
            wrapped.args(options.split_whitespace());
            let script = format!("{{ {prepare}; }} && exec \"$@\"");
            wrapped.args(["sh", "-c", &script, "sh"]).args(words);
            wrapped.env_clear();
            for (name, value) in command.get_envs() {
                wrapped.env(name, value.unwrap_or_default());
            }
            if let Some(folder) = command.get_current_dir() {
                wrapped.current_dir(folder);
            }
            wrapped.stdin(Stdio::null());
            wrapped
        };
        let tried = self.run(wrapped(&mut ["true".as_ref()].into_iter()));
        if tried.code != Some(0) {
            let why = tried.stderr.trim();
            skipped(format_args!("unshare {options}: {why}"));
            return None;
        }
        let words = [command.get_program()].into_iter();
        Some(wrapped(&mut words.chain(command.get_args())))
    }
}
