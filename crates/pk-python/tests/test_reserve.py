"""Reserving, and what a reservation is."""

from __future__ import annotations

import gc
import pickle
import socket
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from typing import Any, Tuple

import portkeeper
import pytest
from conftest import Run
from portkeeper import NoFreePort, NotReserved, PortRegistry, Reservation, Reservations


def is_bound(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def test_a_reservation_is_a_context_manager(registry: PortRegistry) -> None:
    with registry.reserve(hold=True, owner="shop") as r:
        assert isinstance(r, Reservation)
        assert (r.host, r.held, r.owner, r.proto) == ("127.0.0.1", True, "shop", "tcp")
        assert is_bound(r.port)
        (entry,) = registry.status()
        assert (entry.port, entry.id, entry.state, entry.owner) == (r.port, r.id, "guarded", "shop")
        assert entry.created is not None and entry.expires is None
    assert not r.held and not is_bound(r.port)
    assert registry.status() == []
    r.release()
    assert repr(r) == f"<Reservation 127.0.0.1:{r.port} ended>"
    with pytest.raises(NotReserved):
        r.socket()


def test_it_is_released_when_its_block_raises(registry: PortRegistry) -> None:
    with pytest.raises(KeyError):
        with registry.reserve():
            raise KeyError
    assert registry.status() == []


def test_several_are_a_list_and_one_context(registry: PortRegistry) -> None:
    with registry.reserve(count=3) as all_three:
        assert isinstance(all_three, Reservations) and isinstance(all_three, list)
        ports = {r.port for r in all_three}
        assert len(ports) == 3 == len(registry.status())
    assert registry.status() == []
    with pytest.raises(NoFreePort):
        registry.reserve(port_range=(20000, 20001), count=3)
    assert registry.status() == []


def test_garbage_collection_ends_nothing(registry: PortRegistry) -> None:
    port = registry.reserve(hold=True).port
    gc.collect()
    assert [entry.port for entry in registry.status()] == [port] and is_bound(port)
    registry.release(port)
    assert registry.status() == [] and not is_bound(port)


def test_the_end_of_the_process_ends_it(registry: PortRegistry, python: Run) -> None:
    program = "from portkeeper import PortRegistry; print(PortRegistry().reserve(hold=True).port)"
    port = int(python(program).stdout)
    assert registry.status() == [] and not is_bound(port)
    # Without a word of farewell, too.
    python(f"{program}; import os, sys; sys.stdout.flush(); os._exit(0)")
    assert [entry.state for entry in registry.status()] == ["stale"]
    (ended,) = registry.gc()
    assert ended.reason and registry.status() == []


def test_a_lease_outlives_the_process(registry: PortRegistry, python: Run) -> None:
    program = "from portkeeper import PortRegistry; PortRegistry().reserve(ttl='15m').keep()"
    python(program)
    (entry,) = registry.status()
    assert entry.state == "leased" and entry.expires is not None and entry.port is not None
    left = entry.expires - datetime.now(timezone.utc)
    assert timedelta(minutes=14) < left <= timedelta(minutes=15, seconds=1)
    registry.release(entry.port)
    assert registry.status() == []


def test_a_holder_outlives_the_process(registry: PortRegistry, python: Run) -> None:
    python(
        """
        from portkeeper import PortRegistry
        r = PortRegistry().reserve(hold=True)
        r.keep()
        assert r.held
        r.release()  # has no part in it any more
        """
    )
    (entry,) = registry.status()
    assert entry.state == "held" and entry.port is not None and is_bound(entry.port)
    registry.release(entry.port)
    assert registry.status() == [] and not is_bound(entry.port)


def test_release_takes_what_there_is(registry: PortRegistry) -> None:
    registry.release(registry.reserve())
    registry.release(registry.reserve(count=2))
    registry.release(registry.reserve().port)
    assert registry.status() == []
    with pytest.raises(NotReserved) as caught:
        registry.release(28000)
    assert isinstance(caught.value, LookupError) and caught.value.exit_code == 4
    for wrong in ("28000", True, None, 28000.0, threading.Lock(), [28000]):
        with pytest.raises(TypeError):
            registry.release(wrong)  # type: ignore[arg-type]


def test_another_registry_is_left_alone(registry: PortRegistry) -> None:
    mine = registry.reserve()
    other = PortRegistry("other.json")
    with pytest.raises(NotReserved):
        other.release(mine.port)
    assert len(registry.status()) == 1


@pytest.mark.parametrize(
    "args",
    [
        (28101, (28100, 28110), "127.0.0.1", True, "me", 1),
        (28101, None, None, True),
        ((28101, 28110), "127.0.0.1", True, "me", 1, None),
        ([28101, 28110], None, True),
        ((28100, 28110), "127.0.0.1", True, "me", 1, 28101),
    ],
)
def test_both_positional_orders_work(registry: PortRegistry, args: Tuple[Any, ...]) -> None:
    with registry.reserve(*args) as r:
        assert 28101 <= r.port <= 28110 and r.held
    with registry.reserve_context(*args) as r:
        assert r.held


def test_orders_that_contradict_each_other_are_told(registry: PortRegistry) -> None:
    def check(*args: Any, **options: Any) -> None:
        with pytest.raises(TypeError, match=r"reserve\(\)"):
            registry.reserve(*args, **options)

    check((1, 2), (1, 2))
    check(8888, "127.0.0.1")
    check("8888")
    check(8888, None, None, True, None, 1, 8888)
    check(8888, preferred=8888)
    check((8888, 8889), port_range=(1, 2))
    check(label="shop")


def test_strict_and_exclusive(registry: PortRegistry) -> None:
    with registry.reserve(hold=True) as r:
        with pytest.raises(NoFreePort) as caught:
            registry.reserve(preferred=r.port, strict=True)
        assert isinstance(caught.value, OSError) and caught.value.exit_code == 3
        with registry.reserve(preferred=r.port, host="localhost") as other:
            assert other.port != r.port


def test_udp_and_both(registry: PortRegistry) -> None:
    with registry.reserve(hold=True, proto="udp") as r, r.socket() as udp:
        assert udp.type == socket.SOCK_DGRAM and udp.getsockname() == ("127.0.0.1", r.port)
        with pytest.raises(portkeeper.UsageError):
            r.socket("tcp")
    with registry.reserve(hold=True, proto="both") as r, r.socket() as tcp, r.socket("udp") as udp:
        assert tcp.type == socket.SOCK_STREAM and tcp.getsockname() == udp.getsockname()


def test_the_socket_is_the_one_that_held(registry: PortRegistry) -> None:
    with registry.reserve(hold=True) as r, r.socket() as listening:
        with socket.create_connection((r.host, r.port)) as client:
            there, _ = listening.accept()
            with there:
                client.sendall(b"hello")
                assert there.recv(5) == b"hello"
        assert not listening.get_inheritable()
    with registry.reserve() as r, r.socket() as listening:
        assert listening.getsockname() == (r.host, r.port)


def test_threads(registry: PortRegistry) -> None:
    mine: "list[Reservation]" = []
    threads = [
        threading.Thread(target=lambda: mine.extend(registry.reserve() for _ in range(10)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({r.port for r in mine}) == 80 == len(registry.status())
    for r in mine:
        r.release()
    assert registry.status() == []


def test_a_reservation_can_not_be_copied_to_another_process(registry: PortRegistry) -> None:
    with registry.reserve() as r, pytest.raises(TypeError, match="pickle"):
        pickle.dumps(r)


def test_the_lock_path_is_ignored_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="lock_path") as caught:
        PortRegistry(None, ".port_registry.lock")
    assert caught[0].filename == __file__


def test_the_environment_sets_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTKEEPER_REGISTRY", "r.json")
    monkeypatch.setenv("PORTKEEPER_HOST", "localhost")
    monkeypatch.setenv("PORTKEEPER_RANGE", "28300-28310")
    registry = PortRegistry()
    assert registry.registry_path.name == "r.json"
    with registry.reserve() as r:
        assert r.host == "localhost" and 28300 <= r.port <= 28310


def test_a_subclass_is_one(registry: PortRegistry) -> None:
    class Mine(PortRegistry):
        def reserve(self, *args: Any, **options: Any) -> Any:
            options["owner"] = "mine"
            return super().reserve(*args, **options)

    with Mine().reserve_context() as r:
        assert r.owner == "mine"


def test_a_name_has_one_number(registry: PortRegistry) -> None:
    with registry.reserve(name="web", hold=True) as r:
        assert r.name == "web" and [entry.name for entry in registry.status()] == ["web"]
        # A second guard would end with the first.
        with pytest.raises(NoFreePort, match="web is reserved as port"):
            registry.reserve(name="web")
    assert registry.status() == []
    assert registry.reserve(name="web", wait=1).port == r.port
    with pytest.raises(portkeeper.UsageError):
        registry.reserve(name="not a name")


def test_what_the_command_has_named_outlives_a_guard(registry: PortRegistry) -> None:
    command = [sys.executable, "-m", "portkeeper", "reserve", "--name", "web"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
    (leased,) = registry.status()
    with registry.reserve(name="web", hold=True) as r:
        assert (r.port, r.id, r.held) == (leased.port, leased.id, True)
        assert is_bound(r.port)
    assert not is_bound(r.port)
    assert [(entry.port, entry.state) for entry in registry.status()] == [(r.port, "leased")]
