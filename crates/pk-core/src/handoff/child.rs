//! The child that a port is handed to: its group, its terminal, its environment, the sockets that
//! it inherits, the filter that lets its bind(2) be answered. Never starts it.
//!
//! All of it happens in the child itself, between fork and exec, so that there is no moment at
//! which the program runs without it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Pid, getpid};

use super::pass;
use crate::sys;

/// How a child begins.
#[derive(Debug, Default)]
pub struct Setup<'s> {
    /// All variables of its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The listening sockets that become its descriptors 3, 4, …, each with a name.
    pub sockets: Vec<(String, OwnedFd)>,
    /// How it learns of them.
    pub telling: Telling,
    /// The terminal whose foreground the child becomes.
    pub terminal: Option<BorrowedFd<'s>>,
    /// Whether its bind(2) and listen(2) are to be answered by this process.
    pub adoption: Adoption<'s>,
}

/// How a child learns that it has sockets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Telling {
    /// `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES` tell of them, as `sd_listen_fds(3)` expects.
    #[default]
    ByEnvironment,
    /// Its arguments do. A server that is told twice (gunicorn) takes one socket for two, and ends
    /// when it has closed the first.
    ByArguments,
}

/// Whether the child's bind(2) and listen(2) are to be answered from outside.
#[derive(Debug, Default)]
pub enum Adoption<'s> {
    /// They are not.
    #[default]
    No,
    /// They are; where the kernel refuses, the child does not start.
    Must,
    /// They are; where the kernel refuses, these held sockets are relaxed (`SO_REUSEADDR`), so that
    /// a server that sets the option can bind beside them.
    OrRelaxed(Vec<BorrowedFd<'s>>),
}

/// What is learnt of a child that was started.
#[derive(Debug)]
pub struct Started {
    report: Option<UnixStream>,
    _occupied: Vec<OwnedFd>,
}

/// How a child's bind(2) will be answered.
#[derive(Debug)]
pub enum Answered {
    /// Not at all: nobody asked for it.
    ByKernel,
    /// By whoever serves this listener ([`super::adopt::Adopter`]).
    ByListener(OwnedFd),
    /// By the kernel, because it refused the filter for this reason. The held sockets are relaxed.
    Refused(io::Error),
}

/// The variables of socket activation; what this process was given is not the child's.
const ACTIVATION: [&str; 4] = [
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
];

impl Setup<'_> {
    /// Makes the next child of `command` begin like this, at the head of a process group of its own.
    /// It gets SIGTERM when the thread that starts it ends.
    ///
    /// The command's own variables are not looked at: [`Setup::environment`] is all there is.
    ///
    /// # Errors
    /// The system's reason; `InvalidInput` for a variable with a zero byte.
    pub fn apply(self, command: &mut Command) -> io::Result<Started> {
        let last = sys::FIRST + i32::try_from(self.sockets.len()).map_err(io::Error::other)?;
        let environment = environment(&self.environment, &self.sockets, self.telling)?;
        // The numbers that the sockets get in the child must not be those of anything that is
        // needed there until exec, such as what the standard library reports a failure with.
        let sockets = self.sockets.iter().map(|(_, socket)| above(socket, last));
        let sockets = sockets.collect::<io::Result<Vec<_>>>()?;
        let terminal = self.terminal.map(|terminal| above(terminal, last));
        let (report, adoption) = match &self.adoption {
            Adoption::No => (None, None),
            asked => {
                let (here, there) = UnixStream::pair()?;
                let relaxed = match asked {
                    Adoption::OrRelaxed(members) => Some(raw(members)),
                    _ => None,
                };
                let report = UnixStream::from(above(there, last)?);
                (Some(here), Some(sys::Adoption { report, relaxed }))
            }
        };
        let steps = sys::Steps {
            parent: Some(getpid()),
            terminal: terminal.transpose()?,
            sockets,
            environment: Some(environment),
            adoption,
        };
        let occupied = occupy(last)?;
        command.process_group(0);
        sys::before_exec(command, steps);
        Ok(Started {
            report,
            _occupied: occupied,
        })
    }
}

