//! Several users and a registry that they share: a machine-wide one, or that of a group. Never the
//! one of the machine that the tests run on.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::TestEnv;
use crate::env::{GROUP, User, can_have_users};
use crate::process::undisturbed;

/// The users, of whom there are two.
const USERS: [u32; 2] = [61_001, 61_002];

/// A registry that users share, in a folder that all of them can reach.
#[derive(Debug)]
pub struct Shared {
    root: TempDir,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Machine,
    Group,
}

impl Shared {
    /// A machine-wide registry, as `setup` makes it; `None`, with a word about it, where there can be
    /// no second user.
    #[must_use]
    pub fn machine_wide() -> Option<Shared> {
        let shared = Shared::new(Kind::Machine)?;
        shared.setup("").ok();
        Some(shared)
    }

    /// A registry of a group that both users are in.
    #[must_use]
    pub fn of_group() -> Option<Shared> {
        let shared = Shared::new(Kind::Group)?;
        let folder = shared.folder();
        let line = format!("setup --group {GROUP} {}", folder.display());
        TestEnv::new().pk(line).ok();
        Some(shared)
    }

    fn new(kind: Kind) -> Option<Shared> {
        if !can_have_users() {
            return None;
        }
        let root = tempfile::Builder::new().prefix("pk-").tempdir().unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        Some(Shared { root, kind })
    }

    /// `setup --machine` as root, for this folder, with more options.
    #[must_use]
    pub fn setup(&self, options: &str) -> crate::Answer {
        let env = TestEnv::new();
        let root = self.root.path().display();
        let mut command = env.portkeeper(format!("setup --machine --root {root} {options}"));
        command.env_remove("PORTKEEPER_MACHINE_DIR");
        env.run(command)
    }

    /// A folder that all users can look into, and only root can change.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The program that plays other parts in tests, where every user can run it. `built` is where it
    /// was built.
    ///
    /// # Panics
    /// It cannot be copied.
    #[must_use]
    pub fn actor(&self, built: &Path) -> String {
        let path = self.root.path().join("actor");
        if !path.exists() {
            undisturbed(|| fs::copy(built, &path).unwrap());
        }
        path.to_str().expect("a path of ours").to_owned()
    }

    /// The folder of the registry.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.root.path().join(match self.kind {
            Kind::Machine => "run/portkeeper",
            Kind::Group => "shared",
        })
    }

    /// Something in the folder of the registry.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The world of the first or the second user.
    ///
    /// # Panics
    /// There are only two.
    pub fn user(&self, index: usize) -> TestEnv {
        self.world(User::Member(USERS[index]))
    }

    /// The world of root.
    pub fn superuser(&self) -> TestEnv {
        self.world(User::Ourselves)
    }

    fn world(&self, user: User) -> TestEnv {
        let none = self.root.path().join("none");
        match self.kind {
            Kind::Machine => TestEnv::sharing(user, None, &self.folder()),
            Kind::Group => TestEnv::sharing(user, Some(&self.path("registry.json")), &none),
        }
    }
}
