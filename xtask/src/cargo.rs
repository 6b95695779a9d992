//! The cargo that runs us, for the commands that a chore needs. Never a second toolchain.

use std::error::Error;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use cargo_metadata::{Message, Metadata, MetadataCommand, Package};

/// A binary of the workspace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binary {
    pub(crate) package: &'static str,
    pub(crate) name: &'static str,
}

/// The program that users run.
pub(crate) const PROGRAM: Binary = Binary {
    package: "pk-cli",
    name: "portkeeper",
};

/// How the compiler is told to link a program statically. Random numbers come from the system call:
/// without a C library to ask for it they would come from `/dev/urandom`, which a bare root does not have.
const STATIC: [&str; 2] = [
    "-Ctarget-feature=+crt-static",
    "--cfg=getrandom_backend=\"linux_getrandom\"",
];

/// The same for the program that is released, and small. A panic aborts: nobody unwinds; what tables for
/// it come with libraries, `xtask/static.ld` leaves out (cargo links in the workspace's folder).
/// Relocations are packed, which libc unpacks since glibc 2.36.
pub(crate) const RELEASED: [&str; 5] = [
    STATIC[0],
    STATIC[1],
    "-Cforce-unwind-tables=no",
    "-Clink-arg=-Wl,-z,pack-relative-relocs",
    "-Clink-arg=-Wl,-T,xtask/static.ld",
];

/// The cargo that started this process, else the one on `PATH`.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

/// Whether cargo knows the subcommand `name` (`fmt` and `clippy` are optional components).
pub(crate) fn has(name: &str) -> bool {
    command(&[name, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs `command` to its end, its output on ours, and gives back its exit code.
///
/// # Errors
/// The command could not be started.
pub(crate) fn run(command: &mut Command) -> io::Result<ExitCode> {
    Ok(code(command.status()?))
}

/// The exit code to end with when a command has ended so; a signal counts as failure.
pub(crate) fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

/// The workspace as cargo sees it: its members and what each asks for, nothing resolved.
///
/// # Errors
/// cargo could not read a manifest.
pub(crate) fn workspace() -> Result<Metadata, cargo_metadata::Error> {
    MetadataCommand::new().no_deps().exec()
}

/// Every package of the lock file, the workspace's own among them.
///
/// # Errors
/// The lock file is out of date, or a package can't be had.
pub(crate) fn all_packages() -> Result<Vec<Package>, cargo_metadata::Error> {
    let locked = ["--locked".to_owned()];
    Ok(MetadataCommand::new()
        .other_options(locked)
        .exec()?
        .packages)
}

/// Builds the program, with these options, and gives back where it lies; when it does not build, which
/// cargo has then explained, cargo's exit code.
///
/// # Errors
/// cargo could not be started, or says nothing that makes sense.
pub(crate) fn build(options: &[&str]) -> Result<Result<PathBuf, ExitCode>, Box<dyn Error>> {
    Ok(binaries(&[PROGRAM], options)?.map(|[program]| program))
}

/// Builds the program as it is released: optimized, and on Linux linked statically, since loading
/// libc and libgcc_s costs as much as everything that a small command does.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_release() -> Result<Result<PathBuf, ExitCode>, Box<dyn Error>> {
    build_static("release", &RELEASED)
}

/// Builds the program for the hunt: linked as it is released, for the same reason, since a hunt runs
/// it some hundred thousand times; but there somebody unwinds.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_for_hunt() -> Result<Result<PathBuf, ExitCode>, Box<dyn Error>> {
    build_static("fuzz", &STATIC)
}

/// Builds the program with this profile and, on Linux, these flags.
fn build_static(profile: &str, with: &[&str]) -> Result<Result<PathBuf, ExitCode>, Box<dyn Error>> {
    if !cfg!(target_os = "linux") {
        return build(&["--profile", profile]);
    }
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    for flag in with {
        flags = format!("{flags} {flag}");
    }
    // With a target named, what runs while building (proc-macros) is not linked so.
    let target = host()?;
    let mut build = command(&["build", "--profile", profile, "--target", &target]);
    build.env("RUSTFLAGS", flags.trim_start());
    Ok(artifacts(build, &[PROGRAM])?.map(|[program]| program))
}

/// The target that the toolchain builds for where none is named.
///
/// # Errors
/// rustc can't be asked.
pub(crate) fn host() -> Result<String, Box<dyn Error>> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc names no host")?.to_owned())
}

/// Builds these binaries at once, with these options; otherwise as [`build`].
///
/// # Errors
/// As there.
pub(crate) fn binaries<const N: usize>(
    wanted: &[Binary; N],
    options: &[&str],
) -> Result<Result<[PathBuf; N], ExitCode>, Box<dyn Error>> {
    let mut build = command(&["build"]);
    build.args(options);
    artifacts(build, wanted)
}

/// Runs a build of these binaries, and asks cargo where they lie, which depends on the target folder and
/// on the target.
fn artifacts<const N: usize>(
    mut build: Command,
    wanted: &[Binary; N],
) -> Result<Result<[PathBuf; N], ExitCode>, Box<dyn Error>> {
    for Binary { package, name } in wanted {
        build.args(["--package", package, "--bin", name]);
    }
    build.arg("--message-format=json-render-diagnostics");
    let mut build = build.stdout(Stdio::piped()).spawn()?;
    let stdout = build.stdout.take().ok_or("cargo has no standard output")?;
    let mut paths = [const { None }; N];
    for message in Message::parse_stream(BufReader::new(stdout)) {
        if let Message::CompilerArtifact(artifact) = message? {
            let at = wanted.iter().position(|it| it.name == artifact.target.name);
            if let (Some(at), Some(path)) = (at, artifact.executable) {
                paths[at] = Some(PathBuf::from(path));
            }
        }
    }
    let status = build.wait()?;
    if !status.success() {
        return Ok(Err(code(status)));
    }
    let paths: Vec<PathBuf> = paths.into_iter().flatten().collect();
    let paths = paths
        .try_into()
        .map_err(|_| "cargo does not name all that it built")?;
    Ok(Ok(paths))
}
