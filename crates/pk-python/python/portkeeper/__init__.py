"""Reserve localhost ports, hold them so that nobody else can take them, and write the numbers into
``.env`` and JSON files.

>>> from portkeeper import PortRegistry
>>> with PortRegistry().reserve(preferred=8888, port_range=(8888, 8988), hold=True) as r:
...     PortRegistry().write_env({"PORT": str(r.port)})

The reservations of all processes of a user stand in one registry, so none gets another's port.
"""

import os as _os

from ._errors import (
    BadFile,
    InternalError,
    IoError,
    LockTimeout,
    NewerFormat,
    NoFreePort,
    NotInTime,
    NotPermitted,
    NotReserved,
    PortKeeperError,
    UsageError,
)
from ._native import Entry, PortRegistry, Reservation, _after_fork, _before_fork, _forked
from ._several import Reservations

__all__ = [
    "BadFile",
    "Entry",
    "InternalError",
    "IoError",
    "LockTimeout",
    "NewerFormat",
    "NoFreePort",
    "NotInTime",
    "NotPermitted",
    "NotReserved",
    "PortKeeperError",
    "PortRegistry",
    "Reservation",
    "Reservations",
    "UsageError",
]

_os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork, after_in_child=_forked
)
