import sys
from datetime import datetime, timedelta
from os import PathLike
from pathlib import Path
from socket import socket
from types import TracebackType
from typing import Any, Coroutine, List, Literal, Mapping, Optional, Sequence, Tuple, Type, Union, final, overload

from typing_extensions import disjoint_base

from ._several import Reservations

if sys.version_info >= (3, 11):
    from typing import Self
else:
    from typing_extensions import Self

__all__ = [
    "Entry",
    "PortRegistry",
    "Reservation",
    "_after_fork",
    "_before_fork",
    "_forked",
    "_release_all",
    "_run",
]

_Path = Union[str, PathLike[str]]
_Range = Union[Tuple[int, int], Sequence[int]]
_Time = Union[float, timedelta]
_Proto = Literal["tcp", "udp", "both"]

# How many there will be is known where it is written; a variable may be 1.
_Few = Literal[2, 3, 4, 5, 6, 7, 8, 9, 10]

@disjoint_base
class PortRegistry:
    def __new__(
        cls, registry_path: Optional[_Path] = None, lock_path: Optional[object] = None
    ) -> Self: ...
    @property
    def registry_path(self) -> Path: ...
    # The positional order of versions 0.5 works, but is not for new code.
    @overload
    def reserve(
        self,
        preferred: Optional[int] = None,
        port_range: Optional[_Range] = None,
        host: Optional[str] = None,
        hold: bool = False,
        owner: Optional[str] = None,
        count: Literal[1] = 1,
        *,
        name: Optional[str] = None,
        ttl: Union[_Time, str, None] = None,
        proto: _Proto = "tcp",
        strict: bool = False,
        wait: _Time = 0,
    ) -> Reservation: ...
    @overload
    def reserve(
        self,
        preferred: Optional[int] = None,
        port_range: Optional[_Range] = None,
        host: Optional[str] = None,
        hold: bool = False,
        owner: Optional[str] = None,
        count: _Few = ...,
        *,
        name: Optional[str] = None,
        ttl: Union[_Time, str, None] = None,
        proto: _Proto = "tcp",
        strict: bool = False,
        wait: _Time = 0,
    ) -> Reservations: ...
    @overload
    def reserve(
        self,
        preferred: Optional[int] = None,
        port_range: Optional[_Range] = None,
        host: Optional[str] = None,
        hold: bool = False,
        owner: Optional[str] = None,
        count: int = 1,
        *,
        name: Optional[str] = None,
        ttl: Union[_Time, str, None] = None,
        proto: _Proto = "tcp",
        strict: bool = False,
        wait: _Time = 0,
    ) -> Union[Reservation, Reservations]: ...
    @overload
    def reserve_context(
        self,
        preferred: Optional[int] = None,
        port_range: Optional[_Range] = None,
        host: Optional[str] = None,
        hold: bool = False,
        owner: Optional[str] = None,
        count: Literal[1] = 1,
        *,
        name: Optional[str] = None,
        ttl: Union[_Time, str, None] = None,
        proto: _Proto = "tcp",
        strict: bool = False,
        wait: _Time = 0,
    ) -> Reservation: ...
    @overload
    def reserve_context(
        self,
        preferred: Optional[int] = None,
        port_range: Optional[_Range] = None,
        host: Optional[str] = None,
        hold: bool = False,
        owner: Optional[str] = None,
        count: _Few = ...,
        *,
        name: Optional[str] = None,
        ttl: Union[_Time, str, None] = None,
        proto: _Proto = "tcp",
        strict: bool = False,
        wait: _Time = 0,
    ) -> Reservations: ...
    @overload
    def reserve_context(
        self,
        preferred: Optional[int] = None,
        port_range: Optional[_Range] = None,
        host: Optional[str] = None,
        hold: bool = False,
        owner: Optional[str] = None,
        count: int = 1,
        *,
        name: Optional[str] = None,
        ttl: Union[_Time, str, None] = None,
        proto: _Proto = "tcp",
        strict: bool = False,
        wait: _Time = 0,
    ) -> Union[Reservation, Reservations]: ...
    @overload
    def areserve(
        self,
        preferred: Optional[int] = None,
        port_range: Optional[_Range] = None,
        host: Optional[str] = None,
        hold: bool = False,
        owner: Optional[str] = None,
        count: Literal[1] = 1,
        *,
        name: Optional[str] = None,
        ttl: Union[_Time, str, None] = None,
        proto: _Proto = "tcp",
        strict: bool = False,
        wait: _Time = 0,
    ) -> Coroutine[Any, Any, Reservation]: ...
    @overload
    def areserve(
        self,
        preferred: Optional[int] = None,
        port_range: Optional[_Range] = None,
        host: Optional[str] = None,
        hold: bool = False,
        owner: Optional[str] = None,
        count: _Few = ...,
        *,
        name: Optional[str] = None,
        ttl: Union[_Time, str, None] = None,
        proto: _Proto = "tcp",
        strict: bool = False,
        wait: _Time = 0,
    ) -> Coroutine[Any, Any, Reservations]: ...
    @overload
    def areserve(
        self,
        preferred: Optional[int] = None,
        port_range: Optional[_Range] = None,
        host: Optional[str] = None,
        hold: bool = False,
        owner: Optional[str] = None,
        count: int = 1,
        *,
        name: Optional[str] = None,
        ttl: Union[_Time, str, None] = None,
        proto: _Proto = "tcp",
        strict: bool = False,
        wait: _Time = 0,
    ) -> Coroutine[Any, Any, Union[Reservation, Reservations]]: ...
    def release(self, reservation: Union[Reservation, Reservations, int]) -> None: ...
    def status(self) -> List[Entry]: ...
    def gc(self, *, unused: Optional[_Time] = None, dry_run: bool = False) -> List[Entry]: ...
    def write_env(
        self, data: Mapping[str, Union[str, int]], path: _Path = ".env", merge: bool = True
    ) -> None: ...
    def update_config_json(
        self, changes: Mapping[str, Any], path: _Path = "config.json", backup: bool = True
    ) -> None: ...

