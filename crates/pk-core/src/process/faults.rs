//! Processes while each system call in turn fails: nobody is said to have ended because it could not
//! be looked at.

use rustix::io::Errno;

use super::*;
use crate::sys::failing::{FILES, SOCKETS, each, run};
use crate::tree;

const ERRNOS: [Errno; 4] = [Errno::IO, Errno::MFILE, Errno::ACCESS, Errno::NOENT];

fn this() -> (ProcessId, Machine) {
    let machine = Machine::here();
    (ProcessId::this(&machine), machine)
}

#[test]
fn who_can_not_be_looked_at_has_not_ended() {
    for errno in ERRNOS {
        let state = |(this, machine): &mut (ProcessId, Machine)| this.state(machine);
        each(FILES, errno.raw_os_error(), this, state, |_, state| {
            assert_ne!(state, ProcessState::Gone, "{errno}");
        });
    }
}

#[test]
fn who_can_not_be_looked_at_is_nobody_else() {
    for errno in ERRNOS {
        let of = |(this, machine): &mut (ProcessId, Machine)| ProcessId::of(this.pid, machine);
        each(
            FILES,
            errno.raw_os_error(),
            this,
            of,
            |(this, _), found| match found {
                Ok(Some(found)) => assert_eq!(found, this),
                Ok(None) => assert_eq!(errno, Errno::NOENT),
                Err(error) => assert_eq!(error.raw_os_error(), Some(errno.raw_os_error())),
            },
        );
    }
}

#[test]
fn a_descriptor_is_of_the_process_that_was_meant_or_there_is_none() {
    let calls = [FILES, &[libc::SYS_pidfd_open]].concat();
    let prepare = || {
        let _starting = crate::PROCESSES.write();
        let child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let machine = Machine::here();
        let id = ProcessId::of(child.id(), &machine).unwrap().unwrap();
        (child, id, machine)
    };
    let open =
        |(_, id, machine): &mut (std::process::Child, ProcessId, Machine)| id.descriptor(machine);
    each(
        &calls,
        libc::EMFILE,
        prepare,
        open,
        |(mut child, ..), opened| {
            match opened {
                Ok(descriptor) => {
                    assert!(!wait(&descriptor, Duration::ZERO).unwrap());
                    kill(&descriptor).unwrap();
                    assert!(wait(&descriptor, Duration::from_secs(60)).unwrap());
                }
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                    child.kill().unwrap();
                }
            }
            child.wait().unwrap();
        },
    );
}

#[test]
fn one_that_has_ended_has_no_descriptor() {
    let starting = crate::PROCESSES.write();
    let machine = Machine::here();
    let mut child = std::process::Command::new("true").spawn().unwrap();
    drop(starting);
    let id = ProcessId {
        pid: child.id(),
        start: 0,
        namespace: machine.processes,
    };
    let another = id.descriptor(&machine).unwrap_err();
    assert_eq!(another.kind(), io::ErrorKind::NotFound);
    child.wait().unwrap();
    let nobody = id.descriptor(&machine).unwrap_err();
    assert_eq!(nobody.kind(), io::ErrorKind::NotFound);
    let elsewhere = ProcessId { namespace: 1, ..id };
    let unknown = elsewhere.descriptor(&machine).unwrap_err();
    assert_eq!(unknown.kind(), io::ErrorKind::Unsupported);
}

#[test]
fn without_proc_a_process_is_only_asked_whether_it_is_there() {
    let nowhere = Machine {
        processes: 0,
        ..Machine::here()
    };
    let pid = std::process::id();
    let found = ProcessId::of(pid, &nowhere).unwrap().unwrap();
    assert_eq!((found.pid, found.start, found.namespace), (pid, 0, 0));
    assert_eq!(found.state(&nowhere), ProcessState::Unknown);
    assert_eq!(ProcessId::of(u32::MAX, &nowhere).unwrap(), None);
    let answers = |errno: Errno| {
        let answer = run(&[libc::SYS_kill], 0, errno.raw_os_error(), || {
            found.answers()
        });
        answer.map(|(state, _)| state)
    };
    for (errno, expect) in [
        (Errno::PERM, ProcessState::Alive),
        (Errno::SRCH, ProcessState::Gone),
        (Errno::IO, ProcessState::Unknown),
    ] {
        assert!(answers(errno).is_none_or(|it| it == expect), "{errno}");
    }
}

#[test]
fn what_people_are_told_of_a_process_is_true_or_an_error() {
    let expect = About::of(std::process::id()).unwrap();
    for errno in [Errno::IO, Errno::MFILE] {
        let about = |(): &mut ()| About::of(std::process::id());
        each(
            FILES,
            errno.raw_os_error(),
            || (),
            about,
            |(), found| match found {
                Ok(found) => assert_eq!((found.uid, &found.command), (expect.uid, &expect.command)),
                Err(error) => assert_eq!(error.raw_os_error(), Some(errno.raw_os_error())),
            },
        );
    }
}

#[test]
fn one_that_ends_while_it_is_read_is_not_there() {
    let read = run(&[libc::SYS_read], 0, libc::ESRCH, || {
        stat(std::process::id())
    });
    if let Some((read, _)) = read {
        assert_eq!(read.err().unwrap().kind(), io::ErrorKind::NotFound);
    }
    assert!(parse(b"1 (a) S").is_none());
    assert!(parse(b"1 (a) S x 1").is_none());
    assert!(parse(b"1 (a").is_none());
}

#[test]
fn a_folder_of_processes_that_can_not_be_read_is_an_error() {
    let below = |(this, machine): &mut (ProcessId, Machine)| tree::descendants(this.pid, machine);
    let mut answers = Vec::new();
    each(
        &[libc::SYS_getdents64],
        libc::EIO,
        this,
        below,
        |_, found| {
            answers.push(found.map(drop).map_err(|error| error.raw_os_error()));
        },
    );
    if let Some((last, failed)) = answers.split_last() {
        assert_eq!(*last, Ok(()));
        assert!(
            failed.iter().all(|it| *it == Err(Some(libc::EIO))),
            "{failed:?}"
        );
    }
}

#[test]
fn who_has_a_socket_is_known_or_not_and_never_another() {
    use crate::sockets::owners::{Among, Owners};
    use crate::sockets::{self, States};
    use crate::{Port, Transport};

    let _no_process_starts = crate::PROCESSES.read();
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = Port::new(server.local_addr().unwrap().port()).unwrap();
    let of_port = || sockets::of_port(Transport::Tcp, States::LISTENING, port);
    let expect = of_port().unwrap();
    each(
        SOCKETS,
        libc::EIO,
        || (),
        |(): &mut ()| of_port(),
        |(), found| match found {
            Ok(found) => assert_eq!(found, expect),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EIO)),
        },
    );
    let me = std::process::id();
    let calls = [libc::SYS_getdents64, libc::SYS_openat];
    let find = |(): &mut ()| {
        Owners::find(&expect, Among::These(&[me]))
            .of(&expect[0])
            .to_vec()
    };
    each(
        &calls,
        libc::EACCES,
        || (),
        find,
        |(), owners| {
            assert!(owners.is_empty() || owners == [me], "{owners:?}");
        },
    );
    let listening = |(): &mut ()| sockets::listening(port, &[me]);
    each(
        SOCKETS,
        libc::EIO,
        || (),
        listening,
        |(), found| match found {
            Ok(found) => assert_eq!(found.unwrap().pid, me),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EIO)),
        },
    );
}
