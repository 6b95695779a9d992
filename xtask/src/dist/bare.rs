//! Tries what is released where nothing else is: the archive in a root folder of its own, the package in a
//! bare Debian. What this machine has no tool or no right for is skipped, and said so. Never changes the
//! machine's own packages.

use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Artefacts, empty};

/// What dpkg and apt change of their own.
const ACCOUNTS: [&str; 3] = ["var/lib/dpkg", "var/log", "var/cache"];

/// Tries the artefacts in folders below `work`.
///
/// # Errors
/// One of them does not do what it should.
pub(super) fn check(artefacts: &Artefacts, work: &Path) -> Result<(), Box<dyn Error>> {
    let named = |end: &str| artefacts.keys().find(|name| name.ends_with(end));
    let (Some(archive), Some(package)) = (named(".tar.gz"), named(".deb")) else {
        return Err("neither an archive nor a package was made".into());
    };
    fs::create_dir_all(work)?;
    if fs::metadata("/proc/self")?.uid() != 0 {
        eprintln!("dist: bare roots skipped: only root can make them");
        return Ok(());
    }
    let root = Root(work.join("root"));
    match root.is_entered() {
        Ok(()) => try_archive(&root, archive, &artefacts[archive])?,
        Err(why) => eprintln!("dist: the archive in a bare root skipped: {why}"),
    }
    let debian = Root(work.join("debian"));
    match debian.become_debian() {
        Ok(()) => try_package(&debian, package, &artefacts[package]),
        Err(why) => {
            eprintln!("dist: the package in a bare Debian skipped: {why}");
            Ok(())
        }
    }
}

/// A folder that is the root of what is run in it.
struct Root(PathBuf);

impl Root {
    /// A command in it that sees the machine's processes, and none of our variables.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--mount-proc", "--root"]);
        command.arg(&self.0).arg(program).env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", "/root").current_dir("/");
        command
    }

    /// What the command says, which must succeed.
    fn ask<A: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String, Box<dyn Error>> {
        let mut command = self.command(program);
        let output = command.args(arguments).output()?;
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout)?.trim_end().to_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!(
            "{program} in {}: {}: {said}",
            self.0.display(),
            output.status
        )
        .into())
    }

    /// Makes it a root with nothing in it but `/dev/null`, which every process may count on (hier(7)), and
    /// finds out whether that can be entered.
    fn is_entered(&self) -> Result<(), String> {
        let make = || -> io::Result<()> {
            empty(&self.0)?;
            for folder in ["dev", "proc", "root", "tmp"] {
                fs::create_dir(self.0.join(folder))?;
            }
            let mut mknod = Command::new("mknod");
            let null = mknod.arg("--mode=666").arg(self.0.join("dev/null"));
            if null.args(["c", "1", "3"]).status()?.success() {
                return Ok(());
            }
            Err(io::Error::other("mknod makes no /dev/null"))
        };
        make().map_err(|error| error.to_string())?;
        match self.command("/nothing").output() {
            Err(error) => Err(format!("unshare: {error}")),
            // There is no such program, which can only be told from inside.
            Ok(output) if output.status.code() == Some(127) => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }

    /// Makes it a Debian with what every Debian has; one that was made before is taken again.
    fn become_debian(&self) -> Result<(), String> {
        let stamp = self.0.with_extension("made");
        if stamp.exists() {
            return Ok(());
        }
        eprintln!(
            "dist: debootstrap makes a bare Debian in {}",
            self.0.display()
        );
        let make = || -> io::Result<()> {
            empty(&self.0)?;
            let mut debootstrap = Command::new("debootstrap");
            debootstrap
                .args(["--variant=minbase", "stable"])
                .arg(&self.0);
            let output = debootstrap.output()?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stdout);
                let last = said.lines().last().unwrap_or_default();
                return Err(io::Error::other(last.to_owned()));
            }
            fs::write(stamp, "")
        };
        make().map_err(|error| format!("debootstrap: {error}"))
    }
}

