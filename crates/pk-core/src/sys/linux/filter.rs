//! The filter that makes a process ask before it binds or listens (seccomp(2)), and the numbers of
//! these calls. Never answers.

use std::io;
use std::os::fd::RawFd;

use libc::c_ulong;

/// What is called. Arguments are those of the call, but for [`Call::Multiplexed`], where they lie
/// in the caller's memory at this address, four bytes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Bind([u64; 3]),
    Listen([u64; 3]),
    MultiplexedBind(u64),
    MultiplexedListen(u64),
    Other,
}

/// audit(7)'s names of instruction sets.
const ARCH_X86_64: u32 = 0xc000_003e;
const ARCH_I386: u32 = 0x4000_0003;
const ARCH_AARCH64: u32 = 0xc000_00b7;
const ARCH_ARM: u32 = 0x4000_0028;

/// The numbers of bind and listen, by instruction set; x32 calls carry a bit of their own.
const CALLS: [(u32, [u32; 4]); 4] = [
    (ARCH_X86_64, [49, 50, 0x4000_0031, 0x4000_0032]),
    (ARCH_I386, [361, 363, 361, 363]),
    (ARCH_AARCH64, [200, 201, 200, 201]),
    (ARCH_ARM, [282, 284, 282, 284]),
];

/// i386 may also make all its socket calls through one (`socketcall(2)`).
const I386_SOCKETCALL: u32 = 102;
const SOCKETCALL_BIND: u32 = 2;
const SOCKETCALL_LISTEN: u32 = 4;

/// The filter for the instruction sets of this machine: bind and listen are asked about, everything
/// else goes on untouched.
const FILTER: [libc::sock_filter; LENGTH] = filter();

const LENGTH: usize = 18;

#[cfg(not(target_arch = "aarch64"))]
const NATIVE: (usize, usize) = (0, 1);
#[cfg(target_arch = "aarch64")]
const NATIVE: (usize, usize) = (2, 3);

/// Instructions of a filter: BPF's names are `LD|W|ABS`, `JMP|JEQ|K` and `RET|K`.
pub(super) const LOAD: u16 = 0x20;
pub(super) const EQUAL: u16 = 0x15;
pub(super) const RETURN: u16 = 0x06;
/// What is returned for a call that goes on untouched.
pub(super) const ALLOW: u32 = 0x7fff_0000;
/// Offsets in `struct seccomp_data`.
pub(super) const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

pub(super) const fn step(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

const fn filter() -> [libc::sock_filter; LENGTH] {
    let (wide, wide_calls) = CALLS[NATIVE.0];
    let (narrow, narrow_calls) = CALLS[NATIVE.1];
    [
        step(LOAD, 0, 0, ARCH),
        step(EQUAL, 2, 0, wide),
        step(EQUAL, 6, 0, narrow),
        step(RETURN, 0, 0, ALLOW),
        // The wide set.
        step(LOAD, 0, 0, NUMBER),
        step(EQUAL, 11, 0, wide_calls[0]),
        step(EQUAL, 10, 0, wide_calls[1]),
        step(EQUAL, 9, 0, wide_calls[2]),
        step(EQUAL, 8, 7, wide_calls[3]),
        // The narrow set.
        step(LOAD, 0, 0, NUMBER),
        step(EQUAL, 6, 0, narrow_calls[0]),
        step(EQUAL, 5, 0, narrow_calls[1]),
        step(EQUAL, 0, 3, I386_SOCKETCALL),
        step(LOAD, 0, 0, FIRST_ARGUMENT),
        step(EQUAL, 2, 0, SOCKETCALL_BIND),
        step(EQUAL, 1, 0, SOCKETCALL_LISTEN),
        step(RETURN, 0, 0, ALLOW),
        step(RETURN, 0, 0, libc::SECCOMP_RET_USER_NOTIF),
    ]
}

/// Makes this process, and all that it starts, ask before bind(2) and listen(2); gives back the
/// descriptor that is asked through. To be called between fork and exec: it makes only system
/// calls.
///
/// Without `CAP_SYS_ADMIN` it also gives up all privileges that a program could gain by being
/// started (`PR_SET_NO_NEW_PRIVS`), which the kernel demands.
pub(crate) fn install_filter() -> Result<RawFd, i32> {
    const FLAGS: c_ulong = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    const PATIENT: c_ulong = FLAGS | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    match install(&FILTER, PATIENT) {
        Err(libc::EACCES) => {
            // SAFETY: the call takes numbers only.
            if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
                return Err(errno());
            }
        }
        Err(libc::EINVAL) => {}
        done => return done,
    }
    match install(&FILTER, PATIENT) {
        // Before Linux 5.19 a signal interrupts the wait, and the call is made anew.
        Err(libc::EINVAL) => install(&FILTER, FLAGS),
        done => done,
    }
}

