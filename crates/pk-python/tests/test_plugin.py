"""The pytest plugin, in runs of pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Callable, List

import pytest
from portkeeper import Reservation

BINDING = """
import socket
import pytest

@pytest.mark.parametrize("turn", range(25))
def test_bind(turn, free_port, session_free_port):
    assert free_port != session_free_port
    with socket.socket() as server:
        server.bind(("127.0.0.1", free_port))
        server.listen()
        with socket.create_connection(("127.0.0.1", free_port)) as client:
            there, address = server.accept()
            there.close()
            assert address == client.getsockname()
"""


def start(place: Path, *args: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args, str(place)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_ports_do_not_collide_in_parallel_runs(place: Path) -> None:
    pytest.importorskip("xdist")
    (place / "test_binding.py").write_text(BINDING)
    for run in [start(place, "-n", "4"), start(place, "-n", "2"), start(place)]:
        out, _ = run.communicate(timeout=120)
        assert run.returncode == 0 and "25 passed" in out, out


def test_free_ports(free_port: int, free_ports: Callable[[int], List[int]]) -> None:
    ports = free_ports(1) + free_ports(3)
    assert len({free_port, *ports}) == 5


def test_port_reservation(
    port_reservation: Reservation, session_port_reservation: Reservation
) -> None:
    assert port_reservation.held and session_port_reservation.held
    with port_reservation.socket() as listening:
        assert listening.getsockname() == ("127.0.0.1", port_reservation.port)


def test_the_fixtures_are_listed_with_what_they_are_for(place: Path) -> None:
    out, _ = start(place, "--fixtures").communicate(timeout=60)
    for name in ("free_port", "free_ports", "port_reservation"):
        assert f"\n{name} -- " in out and f"\nsession_{name} [session scope] -- " in out
