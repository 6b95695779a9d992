//! A world for one test: folders of its own, an environment with nothing of ours in it, and the
//! real program to run there. Never leaves a process or a file behind.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::iter;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, geteuid};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Answer, Running, Screen, process, skipped, terminal};

/// No command of a test takes longer, even on a machine that is busy with others.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// A user without rights, for the tests that root runs.
const PLAIN_USER: u32 = 61_001;
/// A group of such users.
pub(crate) const GROUP: u32 = 62_000;

/// The world of a test. Commands start in the folder of a project, with a home, a runtime folder
/// and a registry that no other test sees.
#[derive(Debug)]
#[must_use]
pub struct TestEnv {
    root: TempDir,
    pub(crate) program: PathBuf,
    user: User,
    /// The registry that is named to the program, and the folder of the machine-wide one.
    registry: Option<PathBuf>,
    machine_dir: PathBuf,
}

/// Who runs the commands of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    Ourselves,
    /// This one, in no group but its own.
    Plain(u32),
    /// This one, in the group of them all.
    Member(u32),
}

impl TestEnv {
    /// A new world, for the user who runs the tests.
    ///
    /// # Panics
    /// `PK_BIN` is unset, or the temporary folder cannot be written.
    pub fn new() -> TestEnv {
        TestEnv::within(&std::env::temp_dir())
    }

    /// A new world below this folder, for the user who runs the tests.
    ///
    /// # Panics
    /// `PK_BIN` is unset, or the folder cannot be written.
    pub fn within(folder: &Path) -> TestEnv {
        TestEnv::of(User::Ourselves, folder)
    }

    /// A new world for a user without rights; `None`, with a word about it, where the tests do not
    /// run as root or `setpriv` is missing.
    pub fn plain_user() -> Option<TestEnv> {
        can_have_users().then(|| TestEnv::of(User::Plain(PLAIN_USER), &std::env::temp_dir()))
    }

    /// A new world for a user that shares a registry with others: the one that is named, or a
    /// machine-wide one.
    pub(crate) fn sharing(user: User, registry: Option<&Path>, machine_dir: &Path) -> TestEnv {
        let mut env = TestEnv::of(user, &std::env::temp_dir());
        env.registry = registry.map(Path::to_owned);
        env.machine_dir = machine_dir.to_owned();
        env
    }

    /// A new world with a program that stumbles where `PORTKEEPER_FAILPOINTS` says; `None`, with a word
    /// about it, where there is no such build.
    pub fn with_failpoints() -> Option<TestEnv> {
        let Some(program) = std::env::var_os("PK_FAILPOINTS") else {
            skipped("failpoints: PK_FAILPOINTS names no build with them");
            return None;
        };
        let mut env = TestEnv::new();
        env.program = program.into();
        Some(env)
    }

    fn of(user: User, folder: &Path) -> TestEnv {
        let program = program();
        let root = tempfile::Builder::new().prefix("pk-").tempdir_in(folder);
        let root = root.unwrap();
        let mut env = TestEnv {
            program,
            user,
            registry: Some(
                root.path()
                    .join("home/.local/state/portkeeper/registry.json"),
            ),
            // That of the machine that the tests run on is none of their business.
            machine_dir: root.path().join("no-machine-wide-registry"),
            root,
        };
        for folder in ["home", "project", "run"] {
            fs::create_dir(env.root().join(folder)).unwrap();
            fs::set_permissions(env.root().join(folder), Permissions::from_mode(0o700)).unwrap();
        }
        if let User::Plain(uid) | User::Member(uid) = user {
            env.open_to(uid);
        }
        env
    }

    /// Gives the folders to `uid`, and the program a place where that user can reach it.
    fn open_to(&mut self, uid: u32) {
        let program = self.root().join("portkeeper");
        // A program that somebody can still write to cannot be run.
        process::undisturbed(|| fs::copy(&self.program, &program).unwrap());
        for path in [self.root(), &program] {
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        for folder in ["home", "project", "run"] {
            chown(self.root().join(folder), Some(uid), Some(uid)).unwrap();
        }
        self.program = program;
    }

    /// The folder that holds everything of this world.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// `name` in the folder in which commands start.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join("project").join(name)
    }

    /// The folder where the program keeps what it knows.
    #[must_use]
    pub fn state_folder(&self) -> PathBuf {
        self.root().join("home/.local/state/portkeeper")
    }

    /// The registry of this user alone, where it also lies if nobody says where.
    #[must_use]
    pub fn registry(&self) -> PathBuf {
        self.state_folder().join("registry.json")
    }

