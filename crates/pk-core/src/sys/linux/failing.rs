//! System calls that fail, one at a time, so that tests can look at what becomes of each failure: the
//! calls of one thread are heard of (`seccomp_unotify(2)`) and let go on, but for one. Never ships.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::mpsc;

use libc::c_long;
use rustix::event::{PollFd, PollFlags};

use super::filter::{self, step};
use super::notification::{self, Reply};

/// More calls than any test makes: what goes on asking never ends.
const MOST: usize = 1000;

/// Calls that open files, and read what is in them.
pub(crate) const FILES: &[c_long] = &[
    libc::SYS_openat,
    libc::SYS_read,
    libc::SYS_getdents64,
    libc::SYS_statx,
    libc::SYS_newfstatat,
    libc::SYS_fstat,
    libc::SYS_readlinkat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
];

/// Calls that make sockets and change them, and what is asked of the kernel about them.
pub(crate) const SOCKETS: &[c_long] = &[
    libc::SYS_socket,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_connect,
    libc::SYS_shutdown,
    libc::SYS_setsockopt,
    libc::SYS_getsockopt,
    libc::SYS_getsockname,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
];

/// Does `act` again and again, each time on what `prepare` gives, until each of the calls among
/// `calls` that it makes has failed once with `errno`, and then once without a failure. `judge` is
/// told what came of it.
pub(crate) fn each<P: Send, T: Send>(
    calls: &[c_long],
    errno: i32,
    prepare: impl Fn() -> P,
    act: impl Fn(&mut P) -> T + Sync,
    mut judge: impl FnMut(P, T),
) {
    for nth in 0..MOST {
        let mut prepared = prepare();
        let Some((answer, made)) = run(calls, nth, errno, || act(&mut prepared)) else {
            println!("skipped: this process' calls are heard of already");
            return;
        };
        judge(prepared, answer);
        if made <= nth {
            assert_ne!(made, 0, "nothing could fail");
            return;
        }
    }
    panic!("more than {MOST} calls");
}

/// Does `act` on a thread of its own where the call with this number (from 0) fails; what came of it,
/// and how many such calls were made. `None` where the kernel allows no second listener.
pub(crate) fn run<T: Send>(
    calls: &[c_long],
    nth: usize,
    errno: i32,
    act: impl FnOnce() -> T + Send,
) -> Option<(T, usize)> {
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        let acting = scope.spawn(move || {
            let listener = listen_to_this_thread(calls);
            let is_heard = listener.is_ok();
            tell.send(listener).expect("it is waited for");
            is_heard.then(act)
        });
        let listener = match told.recv().expect("it tells before it ends") {
            // SAFETY: the descriptor was just opened, and nobody else knows of it.
            Ok(listener) => unsafe { OwnedFd::from_raw_fd(listener) },
            Err(libc::EBUSY) => return None,
            Err(errno) => panic!("no filter: {errno}"),
        };
        let made = fail(&listener, nth, errno);
        let answer = acting
            .join()
            .unwrap_or_else(|it| std::panic::resume_unwind(it));
        Some((answer?, made))
    })
}

/// Answers until the thread has ended.
fn fail(listener: &OwnedFd, nth: usize, errno: i32) -> usize {
    let size = notification::message_sizes().expect("there is a listener");
    let mut made = 0;
    loop {
        let mut watched = [PollFd::new(listener, PollFlags::IN)];
        rustix::event::poll(&mut watched, None).expect("a listener can be waited for");
        if !watched[0].revents().contains(PollFlags::IN) {
            return made;
        }
        let heard = notification::receive(listener, size.seccomp_notif.into());
        if let Some(call) = heard.expect("a listener can be read") {
            let reply = match made == nth {
                true => Reply::Failed(errno),
                false => Reply::GoOn,
            };
            made += 1;
            notification::reply(listener, call.id, reply).expect("a call can be answered");
        }
    }
}

fn listen_to_this_thread(calls: &[c_long]) -> Result<RawFd, i32> {
    let program = program(calls, libc::SECCOMP_RET_USER_NOTIF);
    without_new_privileges();
    filter::install(&program, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)
}

/// Lets all of these calls of this thread fail from now on.
pub(crate) fn forbid(calls: &[c_long], errno: i32) {
    let program = program(calls, libc::SECCOMP_RET_ERRNO | errno.cast_unsigned());
    without_new_privileges();
    filter::install(&program, 0).expect("a thread may always forbid itself more");
}

/// The filter of a program, for this thread alone; what is asked through. `None` where the kernel
/// allows no second listener.
pub(crate) fn ask_about_this_thread() -> Option<OwnedFd> {
    match filter::install_filter() {
        // SAFETY: the descriptor was just opened, and nobody else knows of it.
        Ok(listener) => Some(unsafe { OwnedFd::from_raw_fd(listener) }),
        Err(libc::EBUSY) => None,
        Err(errno) => panic!("no filter: {errno}"),
    }
}

/// Answers these calls of the native instruction set in this way, and lets all others go on.
fn program(calls: &[c_long], answer: u32) -> Vec<libc::sock_filter> {
    let others = u8::try_from(calls.len()).expect("a filter is short");
    let mut program = vec![step(filter::LOAD, 0, 0, filter::NUMBER)];
    for (call, before) in calls.iter().zip(0..) {
        let number = u32::try_from(*call).expect("numbers of calls are small");
        program.push(step(filter::EQUAL, others - before, 0, number));
    }
    program.push(step(filter::RETURN, 0, 0, filter::ALLOW));
    program.push(step(filter::RETURN, 0, 0, answer));
    program
}

/// What the kernel demands of whoever filters without privilege.
fn without_new_privileges() {
    // SAFETY: the call takes numbers only, and is about this thread alone.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
}

/// Gives up, for this thread alone, what only root may do with interfaces (`CAP_NET_RAW`).
pub(crate) fn without_privilege() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let mut ours = capabilities(None).expect("the kernel tells what may be done");
    ours.effective.remove(CapabilitySet::NET_RAW);
    set_capabilities(None, ours).expect("less is always granted");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn just_the_one_call_fails() {
        let open = || [0; 3].map(|_| std::fs::File::open("/dev/null").map(drop));
        for nth in 0..4 {
            let Some((answers, made)) = run(&[libc::SYS_openat], nth, libc::EIO, open) else {
                return;
            };
            assert_eq!(made, 3);
            for (at, answer) in answers.into_iter().enumerate() {
                let errno = answer.map_err(|error: io::Error| error.raw_os_error());
                let expect = if at == nth {
                    Err(Some(libc::EIO))
                } else {
                    Ok(())
                };
                assert_eq!(errno, expect, "{at} of {nth}");
            }
        }
        assert!(open().into_iter().all(|answer| answer.is_ok()));
    }
}
