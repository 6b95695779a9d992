"""Whatever is given, there is a documented exception: never a panic, never an abort."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any, Callable, Dict, List, Type

import portkeeper
import pytest
from conftest import Run
from portkeeper import BadFile, IoError, LockTimeout, NewerFormat, NotPermitted, PortRegistry, UsageError

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("given", "expect"),
    [
        ({"preferred": 0}, UsageError),
        ({"preferred": -1}, UsageError),
        ({"preferred": 65536}, UsageError),
        ({"preferred": 10**30}, UsageError),
        ({"preferred": 8888.0}, TypeError),
        ({"preferred": "8888"}, TypeError),
        ({"preferred": True}, TypeError),
        ({"preferred": NAN}, TypeError),
        ({"port_range": ("8888", "8988")}, TypeError),
        ({"port_range": "8888-8988"}, TypeError),
        ({"port_range": (8888,)}, TypeError),
        ({"port_range": 8888}, TypeError),
        ({"port_range": {8888, 8988}}, TypeError),
        ({"port_range": (8988, 8888)}, UsageError),
        ({"port_range": (0, 10)}, UsageError),
        ({"host": 1}, TypeError),
        ({"host": "example.org"}, UsageError),
        ({"host": "127.0.0.1\0"}, UsageError),
        ({"host": "\udcff"}, UsageError),
        ({"host": "192.0.2.1"}, UsageError),
        ({"hold": 1}, TypeError),
        ({"hold": None}, TypeError),
        ({"owner": 7}, TypeError),
        ({"owner": "a\nb"}, UsageError),
        ({"owner": "a" * 257}, UsageError),
        ({"count": 0}, UsageError),
        ({"count": -1}, UsageError),
        ({"count": 10**9}, UsageError),
        ({"count": 1.5}, TypeError),
        ({"ttl": NAN}, UsageError),
        ({"ttl": -1}, UsageError),
        ({"ttl": INFINITY}, UsageError),
        ({"ttl": 10**400}, UsageError),
        ({"ttl": "soon"}, UsageError),
        ({"ttl": []}, TypeError),
        ({"wait": NAN}, UsageError),
        ({"wait": "1s"}, TypeError),
        ({"proto": "sctp"}, UsageError),
        ({"proto": None}, TypeError),
        ({"strict": "yes"}, TypeError),
    ],
)
def test_what_means_nothing(
    registry: PortRegistry, given: Dict[str, Any], expect: Type[Exception]
) -> None:
    reserve: Any = registry.reserve
    with pytest.raises(expect) as caught:
        reserve(**{"hold": True, **given})
    assert str(caught.value)
    if expect is UsageError:
        assert isinstance(caught.value, ValueError)
    areserve: Any = registry.areserve
    with pytest.raises(expect):
        asyncio.run(areserve(**{"hold": True, **given}))
    assert registry.status() == []


def test_every_class_is_a_builtin_too() -> None:
    expect = {
        1: TimeoutError,
        2: ValueError,
        3: OSError,
        4: LookupError,
        5: TimeoutError,
        6: ValueError,
        7: OSError,
        8: PermissionError,
        9: RuntimeError,
        70: RuntimeError,
    }
    classes = portkeeper.PortKeeperError.__subclasses__()
    assert {it.exit_code: it.__mro__[2] for it in classes} == expect
    assert {it.__name__ for it in classes} <= set(portkeeper.__all__)
    assert {it.__module__ for it in classes} == {"portkeeper"}


def test_a_registry_that_can_not_be_read(place: Path) -> None:
    registry = PortRegistry("registry.json")
    path = registry.registry_path

    path.mkdir()
    calls: List[Callable[[], Any]] = [registry.reserve, registry.status, registry.gc]
    for call in calls:
        with pytest.raises(NotPermitted):
            call()
    path.rmdir()

    path.write_text('{"schema": "somebody else\'s"}')
    with pytest.raises(NewerFormat):
        registry.reserve()
    assert path.read_text() == '{"schema": "somebody else\'s"}'

    with path.open("wb") as file:
        file.truncate(33 << 20)
    with pytest.raises(BadFile):
        registry.reserve()

    path.write_bytes(b"\xff torn")
    registry.reserve().release()
    assert list(place.glob("registry.json.corrupt-*"))


def test_folders_that_are_not_there(registry: PortRegistry) -> None:
    calls: List[Callable[[], Any]] = [
        lambda: registry.write_env({"PORT": 1}, "nowhere/.env"),
        lambda: registry.update_config_json({"port": 1}, "nowhere/config.json"),
    ]
    for call in calls:
        with pytest.raises(IoError) as caught:
            call()
        assert isinstance(caught.value, OSError) and "nowhere" in str(caught.value)


def test_paths_of_all_kinds(place: Path) -> None:
    for path in (Path("a.json"), "b.json", os.fsencode("c.json")):
        try:
            registry = PortRegistry(path)  # type: ignore[arg-type]
        except TypeError:
            assert isinstance(path, bytes)
            continue
        assert registry.registry_path.is_absolute()
        registry.reserve().release()
    for wrong in (7, "a\0b"):
        with pytest.raises((TypeError, ValueError, portkeeper.PortKeeperError)):
            PortRegistry(wrong).reserve()  # type: ignore[arg-type]


def test_a_variable_that_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTKEEPER_RANGE", "9-1")
    with pytest.raises(UsageError, match="PORTKEEPER_RANGE"):
        PortRegistry()


def test_a_lock_that_somebody_keeps(registry: PortRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    registry.reserve().release()
    monkeypatch.setenv("PORTKEEPER_LOCK_TIMEOUT", "100ms")
    with open(registry.registry_path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(LockTimeout) as caught:
            PortRegistry().reserve()
        assert isinstance(caught.value, TimeoutError) and caught.value.exit_code == 5
        # Reading takes no lock.
        assert registry.status() == []


def test_a_port_that_is_bound_by_somebody(registry: PortRegistry) -> None:
    with registry.reserve() as r, socket.socket() as other:
        other.bind((r.host, r.port))
        with pytest.raises(portkeeper.NoFreePort):
            r.socket()


def test_relaxing_what_is_not_held(registry: PortRegistry) -> None:
    with registry.reserve() as r:
        for call in (r.relax, r.tighten):
            with pytest.raises(portkeeper.NotReserved):
                call()


def test_no_home_folder(python: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORTKEEPER_STATE_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "relative")
    done = python("import portkeeper; portkeeper.PortRegistry()", check=False)
    assert done.returncode == 1 and "portkeeper.UsageError: HOME" in done.stderr
