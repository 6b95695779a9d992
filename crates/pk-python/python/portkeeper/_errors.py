"""What goes wrong: a class for each exit code of the command, each also the builtin exception that a
program would catch."""


class PortKeeperError(Exception):
    """Whatever goes wrong. ``exit_code`` is what the command would end with."""

    exit_code = 70


class NotInTime(PortKeeperError, TimeoutError):
    """The answer is no: what was waited for did not come."""

    exit_code = 1


class UsageError(PortKeeperError, ValueError):
    """A value means nothing: a port that is none, an empty range, a host name."""

    exit_code = 2


class NoFreePort(PortKeeperError, OSError):
    """No port is free, or the one that was wanted is not."""

    exit_code = 3


class NotReserved(PortKeeperError, LookupError):
    """There is no such reservation, it has ended, or it is another user's."""

    exit_code = 4


class LockTimeout(PortKeeperError, TimeoutError):
    """Somebody kept a lock too long. The message says who."""

    exit_code = 5


class BadFile(PortKeeperError, ValueError):
    """A file is too large or too deep, or can't be parsed or edited as asked. It is as it was."""

    exit_code = 6


class IoError(PortKeeperError, OSError):
    """The system failed: no space, read-only, a missing folder. ``errno`` is its reason."""

    exit_code = 7


class NotPermitted(PortKeeperError, PermissionError):
    """Not permitted, or not safe: a privileged port, a folder that others can write to."""

    exit_code = 8


class NewerFormat(PortKeeperError, RuntimeError):
    """A newer version, or another program, wrote the registry. It is untouched."""

    exit_code = 9


class InternalError(PortKeeperError, RuntimeError):
    """A bug of PortKeeper's own."""

    exit_code = 70


for _class in list(globals().values()):
    if isinstance(_class, type) and issubclass(_class, PortKeeperError):
        _class.__module__ = "portkeeper"