@final
class Reservation:
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def proto(self) -> _Proto: ...
    @property
    def held(self) -> bool: ...
    @property
    def owner(self) -> Optional[str]: ...
    @property
    def name(self) -> Optional[str]: ...
    @property
    def id(self) -> str: ...
    def release(self) -> None: ...
    def keep(self) -> None: ...
    def socket(self, proto: Optional[Literal["tcp", "udp"]] = None) -> socket: ...
    def relax(self) -> None: ...
    def tighten(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        tb: Optional[TracebackType],
        /,
    ) -> None: ...
    def __aenter__(self) -> Coroutine[Any, Any, Self]: ...
    def __aexit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        tb: Optional[TracebackType],
        /,
    ) -> Coroutine[Any, Any, None]: ...

@final
class Entry:
    @property
    def port(self) -> Optional[int]: ...
    @property
    def host(self) -> Optional[str]: ...
    @property
    def proto(self) -> Optional[_Proto]: ...
    @property
    def state(self) -> Literal["held", "leased", "guarded", "stale", "damaged", "elsewhere"]: ...
    @property
    def owner(self) -> Optional[str]: ...
    @property
    def name(self) -> Optional[str]: ...
    @property
    def id(self) -> str: ...
    @property
    def pid(self) -> Optional[int]: ...
    @property
    def uid(self) -> Optional[int]: ...
    @property
    def fence(self) -> Optional[int]: ...
    @property
    def created(self) -> Optional[datetime]: ...
    @property
    def expires(self) -> Optional[datetime]: ...
    @property
    def reason(self) -> Optional[str]: ...

def _run(arguments: Sequence[str]) -> int: ...
def _before_fork() -> None: ...
def _after_fork() -> None: ...
def _forked() -> None: ...
def _release_all() -> None: ...