/// The program does its job with nothing but itself, `/proc`, `/dev/null` and a folder for temporary files.
fn try_archive(root: &Root, name: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let archive = root.0.with_file_name(name);
    fs::write(&archive, bytes)?;
    let mut tar = Command::new("tar");
    let tar = tar.arg("-xzf").arg(&archive).arg("--strip-components=1");
    if !tar.arg("-C").arg(&root.0).status()?.success() {
        return Err(format!("{name} can't be unpacked").into());
    }
    let words = |line: &'static str| line.split(' ');
    let port = root.ask(
        "/portkeeper",
        words("reserve --hold --owner bare --write-env PORT --format port"),
    )?;
    let number: u16 = port.parse()?;
    let is_held = TcpListener::bind(("127.0.0.1", number)).is_err();
    let status = root.ask("/portkeeper", words("status --format json"))?;
    let written = root.ask("/portkeeper", words("env get PORT"))?;
    let ran = root.ask(
        "/portkeeper",
        words("run --write-env RUN --owner bare -- /portkeeper env get RUN"),
    )?;
    root.ask("/portkeeper", ["release", &port])?;
    TcpListener::bind(("127.0.0.1", number))?;
    let is_told = status.contains("\"state\":\"held\"") && status.contains("\"owner\":\"bare\"");
    let is_run = ran.parse::<u16>().is_ok_and(|ran| ran != number);
    if !(is_held && is_told && written == port && is_run) {
        return Err(format!(
            "in a bare root: port {port}, held {is_held}, in .env {written}, {status}, run {ran}"
        )
        .into());
    }
    eprintln!("dist: in a bare root the archive's program reserved, held, ran and released");
    Ok(())
}

/// The package installs, works, and leaves nothing behind.
fn try_package(debian: &Root, name: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let before = debian.files()?;
    fs::write(debian.0.join("tmp").join(name), bytes)?;
    debian.ask("dpkg", ["--install", &format!("/tmp/{name}")])?;
    fs::remove_file(debian.0.join("tmp").join(name))?;
    let differing = debian.ask("dpkg", ["--verify", "portkeeper"])?;
    let port = debian.ask("portkeeper", ["reserve", "--format", "port"])?;
    debian.ask("portkeeper", ["release", &port])?;
    let source =
        "source /usr/share/bash-completion/completions/portkeeper && complete -p portkeeper";
    let completion = debian.ask("bash", ["-c", source])?;
    let added = debian.files()?.difference(&before).count();
    let page = debian.0.join("usr/share/man/man1/portkeeper-reserve.1.gz");
    if !differing.is_empty() || !completion.contains("portkeeper") || !page.exists() {
        let page = page.exists();
        return Err(format!("{name}: {differing}, {completion}, manual {page}").into());
    }
    debian.ask("dpkg", ["--purge", "portkeeper"])?;
    fs::remove_dir_all(debian.0.join("root/.local"))?;
    let after = debian.files()?;
    if let Some(path) = after.symmetric_difference(&before).next() {
        return Err(format!("{name}: removed, and {} is not as before", path.display()).into());
    }
    eprintln!("dist: in a bare Debian the package put in {added} files, worked, and left none");
    Ok(())
}

impl Root {
    /// All files in it, but for those in which dpkg keeps its accounts.
    fn files(&self) -> io::Result<BTreeSet<PathBuf>> {
        let (mut files, mut folders) = (BTreeSet::new(), vec![self.0.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let (path, kind) = entry.and_then(|it| Ok((it.path(), it.file_type()?)))?;
                if ACCOUNTS.iter().any(|it| path == self.0.join(it)) {
                    continue;
                }
                if kind.is_dir() {
                    folders.push(path.clone());
                }
                files.insert(path);
            }
        }
        Ok(files)
    }
}