impl Started {
    /// To be called once the child runs, and the [`Command`] that started it is dropped.
    ///
    /// # Errors
    /// The system's reason.
    pub fn answered(self) -> io::Result<Answered> {
        let Some(report) = self.report else {
            return Ok(Answered::ByKernel);
        };
        let mut code = [0; 4];
        crate::failpoint!("adopt.report");
        let (length, mut descriptors) = pass::receive(&report, &mut code)?;
        match (length, descriptors.pop()) {
            (4, Some(listener)) => Ok(Answered::ByListener(listener)),
            (4, None) => {
                let refusal = io::Error::from_raw_os_error(i32::from_ne_bytes(code));
                Ok(Answered::Refused(refusal))
            }
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// The process group of this process; `None` where its leader can't be seen from here, as in a
/// container that was entered from outside.
#[must_use]
pub fn own_group() -> Option<u32> {
    u32::try_from(sys::own_group())
        .ok()
        .filter(|group| *group > 0)
}

/// Makes a process group the one that a terminal's keys and input go to, also from the background.
///
/// # Errors
/// The system's reason, such as a group of another session.
pub fn to_foreground(terminal: BorrowedFd<'_>, group: u32) -> io::Result<()> {
    let group = i32::try_from(group).ok().and_then(Pid::from_raw);
    sys::to_foreground(terminal, group.ok_or(io::ErrorKind::InvalidInput)?)
}

fn environment(
    variables: &[(OsString, OsString)],
    sockets: &[(String, OwnedFd)],
    telling: Telling,
) -> io::Result<sys::Environment> {
    let is_ours = |name: &OsStr| ACTIVATION.iter().any(|ours| name == *ours);
    let mut all: Vec<Vec<u8>> = variables
        .iter()
        .filter(|(name, _)| !is_ours(name))
        .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
        .collect();
    let mut pid = None;
    if !sockets.is_empty() && telling == Telling::ByEnvironment {
        let names: Vec<&str> = sockets.iter().map(|(name, _)| name.as_str()).collect();
        all.push(format!("LISTEN_FDS={}", sockets.len()).into());
        all.push(format!("LISTEN_FDNAMES={}", names.join(":")).into());
        pid = Some("LISTEN_PID");
    }
    match all.iter().any(|string| string.contains(&0)) {
        true => Err(io::ErrorKind::InvalidInput.into()),
        false => Ok(sys::Environment::new(all, pid)),
    }
}

fn raw(descriptors: &[BorrowedFd<'_>]) -> Vec<RawFd> {
    descriptors.iter().map(AsRawFd::as_raw_fd).collect()
}

/// A copy with a number not below `least`, close-on-exec.
fn above(descriptor: impl std::os::fd::AsFd, least: RawFd) -> io::Result<OwnedFd> {
    Ok(fcntl_dupfd_cloexec(descriptor, least)?)
}

/// Opens what is closed of the numbers from 3 to `end`, so that nothing that is opened from now on
/// gets one of them.
fn occupy(end: RawFd) -> io::Result<Vec<OwnedFd>> {
    let mut occupied = Vec::new();
    let nothing = std::fs::File::open("/dev/null")?;
    loop {
        let next = fcntl_dupfd_cloexec(&nothing, sys::FIRST)?;
        if next.as_raw_fd() >= end {
            return Ok(occupied);
        }
        occupied.push(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::AsFd as _;
    use std::process::Stdio;

    /// What a shell that was set up so prints.
    fn output(setup: Setup<'_>, script: &str) -> String {
        let starting = crate::PROCESSES.write();
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::piped());
        let started = setup.apply(&mut command).unwrap();
        let child = command.spawn().unwrap();
        drop(command);
        drop(starting);
        assert!(matches!(started.answered().unwrap(), Answered::ByKernel));
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }

    fn path() -> (OsString, OsString) {
        ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())
    }

    #[test]
    fn sockets_are_descriptors_from_three_on_and_nothing_else_is_open() {
        let [one, two] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let inode = |socket: &TcpListener| rustix::fs::fstat(socket).unwrap().st_ino;
        let expect = format!(
            "LISTEN_FDS=2 LISTEN_FDNAMES=WEB:API true\n3 socket:[{}]\n4 socket:[{}]\n",
            inode(&one),
            inode(&two)
        );
        let setup = Setup {
            environment: vec![
                path(),
                ("LISTEN_PID".into(), "1".into()),
                ("LISTEN_FDS".into(), "7".into()),
            ],
            sockets: vec![("WEB".into(), one.into()), ("API".into(), two.into())],
            ..Setup::default()
        };
        let script = "test $LISTEN_PID = $$ && ours=true
            echo LISTEN_FDS=$LISTEN_FDS LISTEN_FDNAMES=$LISTEN_FDNAMES $ours
            for fd in /proc/$$/fd/*; do target=$(readlink $fd)
            case $target in socket:*) echo ${fd##*/} $target ;; esac; done";
        assert_eq!(output(setup, script), expect);
    }

    #[test]
    fn without_sockets_nothing_is_said_of_any_and_the_child_heads_a_group() {
        let setup = Setup {
            environment: vec![path(), ("LISTEN_FDS".into(), "1".into())],
            ..Setup::default()
        };
        let script = "echo \"${LISTEN_FDS-unset}\"; read -r stat < /proc/$$/stat
            set -- $stat; test $5 = $$ && echo heads a group";
        assert_eq!(output(setup, script), "unset\nheads a group\n");
    }

    #[test]
    fn a_program_that_is_not_there_is_told_even_with_sockets() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let setup = Setup {
            sockets: vec![("PORT".into(), socket.into())],
            ..Setup::default()
        };
        let _starting = crate::PROCESSES.write();
        let mut command = Command::new("/nonexistent/program");
        let _started = setup.apply(&mut command).unwrap();
        assert_eq!(command.spawn().unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_variable_with_a_zero_byte_is_refused() {
        let setup = Setup {
            environment: vec![("A".into(), "b\0c".into())],
            ..Setup::default()
        };
        let refused = setup.apply(&mut Command::new("true")).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    }

    #[cfg(target_os = "linux")]
    fn held() -> crate::Hold {
        use crate::{Coverage, Hold, Host, Origin, PortRange, Protocol};
        let coverage = Coverage::Host;
        PortRange::DEFAULT
            .ports_from(std::process::id().wrapping_mul(71))
            .find_map(|port| {
                Hold::acquire(
                    Host::default(),
                    port,
                    Protocol::Tcp,
                    coverage,
                    Origin::Range,
                )
                .ok()
            })
            .expect("some port of ten thousand can be held")
    }

    /// Starts `true`; what is learnt of it.
    #[cfg(target_os = "linux")]
    fn start(setup: Setup<'_>) -> io::Result<Answered> {
        let mut command = Command::new("true");
        let started = setup.apply(&mut command)?;
        let mut child = command.spawn()?;
        drop(command);
        let answered = started.answered();
        child.wait()?;
        answered
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn where_the_kernel_refuses_the_filter_the_hold_is_relaxed_or_nothing_starts() {
        use crate::sys::failing;

        let _starting = crate::PROCESSES.write();
        let hold = held();
        let address = ("127.0.0.1", hold.port().number());
        let with = |adoption| Setup {
            environment: vec![path()],
            adoption,
            ..Setup::default()
        };
        // A second listener is what it refuses.
        let calls = &[libc::SYS_chdir];
        let begin = |adoption| failing::run(calls, usize::MAX, 0, || start(with(adoption)));
        let Some((refused, _)) = begin(Adoption::Must) else {
            return;
        };
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EBUSY));
        assert!(TcpListener::bind(address).is_err());
        let relaxed = begin(Adoption::OrRelaxed(hold.descriptors()));
        match relaxed.unwrap().0.unwrap() {
            Answered::Refused(why) => assert_eq!(why.raw_os_error(), Some(libc::EBUSY)),
            other => panic!("{other:?}"),
        }
        TcpListener::bind(address).unwrap();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_child_that_can_not_be_set_up_does_not_start() {
        use crate::sys::failing::each;

        let _starting = crate::PROCESSES.write();
        let calls = [
            libc::SYS_fcntl,
            libc::SYS_socketpair,
            libc::SYS_prctl,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_dup2,
            libc::SYS_dup3,
            libc::SYS_sendmsg,
            libc::SYS_recvmsg,
            libc::SYS_setsockopt,
        ];
        let begin = |hold: &mut crate::Hold| {
            let sockets = vec![("WEB".into(), TcpListener::bind("127.0.0.1:0")?.into())];
            start(Setup {
                environment: vec![path()],
                sockets,
                adoption: Adoption::OrRelaxed(hold.descriptors()),
                ..Setup::default()
            })
        };
        let mut ways = [0, 0];
        each(
            &calls,
            libc::EIO,
            held,
            begin,
            |_, answered| match answered {
                Ok(Answered::Refused(why)) => {
                    assert_eq!(why.raw_os_error(), Some(libc::EBUSY));
                    ways[0] += 1;
                }
                Ok(other) => panic!("{other:?}"),
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc::EIO));
                    ways[1] += 1;
                }
            },
        );
        assert!(ways == [0, 0] || ways.iter().all(|it| *it > 0), "{ways:?}");
    }

    #[test]
    fn a_process_knows_its_group_and_a_number_that_is_none_is_refused() {
        let group = own_group().unwrap();
        let shown = rustix::process::getpgrp().as_raw_nonzero().get();
        assert_eq!(i64::from(group), i64::from(shown));
        let file = std::fs::File::open("/dev/null").unwrap();
        for (group, expect) in [
            (0, io::ErrorKind::InvalidInput),
            (u32::MAX, io::ErrorKind::InvalidInput),
        ] {
            let refused = to_foreground(file.as_fd(), group).unwrap_err();
            assert_eq!(refused.kind(), expect, "{group}");
        }
        let no_terminal = to_foreground(file.as_fd(), group).unwrap_err();
        assert_eq!(no_terminal.raw_os_error(), Some(libc::ENOTTY));
    }
}
