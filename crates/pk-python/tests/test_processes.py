"""Forks, signals, threads and ends of interpreters."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

from conftest import Run
from portkeeper import PortRegistry

SNIPPET = """
from portkeeper import PortRegistry
with PortRegistry().reserve(preferred=28888, port_range=(28888, 28988), hold=True) as r:
    PortRegistry().write_env({'PORT': str(r.port)})
    print(r.port, flush=True)
    input()
"""


def test_two_processes_get_two_ports(registry: PortRegistry, place: Path) -> None:
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", SNIPPET], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    ports = {int(one.stdout.readline()) for one in pair if one.stdout}
    assert len(ports) == 2 and min(ports) >= 28888
    assert (place / ".env").read_text() in {f"PORT={port}\n" for port in ports}
    for one in pair:
        one.communicate("\n", timeout=30)
        assert one.returncode == 0
    assert registry.status() == []


def test_f40_a_forked_child_has_no_part_in_it(python: Run) -> None:
    python(
        """
        import os, socket, sys
        from portkeeper import NotReserved, PortRegistry

        registry = PortRegistry()

        def bind(port):
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))

        def child(work):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    work()
                    code = 0
                finally:
                    # With what an interpreter does at its end.
                    sys.exit(code)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

        with registry.reserve(hold=True) as r:
            def work():
                assert not r.held
                try:
                    r.socket()
                except NotReserved:
                    r.release()
                    return
                raise AssertionError
            assert child(work) == 0
            assert r.held and [e.port for e in registry.status()] == [r.port]
            try:
                bind(r.port)
            except OSError:
                pass
            else:
                raise AssertionError("the port is free")

            # A child that lives on does not keep what its parent releases.
            there, here = socket.socketpair()
            pid = os.fork()
            if pid == 0:
                here.close()
                there.send(b"!")
                there.recv(1)
                os._exit(0)
            there.close()
            here.recv(1)
        bind(r.port)
        here.close()
        os.waitpid(pid, 0)
        assert registry.status() == []

        # A child has reservations of its own.
        assert child(lambda: registry.reserve(hold=True).release()) == 0
        assert child(lambda: registry.reserve(hold=True)) == 0
        assert registry.status() == []
        """
    )


def test_a25_multiprocessing(python: Run, place: Path) -> None:
    program = place / "pool.py"
    program.write_text(
        """
import multiprocessing, os, sys, threading
from portkeeper import PortRegistry

def work(_):
    with PortRegistry().reserve(hold=True) as r:
        return r.port

if __name__ == "__main__":
    registry = PortRegistry()
    stop = threading.Event()

    def busy():
        # Forks happen while the library is at work in another thread.
        while not stop.is_set():
            registry.reserve(hold=True).release()

    thread = threading.Thread(target=busy)
    thread.start()
    with registry.reserve(hold=True) as mine:
        for method in ("fork", "spawn"):
            with multiprocessing.get_context(method).Pool(8) as pool:
                ports = pool.map(work, range(40))
            assert mine.port not in ports
            assert mine.held and mine.port in [e.port for e in registry.status()]
    stop.set()
    thread.join()
    registry.gc()
    assert registry.status() == [], registry.status()
"""
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a25_ctrl_c_ends_waiting_for_a_port(python: Run) -> None:
    check_ctrl_c(
        python,
        """
        held = registry.reserve(hold=True)
        call = lambda: registry.reserve(preferred=held.port, strict=True, wait=60)
        """,
    )


def test_a25_ctrl_c_ends_waiting_for_a_lock(python: Run) -> None:
    check_ctrl_c(
        python,
        """
        import fcntl, os
        os.environ["PORTKEEPER_LOCK_TIMEOUT"] = "60s"
        registry = PortRegistry()
        guard = registry.reserve()
        file = open(registry.registry_path)
        fcntl.flock(file, fcntl.LOCK_EX)
        call = registry.reserve
        """,
    )


def check_ctrl_c(python: Run, prepare: str) -> None:
    python(
        "import signal, threading, time\nfrom portkeeper import PortRegistry\n"
        "registry = PortRegistry()\n"
        + textwrap.dedent(prepare)
        + textwrap.dedent(
            """
            ticks = 0
            def tick():
                # Other threads run while one waits.
                global ticks
                while ticks < 5:
                    time.sleep(0.01)
                    ticks += 1
                signal.raise_signal(signal.SIGINT)
            threading.Thread(target=tick).start()
            begun = time.monotonic()
            try:
                call()
            except KeyboardInterrupt:
                assert ticks == 5 and time.monotonic() - begun < 20
            else:
                raise AssertionError
            """
        )
    )


def test_waiting_ends_when_a_port_is_there(registry: PortRegistry) -> None:
    held = registry.reserve(hold=True)
    timer = threading.Timer(0.1, held.release)
    timer.start()
    with registry.reserve(preferred=held.port, strict=True, wait=30) as r:
        assert r.port == held.port
    timer.join()


def test_a25_an_interpreter_ends_while_threads_wait(registry: PortRegistry, python: Run) -> None:
    python(
        """
        import threading
        from portkeeper import PortRegistry

        registry = PortRegistry()
        mine = registry.reserve(hold=True)
        begun = threading.Barrier(3)

        def wait():
            begun.wait()
            registry.reserve(preferred=mine.port, strict=True, wait=60)

        for _ in range(2):
            threading.Thread(target=wait, daemon=True).start()
        begun.wait()
        """
    )
    assert [entry.state for entry in registry.status()] in ([], ["stale"])


def test_a_killed_process_frees_its_port(registry: PortRegistry) -> None:
    victim = subprocess.Popen(
        [sys.executable, "-c", SNIPPET], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert victim.stdout and victim.stdin
    port = int(victim.stdout.readline())
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    victim.stdin.close()
    victim.stdout.close()
    with registry.reserve(preferred=port, strict=True) as r:
        assert r.port == port


def test_nothing_leaks(registry: PortRegistry) -> None:
    def rounds(count: int) -> None:
        for _ in range(count):
            with registry.reserve(hold=True) as r, r.socket():
                pass
            with registry.reserve(count=2):
                pass

    rounds(200)
    before = allocated(), len(os.listdir("/proc/self/fd"))
    rounds(500)
    after = allocated(), len(os.listdir("/proc/self/fd"))
    assert after[1] == before[1]
    # The smallest block that malloc gives, once a round, would be twice as much.
    assert after[0] - before[0] < 500 * 16


def allocated() -> int:
    """Bytes that malloc has given out; 0 where the C library does not tell."""

    class Mallinfo(ctypes.Structure):
        _fields_ = [(f"field{number}", ctypes.c_size_t) for number in range(10)]

    gc.collect()
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return 0
    mallinfo2.restype = Mallinfo
    return int(mallinfo2().field7)
