//! What each released file holds, and where in it. Compiles the program once, and the Python extension;
//! everything else is text that lies here or that the program writes itself.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::Package;
use jiff::Timestamp;

use super::build::{self, Folders};
use super::deb::{self, Control};
use super::sbom::{self, Sums};
use super::tree::{self, Tree};
use super::wheel::{self, Additions};
use super::{Artefacts, Text, empty, licences};
use crate::graph::Graph;
use crate::{cargo, python, slim};

/// Completion for each shell: its file in an archive, where Debian wants it, and what it says.
const COMPLETIONS: [[&str; 3]; 5] = [
    [
        "portkeeper.bash",
        "usr/share/bash-completion/completions/portkeeper",
        include_str!("stubs/portkeeper.bash"),
    ],
    [
        "_portkeeper",
        "usr/share/zsh/vendor-completions/_portkeeper",
        include_str!("stubs/_portkeeper"),
    ],
    [
        "portkeeper.fish",
        "usr/share/fish/vendor_completions.d/portkeeper.fish",
        include_str!("stubs/portkeeper.fish"),
    ],
    [
        "portkeeper.elv",
        "usr/share/elvish/lib/portkeeper.elv",
        include_str!("stubs/portkeeper.elv"),
    ],
    [
        "portkeeper.ps1",
        "usr/share/doc/portkeeper/examples/portkeeper.ps1",
        include_str!("stubs/portkeeper.ps1"),
    ],
];

/// What makes the folder of a machine-wide registry at every boot; an example until root installs it.
const TMPFILES: &str = include_str!("tmpfiles.conf");

/// What Debian wants to know of the rights in a package.
const COPYRIGHT: &str = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2026 The PortKeeper authors
License: Apache-2.0
Comment: The folder licences beside this file has the licences of everything that the program contains,
 and NOTICE names the package whose interface this one follows.

License: Apache-2.0
 On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.
";

const DOC: &str = "usr/share/doc/portkeeper";

/// What all released files are made of.
struct Parts<'a> {
    root: &'a Path,
    version: &'a str,
    target: &'a str,
    /// Seconds after 1970.
    epoch: u64,
    program: Vec<u8>,
    manual: Vec<Text>,
    licences: Vec<Text>,
    bill: String,
}

/// Makes everything from the sources in `root`; what is compiled stays in `build`.
///
/// # Errors
/// Something can't be compiled or read; what it was is told.
pub(super) fn make(root: &Path, build: &Path, epoch: u64) -> Result<Artefacts, Box<dyn Error>> {
    let target = cargo::host()?;
    let (sysroot, rustc) = compiler()?;
    let folders = Folders {
        root,
        build,
        sysroot: &sysroot,
        rustc: &rustc,
    };
    let graph = Graph::resolve(root, &target)?;
    let sums = Sums::of(&fs::read_to_string(root.join("Cargo.lock"))?);
    let time = Timestamp::from_second(i64::try_from(epoch)?)?.to_string();
    let cli = graph.member("pk-cli")?;
    let program = build::program(&folders, &target)?;
    slim::check(&fs::read(&program)?)?;
    let parts = Parts {
        root,
        version: &cli.version.to_string(),
        target: &target,
        epoch,
        manual: manual(&program, &build.join("man"))?,
        program: fs::read(program)?,
        licences: licences::texts(&graph.with_all_below(cli), &sysroot)?,
        bill: sbom::bill(&graph, cli, &sums, &time),
    };
    let name = format!("portkeeper-{}", parts.version);
    let mut made = Artefacts::from([
        (format!("{name}-{target}.tar.gz"), parts.archive(&name)?),
        (deb::file_name(parts.version, &target)?, parts.debian()?),
        (format!("{name}.cdx.json"), parts.bill.clone().into()),
    ]);
    let wheels = build.join("wheels");
    empty(&wheels)?;
    match python::release(root, &wheels, folders.environment(&[])?)? {
        Ok(path) => {
            let extension = graph.member("pk-python")?;
            let bill = sbom::bill(&graph, extension, &sums, &time);
            let packages = graph.with_all_below(extension);
            let wheel = parts.wheel(&path, &bill, &packages, &sysroot)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            made.insert(name.into_owned(), wheel);
        }
        Err(why) => eprintln!("dist: wheel skipped: {why}"),
    }
    Ok(made)
}

