"""Every test has a registry and a folder of its own, so that tests can run side by side."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Callable, Iterator

import pytest
from portkeeper import PortRegistry

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, where nothing of the user's is."""
    for name in [name for name in os.environ if name.startswith("PORTKEEPER_")]:
        monkeypatch.delenv(name)
    state = tmp_path / "state"
    monkeypatch.setenv("PORTKEEPER_STATE_DIR", str(state))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("PORTKEEPER_MACHINE_DIR", str(tmp_path / "none"))
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def registry(place: Path) -> Iterator[PortRegistry]:
    registry = PortRegistry()
    yield registry
    # What a failed test leaves must not outlive it: a holder would.
    for entry in registry.status():
        if entry.port is not None and entry.state in ("held", "guarded"):
            registry.release(entry.port)


@pytest.fixture
def python(place: Path) -> Run:
    """Runs a program in another interpreter, to its end."""

    def run(source: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-c", textwrap.dedent(source), *arguments]
        done = subprocess.run(program, capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, done.stderr
        return done

    return run