    /// The user that runs the commands.
    #[must_use]
    pub fn uid(&self) -> u32 {
        match self.user {
            User::Ourselves => geteuid().as_raw(),
            User::Plain(uid) | User::Member(uid) => uid,
        }
    }

    /// Any command in this world; `portkeeper` is on its `PATH`.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match self.user {
            User::Ourselves => Command::new(program),
            User::Plain(uid) | User::Member(uid) => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={uid}"))
                    .arg(format!("--regid={uid}"));
                match self.user {
                    User::Member(_) => command.arg(format!("--groups={GROUP}")),
                    _ => command.arg("--clear-groups"),
                };
                command.arg("--").arg(program);
                command
            }
        };
        let ours = match self.user {
            User::Ourselves => std::env::var_os("PATH").unwrap_or_default(),
            // Ours may lead into folders that are closed to others.
            User::Plain(_) | User::Member(_) => "/usr/local/bin:/usr/bin:/bin:/usr/sbin".into(),
        };
        let folders = self.program.parent().map(Path::to_owned).into_iter();
        let path = std::env::join_paths(folders.chain(std::env::split_paths(&ours))).unwrap();
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.root().join("home"))
            .env("XDG_RUNTIME_DIR", self.root().join("run"))
            .env("PORTKEEPER_MACHINE_DIR", &self.machine_dir)
            .current_dir(self.root().join("project"))
            .stdin(Stdio::null());
        if let Some(registry) = &self.registry {
            command.env("PORTKEEPER_REGISTRY", registry);
        }
        measured(&mut command);
        command
    }

    /// The program with the arguments in `line`, cut at blanks.
    #[must_use]
    pub fn portkeeper(&self, line: impl AsRef<str>) -> Command {
        let mut command = self.command(&self.program);
        command.args(line.as_ref().split_whitespace());
        command
    }

    /// Runs the program with the arguments in `line`, cut at blanks.
    #[must_use]
    pub fn pk(&self, line: impl AsRef<str>) -> Answer {
        self.run(self.portkeeper(line))
    }

    /// Runs the program with exactly these arguments.
    #[must_use]
    pub fn pk_args(&self, args: &[&str]) -> Answer {
        let mut command = self.command(&self.program);
        command.args(args);
        self.run(command)
    }

    /// Runs a line of shell.
    #[must_use]
    pub fn sh(&self, script: &str) -> Answer {
        let mut command = self.command("sh");
        command.args(["-c", script]);
        self.run(command)
    }

    /// Runs a line of shell on a terminal of 100 columns, without colours.
    #[must_use]
    pub fn terminal(&self, script: &str) -> Answer {
        let mut command = self.command("sh");
        command
            .args(["-c", script])
            .env("TERM", "xterm")
            .env("NO_COLOR", "1");
        let written = terminal::attach(&mut command).expect("a terminal");
        let (shown, start) = (as_typed(&command), Instant::now());
        let mut output = finish(command, &shown);
        output.stdout = written.join().expect("a thread that reads");
        Answer::new(shown, &output, start.elapsed())
    }

    /// Runs a command to its end, and until nobody can write to its streams any more.
    ///
    /// # Panics
    /// That takes longer than a minute.
    #[must_use]
    pub fn run(&self, mut command: Command) -> Answer {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.run_as_is(command)
    }

    /// The same with streams that were set up before.
    ///
    /// # Panics
    /// That takes longer than a minute.
    #[must_use]
    pub fn run_as_is(&self, command: Command) -> Answer {
        let (shown, start) = (as_typed(&command), Instant::now());
        let output = finish(command, &shown);
        Answer::new(shown, &output, start.elapsed())
    }

    /// Starts a command that goes on by itself.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn start(&self, mut command: Command) -> Running {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::start(command).expect("a program")
    }

    /// Starts the program with exactly these arguments, and an open standard input.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn start_run(&self, args: &[&str]) -> Running {
        let mut command = self.command(&self.program);
        command.args(args).stdin(Stdio::piped());
        self.start(command)
    }

    /// Starts the program with the arguments in `line`, cut at blanks, on a terminal of its own, and
    /// gives back the terminal's keyboard as well.
    ///
    /// # Panics
    /// There is no terminal, or the program cannot be started.
    #[must_use]
    pub fn start_on_terminal(&self, line: &str) -> (File, Running) {
        let mut command = self.command("setsid");
        command.arg("--ctty").arg(&self.program);
        command.args(line.split_whitespace());
        let (keys, _written) = terminal::attach_with_keys(&mut command).expect("a terminal");
        (keys, Running::start(command).expect("a program"))
    }

    /// Starts the program with the arguments in `line`, cut at blanks, on a terminal of this size that
    /// can be looked at.
    ///
    /// # Panics
    /// There is no terminal, or the program cannot be started.
    #[must_use]
    pub fn start_on_screen(&self, line: &str, rows: u16, columns: u16) -> Screen {
        let mut command = self.command("setsid");
        command.arg("--ctty").arg(&self.program);
        command.args(line.split_whitespace()).env("TERM", "xterm");
        Screen::start(command, rows, columns)
    }

    /// Starts a process of this user's that ends when it is told to, or with the test.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn bystander(&self) -> Child {
        let mut command = self.command("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        process::spawn(&mut command).expect("a process that waits for its input")
    }

    /// The processes that were started in this world and still run.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        process::with_environment(&self.root().to_string_lossy())
    }

    /// What `status` lists.
    #[track_caller]
    #[must_use]
    pub fn reservations(&self) -> Vec<Value> {
        let status = self.pk("status --format json").ok().json();
        status["reservations"].as_array().expect("a list").clone()
    }

    /// The ports that `status` lists, in order.
    #[track_caller]
    #[must_use]
    pub fn reserved(&self) -> Vec<u16> {
        let ports = self
            .reservations()
            .into_iter()
            .filter_map(|entry| entry["port"].as_u64());
        let mut ports: Vec<_> = ports
            .map(|port| u16::try_from(port).expect("a port"))
            .collect();
        ports.sort_unstable();
        ports
    }

    /// What `status` says about `port`: held, leased, stale, …; `None` if it does not list it.
    #[track_caller]
    #[must_use]
    pub fn state(&self, port: u16) -> Option<String> {
        let entry = self
            .reservations()
            .into_iter()
            .find(|entry| entry["port"] == port)?;
        Some(entry["state"].as_str().expect("a word").to_owned())
    }
}

