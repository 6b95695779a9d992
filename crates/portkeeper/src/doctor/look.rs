//! What the checks share: when and where they look, and where they write down what they see. Decides
//! nothing.

use std::path::Path;

use pk_fs::folder::Folder;
use pk_registry::Here;
use rustix::fs::{AtFlags, FileType, Stat};

use super::finding::{Cure, Fact, Finding, Remedy};
use crate::settings::Settings;
use crate::users::Users;

/// A look at everything.
pub(super) struct Look<'s> {
    pub(super) settings: &'s Settings,
    pub(super) here: Here,
    pub(super) users: Users,
    pub(super) facts: Vec<Fact>,
    pub(super) findings: Vec<Finding>,
}

/// What an own private thing should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
}

impl Kind {
    /// The mode that it is made with.
    pub(super) fn mode(self) -> u32 {
        match self {
            Kind::File => 0o600,
            Kind::Folder => 0o700,
        }
    }

    fn file_type(self) -> FileType {
        match self {
            Kind::File => FileType::RegularFile,
            Kind::Folder => FileType::Directory,
        }
    }
}

impl<'s> Look<'s> {
    pub(super) fn new(settings: &'s Settings) -> Look<'s> {
        Look {
            settings,
            here: Here::now(),
            users: Users::read(),
            facts: Vec::new(),
            findings: Vec::new(),
        }
    }

    pub(super) fn fact(&mut self, name: &'static str, value: impl Into<String>) {
        self.fact_that(name, value, "");
    }

    pub(super) fn fact_that(
        &mut self,
        name: &'static str,
        value: impl Into<String>,
        meaning: &'static str,
    ) {
        self.facts.push(Fact {
            name,
            value: value.into(),
            meaning,
        });
    }

    pub(super) fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// `0600, of ann`.
    pub(super) fn described(&self, stat: &Stat) -> String {
        let owner = match self.users.name(stat.st_uid) {
            Some(name) => name.to_owned(),
            None => format!("uid {}", stat.st_uid),
        };
        format!("{:04o}, of {owner}", stat.st_mode & 0o7777)
    }

    /// What is wrong with something that should be this user's alone, by its kind, owner and mode;
    /// its description where it is there at all. Whoever only reads it needs no right to it.
    pub(super) fn private(&mut self, folder: &Folder, name: &Path, kind: Kind) -> Option<String> {
        let path = match name == Path::new(".") {
            true => folder.path().into(),
            false => folder.path().join(name),
        };
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let (me, mode) = (self.here.uid, stat.st_mode & 0o7777);
        let found = FileType::from_raw_mode(stat.st_mode);
        let described = self.described(&stat);
        if found != kind.file_type() {
            let what = format!("{} is {}", path.display(), word(found));
            let remedy = Remedy::MoveAway(path.clone());
            self.find(
                Finding::problem("no-plain-file", what)
                    .at(path)
                    .helped_by(remedy),
            );
            return Some(described);
        }
        if kind == Kind::File && stat.st_nlink > 1 {
            let what = format!(
                "{} has {} names (hard links)",
                path.display(),
                stat.st_nlink
            );
            let remedy = Remedy::OwnCopy(path.clone());
            self.find(
                Finding::problem("hard-link", what)
                    .at(path)
                    .helped_by(remedy),
            );
            // Its mode may be somebody's business under another of its names.
            return Some(described);
        }
        if stat.st_uid != me {
            let what = format!("{} is not this user's: {described}", path.display());
            let remedy = Remedy::Own {
                path: path.clone(),
                uid: me,
            };
            self.find(
                Finding::problem("foreign-owner", what)
                    .at(path)
                    .helped_by(remedy),
            );
            return Some(described);
        }
        let cure = |mode| Cure::Mode {
            path: path.clone(),
            mode,
        };
        if mode & kind.mode() != kind.mode() {
            let what = format!("{} lacks rights of its owner: {described}", path.display());
            let finding = Finding::problem("closed-mode", what).at(&path);
            self.find(finding.cured_by(cure(mode | kind.mode())));
        } else if mode & 0o022 != 0 {
            let what = format!("others may write to {}: {described}", path.display());
            self.find(
                Finding::problem("open-mode", what)
                    .at(&path)
                    .cured_by(cure(kind.mode())),
            );
        } else if mode & 0o055 != 0 {
            let what = format!("others may read {}: {described}", path.display());
            self.find(
                Finding::note("open-mode", what)
                    .at(&path)
                    .cured_by(cure(kind.mode())),
            );
        }
        Some(described)
    }
}

fn word(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symlink",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        _ => "a device",
    }
}