/// Where the compiler's own files lie, and the commit that it was made from.
fn compiler() -> Result<(PathBuf, String), Box<dyn Error>> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = Command::new(&rustc).args(["--print", "sysroot"]).output()?;
    let about = String::from_utf8(Command::new(&rustc).arg("-vV").output()?.stdout)?;
    let commit = about
        .lines()
        .find_map(|line| line.strip_prefix("commit-hash: "));
    let commit = commit.ok_or("rustc names no commit")?.to_owned();
    Ok((String::from_utf8(sysroot.stdout)?.trim_end().into(), commit))
}

/// The manual, a page a command, as the program writes it into `folder`.
fn manual(program: &Path, folder: &Path) -> Result<Vec<Text>, Box<dyn Error>> {
    empty(folder)?;
    let path = folder
        .to_str()
        .ok_or("the target folder's name is no text")?;
    build::ask(program, &["man", path])?;
    let mut pages = Vec::new();
    for page in fs::read_dir(folder)? {
        let page = page?;
        let name = page.file_name().to_string_lossy().into_owned();
        pages.push((name, fs::read(page.path())?));
    }
    Ok(pages)
}

/// The pages of `docs/`, and what belongs to them, by their paths in `root`.
fn documents(root: &Path) -> Result<Vec<Text>, Box<dyn Error>> {
    let (mut found, mut folders) = (Vec::new(), vec![root.join("docs")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root)?;
            let name = name.to_str().ok_or("a page whose name is no text")?;
            found.push((name.to_owned(), fs::read(&path)?));
        }
    }
    Ok(found)
}

impl Parts<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        fs::read(self.root.join(path)).map_err(|error| format!("{path}: {error}"))
    }

    /// The archive; all of it lies in the folder `name`.
    fn archive(&self, name: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        let mut tree = Tree::default();
        tree.add_program("portkeeper", self.program.clone());
        for path in ["CHANGELOG.md", "LICENSE", "README.md"] {
            tree.add(path, self.read(path)?);
        }
        tree.add("NOTICE", self.read("docs/NOTICE")?);
        // The README leads to them.
        for (path, bytes) in documents(self.root)? {
            tree.add(path, bytes);
        }
        for (page, bytes) in &self.manual {
            tree.add(format!("man/man1/{page}"), bytes.clone());
        }
        for [file, _, text] in COMPLETIONS {
            tree.add(format!("completions/{file}"), text);
        }
        for (file, bytes) in &self.licences {
            tree.add(format!("licences/{file}"), bytes.clone());
        }
        tree.add("examples/tmpfiles.d/portkeeper.conf", TMPFILES);
        tree.add("portkeeper.cdx.json", self.bill.clone());
        Ok(tree.tar_gz(&format!("{name}/"), self.epoch, tree::Folders::Implied)?)
    }

    fn debian(&self) -> Result<Vec<u8>, Box<dyn Error>> {
        let mut tree = Tree::default();
        tree.add_program("usr/bin/portkeeper", self.program.clone());
        for (page, bytes) in &self.manual {
            let path = format!("usr/share/man/man1/{page}.gz");
            tree.add(path, tree::gzip(bytes)?);
        }
        for [_, path, text] in COMPLETIONS {
            tree.add(path, text);
        }
        tree.add(format!("{DOC}/copyright"), COPYRIGHT);
        tree.add(format!("{DOC}/NOTICE"), self.read("docs/NOTICE")?);
        let changes = tree::gzip(&self.read("CHANGELOG.md")?)?;
        tree.add(format!("{DOC}/changelog.gz"), changes);
        for (file, bytes) in &self.licences {
            tree.add(format!("{DOC}/licences/{file}"), bytes.clone());
        }
        let example = format!("{DOC}/examples/tmpfiles.d/portkeeper.conf");
        tree.add(example, TMPFILES);
        tree.add(format!("{DOC}/portkeeper.cdx.json"), self.bill.clone());
        let control = Control {
            version: self.version,
            target: self.target,
            summary: "reserve localhost ports, hold them, record them",
        };
        Ok(deb::package(&control, &tree, self.epoch)?)
    }

    /// The wheel that maturin made, in `path`, with what it lacks.
    fn wheel(
        &self,
        path: &Path,
        bill: &str,
        packages: &[&Package],
        sysroot: &Path,
    ) -> Result<Vec<u8>, Box<dyn Error>> {
        let mut texts = licences::texts(packages, sysroot)?;
        texts.push(("LICENSE".into(), self.read("LICENSE")?));
        texts.push(("NOTICE".into(), self.read("docs/NOTICE")?));
        let additions = Additions {
            program: &self.program,
            licences: &texts,
            bill,
        };
        wheel::complete(&fs::read(path)?, &additions)
    }
}
