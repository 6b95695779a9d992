//! With which errors which system calls fail. Only what the kernel could really answer: a file that
//! is said not to be there, for one, would be a lie and not a fault.

/// Calls of one kind, and the errors that they are given.
struct Class {
    calls: &'static [&'static str],
    errors: &'static [&'static str],
}

const CLASSES: &[Class] = &[
    Class {
        calls: &["openat", "open"],
        errors: &[
            "ENOSPC", "EDQUOT", "EROFS", "EACCES", "EIO", "EMFILE", "ENFILE", "ENOMEM", "EINTR",
        ],
    },
    Class {
        calls: &["read", "pread64", "readv"],
        errors: &["EIO", "EINTR", "ENOMEM"],
    },
    Class {
        calls: &["write", "pwrite64", "writev"],
        errors: &["ENOSPC", "EDQUOT", "EIO", "EFBIG", "EROFS", "EINTR"],
    },
    Class {
        calls: &["rename", "renameat", "renameat2", "link", "linkat"],
        errors: &[
            "ENOSPC", "EDQUOT", "EROFS", "EACCES", "EIO", "EBUSY", "EPERM", "EXDEV", "ENOMEM",
        ],
    },
    Class {
        calls: &["fsync", "fdatasync"],
        errors: &["EIO", "ENOSPC", "EDQUOT", "EROFS"],
    },
    Class {
        calls: &["fchmod", "chmod", "fchmodat", "fchown", "fchownat"],
        errors: &["EPERM", "EROFS", "EIO", "ENOSPC"],
    },
    Class {
        calls: &["ftruncate", "fallocate"],
        errors: &["EIO", "ENOSPC", "EFBIG", "EINTR"],
    },
    Class {
        calls: &["flock"],
        errors: &["ENOLCK", "ENOSYS", "EOPNOTSUPP", "EINTR", "EIO"],
    },
    Class {
        calls: &[
            "fstat",
            "newfstatat",
            "statx",
            "stat",
            "lstat",
            "fstatfs",
            "statfs",
        ],
        errors: &["EIO", "EACCES", "ENOMEM"],
    },
    Class {
        calls: &["access", "faccessat", "faccessat2"],
        errors: &["EIO", "EACCES", "EROFS"],
    },
    Class {
        calls: &["unlink", "unlinkat", "rmdir"],
        errors: &["EIO", "EROFS", "EACCES", "EBUSY", "EPERM"],
    },
    Class {
        calls: &["mkdir", "mkdirat"],
        errors: &["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EIO", "EMLINK"],
    },
    Class {
        calls: &["getdents64", "readlink", "readlinkat", "getcwd", "lseek"],
        errors: &["EIO", "EACCES", "ENOMEM"],
    },
    Class {
        calls: &["fgetxattr", "flistxattr", "fsetxattr", "fremovexattr"],
        errors: &["EIO", "EOPNOTSUPP", "ENOSPC", "ENOMEM"],
    },
    Class {
        calls: &["close"],
        errors: &["EIO", "EINTR", "ENOSPC"],
    },
    Class {
        calls: &["socket", "socketpair"],
        errors: &["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "EACCES"],
    },
    Class {
        calls: &["bind"],
        errors: &["EADDRINUSE", "EACCES", "ENOMEM", "EROFS", "ENOSPC"],
    },
    Class {
        calls: &[
            "listen",
            "connect",
            "accept4",
            "shutdown",
            "getsockname",
            "getpeername",
        ],
        errors: &["ENOBUFS", "ENOMEM", "EINTR"],
    },
    Class {
        calls: &["setsockopt", "getsockopt"],
        errors: &["ENOMEM", "ENOBUFS"],
    },
    Class {
        calls: &["sendmsg", "sendto", "recvmsg", "recvfrom"],
        errors: &["ENOBUFS", "ENOMEM", "EINTR", "ECONNRESET"],
    },
    Class {
        calls: &["poll", "ppoll"],
        errors: &["EINTR", "ENOMEM"],
    },
    Class {
        calls: &[
            "dup",
            "dup2",
            "dup3",
            "fcntl",
            "pipe2",
            "epoll_create1",
            "eventfd2",
        ],
        errors: &["EMFILE", "ENFILE", "ENOMEM"],
    },
    Class {
        calls: &["pidfd_open", "pidfd_send_signal"],
        errors: &["EMFILE", "ENFILE", "ENOMEM", "ENOSYS", "EPERM"],
    },
    Class {
        calls: &["clone", "clone3", "vfork", "fork"],
        errors: &["EAGAIN", "ENOMEM", "ENOSYS"],
    },
    Class {
        calls: &["wait4", "waitid"],
        errors: &["EINTR"],
    },
    Class {
        calls: &["setsid", "setpgid", "prctl", "ioctl", "chdir"],
        errors: &["EPERM", "EIO"],
    },
    Class {
        calls: &["getrandom"],
        errors: &["EINTR"],
    },
    Class {
        calls: MEMORY,
        errors: &["ENOMEM"],
    },
];

/// Not brk(2), which fails by doing nothing and has no error.
const MEMORY: &[&str] = &["mmap", "mremap"];

/// The errors that the call of this name is given.
pub(super) fn of(call: &str) -> &'static [&'static str] {
    let class = CLASSES.iter().find(|class| class.calls.contains(&call));
    class.map_or(&[], |class| class.errors)
}

/// Whether a call that fails is why there is no memory, of which a program may die.
pub(super) fn is_memory(call: &str) -> bool {
    MEMORY.contains(&call)
}

/// Whether the call reads bytes, or what is in a folder.
pub(super) fn is_read(call: &str) -> bool {
    matches!(call, "read" | "pread64" | "readv" | "getdents64")
}

/// Whether the call writes bytes, and may have written fewer than it was asked to.
pub(super) fn is_write(call: &str) -> bool {
    matches!(call, "write" | "pwrite64" | "writev")
}
