"""Fixtures for tests that start servers. No two tests get the same port: not in parallel workers, and
not in other runs of pytest by the same user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Iterator, List

import pytest

if TYPE_CHECKING:
    from portkeeper import Reservation

_OWNER = "pytest"


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port of 127.0.0.1 that is this test's own, free to be bound."""
    yield from _port()


@pytest.fixture(scope="session")
def session_free_port() -> Iterator[int]:
    """Like ``free_port``, one for all tests of the session."""
    yield from _port()


@pytest.fixture
def free_ports() -> Iterator[Callable[[int], List[int]]]:
    """A function that gives as many ports of this test's own as it is asked for."""
    yield from _ports()


@pytest.fixture(scope="session")
def session_free_ports() -> Iterator[Callable[[int], List[int]]]:
    """Like ``free_ports``, for the session."""
    yield from _ports()


@pytest.fixture
def port_reservation() -> Iterator[Reservation]:
    """A held port: nobody else can bind it, and ``socket()`` gives the socket that holds it."""
    yield from _reservation()


@pytest.fixture(scope="session")
def session_port_reservation() -> Iterator[Reservation]:
    """Like ``port_reservation``, one for all tests of the session."""
    yield from _reservation()


# The package is imported only where a fixture is used: the plugin is in every run of pytest.


def _port() -> Iterator[int]:
    from portkeeper import PortRegistry

    with PortRegistry().reserve(owner=_OWNER) as reservation:
        yield reservation.port


def _ports() -> Iterator[Callable[[int], List[int]]]:
    from portkeeper import PortRegistry, Reservations

    registry = PortRegistry()
    with Reservations() as mine:

        def free_ports(count: int) -> List[int]:
            made = registry.reserve(owner=_OWNER, count=count)
            new = made if isinstance(made, Reservations) else Reservations([made])
            mine.extend(new)
            return [reservation.port for reservation in new]

        yield free_ports


def _reservation() -> Iterator[Reservation]:
    from portkeeper import PortRegistry

    with PortRegistry().reserve(owner=_OWNER, hold=True) as reservation:
        yield reservation