pub(super) fn install(steps: &[libc::sock_filter], flags: c_ulong) -> Result<RawFd, i32> {
    let mut program = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the program, which lives through the call, and does not write to it.
    let descriptor = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw mut program,
        )
    };
    match RawFd::try_from(descriptor) {
        Ok(descriptor) if descriptor >= 0 => Ok(descriptor),
        _ => Err(errno()),
    }
}

fn errno() -> i32 {
    io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}

/// What a call is, by its number and arguments.
pub(super) fn call(arch: u32, number: u32, arguments: [u64; 3]) -> Call {
    if (arch, number) == (ARCH_I386, I386_SOCKETCALL) {
        return match arguments[0] as u32 {
            SOCKETCALL_BIND => Call::MultiplexedBind(arguments[1]),
            SOCKETCALL_LISTEN => Call::MultiplexedListen(arguments[1]),
            _ => Call::Other,
        };
    }
    let calls = CALLS.iter().find(|(name, _)| *name == arch);
    match calls.and_then(|(_, calls)| calls.iter().position(|known| *known == number)) {
        Some(0 | 2) => Call::Bind(arguments),
        Some(_) => Call::Listen(arguments),
        None => Call::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_known_by_their_numbers() {
        let arguments = [3, 4, 5];
        let check = |arch, number, expect| {
            assert_eq!(call(arch, number, arguments), expect, "{arch:#x} {number}");
        };
        check(ARCH_X86_64, 49, Call::Bind(arguments));
        check(ARCH_X86_64, 50, Call::Listen(arguments));
        check(ARCH_X86_64, 0x4000_0031, Call::Bind(arguments));
        check(ARCH_X86_64, 361, Call::Other);
        check(ARCH_I386, 363, Call::Listen(arguments));
        check(ARCH_AARCH64, 200, Call::Bind(arguments));
        check(0, 49, Call::Other);
        let socketcall = |which| call(ARCH_I386, I386_SOCKETCALL, [which, 0xbeef, 0]);
        assert_eq!(socketcall(2), Call::MultiplexedBind(0xbeef));
        assert_eq!(socketcall(4), Call::MultiplexedListen(0xbeef));
        assert_eq!(socketcall(1), Call::Other);
    }

    /// Runs the filter as the kernel would.
    fn asks(filter: &[libc::sock_filter], arch: u32, number: u32, first: u32) -> bool {
        let (mut at, mut value) = (0, 0);
        loop {
            let step = filter[at];
            at += 1;
            match step.code {
                0x20 => {
                    value = match step.k {
                        0 => number,
                        4 => arch,
                        16 => first,
                        other => panic!("offset {other}"),
                    };
                }
                0x15 => at += usize::from(if value == step.k { step.jt } else { step.jf }),
                0x06 => return step.k == libc::SECCOMP_RET_USER_NOTIF,
                other => panic!("code {other}"),
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn only_bind_and_listen_are_asked_about() {
        let filter = filter();
        let asks = |arch, number, first| asks(&filter, arch, number, first);
        for number in (0..1000).chain(0x4000_0000..0x4000_0200) {
            let wide = [49, 50, 0x4000_0031, 0x4000_0032].contains(&number);
            assert_eq!(asks(ARCH_X86_64, number, 2), wide, "x86-64 {number:#x}");
            assert!(!asks(ARCH_AARCH64, number, 2), "another set {number}");
            for first in 0..20 {
                let narrow = [361, 363].contains(&number)
                    || (number == I386_SOCKETCALL && [2, 4].contains(&first));
                assert_eq!(
                    asks(ARCH_I386, number, first),
                    narrow,
                    "i386 {number} {first}"
                );
            }
        }
    }
}