impl Default for TestEnv {
    fn default() -> TestEnv {
        TestEnv::new()
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        if !self.registry.as_ref().unwrap_or(&self.machine_dir).exists() {
            return;
        }
        let status = self.pk("status --format json");
        let status: Value = serde_json::from_str(&status.stdout).unwrap_or_default();
        let mut entries = status["reservations"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        entries.retain(|entry| entry["uid"] == self.uid());
        let holders = entries
            .iter()
            .filter_map(|entry| entry["holder_pid"].as_u64());
        let holders: Vec<_> = holders.filter_map(|pid| u32::try_from(pid).ok()).collect();
        let _ = self.pk("release --mine");
        let left: Vec<_> = holders
            .into_iter()
            .filter(|pid| process::is_alive(*pid))
            .collect();
        for pid in &left {
            process::signal(*pid, Signal::KILL);
        }
        assert!(
            left.is_empty() || thread::panicking(),
            "holders outlived release: {left:?}"
        );
    }
}

/// The program that is tested.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("PK_BIN").map(PathBuf::from).expect(
        "PK_BIN is not set: `cargo xtask test` builds the program and names it to the tests",
    )
}

/// Whether other users can be had here; says so where they can't.
pub(crate) fn can_have_users() -> bool {
    let missing = match (geteuid().is_root(), has("setpriv")) {
        (true, true) => return true,
        (false, _) => "the tests do not run as root",
        (true, false) => "no setpriv",
    };
    skipped(format_args!("a second user: {missing}"));
    false
}

/// Whether a program is on our `PATH`.
#[must_use]
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Tells a command that has an environment of its own where a build that measures what it runs through
/// counts (`cargo xtask coverage`). Otherwise it would leave that where it happens to run.
pub fn measured(command: &mut Command) {
    let file = std::env::var_os("LLVM_PROFILE_FILE");
    command.envs(file.map(|file| ("LLVM_PROFILE_FILE", file)));
}

/// A command as it would be typed, without its environment.
pub(crate) fn as_typed(command: &Command) -> String {
    let words = iter::once(command.get_program()).chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Waits for the end of `command` and of its streams, which a process that it left behind could
/// keep open.
#[track_caller]
fn finish(mut command: Command, shown: &str) -> Output {
    let child = process::spawn(&mut command).unwrap_or_else(|error| panic!("{shown}: {error}"));
    // The command keeps copies of the streams that it was given.
    drop(command);
    let (pid, (done, end)) = (child.id(), mpsc::channel());
    thread::spawn(move || done.send(child.wait_with_output()));
    match end.recv_timeout(LIMIT) {
        Ok(output) => output.unwrap_or_else(|error| panic!("{shown}: {error}")),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            process::signal(pid, Signal::KILL);
            panic!("still running after {LIMIT:?}: {shown}");
        }
    }
}
