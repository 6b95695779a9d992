//! Commands under strace(1): which calls they make, and what becomes of it when one of them is the
//! last or fails. Never needs it: where it is missing or not allowed, the test says so.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::{TestEnv, has, process, skipped};

/// The calls that change what is on a disk; `openat`, which also reads, cannot be told apart. A file
/// that was just created shows itself before the next of these.
pub const CHANGES: &str = "rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,\
    rmdir,mkdir,mkdirat,write,pwrite64,writev,ftruncate,truncate,fallocate,fsync,fdatasync,\
    chmod,fchmod,fchmodat,chown,fchown,fchownat,fsetxattr";

impl TestEnv {
    /// The program with the arguments in `line`, cut at blanks, under strace with these options;
    /// `None`, with a word about it, where that cannot be.
    #[must_use]
    pub fn strace(&self, options: &[&str], line: &str) -> Option<Command> {
        if !works() {
            return None;
        }
        let mut command = self.command("strace");
        command
            .args(["-f", "-qq"])
            .args(options)
            .args(["--", "portkeeper"])
            .args(line.split_whitespace());
        Some(command)
    }
}

/// Whether strace is installed, and the kernel lets it work.
fn works() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| {
        if !has("strace") {
            skipped("system calls: no strace");
            return false;
        }
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "true"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let traced = process::spawn(&mut command).and_then(|mut child| child.wait());
        let works = traced.is_ok_and(|status| status.success());
        if !works {
            skipped("system calls: strace is not allowed to trace here");
        }
        works
    })
}
